//! What one datagram has claimed, until a second one agrees: a session at an address where another lives, or moved.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::VecDeque;

use crate::offset::Offset;
use crate::time::Time;
use crate::wire::SessionId;

/// Claims kept at a time.
const MOST: usize = 8;
/// How long a claim waits for a datagram that agrees.
const HOLDS: Duration = Duration::from_secs(10);

/// A session at an address, as a datagram tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Claim {
    pub(super) session: SessionId,
    pub(super) address: SocketAddr,
    /// How far it has come.
    pub(super) base: Offset,
    /// Where its messages begin for us.
    pub(super) start: Offset,
    /// When it was first made.
    pub(super) at: Time,
    /// How often the one that lives there had given a sign of life by then.
    pub(super) pulse: u64,
}

/// The claims made last, the one confirmed last behind the others.
#[derive(Debug, Default)]
pub(super) struct Claims(VecDeque<(Claim, Time)>);

impl Claims {
    /// The claim that `claim`, made now, confirms: further on by `span` offsets at most. One that is new, or leaps, is
    /// only taken down; one that was overtaken on the way neither confirms nor denies.
    pub(super) fn confirmed(&mut self, claim: Claim, span: u64) -> Option<Claim> {
        let now = claim.at;
        self.0.retain(|(_, told)| now.since(*told) < HOLDS);
        let same =
            |(first, _): &(Claim, Time)| (first.session, first.address) == (claim.session, claim.address);
        let known = self.0.iter().position(same).and_then(|index| self.0.remove(index));
        if self.0.len() >= MOST {
            self.0.pop_front();
        }
        let (kept, agrees) = match known {
            Some((first, _)) if claim.base < first.base => (first, false),
            Some((first, _)) if claim.base.since(first.base) <= span => {
                (Claim { base: claim.base, ..first }, true)
            }
            _ => (claim, false),
        };
        self.0.push_back((kept, now));
        agrees.then_some(kept)
    }

    /// Whatever was claimed of `address` is settled.
    pub(super) fn settle(&mut self, address: SocketAddr) {
        self.0.retain(|(claim, _)| claim.address != address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: u64 = 100;

    fn claim(session: u64, base: u64, seconds: u64) -> Claim {
        let address = SocketAddr::from(([10, 0, 0, 1], 4_000));
        let (base, at) = (Offset(base), Time::from_millis(1_000 * seconds));
        Claim { session: SessionId(session), address, base, start: base, at, pulse: 0 }
    }

    #[test]
    fn the_second_that_agrees_confirms_the_first() {
        let mut claims = Claims::default();
        assert_eq!(claims.confirmed(claim(1, 50, 0), SPAN), None);
        assert_eq!(claims.confirmed(claim(2, 51, 0), SPAN), None, "of another session");
        assert_eq!(claims.confirmed(claim(1, 40, 0), SPAN), None, "overtaken");
        assert_eq!(claims.confirmed(claim(1, 151, 0), SPAN), None, "a leap");
        let confirmed = claims.confirmed(claim(1, 160, 1), SPAN).expect("it agrees");
        assert_eq!((confirmed.start, confirmed.base, confirmed.at), (Offset(151), Offset(160), Time::ZERO));
        claims.settle(confirmed.address);
        assert_eq!(claims.confirmed(claim(1, 161, 1), SPAN), None);
    }

    #[test]
    fn claims_are_few_and_do_not_last() {
        let mut claims = Claims::default();
        assert_eq!(claims.confirmed(claim(1, 5, 0), SPAN), None);
        assert_eq!(claims.confirmed(claim(1, 5, 10), SPAN), None, "the first was forgotten");
        for session in 2..30 {
            assert_eq!(claims.confirmed(claim(session, 5, 11), SPAN), None);
            assert!(claims.0.len() <= MOST);
            assert!(claims.confirmed(claim(1, 5, 11), SPAN).is_some(), "it is told again and again");
        }
    }
}
