//! Telling the end by silence, without a clock read per look.

use std::time::Duration;

use crate::Options;
use crate::Received;
use crate::system;

/// Looks in vain between two readings of the clock, while spinning.
const LOOKS: u32 = 64;

/// How long nothing came.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Looks in vain between two readings.
    every: u32,
    looks: u32,
    /// When the first look in vain was.
    since: u64,
}

impl Watch {
    pub(crate) fn new(options: &Options) -> Self {
        Self { every: if options.is_spinning() { LOOKS } else { 1 }, looks: 0, since: 0 }
    }

    /// Takes in what a look brought; true when nothing has come for `patience`.
    #[inline]
    pub(crate) fn is_silent(&mut self, received: Received, patience: Duration) -> bool {
        if received == Received::Some {
            self.looks = 0;
            return false;
        }
        self.looks += 1;
        if self.looks == 1 {
            self.since = system::now();
        }
        self.looks.is_multiple_of(self.every) && system::now() - self.since > patience.as_nanos() as u64
    }

    /// Since when nothing has come; now, if something just did.
    pub(crate) fn since(&self) -> u64 {
        if self.looks == 0 { system::now() } else { self.since }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_ends_a_silence() {
        let mut watch = Watch { every: 1, looks: 0, since: 0 };
        assert!(!watch.is_silent(Received::Nothing, Duration::MAX / 2));
        assert!(watch.since() <= system::now());
        assert!(watch.is_silent(Received::Nothing, Duration::ZERO));
        assert!(!watch.is_silent(Received::Some, Duration::ZERO));
        assert_eq!(watch.looks, 0);
    }

    #[test]
    fn a_spinning_side_reads_the_clock_now_and_then() {
        let mut watch = Watch { every: LOOKS, looks: 0, since: 0 };
        let told = (0..3 * LOOKS).filter(|_| watch.is_silent(Received::Nothing, Duration::ZERO)).count();
        assert_eq!(told, 3);
    }
}
