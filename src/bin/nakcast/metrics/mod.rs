//! `--prometheus ADDRESS`: statistics over HTTP, from a thread that only hands out the last text it was given.

mod text;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use tiny_http::Header;
use tiny_http::Method;
use tiny_http::Request;
use tiny_http::Response;
use tiny_http::Server;

use nakcast::Publisher;
use nakcast::Subscriber;

use crate::clock::Clock;
use crate::ending::Failure;
use crate::say::say;

pub(crate) use text::Text;

/// How often the text is renewed where nobody looks at intervals of their own.
const EVERY: Duration = Duration::from_secs(1);
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[derive(Debug, Clone, Copy, clap::Args)]
pub(crate) struct Place {
    /// Serve statistics at http://ADDRESS/metrics for Prometheus, such as 127.0.0.1:9464; port 0 is any free one.
    #[arg(long, value_name = "ADDRESS")]
    prometheus: Option<SocketAddr>,
}

impl Place {
    /// Binds where it was told, if it was told.
    pub(crate) fn open(self) -> Result<Option<Exporter>, Failure> {
        self.prometheus.map(Exporter::open).transpose()
    }
}

/// What the thread hands out.
#[derive(Debug)]
pub(crate) struct Exporter {
    text: Arc<Mutex<String>>,
    clock: Clock,
    next: Duration,
}

impl Exporter {
    fn open(address: SocketAddr) -> Result<Self, Failure> {
        let server = Server::http(address).map_err(|error| Failure::Metrics { address, error })?;
        let text = Arc::new(Mutex::new(String::new()));
        if let Some(bound) = server.server_addr().to_ip() {
            say(format_args!("metrics at http://{bound}/metrics"));
        }
        let handed_out = Arc::clone(&text);
        let serve = move || {
            for request in server.incoming_requests() {
                answer(request, &handed_out);
            }
        };
        thread::Builder::new().name("metrics".to_owned()).spawn(serve).map_err(Failure::Thread)?;
        Ok(Self { text, clock: Clock::start(), next: Duration::ZERO })
    }

    /// Hands out `text` from now on.
    pub(crate) fn show(&self, text: Text) {
        *self.text.lock().unwrap_or_else(PoisonError::into_inner) = text.finish();
    }

    fn is_due(&mut self) -> bool {
        let now = self.clock.now();
        let is_due = now >= self.next;
        if is_due {
            self.next = now + EVERY;
        }
        is_due
    }

    /// Everything of a publisher, once a second.
    pub(crate) fn publisher(&mut self, publisher: &Publisher) {
        if !self.is_due() {
            return;
        }
        let (mut text, session) = (Text::default(), publisher.session().to_string());
        text.add(&publisher.stats().figures(), &[("session", &session)]);
        for row in publisher.receivers() {
            let (receiver, address) = (row.receiver.to_string(), row.address.to_string());
            let labels = [("session", &*session), ("receiver", &receiver), ("address", &address)];
            text.add(&row.figures(), &labels);
        }
        self.show(text);
    }

    /// Everything of a subscriber, once a second.
    pub(crate) fn subscriber(&mut self, subscriber: &Subscriber) {
        if !self.is_due() {
            return;
        }
        let mut text = Text::default();
        text.add(&subscriber.stats().figures(), &[]);
        for source in subscriber.sources() {
            let (session, address) = (source.session.to_string(), source.address.to_string());
            text.add(&source.figures(), &[("session", &session), ("address", &address)]);
        }
        self.show(text);
    }
}

fn answer(request: Request, text: &Mutex<String>) {
    let is_known = request.url().split('?').next() == Some("/metrics");
    let answered = match (request.method(), is_known) {
        (Method::Get | Method::Head, true) => {
            let text = text.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let response = Response::from_string(text);
            match Header::from_bytes("Content-Type", CONTENT_TYPE) {
                Ok(header) => request.respond(response.with_header(header)),
                Err(()) => request.respond(response),
            }
        }
        (Method::Get | Method::Head, false) => request.respond(Response::empty(404)),
        _ => request.respond(Response::empty(405)),
    };
    if let Err(error) = answered
        && error.kind() != ErrorKind::BrokenPipe
    {
        tracing::debug!(%error, "answering who asked for metrics");
    }
}
