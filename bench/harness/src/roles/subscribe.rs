//! `sub`: receives, checks and counts.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::Options;
use crate::Receive;
use crate::Received;
use crate::Report;
use crate::Result;
use crate::System;
use crate::content::Content;
use crate::roles::PATIENCE;
use crate::roles::report;
use crate::roles::say;
use crate::roles::watch::Watch;
use crate::system;
use crate::system::ProcessorTime;
use crate::tally::Tally;

/// How long a system that has delivered the end is still served, so that it can tell the publisher.
const FAREWELL: Duration = Duration::from_secs(3);

pub(crate) fn play<S: System>(options: &Options) -> Result<Report> {
    let mut subscriber = S::subscriber(options)?;
    let mut tally = Tally::new(options.message_bytes());
    say("ready")?;

    let mut content = options.verify.then(|| Content::new(options.message_bytes()));
    match &mut content {
        Some(content) => await_first(&mut subscriber, &mut Checked { tally: &mut tally, content }, options)?,
        None => await_first(&mut subscriber, &mut tally, options)?,
    }
    let (cpu, start) = (ProcessorTime::now(), system::now());
    let (end, last) = if let Some(content) = &mut content {
        until_end::<S>(&mut subscriber, options, &mut Checked { tally: &mut tally, content })?
    } else if options.slow > 0 {
        let mut each = Slow { tally: &mut tally, pause: Duration::from_micros(options.slow), since: 0 };
        until_end::<S>(&mut subscriber, options, &mut each)?
    } else {
        until_end::<S>(&mut subscriber, options, &mut tally)?
    };
    let cpu = ProcessorTime::now().since(cpu);
    let mut report = report(options, cpu);
    if S::RELIABLE {
        take_leave(&mut subscriber, &mut tally, options)?;
    }
    fill(&mut report, &tally, &subscriber.counters());
    report.seconds = last.saturating_sub(start) as f64 / 1e9;
    report.notes.insert("end".into(), json!(end));
    if let Some(content) = content {
        report.notes.insert("sum".into(), json!(content.sum()));
        report.notes.insert("wrong".into(), json!(content.wrong));
    }
    Ok(report)
}

/// What becomes of messages.
trait Take {
    fn take(&mut self, message: &[u8]);
    fn has_begun(&self) -> bool;
    fn has_ended(&self) -> bool;
}

impl Take for Tally {
    #[inline]
    fn take(&mut self, message: &[u8]) {
        Self::take(self, message);
    }

    fn has_begun(&self) -> bool {
        Self::has_begun(self)
    }

    fn has_ended(&self) -> bool {
        self.published.is_some()
    }
}

/// A tally that takes its time.
struct Slow<'a> {
    tally: &'a mut Tally,
    pause: Duration,
    since: u32,
}

impl Take for Slow<'_> {
    fn take(&mut self, message: &[u8]) {
        self.tally.take(message);
        self.since += 1;
        if self.since == 1_000 {
            self.since = 0;
            thread::sleep(self.pause);
        }
    }

    fn has_begun(&self) -> bool {
        self.tally.has_begun()
    }

    fn has_ended(&self) -> bool {
        self.tally.published.is_some()
    }
}

/// A tally that looks at every byte.
struct Checked<'a> {
    tally: &'a mut Tally,
    content: &'a mut Content,
}

impl Take for Checked<'_> {
    fn take(&mut self, message: &[u8]) {
        self.tally.take(message);
        // The message that ends the run is no part of it.
        if !self.has_ended() {
            self.content.check(message);
        }
    }

    fn has_begun(&self) -> bool {
        self.tally.has_begun()
    }

    fn has_ended(&self) -> bool {
        self.tally.published.is_some()
    }
}

/// What comes before a message, such as that a source is up, does not start the clock.
fn await_first(subscriber: &mut impl Receive, tally: &mut impl Take, options: &Options) -> Result<()> {
    let mut watch = Watch::new(options);
    loop {
        let received = subscriber.receive(|message| tally.take(message))?;
        if tally.has_begun() {
            return Ok(());
        }
        if watch.is_silent(received, PATIENCE) {
            return Err(format!("no message within {PATIENCE:?}").into());
        }
    }
}

/// Receives until the end marker, or a silence; gives what ended it, and when the last message came.
///
/// No clock is read while messages come.
fn until_end<S: System>(
    subscriber: &mut S::Subscriber,
    options: &Options,
    tally: &mut impl Take,
) -> Result<(&'static str, u64)> {
    let silence = Duration::from_secs(if S::RELIABLE { 3 } else { 1 });
    let mut watch = Watch::new(options);
    while !tally.has_ended() {
        let received = subscriber.receive(|message| tally.take(message))?;
        if watch.is_silent(received, silence) {
            return Ok(("silence", watch.since()));
        }
        if received == Received::Ended && !tally.has_ended() {
            return Ok(("system", watch.since()));
        }
    }
    Ok(("marker", system::now()))
}

/// Serves the system until it has told the publisher that all is well.
fn take_leave(subscriber: &mut impl Receive, tally: &mut Tally, options: &Options) -> Result<()> {
    let mut watch = Watch::new(options);
    loop {
        let received = subscriber.receive(|message| tally.take(message))?;
        if received == Received::Ended || watch.is_silent(received, FAREWELL) {
            return Ok(());
        }
    }
}

fn fill(report: &mut Report, tally: &Tally, heard: &crate::Heard) {
    report.messages = tally.delivered();
    report.lost = tally.lost();
    report.duplicates = tally.duplicates;
    report.disordered = tally.disordered;
    report.repaired = heard.repaired;
    report.naks = heard.naks;
    report.latency_us = crate::Latency::of(&tally.latency);
    report.notes.clone_from(&heard.notes);
    report.notes.insert("told_lost".into(), json!(heard.lost));
    report.notes.insert("malformed".into(), json!(tally.malformed));
    report.notes.insert("published".into(), json!(tally.published));
}
