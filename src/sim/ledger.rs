//! What a receiver's user was told, held against what was published.

use core::time::Duration;

use crate::offset::Offset;
use crate::offset::OffsetRange;
use crate::protocol::DownReason;
use crate::protocol::LostReason;
use crate::protocol::Order;
use crate::protocol::SourceRow;
use crate::protocol::SubscriptionSettings;
use crate::protocol::Up;
use crate::sim::account::Account;
use crate::sim::account::counted;
use crate::sim::truth::Published;
use crate::sim::truth::Truth;
use crate::sim::verdict::Verdict;
use crate::time::Time;
use crate::wire::ReceiverId;
use crate::wire::SessionId;

/// The least span that the reorder window is taken to have, in offsets.
const LEAST_SPAN: u64 = 64;

/// Round trips within the repair timeout with which nothing that can be had is lost, once the network is well.
const LEAST_TRIES: u32 = 10;

/// The books of one receiver.
#[derive(Debug)]
pub(super) struct Ledger {
    accounts: Vec<Account>,
    receiver: ReceiverId,
    order: Order,
    /// Not every offset is told: some are filtered or conflated.
    is_picky: bool,
    is_conflated: bool,
    repair_timeout: Duration,
    repair: bool,
    silence: Duration,
    reorder_window: u64,
    /// For how long it was stopped in all, which it must be forgiven.
    pub(super) stopped: Duration,
    /// Since when the network is well, and there is enough for all to be repaired.
    pub(super) healed: Option<Time>,
}

impl Ledger {
    pub(super) fn new(settings: &SubscriptionSettings) -> Self {
        let receiver = &settings.receiver;
        Self {
            accounts: Vec::new(),
            receiver: receiver.receiver,
            order: receiver.order,
            is_conflated: settings.conflate.is_some(),
            is_picky: !settings.topics.is_empty() || settings.conflate.is_some(),
            repair_timeout: receiver.repair_timeout,
            repair: receiver.repair,
            silence: receiver.silence,
            reorder_window: receiver.reorder_window as u64,
            stopped: Duration::ZERO,
            healed: None,
        }
    }

    pub(super) fn of(&self, session: SessionId) -> Option<&Account> {
        self.accounts.iter().rev().find(|account| account.session == session)
    }

    /// A repair brought something of `range`.
    pub(super) fn on_repaired(&mut self, session: SessionId, range: OffsetRange) {
        if let Some(account) = self.of_mut(session)
            && !account.repaired.overlaps(range)
        {
            account.repaired.add(range);
        }
    }

    /// Whether a repair brought something of `range`.
    pub(super) fn is_repaired(&self, session: SessionId, range: OffsetRange) -> bool {
        self.of(session).is_some_and(|account| account.repaired.overlaps(range))
    }

    /// A turn of the receiver begins.
    pub(super) fn on_turn(&mut self) {
        self.accounts.iter_mut().for_each(|account| account.asked.on_turn());
    }

    fn of_mut(&mut self, session: SessionId) -> Option<&mut Account> {
        self.accounts.iter_mut().rev().find(|account| account.session == session)
    }

    pub(super) fn account(&mut self, session: SessionId) -> &mut Account {
        let found = self.accounts.iter().rposition(|account| account.session == session);
        let index = found.unwrap_or_else(|| {
            self.accounts.push(Account::new(session));
            self.accounts.len() - 1
        });
        &mut self.accounts[index]
    }

    /// S5: a session comes up once, and never again once another has taken its place; nobody takes the place of one
    /// that is there and heard.
    pub(super) fn on_up(
        &mut self,
        (up, row): (&Up, &SourceRow<'_>),
        now: Time,
        truth: &Truth,
        verdict: &mut Verdict,
    ) {
        if let Some(old) = up.replaces {
            let old = self.account(old);
            old.is_replaced = true;
            verdict.check(!old.is_up, "S5", || {
                format!("{} is up while {} takes its place", old.session, up.session)
            });
            // The adversary speaks twice in one name only to those who hear every heartbeat.
            let is_there = truth.of(old.session).is_some_and(|published| published.is_alive);
            verdict.check(!is_there || truth.of(up.session).is_some(), "S5", || {
                format!("{}, which nobody published, takes the place of {}", up.session, old.session)
            });
        }
        let account = self.account(up.session);
        verdict.check(!account.is_up, "S5", || format!("{} comes up twice", up.session));
        verdict.check(!account.is_replaced, "S5", || format!("{} was replaced and comes back", up.session));
        let goes_back = up.from < account.end && account.delivered.len() + account.lost.len() > 0;
        verdict.check(!goes_back, "S2", || format!("goes on at {} after {}", up.from, account.end));
        (account.is_up, account.end, account.heard_at) = (true, account.end.max(up.from), now);
        if row.book.decided() == 0 {
            account.before = (account.delivered.len(), account.lost.len());
        }
        if counted(row) <= 1 {
            account.counted = (account.counted.0 + account.counted.1, 0);
        }
    }

    /// S1: what is delivered is what was published.
    pub(super) fn on_message(
        &mut self,
        (session, range): (SessionId, OffsetRange),
        (topic, payload): (&[u8], &[u8]),
        published: Option<&Published>,
        verdict: &mut Verdict,
    ) {
        if let Some(published) = published {
            let message = published.message(range.from).filter(|message| message.range == range);
            let is_right = |topic_is: &[u8], payload_is: &[u8]| topic_is == topic && payload_is == payload;
            let same = message.is_some_and(|message| is_right(&message.topic, &message.payload));
            verdict.check(same, "S1", || format!("{range} of {session} is not what was published"));
        }
        self.tell((session, range), true, verdict);
    }

    /// S4: what can still be had is not given up before its time.
    pub(super) fn on_lost(
        &mut self,
        (session, range): (SessionId, OffsetRange),
        reason: LostReason,
        (now, truth): (Time, &Truth),
        (row, verdict): (Option<SourceRow<'_>>, &mut Verdict),
    ) {
        self.tell((session, range), false, verdict);
        let (timeout, repair, healed) = (self.repair_timeout, self.repair, self.healed);
        let receiver = self.receiver;
        // Where round trips took long, once, there is no time to ask again and again.
        let trip = row.and_then(|row| row.round_trip).unwrap_or_default();
        let healed = healed.filter(|_| trip <= timeout / LEAST_TRIES);
        let least_span = self.reorder_window;
        let account = self.account(session);
        account.closes |= reason == LostReason::SourceDown;
        let Some(published) = truth.of(session) else { return };
        let first_asked = account.asked.first_asked(range);
        let holds = match reason {
            LostReason::Timeout => {
                // Once the network is well, whatever is asked for comes.
                let is_late = healed.is_some_and(|at| first_asked.is_some_and(|asked| asked > at));
                let can_be_had = published.is_alive && range.from >= published.ring.oldest();
                first_asked.is_some_and(|asked| now - asked >= timeout) && !(is_late && can_be_had)
            }
            LostReason::Unrepaired => !repair,
            LostReason::Overrun => {
                let heard = row.map_or(Offset::ZERO, |row| row.book.heard);
                is_overwritten(range, published) || is_leap((range, heard), least_span, published)
            }
            LostReason::Evicted => published.evicted.contains(&receiver),
            LostReason::Incomplete => {
                account.incomplete.push(range);
                range_is_of_fragments(range, published)
            }
            LostReason::SourceDown => true,
            LostReason::Expired | LostReason::NotDurable | LostReason::Damaged => false,
        };
        let oldest = published.ring.oldest();
        verdict.check(holds, "S4", || {
            format!("{range} of {session} lost by {reason}, held from {oldest} on, first asked for {first_asked:?}")
        });
    }

    /// S2: each offset once, and in order where that was asked for; S5: of a source that is up.
    fn tell(&mut self, (session, range): (SessionId, OffsetRange), delivers: bool, verdict: &mut Verdict) {
        let ordered = self.order == Order::Ordered && !self.is_picky;
        let account = self.account(session);
        verdict.check(account.is_up && !range.is_empty(), "S5", || {
            format!("{range} of {session}, which is not up")
        });
        let is_told = account.delivered.overlaps(range) || account.lost.overlaps(range);
        verdict.check(!is_told, "S2", || format!("{range} of {session} is told twice"));
        if is_told {
            return;
        }
        // The fragments of a message that began before the start are nobody's.
        let is_first = account.delivered.len() + account.lost.len() == 0;
        let in_order = range.from == account.end || (is_first && range.from > account.end);
        verdict.check(!ordered || in_order, "S2", || format!("{range} of {session} after {}", account.end));
        account.end = account.end.max(range.to);
        let runs = if delivers { &mut account.delivered } else { &mut account.lost };
        runs.add(range);
    }

    /// S3: nothing of a source that is down is pending; S1: of what it wants, everything is told.
    pub(super) fn on_down(
        &mut self,
        row: &SourceRow<'_>,
        (reason, heard): (DownReason, Offset),
        verdict: &mut Verdict,
    ) {
        let book = row.book;
        let account = self.account(row.session);
        let is_settled = book.pending() == 0 && book.heard == heard && row.down == Some(reason);
        verdict.check(is_settled, "S3", || format!("{} is down by {reason} with {book:?}", row.session));
        verdict.check(account.is_up, "S5", || format!("{} is down twice", row.session));
        (account.is_up, account.down) = (false, Some(reason));
    }

    /// S3, S4, S5: the books of every source, after everything was told.
    pub(super) fn check<'a>(
        &mut self,
        rows: impl Iterator<Item = SourceRow<'a>>,
        truth: &Truth,
        verdict: &mut Verdict,
    ) {
        for row in rows {
            let account = self.account(row.session);
            account.counted.1 = counted(&row);
            account.check_incomplete(&row, truth, verdict);
            let (book, is_up) = (row.book, account.is_up);
            let (delivered, lost) = account.before;
            let sums = (account.delivered.len() - delivered, account.lost.len() - lost);
            let entitled = book.heard.0.checked_sub(book.start.0);
            let balances = entitled.is_some_and(|entitled| entitled == book.decided() + book.pending());
            verdict.check(balances && sums == (book.delivered, book.lost), "S3", || {
                format!("{}: {book:?}, but told were {sums:?}", row.session)
            });
            verdict.check(!(account.closes && is_up), "S5", || format!("{} lost as if down", row.session));
            account.closes = false;
        }
    }

    /// S10: a source that was silent for long is down, once the timers have had their turn.
    pub(super) fn check_silence<'a>(
        &mut self,
        now: Time,
        rows: impl Iterator<Item = SourceRow<'a>>,
        slack: Duration,
        verdict: &mut Verdict,
    ) {
        let silence = self.silence + self.stopped + slack;
        for row in rows {
            let account = self.account(row.session);
            let quiet = now.since(account.heard_at);
            let is_silent = row.down.is_none() && account.is_up && quiet > silence;
            verdict.check(!is_silent, "S10", || format!("{} was silent for {quiet:?}", row.session));
        }
    }

    /// S1, S3, in the end: of what it was entitled to, every message that it wants came whole or is lost whole.
    pub(super) fn check_whole(
        &mut self,
        row: &SourceRow<'_>,
        published: &Published,
        topics: &[Vec<u8>],
        verdict: &mut Verdict,
    ) {
        let (start, heard) = (row.book.start, row.book.heard);
        let (is_conflated, account) = (self.is_conflated, self.account(row.session));
        let entitled = |range: OffsetRange| range.from >= start && range.to <= heard;
        let mut newest: Vec<(&[u8], OffsetRange)> = Vec::new();
        for message in published.messages.iter().filter(|message| entitled(message.range)) {
            let range = message.range;
            let is_wanted = topics.is_empty() || topics.iter().any(|topic| message.topic.starts_with(topic));
            let is_lost = account.lost.covers(range);
            if is_conflated {
                if is_wanted && !is_lost && !account.lost.overlaps(range) {
                    newest.retain(|(topic, _)| *topic != &message.topic[..]);
                    newest.push((&message.topic, range));
                }
                continue;
            }
            let is_told = is_lost || account.delivered.covers(range);
            verdict.check(is_told || !is_wanted, "S3", || format!("{range} of {} is not told", row.session));
            let is_unwanted = !is_wanted && account.delivered.overlaps(range);
            verdict.check(!is_unwanted, "S1", || format!("{range} of {} was not wanted", row.session));
        }
        for (_, range) in newest {
            let is_told = account.delivered.covers(range);
            verdict
                .check(is_told, "S1", || format!("{range} of {} is the newest, and not told", row.session));
        }
    }

    /// Offsets told as lost, of all sessions.
    pub(super) fn lost(&self) -> u64 {
        self.accounts.iter().map(|account| account.lost.len()).sum()
    }

    /// Offsets delivered, of all sessions.
    pub(super) fn delivered(&self) -> u64 {
        self.accounts.iter().map(|account| account.delivered.len()).sum()
    }

    /// Something that goes to everybody was heard of a session, and tells its position or an old one.
    pub(super) fn hear(&mut self, session: SessionId, now: Time, is_present: bool) {
        if let Some(account) = self.of_mut(session) {
            account.hear(now, is_present);
        }
    }

    /// Datagrams that were counted for one session or another, those that the receiver has forgotten among them.
    pub(super) fn counted(&self) -> u64 {
        self.accounts.iter().map(|account| account.counted.0 + account.counted.1).sum()
    }

    /// Whether a session was up and another took its place.
    pub(super) fn is_replaced(&self, session: SessionId) -> bool {
        self.of(session).is_some_and(|account| account.is_replaced && !account.is_up)
    }

    /// Every session that came up at all.
    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }
}

/// Whether what was heard lies so far ahead of `range` that it is given up at once: half a window.
fn is_leap((range, heard): (OffsetRange, Offset), window: u64, published: &Published) -> bool {
    let batch = published.ring.batch_room() as u64 + 100;
    let span = (window / batch).max(LEAST_SPAN);
    heard.since(range.to) >= span / 2
}

/// Whether the ring does not hold `range` any more, but for fragments of a message whose beginning is gone.
fn is_overwritten(range: OffsetRange, published: &Published) -> bool {
    let oldest = published.ring.oldest();
    let cut = published.message(oldest).map(|message| message.range).filter(|message| message.from < oldest);
    range.to <= cut.map_or(oldest, |message| message.to)
}

fn range_is_of_fragments(range: OffsetRange, published: &Published) -> bool {
    [range.from, Offset(range.to.0.saturating_sub(1))]
        .into_iter()
        .all(|offset| published.message(offset).is_some_and(|message| message.range.len() > 1))
}
