//! What happens to datagrams on their way, and a log of those that matter.

use core::net::SocketAddr;
use core::ops::Range;
use core::time::Duration;
use std::collections::BTreeMap;
use std::rc::Rc;

use nakcast::time::Time;
use nakcast::wire::Body;
use nakcast::wire::Datagram;
use nakcast::wire::Flags;
use nakcast::wire::Header;
use nakcast::wire::Heartbeat;
use nakcast::wire::Kind;
use nakcast::wire::Status;

/// Which way a datagram goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// To a subscriber.
    Down,
    /// To a publisher.
    Up,
}

/// A datagram about to go over one link.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hop {
    pub(crate) now: Time,
    pub(crate) way: Way,
    /// The subscriber at one end of the link, from 0.
    pub(crate) subscriber: usize,
    pub(crate) kind: Kind,
    pub(crate) is_repair: bool,
    pub(crate) base: u64,
    /// Which datagram it is, from 1, of this kind on this link; of DATA, of this base and repair or not.
    pub(crate) nth: u32,
}

impl Hop {
    /// Whether it is the first sending of a batch.
    pub(crate) fn is_original(&self) -> bool {
        self.kind == Kind::Data && !self.is_repair
    }

    /// Whether it is the first sending of the batch at `base`.
    pub(crate) fn is_data(&self, base: u64) -> bool {
        self.is_original() && self.base == base
    }

    /// Whether it is the first sending of a batch that begins within `bases`.
    pub(crate) fn is_data_in(&self, bases: Range<u64>) -> bool {
        self.is_original() && bases.contains(&self.base)
    }

    /// Whether it is a NAK.
    pub(crate) fn is_nak(&self) -> bool {
        self.kind == Kind::Nak
    }
}

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives in time.
    Pass,
    /// It never arrives.
    Drop,
    /// It arrives so much later.
    Late(Duration),
    /// It arrives, and once more a microsecond later.
    Twice,
}

/// Is shown every datagram.
type Recorder = Box<dyn FnMut(&[u8])>;
/// What is counted together: the way, the subscriber, the kind, repair or not, the base of DATA.
type Link = (Way, usize, u8, bool, u64);

/// The links, and what went over them.
pub(crate) struct Network {
    pub(super) fates: Box<dyn FnMut(&Hop) -> Fate>,
    recorder: Recorder,
    seen: BTreeMap<Link, u32>,
    pub(crate) naks: u64,
    pub(crate) repairs: u64,
    /// Of those repairs, to one receiver alone.
    pub(crate) unicast: u64,
    /// NAKs, repairs, GONEs and SHEDs as they leave.
    pub(crate) log: Vec<String>,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            fates: Box::new(|_| Fate::Pass),
            recorder: Box::new(|_| ()),
            seen: BTreeMap::new(),
            naks: 0,
            repairs: 0,
            unicast: 0,
            log: Vec::new(),
        }
    }
}

impl Network {
    /// Takes a datagram over its link: how late each copy of it arrives.
    pub(super) fn carry(
        &mut self,
        now: Time,
        (from, to): (SocketAddr, SocketAddr),
        bytes: &Rc<[u8]>,
    ) -> Vec<Duration> {
        (self.recorder)(bytes);
        let datagram = Datagram::decode(bytes).expect("what is sent is sound");
        let header = datagram.header;
        let kind = header.kind().expect("a kind");
        let is_repair = header.flags().has(Flags::REPAIR);
        let (way, end) = if is_subscriber(to) { (Way::Down, to) } else { (Way::Up, from) };
        let subscriber = number(end) - 1;
        let base = header.base().0;
        let of = if kind == Kind::Data { base } else { 0 };
        let nth = self.seen.entry((way, subscriber, kind as u8, is_repair, of)).or_default();
        *nth += 1;
        let hop = Hop { now, way, subscriber, kind, is_repair, base, nth: *nth };
        if matches!(kind, Kind::Nak | Kind::Gone | Kind::Shed) {
            self.naks += u64::from(kind == Kind::Nak);
            self.log.push(format!("{}{}", line(bytes), party(kind, from, to)));
        }
        match (self.fates)(&hop) {
            Fate::Pass => vec![Duration::ZERO],
            Fate::Drop => Vec::new(),
            Fate::Late(late) => vec![late],
            Fate::Twice => vec![Duration::ZERO, Duration::from_micros(1)],
        }
    }

    /// A publisher puts a datagram on the network, to one receiver or all: repairs are counted.
    pub(super) fn leaves(&mut self, bytes: &[u8], to: Option<SocketAddr>) {
        if !Header::peek(bytes).is_some_and(|(_, flags)| flags.has(Flags::REPAIR)) {
            return;
        }
        self.repairs += 1;
        self.unicast += u64::from(to.is_some());
        let to = to.map_or(String::new(), |to| format!(" to r{}", number(to)));
        self.log.push(format!("{}{to}", line(bytes)));
    }

    /// Shows every datagram that is sent from now on to `recorder`.
    pub(crate) fn record(&mut self, recorder: impl FnMut(&[u8]) + 'static) {
        self.recorder = Box::new(recorder);
    }

    pub(super) fn forget(&mut self) {
        let fates = core::mem::replace(&mut self.fates, Box::new(|_| Fate::Pass));
        *self = Self { fates, ..Self::default() };
    }
}

fn is_subscriber(address: SocketAddr) -> bool {
    matches!(address, SocketAddr::V4(v4) if v4.ip().octets()[2] == 2)
}

fn number(address: SocketAddr) -> usize {
    let SocketAddr::V4(address) = address else { return 0 };
    usize::from(address.ip().octets()[3])
}

fn party(kind: Kind, from: SocketAddr, to: SocketAddr) -> String {
    if kind == Kind::Nak { format!(" by r{}", number(from)) } else { format!(" to r{}", number(to)) }
}

/// A datagram in words.
pub(crate) fn line(bytes: &[u8]) -> String {
    let datagram = Datagram::decode(bytes).expect("what is sent is sound");
    let header = datagram.header;
    let base = header.base();
    match datagram.body {
        Body::Data(_) if header.flags().has(Flags::REPAIR) => format!("repair {}", header.range()),
        Body::Data(_) => format!("data {}", header.range()),
        Body::Heartbeat(heartbeat) => format!("heartbeat {base}{}", flags(heartbeat)),
        Body::End(heartbeat) => format!("end {base}{}", flags(heartbeat)),
        Body::Nak(_, ranges) => {
            let ranges: Vec<_> = ranges.iter().map(|one| one.range().to_string()).collect();
            format!("nak {}", ranges.join(" "))
        }
        Body::Status(status) => {
            format!("status {base}{}", if status.has(Status::LEAVING) { " leaving" } else { "" })
        }
        Body::Welcome(_) => "welcome".to_owned(),
        Body::Gone(entries) => {
            let entries =
                entries.iter().map(|one| format!("{} {:?}", one.range(), one.reason().expect("a reason")));
            format!("gone {}", entries.collect::<Vec<_>>().join(" "))
        }
        Body::Shed(_, ranges) => {
            let ranges: Vec<_> = ranges.iter().map(|one| one.range().to_string()).collect();
            format!("shed {}", ranges.join(" "))
        }
        Body::Hello(..) => "hello".to_owned(),
        Body::Close(_) => "close".to_owned(),
        Body::Rows(..) => "rows".to_owned(),
    }
}

fn flags(heartbeat: &Heartbeat) -> &'static str {
    match heartbeat.flags.get() {
        0 => "",
        Heartbeat::POLL => " poll",
        Heartbeat::BLOCK => " block",
        _ => " poll block",
    }
}
