//! What a publisher may send again: not too often, not too much, and to nobody who has not proved an address.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::collections::VecDeque;

use crate::history::Repair;
use crate::history::TRAIN_BYTES;
use crate::protocol::Destination;
use crate::protocol::Origin;
use crate::protocol::Sender;
use crate::sim::cast;
use crate::sim::trace::Node;
use crate::sim::verdict::Verdict;
use crate::time::Time;
use crate::wire::Body;
use crate::wire::Datagram;
use crate::wire::Kind;
use crate::wire::ReceiverId;
use crate::wire::Token;

/// The span of the budget.
const SPAN: Duration = Duration::from_millis(100);
/// Bytes a second of repairs that soon get over a train.
const RICH: u64 = 1 << 20;
/// How long the publisher must not have been idle or held before its budget is looked at.
const BUSY: Duration = Duration::from_millis(300);

/// Watches the repairs of one publisher.
#[derive(Debug)]
pub(super) struct RepairWatch {
    /// When each batch was last sent to the group again, by base, and how many repairs were not remembered then.
    last: BTreeMap<u64, (Time, u64)>,
    /// The shortest round trip of anybody so far.
    least: Option<Duration>,
    /// The tokens that were sent, to which receivers at which addresses.
    tokens: BTreeMap<(SocketAddr, u64), Token>,
    /// Addresses from which a receiver has shown its token.
    proved: BTreeSet<SocketAddr>,
    floor: u64,
    /// Bytes of data, and of repairs, in the last [`BUSY`].
    data: VecDeque<(Time, u64)>,
    repairs: VecDeque<(Time, u64)>,
    moved: Time,
    held: Option<Time>,
    /// When something was last sent again.
    repaired: Time,
    /// Something was put off in this turn.
    sheds: bool,
    /// When it was last idle or held, so that repairs cost nothing.
    free: Time,
    /// Datagrams sent again.
    pub(super) count: u64,
}

impl RepairWatch {
    pub(super) const fn new(floor: u64) -> Self {
        Self {
            last: BTreeMap::new(),
            least: None,
            tokens: BTreeMap::new(),
            proved: BTreeSet::new(),
            floor,
            data: VecDeque::new(),
            repairs: VecDeque::new(),
            moved: Time::ZERO,
            held: None,
            repaired: Time::ZERO,
            sheds: false,
            free: Time::ZERO,
            count: 0,
        }
    }

    pub(super) fn on_data(&mut self, now: Time, bytes: u64) {
        if bytes == 0 {
            return;
        }
        if now - self.moved >= SPAN {
            self.free = now;
        }
        self.moved = now;
        self.data.push_back((now, bytes));
        forget(&mut self.data, now, BUSY);
    }

    pub(super) fn set_held(&mut self, now: Time, is_held: bool) {
        if is_held || self.held.is_some() {
            self.free = now;
        }
        self.held = is_held.then_some(now);
    }

    /// T4: nothing but a WELCOME goes to an address from which no token was shown.
    pub(super) fn on_answer(&mut self, to: Destination, bytes: &[u8], verdict: &mut Verdict) {
        let Destination::Peer(Origin { address: to, .. }) = to else { return };
        let Ok(datagram) = Datagram::decode(bytes) else { return };
        if let Body::Welcome(welcome) = datagram.body {
            self.tokens.insert((to, welcome.receiver.get()), Token(welcome.token.get()));
            return;
        }
        let kind = datagram.header.kind().ok();
        self.sheds |= kind == Some(Kind::Shed);
        verdict.check(self.proved.contains(&to), "T4", || format!("{kind:?} to {to}, which proved nothing"));
    }

    /// A NAK or STATUS came with `token`: it proves its address when a receiver lives there, and it is the token that
    /// was sent to it.
    pub(super) fn on_token(&mut self, from: SocketAddr, receiver: ReceiverId, token: Token) {
        let is_real = matches!(cast::node(from), Some(Node::Receiver(_)));
        if is_real && self.tokens.get(&(from, receiver.0)) == Some(&token) {
            self.proved.insert(from);
        }
    }

    /// S8: the budget bears something at any rate when nothing was sent again for a while.
    pub(super) fn on_turn(&mut self, now: Time, verdict: &mut Verdict) {
        // A small budget takes long to get over a train that was more than it.
        let idle = if self.floor >= RICH { now - self.repaired } else { Duration::ZERO };
        verdict.check(!self.sheds || idle < BUSY, "S8", || {
            format!("repairs are put off, though none was sent for {idle:?}")
        });
        self.sheds = false;
    }

    /// T4, and S8: a batch goes to the group again only after the shortest round trip of anybody; bytes stay within
    /// the budget.
    pub(super) fn on_repair(
        &mut self,
        (now, to): (Time, Destination),
        repair: &Repair,
        sender: &Sender,
        verdict: &mut Verdict,
    ) {
        self.count += repair.sizes().len() as u64;
        self.repaired = now;
        if let Destination::Peer(Origin { address: to, .. }) = to {
            verdict.check(self.proved.contains(&to), "T4", || format!("a repair to {to}"));
        } else {
            self.check_hold_off(now, repair, sender, verdict);
        }
        self.repairs.push_back((now, repair.bytes().len() as u64));
        forget(&mut self.repairs, now, SPAN);
        let is_idle = now - self.moved >= SPAN;
        if !is_idle && self.held.is_none() && now - self.free >= BUSY {
            self.check_budget(verdict);
        }
    }

    /// A NAK comes: what was sent the asker's round trip ago is forgotten, whether or not it is sent again.
    pub(super) fn on_nak(&mut self, now: Time, sender: &Sender) {
        let is = hold_off(now, sender);
        self.least = Some(self.least.map_or(is, |least| least.min(is)));
    }

    fn check_hold_off(&mut self, now: Time, repair: &Repair, sender: &Sender, verdict: &mut Verdict) {
        let unremembered = sender.stats().repairs_unremembered;
        self.on_nak(now, sender);
        let least = self.least.unwrap_or_default();
        let mut from = repair.covers().from;
        for count in 1..=repair.sizes().len() {
            let to = repair.covers_first(count).to;
            let last = self.last.insert(from.0, (now, unremembered));
            if let Some((at, was)) = last
                && was == unremembered
            {
                verdict.check(now - at >= least, "S8", || {
                    format!("{from}..{to} again after {:?}, hold-off {least:?}", now - at)
                });
            }
            from = to;
        }
    }

    /// In any 100 ms, a bucket of 100 ms and what refills it, with a train of slack for what was only estimated.
    fn check_budget(&self, verdict: &mut Verdict) {
        let sent: u64 = self.repairs.iter().map(|(_, bytes)| bytes).sum();
        // All data of the last 300 ms might have come in 100 of them.
        let data: u64 = self.data.iter().map(|(_, bytes)| bytes).sum();
        let bucket = (data / 2).max(self.floor / 10);
        let most = 2 * bucket + TRAIN_BYTES as u64;
        verdict.check(sent <= most, "S8", || format!("{sent} bytes of repairs in 100 ms, at most {most}"));
    }
}

fn hold_off(now: Time, sender: &Sender) -> Duration {
    let own = sender.receivers().filter_map(|row| row.rtt).min();
    own.map_or(sender.grtt(now), |own| own.min(sender.grtt(now)))
}

fn forget(bytes: &mut VecDeque<(Time, u64)>, now: Time, kept: Duration) {
    while bytes.front().is_some_and(|(at, _)| now - *at > kept) {
        bytes.pop_front();
    }
}
