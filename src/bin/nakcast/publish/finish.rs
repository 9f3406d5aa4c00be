//! The end of a publisher: repairs until everybody has everything, and the totals.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::mpsc::channel;
use std::time::Duration;

use nakcast::FinishError;
use nakcast::Offload;
use nakcast::Publisher;
use nakcast::PublisherStats;

use crate::clock::TICK;
use crate::ending::Failure;
use crate::interrupt::Interrupt;
use crate::publish::roster::Fate;
use crate::publish::roster::Roster;
use crate::say::say;
use crate::table::Table;
use crate::units;

/// What a publisher's run came to.
pub(crate) struct End {
    stats: PublisherStats,
    roster: Roster,
    /// `None` when the wait was interrupted.
    finished: Option<Result<(), FinishError>>,
}

/// Waits until every subscriber has everything, `timeout` at most, or until Ctrl-C ends the wait: so it happens on
/// another thread.
pub(crate) fn finish(
    mut publisher: Publisher,
    timeout: Duration,
    mut roster: Roster,
    interrupt: &Interrupt,
) -> Result<End, Failure> {
    let was_asked = interrupt.is_asked();
    roster.take(&mut publisher, |line| say(format_args!("nakcast: {line}")));
    let (before, so_far) = (publisher.stats(), roster.clone());
    let (sender, done) = channel();
    let thread = std::thread::Builder::new().name("nakcast-finish".to_owned());
    let wait = move || {
        let finished = publisher.finish(timeout);
        roster.take(&mut publisher, |line| say(format_args!("nakcast: {line}")));
        let end = End { stats: publisher.stats(), roster, finished: Some(finished) };
        // Nobody listens any more when the wait was interrupted, and then nobody needs it.
        drop(sender.send(end));
    };
    thread.spawn(wait).map_err(Failure::Thread)?;
    loop {
        match done.recv_timeout(TICK) {
            Ok(end) => return Ok(end),
            Err(RecvTimeoutError::Timeout) if interrupt.is_asked() && !was_asked => {
                return Ok(End { stats: before, roster: so_far, finished: None });
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::ThreadDied("ends the publisher")),
        }
    }
}

impl End {
    pub(crate) fn everybody_has_everything(&self) -> bool {
        matches!(self.finished, Some(Ok(()))) && self.roster.evictions() == 0
    }

    /// The totals, and who has not confirmed everything.
    pub(crate) fn report(&self, (messages, bytes): (u64, u64), took: Duration) {
        let (stats, sender) = (&self.stats, &self.stats.sender);
        let repairs = sender.repairs_multicast + sender.repairs_unicast;
        say(format_args!(
            "published {} ({}) as {} in {}, in {}",
            units::counted(messages, "message"),
            units::size(bytes),
            units::counted(stats.published, "offset"),
            units::counted(stats.batches, "datagram"),
            units::time(took),
        ));
        say(format_args!(
            "repaired {} ({}) in {} for {}",
            units::counted(sender.repaired_offsets, "offset"),
            units::size(sender.repaired_bytes),
            units::counted(repairs, "repair"),
            units::counted(sender.naks, "NAK"),
        ));
        if stats.skipped > 0 {
            say(format_args!(
                "{} had no room on one line while others had",
                units::counted(stats.skipped, "datagram")
            ));
        }
        if stats.send_errors > 0 {
            say(format_args!("the system refused to send {}", units::counted(stats.send_errors, "datagram")));
        }
        if stats.segmentation == Offload::Refused {
            say(format_args!(
                "the kernel refused to cut datagrams out of a larger send (GSO): they left one by one"
            ));
        }
        self.report_subscribers();
        self.report_laggards();
    }

    fn report_subscribers(&self) {
        let mut table = Table::new(["subscriber", "address", "delivered", "lost", "NAKs", ""]);
        let mut count = 0;
        for (row, fate) in self.roster.rows() {
            count += 1;
            let remark = match fate {
                Fate::Here | Fate::Left if row.next.0 >= self.stats.published => "has everything".to_owned(),
                Fate::Here => format!("wants offset {}", row.next),
                Fate::Left => "left".to_owned(),
                Fate::CutOff => "was cut off for a while".to_owned(),
                Fate::Silent => "fell silent".to_owned(),
                Fate::Evicted => "was evicted".to_owned(),
            };
            let numbers = [row.delivered, row.lost, row.naks].map(units::count);
            let [delivered, lost, naks] = numbers;
            table.row([row.receiver.to_string(), row.address.to_string(), delivered, lost, naks, remark]);
        }
        match count {
            0 => say(format_args!("nobody subscribed")),
            _ => say(format_args!("{}, as each last said:\n{table}", units::counted(count, "subscriber"))),
        }
    }

    fn report_laggards(&self) {
        match &self.finished {
            None => {
                say(format_args!("nakcast: interrupted before every subscriber had confirmed everything"))
            }
            Some(Ok(())) => {}
            Some(Err(error)) => {
                for (receiver, next) in &error.laggards {
                    say(format_args!(
                        "nakcast: subscriber {receiver} has not confirmed everything within {:?}: it wants offset {next} of {}",
                        error.waited, self.stats.published
                    ));
                }
            }
        }
    }
}
