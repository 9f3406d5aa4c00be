//! Ctrl-C, SIGTERM and SIGHUP: the first asks for an end with totals, the second does not wait.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::ending::Failure;

/// What a shell expects of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// Whether an end was asked for; copies share it.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes the signals over. Whoever rests on the calling thread is woken.
    pub(crate) fn install() -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        let (flag, thread) = (Arc::clone(&asked), std::thread::current());
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::Relaxed) {
                std::process::exit(INTERRUPTED);
            }
            thread.unpark();
        })?;
        Ok(Self(asked))
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
