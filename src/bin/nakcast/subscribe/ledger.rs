//! The account of every offset, kept twice: by the library, and here by what was handed on.

use std::net::SocketAddr;

use nakcast::Book;
use nakcast::DownReason;
use nakcast::Event;
use nakcast::LineRow;
use nakcast::LineSnapshot;
use nakcast::Offset;
use nakcast::SessionId;
use nakcast::SourceSnapshot;
use nakcast::Subscriber;

use crate::say::say;
use crate::units;

/// Sources whose account is kept apart; of older ones that are down only the sums are.
const MOST: usize = 1_000;

/// What the library says of a source.
#[derive(Debug, Clone)]
struct Account {
    address: SocketAddr,
    down: Option<DownReason>,
    book: Book,
    repaired: u64,
    naks: u64,
    duplicates: u64,
    lines: Vec<LineRow>,
}

impl Account {
    fn of(source: &SourceSnapshot) -> Self {
        Self {
            address: source.address,
            down: source.down,
            book: source.book,
            repaired: source.stats.repaired,
            naks: source.stats.naks,
            duplicates: source.stats.duplicates,
            lines: source.lines.clone(),
        }
    }

    fn published(&self) -> u64 {
        self.book.heard.since(self.book.start)
    }
}

/// What was handed on of a source, in offsets.
#[derive(Debug, Clone)]
struct Tally {
    session: SessionId,
    delivered: u64,
    lost: u64,
    /// Where it came up last, and what of these sums was handed on before that.
    up_at: Offset,
    before: (u64, u64),
    /// As of when it was last down.
    closed: Option<Account>,
}

impl Tally {
    /// Whether `published = delivered + filtered + conflated + lost`, with only what is on its way left out, and
    /// whether the library has counted what came.
    fn agrees_with(&self, account: &Account) -> bool {
        let (decided, published) = (account.book.decided(), account.published());
        let holds = if account.down.is_some() { decided == published } else { decided <= published };
        // The library may have forgotten a source that was silent for long: then its book began when it came up again.
        let is_new_book = account.book.start >= self.up_at;
        let (delivered, lost) = if is_new_book { self.before } else { (0, 0) };
        let own = (self.delivered.saturating_sub(delivered), self.lost.saturating_sub(lost));
        holds && own == (account.book.delivered, account.book.lost)
    }

    fn come_up(&mut self, from: Offset) {
        (self.up_at, self.before, self.closed) = (from, (self.delivered, self.lost), None);
    }
}

/// The accounts of all sources.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    tallies: Vec<Tally>,
    /// Where the last event was written: usually the next one belongs there, too.
    latest: usize,
    messages: u64,
    lost: u64,
    forgotten: u64,
    unbalanced: u64,
}

impl Ledger {
    pub(crate) fn on_event(&mut self, event: &Event<'_>) {
        match *event {
            Event::Message(message) => {
                self.messages += 1;
                self.tally(message.session).delivered += message.offsets;
            }
            Event::Lost { session, range, .. } => {
                // Whoever forges a session may make it lose any number of offsets.
                self.lost = self.lost.saturating_add(range.len());
                let tally = self.tally(session);
                tally.lost = tally.lost.saturating_add(range.len());
            }
            Event::SourceUp { session, from, .. } => self.tally(session).come_up(from),
            _ => {}
        }
    }

    /// A source is down: its account is complete.
    pub(crate) fn close(&mut self, session: SessionId, sources: &[SourceSnapshot]) {
        let account = sources.iter().find(|source| source.session == session).map(Account::of);
        self.tally(session).closed = account;
    }

    pub(crate) const fn messages(&self) -> u64 {
        self.messages
    }

    /// Offsets lost, of all sources.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Whether nobody was heard.
    pub(crate) fn is_empty(&self) -> bool {
        self.tallies.is_empty()
    }

    fn tally(&mut self, session: SessionId) -> &mut Tally {
        let is_latest = self.tallies.get(self.latest).is_some_and(|tally| tally.session == session);
        if !is_latest {
            self.latest = self.find_or_open(session);
        }
        &mut self.tallies[self.latest]
    }

    fn find_or_open(&mut self, session: SessionId) -> usize {
        if let Some(at) = self.tallies.iter().position(|tally| tally.session == session) {
            return at;
        }
        if self.tallies.len() >= MOST
            && let Some(at) = self.tallies.iter().position(|tally| tally.closed.is_some())
        {
            let old = self.tallies.remove(at);
            let agrees = old.closed.as_ref().is_some_and(|account| old.agrees_with(account));
            self.forgotten += 1;
            self.unbalanced += u64::from(!agrees);
        }
        let (up_at, before) = (Offset::ZERO, (0, 0));
        self.tallies.push(Tally { session, delivered: 0, lost: 0, up_at, before, closed: None });
        self.tallies.len() - 1
    }

    /// Says what became of every offset; whether that is all of them.
    pub(crate) fn report(&self, subscriber: &Subscriber) -> bool {
        let mut unbalanced = self.unbalanced;
        if self.forgotten > 0 {
            say(format_args!("not listed: {}", units::counted(self.forgotten, "earlier publisher")));
        }
        let sources = subscriber.sources();
        for tally in &self.tallies {
            let present = sources.iter().find(|source| source.session == tally.session).map(Account::of);
            let Some(account) = present.or_else(|| tally.closed.clone()) else { continue };
            report_source(tally.session, &account);
            report_lines(&account, &subscriber.lines());
            if !tally.agrees_with(&account) {
                unbalanced += 1;
                say(format_args!(
                    "nakcast: that does not add up ({} delivered and {} lost were handed on): a bug, please report it",
                    tally.delivered, tally.lost
                ));
            }
        }
        if self.tallies.is_empty() {
            say(format_args!("no publisher was heard"));
        }
        report_socket(subscriber);
        unbalanced == 0
    }
}

fn report_source(session: SessionId, account: &Account) {
    let book = &account.book;
    let start = if book.start.0 > 0 { format!(" from offset {} on", book.start) } else { String::new() };
    let pending = match book.pending() {
        0 => String::new(),
        pending => format!(" + pending {}", units::count(pending)),
    };
    let state = account.down.map_or_else(|| "is up".to_owned(), |reason| reason.to_string());
    say(format_args!("publisher {session} at {}, {state}:", account.address));
    say(format_args!(
        "  published {}{start} = delivered {} + filtered {} + conflated {} + lost {}{pending}",
        units::count(account.published()),
        units::count(book.delivered),
        units::count(book.filtered),
        units::count(book.conflated),
        units::count(book.lost),
    ));
    say(format_args!(
        "  repaired {}, NAKs {}, duplicates {}",
        units::count(account.repaired),
        units::count(account.naks),
        units::count(account.duplicates),
    ));
}

/// What each of several lines has brought of a publisher.
fn report_lines(account: &Account, lines: &[LineSnapshot]) {
    for (row, line) in account.lines.iter().zip(lines) {
        let Some(address) = row.address else {
            say(format_args!("  by {}: nothing", line.endpoint));
            continue;
        };
        let ahead = row.stats.mean_lead().map_or_else(String::new, |mean| {
            let longest = row.stats.longest_lead;
            format!(", ahead by {mean:.1?} on average and {longest:.1?} at most")
        });
        let silent = if line.is_silent { "; it is silent" } else { "" };
        say(format_args!(
            "  by {} from {address}: first {}, duplicate {}, missed {}{ahead}{silent}",
            line.endpoint,
            units::count(row.stats.first),
            units::count(row.stats.duplicate),
            units::count(row.stats.missed),
        ));
    }
}

fn report_socket(subscriber: &Subscriber) {
    let stats = subscriber.stats();
    let (asked, granted) = subscriber.receive_buffer();
    if stats.faults > 0 {
        say(format_args!("lost on purpose: {}", units::counted(stats.faults, "datagram")));
    }
    if stats.kernel_drops > 0 {
        say(format_args!(
            "the kernel dropped {} for want of buffer; what they held was repaired, or is counted as lost",
            units::counted(stats.kernel_drops, "datagram")
        ));
    }
    if granted < asked {
        say(format_args!(
            "the kernel granted {granted} of {asked} bytes of receive buffer; `sysctl -w net.core.rmem_max={asked}` lets it grant all"
        ));
    }
}
