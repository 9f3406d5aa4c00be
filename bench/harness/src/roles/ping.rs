//! `ping`: one message at a time, there and back.

use std::time::Duration;

use serde_json::json;

use crate::Options;
use crate::Pacer;
use crate::Publish;
use crate::Receive;
use crate::Report;
use crate::Result;
use crate::Sent;
use crate::System;
use crate::message::END;
use crate::message::Message;
use crate::message::WARM_UP;
use crate::message::read_head;
use crate::roles::PATIENCE;
use crate::roles::await_go;
use crate::roles::connect;
use crate::roles::repeat_end;
use crate::roles::report;
use crate::roles::seconds_since;
use crate::roles::watch::Watch;
use crate::system;
use crate::system::ProcessorTime;
use crate::tally::histogram;

/// How long a message may be away before it is lost.
const AWAY: Duration = Duration::from_secs(1);

/// Round trips before the first that counts.
const WARM_UPS: u32 = 100;

pub(crate) fn play<S: System>(options: &Options) -> Result<Report> {
    let mut there_and_back = ThereAndBack::<S>::open(options)?;
    there_and_back.warm_up()?;
    let ThereAndBack { publisher, subscriber, .. } = &mut there_and_back;
    await_go(|| {
        publisher.idle()?;
        subscriber.receive(|_| ()).map(drop)
    })?;

    let (cpu, start) = (ProcessorTime::now(), system::now());
    let most = options.messages.unwrap_or(u64::MAX);
    let duration = options.messages.map_or(options.duration().as_nanos() as u64, |_| u64::MAX);
    let pacer = options.is_paced().then(|| Pacer::new(start, options.rate));
    let (mut round_trips, mut lost, mut sequence) = (histogram(), 0_u64, 0);
    while sequence < most && system::now() - start < duration {
        if let Some(pacer) = pacer {
            there_and_back.wait_until(pacer.intended(sequence))?;
        }
        match there_and_back.round_trip(sequence, AWAY)? {
            Some(nanos) => round_trips.saturating_record(nanos),
            None => lost += 1,
        }
        sequence += 1;
    }
    let (cpu, seconds) = (ProcessorTime::now().since(cpu), seconds_since(start));
    let Sent { repaired, naks, notes } = there_and_back.close(sequence)?;
    let latency_us = crate::Latency::of(&round_trips);
    let messages = round_trips.len();
    Ok(Report { messages, seconds, lost, repaired, naks, latency_us, notes, ..report(options, cpu) })
}

/// Both ways.
struct ThereAndBack<'a, S: System> {
    publisher: S::Publisher,
    subscriber: S::Subscriber,
    message: Message,
    options: &'a Options,
}

impl<'a, S: System> ThereAndBack<'a, S> {
    /// The way back is open before anybody is asked to answer.
    fn open(options: &'a Options) -> Result<Self> {
        let mut subscriber = S::subscriber(&options.way_back())?;
        let mut publisher = S::publisher(options)?;
        connect(&mut publisher, 1, || subscriber.receive(|_| ()).map(drop))?;
        Ok(Self { publisher, subscriber, message: Message::new(options.message_bytes()), options })
    }

    /// Tries until the first comes back: a system may know nothing of the other side yet.
    fn warm_up(&mut self) -> Result<()> {
        let deadline = system::now() + PATIENCE.as_nanos() as u64;
        let mut done = 0;
        while done < WARM_UPS {
            if self.round_trip(WARM_UP, Duration::from_millis(100))?.is_some() {
                done += 1;
            } else if system::now() > deadline {
                return Err(format!("nothing came back within {PATIENCE:?}").into());
            }
        }
        Ok(())
    }

    /// Nanoseconds of a round trip; `None` when it did not come back for so long.
    fn round_trip(&mut self, sequence: u64, away: Duration) -> Result<Option<u64>> {
        let start = system::now();
        self.publisher.publish(self.message.write(sequence, start))?;
        let mut watch = Watch::new(self.options);
        loop {
            let mut is_back = false;
            let received = self.subscriber.receive(|message| {
                is_back |= read_head(message) == Some((sequence, start));
            })?;
            if is_back {
                return Ok(Some(system::now() - start));
            }
            if watch.is_silent(received, away) {
                return Ok(None);
            }
            self.publisher.idle()?;
        }
    }

    fn wait_until(&mut self, time: u64) -> Result<()> {
        while system::now() < time {
            self.publisher.idle()?;
        }
        Ok(())
    }

    /// The subscriber goes first: nobody may wait for what it has not confirmed.
    fn close(self, count: u64) -> Result<Sent> {
        let Self { mut publisher, subscriber, mut message, .. } = self;
        if S::RELIABLE {
            publisher.publish(message.write(END, count))?;
        }
        let told_lost = subscriber.counters().lost;
        drop(subscriber);
        let mut sent = publisher.finish()?;
        repeat_end::<S>(&mut publisher, &mut message, count)?;
        sent.notes.insert("told_lost".into(), json!(told_lost));
        Ok(sent)
    }
}
