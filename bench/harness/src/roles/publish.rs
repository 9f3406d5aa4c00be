//! `pub`: as fast as it goes, or at a rate.

use serde_json::json;

use crate::Options;
use crate::Pacer;
use crate::Publish;
use crate::Report;
use crate::Result;
use crate::System;
use crate::content::Content;
use crate::message::END;
use crate::message::Message;
use crate::roles::await_go;
use crate::roles::connect;
use crate::roles::repeat_end;
use crate::roles::report;
use crate::roles::seconds_since;
use crate::system;
use crate::system::ProcessorTime;

/// Messages between two readings of the clock at full speed.
const BURST: u64 = 256;

pub(crate) fn play<S: System>(options: &Options) -> Result<Report> {
    let mut publisher = S::publisher(options)?;
    connect(&mut publisher, options.subscribers, || Ok(()))?;
    await_go(|| publisher.idle())?;

    let mut message = Message::new(options.message_bytes());
    let mut content = options.verify.then(|| Content::new(options.message_bytes()));
    let (cpu, start) = (ProcessorTime::now(), system::now());
    let count = match (&mut content, options.rate) {
        (Some(content), _) => verifiable(&mut publisher, content, options)?,
        (None, 0) => at_full_speed(&mut publisher, &mut message, options)?,
        _ => at_a_rate(&mut publisher, &mut message, options)?,
    };
    if S::RELIABLE {
        publisher.publish(message.write(END, count))?;
    }
    let sent = publisher.finish()?;
    let (cpu, seconds) = (ProcessorTime::now().since(cpu), seconds_since(start));
    repeat_end::<S>(&mut publisher, &mut message, count)?;
    let (repaired, naks, mut notes) = (sent.repaired, sent.naks, sent.notes);
    notes.extend(content.map(|content| ("sum".to_owned(), json!(content.sum()))));
    Ok(Report { messages: count, seconds, repaired, naks, notes, ..report(options, cpu) })
}

/// No clock is read for a message.
fn at_full_speed(publisher: &mut impl Publish, message: &mut Message, options: &Options) -> Result<u64> {
    in_bursts(publisher, options, |publisher, sequence| publisher.publish(message.write(sequence, 0)))
}

/// The same with messages that can be checked.
fn verifiable(publisher: &mut impl Publish, content: &mut Content, options: &Options) -> Result<u64> {
    in_bursts(publisher, options, |publisher, sequence| publisher.publish(content.write(sequence)))
}

#[inline]
fn in_bursts<P: Publish>(
    publisher: &mut P,
    options: &Options,
    mut publish: impl FnMut(&mut P, u64) -> Result<()>,
) -> Result<u64> {
    let most = options.messages.unwrap_or(u64::MAX);
    let deadline = match options.messages {
        Some(_) => u64::MAX,
        None => system::now() + options.duration().as_nanos() as u64,
    };
    let mut sequence = 0;
    while sequence < most && system::now() < deadline {
        for _ in 0..BURST.min(most - sequence) {
            publish(publisher, sequence)?;
            sequence += 1;
        }
        publisher.idle()?;
    }
    Ok(sequence)
}

/// Each message at its time, and at once when that is over.
fn at_a_rate(publisher: &mut impl Publish, message: &mut Message, options: &Options) -> Result<u64> {
    let pacer = Pacer::new(system::now(), options.rate);
    let count = options.messages.unwrap_or((options.seconds * options.rate as f64) as u64);
    for sequence in 0..count {
        let intended = pacer.intended(sequence);
        while system::now() < intended {
            publisher.idle()?;
        }
        publisher.publish(message.write(sequence, intended))?;
    }
    Ok(count)
}
