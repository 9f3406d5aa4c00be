//! Waiting: deadlines, and a wish to end early.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;
use std::time::Instant;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on a signal to end is obeyed at the next [`Deadline::left`], so that everything is cleaned up.
pub(crate) fn obey_signals() -> Result<(), String> {
    ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::Relaxed)).map_err(|error| error.to_string())
}

pub(crate) fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// When to give up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    pub(crate) fn after(duration: Duration) -> Self {
        Self(Instant::now() + duration)
    }

    /// How long to wait before asking again; `None` when it is over.
    ///
    /// # Errors
    /// When a signal wants us to end.
    pub(crate) fn left(self) -> Result<Option<Duration>, String> {
        if is_interrupted() {
            return Err("interrupted".to_owned());
        }
        let left = self.0.saturating_duration_since(Instant::now());
        Ok((!left.is_zero()).then(|| left.min(Duration::from_millis(100))))
    }
}

pub(crate) fn pause(duration: Duration) {
    thread::sleep(duration);
}
