//! `echo`: publishes whatever it receives.

use std::mem;
use std::time::Duration;

use serde_json::json;

use crate::Options;
use crate::Publish;
use crate::Receive;
use crate::Received;
use crate::Report;
use crate::Result;
use crate::Sent;
use crate::System;
use crate::message::END;
use crate::message::WARM_UP;
use crate::message::read_head;
use crate::roles::PATIENCE;
use crate::roles::report;
use crate::roles::say;
use crate::roles::seconds_since;
use crate::roles::watch::Watch;
use crate::system;
use crate::system::ProcessorTime;

/// How long nothing may come before it is over.
const SILENCE: Duration = Duration::from_secs(3);

pub(crate) fn play<S: System>(options: &Options) -> Result<Report> {
    let mut subscriber = S::subscriber(options)?;
    let mut publisher = S::publisher(&options.way_back())?;
    say("ready")?;

    let mut echo =
        Echo { publisher: &mut publisher, failure: Ok(()), count: 0, is_over: false, started: None };
    let end = until_end(&mut subscriber, &mut echo, options)?;
    let (count, started) = (echo.count, echo.started);
    let Some((cpu, start)) = started else { return Err(format!("no message within {PATIENCE:?}").into()) };
    let (cpu, seconds) = (ProcessorTime::now().since(cpu), seconds_since(start));
    drop(subscriber);
    let Sent { repaired, naks, mut notes } = publisher.finish()?;
    notes.insert("end".into(), json!(end));
    Ok(Report { messages: count, seconds, repaired, naks, notes, ..report(options, cpu) })
}

/// Answers until the end marker, or a silence; gives what ended it.
fn until_end(
    subscriber: &mut impl Receive,
    echo: &mut Echo<'_, impl Publish>,
    options: &Options,
) -> Result<&'static str> {
    let mut watch = Watch::new(options);
    loop {
        let received = subscriber.receive(|message| echo.take(message))?;
        mem::replace(&mut echo.failure, Ok(()))?;
        if echo.is_over {
            return Ok("marker");
        }
        if received == Received::Ended && echo.count > 0 {
            return Ok("system");
        }
        // Between warming up and the first that counts may lie the wait for `go`, however long.
        let patience = if echo.count == 0 { PATIENCE } else { SILENCE };
        if watch.is_silent(received, patience) {
            return Ok("silence");
        }
        if received != Received::Some {
            echo.publisher.idle()?;
        }
    }
}

/// Publishes what it takes.
struct Echo<'a, P> {
    publisher: &'a mut P,
    failure: Result<()>,
    /// Without those of warming up.
    count: u64,
    is_over: bool,
    /// When the first that counts came.
    started: Option<(ProcessorTime, u64)>,
}

impl<P: Publish> Echo<'_, P> {
    #[inline]
    fn take(&mut self, message: &[u8]) {
        let sequence = read_head(message).map(|(sequence, _)| sequence);
        match sequence {
            Some(END) => return self.is_over = true,
            Some(WARM_UP) | None => {}
            Some(_) => {
                if self.count == 0 {
                    self.started = Some((ProcessorTime::now(), system::now()));
                }
                self.count += 1;
            }
        }
        if let Err(error) = self.publisher.publish(message) {
            self.failure = Err(error);
        }
    }
}
