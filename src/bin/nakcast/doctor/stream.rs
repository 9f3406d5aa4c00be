//! Whether a publisher answers at a TCP address.

use std::time::Duration;

use nakcast::Error;
use nakcast::Event;
use nakcast::Subscriber;
use nakcast::TcpEndpoint;

use crate::doctor::finding::Finding;

const NAME: &str = "heard";

/// Connects as one who only looks on, and waits for the publisher's first words.
pub(crate) fn answers(endpoint: &TcpEndpoint, time: Duration) -> Finding {
    match ask(endpoint, time) {
        Ok(Some(what)) => Finding::fine(NAME, what),
        Ok(None) => {
            let what = format!("nobody answers at {endpoint}");
            Finding::error(NAME, what, "start the publisher; check host, port and firewall")
                .command(format!("nc -vz {} {}", endpoint.host, endpoint.port))
        }
        Err(error) => Finding::error(NAME, error.to_string(), "check host, port and stream"),
    }
}

fn ask(endpoint: &TcpEndpoint, time: Duration) -> Result<Option<String>, Error> {
    let mut subscriber = Subscriber::builder().endpoint(endpoint.clone()).observer(true).open()?;
    Ok(match subscriber.recv_timeout(time)? {
        Some(Event::SourceUp { session, address, from, .. }) => {
            Some(format!("{address} with session {session}, now at offset {from}"))
        }
        _ => None,
    })
}
