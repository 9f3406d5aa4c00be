//! What the demo came to: the tables, and whether everything arrived.

use std::time::Duration;

use hdrhistogram::Histogram;
use nakcast::RepairTimes;
use nakcast::SourceSnapshot;

use crate::demo::sink::Taken;
use crate::demo::source::Sent;
use crate::say::print;
use crate::table::Table;
use crate::units;

/// The results of all threads.
pub(crate) struct Report {
    pub(crate) sent: Sent,
    pub(crate) taken: Vec<Taken>,
    /// What a bare datagram and its answer take.
    pub(crate) round_trip: Option<Duration>,
}

impl Report {
    /// The tables; with -vv also every counter there is.
    pub(crate) fn print(&self) {
        self.log_counters();
        self.print_sent();
        self.print_accounts();
        self.print_repairs();
        self.print_latencies();
    }

    fn log_counters(&self) {
        tracing::debug!(publisher = ?self.sent.stats);
        for (number, taken) in self.numbered() {
            let Some(SourceSnapshot { stats, .. }) = &taken.source else { continue };
            tracing::debug!(
                subscriber = number, receiver = ?taken.stats,
                batches = stats.batches, repairs = stats.repairs, useless = stats.repairs_useless,
                gaps = stats.gaps, held = stats.held, reordered = stats.reordered,
                naks = stats.naks, ranges = stats.nak_ranges, suppressed = stats.naks_suppressed,
                needless = stats.naks_needless, shed = stats.shed,
                refused_window = stats.refused_window, refused_gaps = stats.refused_gaps,
            );
        }
    }

    fn print_sent(&self) {
        let (sent, sender) = (&self.sent, &self.sent.stats.sender);
        let rate = sent.messages as f64 / sent.took.as_secs_f64().max(1e-9);
        print(format_args!(
            "published {} ({}) in {}: {} a second, in {}; {} for {}",
            units::counted(sent.messages, "message"),
            units::size(sent.bytes),
            units::time(sent.took),
            units::count(rate as u64),
            units::counted(sent.stats.batches, "datagram"),
            units::counted(sender.repairs_multicast + sender.repairs_unicast, "repair"),
            units::counted(sender.naks, "NAK"),
        ));
    }

    fn print_accounts(&self) {
        let titles = [
            "subscriber",
            "published",
            "= delivered",
            "+ lost",
            "repaired",
            "duplicates",
            "NAKs",
            "kernel drops",
        ];
        let mut table = Table::new(titles);
        for (number, taken) in self.numbered() {
            let Some(source) = &taken.source else { continue };
            let (book, stats) = (&source.book, &source.stats);
            let numbers = [
                book.heard.since(book.start),
                book.delivered,
                book.lost,
                stats.repaired,
                stats.duplicates,
                stats.naks,
                taken.stats.kernel_drops,
            ];
            let [published, delivered, lost, repaired, duplicates, naks, drops] = numbers.map(units::count);
            table.row([number, published, delivered, lost, repaired, duplicates, naks, drops]);
        }
        print(format_args!("\n{table}"));
    }

    fn print_repairs(&self) {
        let titles = ["from NAK to repair", "p50", "p90", "p99", "max", "round trip under load"];
        let mut table = Table::new(titles);
        for (number, taken) in self.numbered() {
            let Some(source) = &taken.source else { continue };
            let times = &source.stats.repair_times;
            let [p50, p90, p99, max] =
                repair_times(times).map(|time| time.map_or("none".to_owned(), units::time));
            let measured = source.round_trip.map_or("none".to_owned(), units::time);
            table.row([number, p50, p90, p99, max, measured]);
        }
        print(format_args!("\n{table}"));
        let sources = self.taken.iter().filter_map(|taken| taken.source.as_ref());
        let medians = sources.filter_map(|source| repair_times(&source.stats.repair_times)[0]);
        if let (Some(bare), Some(worst)) = (self.round_trip, medians.max()) {
            print(format_args!(
                "  a bare UDP datagram and its answer took {} meanwhile: the slowest p50 repair took {:.1} times that",
                units::time(bare),
                worst.as_secs_f64() / bare.as_secs_f64().max(1e-9),
            ));
        }
    }

    fn print_latencies(&self) {
        let mut table = Table::new(["from due to delivered", "p50", "p99", "p99.9", "max"]);
        for (number, taken) in self.numbered() {
            let [p50, p99, p999, max] = latencies(&taken.latency).map(units::time);
            table.row([number, p50, p99, p999, max]);
        }
        print(format_args!("\n{table}\n"));
    }

    /// Says what went wrong, or that nothing did; whether everything arrived.
    pub(crate) fn verdict(&self) -> bool {
        let mut wrong: Vec<String> = Vec::new();
        for (number, taken) in self.numbered() {
            wrong.extend(
                self.faults_of(taken).into_iter().map(|fault| format!("subscriber {number}: {fault}")),
            );
        }
        wrong.extend(self.sent.evicted.iter().map(|receiver| format!("{receiver} was evicted")));
        if let Err(error) = &self.sent.finished {
            wrong.push(error.to_string());
        }
        if wrong.is_empty() {
            print(format_args!(
                "published = delivered + lost for {}, nothing was lost, and every byte was right",
                units::counted(self.taken.len() as u64, "subscriber")
            ));
        }
        wrong.iter().for_each(|fault| print(format_args!("nakcast: {fault}")));
        wrong.is_empty()
    }

    fn faults_of(&self, taken: &Taken) -> Vec<String> {
        let Some(source) = &taken.source else { return vec!["heard nobody".to_owned()] };
        let mut faults = Vec::new();
        if !is_balanced(source, taken, self.sent.stats.published) {
            faults.push(format!("published = delivered + lost does not hold: a bug ({:?})", source.book));
        }
        if taken.lost > 0 {
            faults.push(format!("{} were lost", units::count(taken.lost)));
        }
        if taken.wrong > 0 {
            faults.push(format!(
                "{} messages had wrong bytes, or came out of order",
                units::count(taken.wrong)
            ));
        }
        let lost_none_but_short = taken.lost == 0 && taken.right + taken.wrong != self.sent.messages;
        if lost_none_but_short {
            let (right, all) = (units::count(taken.right), units::count(self.sent.messages));
            faults.push(format!("{right} of {all} messages arrived, and none was told as lost"));
        }
        faults
    }

    fn numbered(&self) -> impl Iterator<Item = (String, &Taken)> {
        self.taken.iter().zip(1..).map(|(taken, number): (&Taken, u32)| (number.to_string(), taken))
    }
}

/// Whether every offset that was published has its place in the account.
fn is_balanced(source: &SourceSnapshot, taken: &Taken, published: u64) -> bool {
    let book = &source.book;
    let heard = book.heard.since(book.start);
    book.start.0 == 0 && heard == published && book.decided() == heard && book.lost == taken.lost
}

fn repair_times(times: &RepairTimes) -> [Option<Duration>; 4] {
    let all = [times.quantile(0.5), times.quantile(0.9), times.quantile(0.99), times.longest()];
    all.map(|time| (times.count() > 0).then_some(time))
}

fn latencies(histogram: &Histogram<u64>) -> [Duration; 4] {
    let quantiles = [0.5, 0.99, 0.999].map(|quantile| histogram.value_at_quantile(quantile));
    let [p50, p99, p999] = quantiles;
    [p50, p99, p999, histogram.max()].map(Duration::from_nanos)
}
