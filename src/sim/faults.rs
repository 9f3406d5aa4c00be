//! Losing datagrams on purpose, so that a user can watch what the protocol makes of it.

use crate::time::Jitter;
use crate::wire::Flags;
use crate::wire::Header;
use crate::wire::Kind;

/// How likely each kind of datagram is to be lost, drawn once a datagram.
///
/// ```
/// use nakcast::Faults;
/// let faults = Faults::loss(0.05).seed(7);
/// assert_eq!((faults.data, faults.repairs, faults.naks), (0.05, 0.05, 0.0));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Faults {
    /// First sendings of batches, 0 to 1.
    pub data: f64,
    /// Repairs, 0 to 1.
    pub repairs: f64,
    /// NAKs on their way to the publisher, 0 to 1.
    pub naks: f64,
    /// Heartbeats and ENDs, 0 to 1.
    pub heartbeats: f64,
    /// Which draws: the same seed loses the same datagrams of the same traffic. Each of several lines draws by a seed that
    /// follows from it ([`for_line`](Self::for_line)).
    pub seed: u64,
}

impl Faults {
    /// Loses data and repairs alike with probability `rate`, from 0 to 1.
    #[must_use]
    pub fn loss(rate: f64) -> Self {
        Self { data: rate, repairs: rate, ..Self::default() }
    }

    /// Draws by `seed`.
    #[must_use]
    pub const fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Those of line number `line` of a subscriber with several, which lose independently of one another: the first draws by
    /// the seed, every other by one that follows from it and the line's number.
    #[must_use]
    pub const fn for_line(self, line: u8) -> Self {
        Self { seed: self.seed ^ (line as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15), ..self }
    }

    /// Whether nothing is ever lost.
    #[must_use]
    pub fn is_none(&self) -> bool {
        [self.data, self.repairs, self.naks, self.heartbeats].iter().all(|rate| *rate <= 0.0)
    }
}

/// Decides which datagrams are lost.
#[derive(Debug)]
pub struct FaultInjector {
    faults: Faults,
    jitter: Jitter,
    /// Datagrams lost so far.
    lost: u64,
}

impl FaultInjector {
    /// An injector that draws by the seed of `faults`.
    #[must_use]
    pub const fn new(faults: Faults) -> Self {
        Self { faults, jitter: Jitter::new(faults.seed), lost: 0 }
    }

    /// Whether `datagram` is lost. One that is not ours never is.
    pub fn loses(&mut self, datagram: &[u8]) -> bool {
        let rate = match Header::peek(datagram) {
            Some((Kind::Data, flags)) if flags.has(Flags::REPAIR) => self.faults.repairs,
            Some((Kind::Data, _)) => self.faults.data,
            Some((Kind::Nak, _)) => self.faults.naks,
            Some((Kind::Heartbeat | Kind::End, _)) => self.faults.heartbeats,
            _ => return false,
        };
        let lost = rate > 0.0 && self.jitter.happens(rate);
        self.lost += u64::from(lost);
        lost
    }

    /// Datagrams lost so far.
    #[must_use]
    pub const fn lost(&self) -> u64 {
        self.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::FrameFlags;
    use crate::wire::Head;
    use crate::wire::mark_repair;
    use crate::wire::put_frame;
    use crate::wire::seal_batch;

    fn batch() -> Vec<u8> {
        let mut datagram = vec![0; 40];
        let size = put_frame(&mut datagram[32..], FrameFlags::WHOLE, b"", b"abcd").unwrap();
        assert_eq!(size, 8);
        seal_batch(&mut datagram, &Head::default(), 1);
        datagram
    }

    #[test]
    fn a_seed_loses_the_same_datagrams_again() {
        let draw = |seed| {
            let mut injector = FaultInjector::new(Faults::loss(0.3).seed(seed));
            (0..200).map(|_| injector.loses(&batch())).collect::<Vec<_>>()
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        let lost = draw(7).iter().filter(|lost| **lost).count();
        assert!((40..80).contains(&lost), "{lost} of 200 at 30 %");
    }

    #[test]
    fn each_kind_has_its_own_rate() {
        let mut injector = FaultInjector::new(Faults { data: 1.0, ..Faults::default() });
        let mut repair = batch();
        mark_repair(&mut repair);
        assert!(injector.loses(&batch()) && !injector.loses(&repair) && !injector.loses(b"not ours"));
        assert_eq!(injector.lost(), 1);
    }
}
