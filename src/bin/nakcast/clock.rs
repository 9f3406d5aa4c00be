//! The command's only clock, and its only way to wait without a reason.

use std::time::Duration;
use std::time::Instant;
use std::time::SystemTime;

/// The longest time between two looks at Ctrl-C and at what subscribers report.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// Time since the run began; copies share that beginning, also across threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the command's one clock")]
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// Rests until `until`, but a tick at most; whether the time has come.
    pub(crate) fn rest(&self, until: Duration) -> bool {
        let left = until.saturating_sub(self.now()).min(TICK);
        if !left.is_zero() {
            std::thread::park_timeout(left);
        }
        self.now() >= until
    }
}

/// The time of day, which does not jump while the command runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock {
    /// Since the Unix epoch, when it was started.
    start: Duration,
    clock: Clock,
}

impl WallClock {
    #[expect(clippy::disallowed_methods, reason = "this is the command's one clock")]
    pub(crate) fn start() -> Self {
        let start = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { start, clock: Clock::start() }
    }

    /// Nanoseconds since the Unix epoch.
    pub(crate) fn now(&self) -> u64 {
        u64::try_from((self.start + self.clock.now()).as_nanos()).unwrap_or(u64::MAX)
    }
}
