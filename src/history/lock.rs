//! The lock of a train: given back by a plain store.
//!
//! A publisher takes and gives it back for each message. The standard library's mutex gives back with an exchange, to
//! find out whether somebody sleeps on it, which is half of what the lock costs. Here nobody does: whoever finds it
//! taken looks again a little, and then sleeps for a moment, so that a thread of higher priority than its holder's
//! cannot keep the holder from running.

#[cfg(loom)]
pub(super) use modelled::Guard;
#[cfg(loom)]
pub(super) use modelled::Lock;
#[cfg(not(loom))]
pub(super) use spinning::Guard;
#[cfg(not(loom))]
pub(super) use spinning::Lock;

#[cfg(not(loom))]
mod spinning {
    use core::hint;
    use core::time::Duration;
    use std::thread;

    use spin::mutex::SpinMutex;
    use spin::mutex::SpinMutexGuard;

    /// Looks before the first sleep: a microsecond or two, longer than a tail takes to be looked at.
    const LOOKS: u32 = 64;
    /// How often the processor is offered to others before the first sleep.
    const YIELDS: u32 = 8;
    /// A sleep; a tail or a repair takes about as long to be sent or copied.
    const NAP: Duration = Duration::from_micros(20);

    /// What lies behind it stays usable when a thread panics that has it.
    pub(in crate::history) struct Lock<T>(SpinMutex<T>);

    /// Gives it back when dropped.
    pub(in crate::history) type Guard<'a, T> = SpinMutexGuard<'a, T>;

    impl<T> Lock<T> {
        pub(in crate::history) const fn new(value: T) -> Self {
            Self(SpinMutex::new(value))
        }

        /// Takes it, once nobody else has it.
        #[inline]
        pub(in crate::history) fn lock(&self) -> Guard<'_, T> {
            match self.0.try_lock() {
                Some(guard) => guard,
                None => self.wait(),
            }
        }

        /// Takes it if nobody has it just now.
        #[inline]
        pub(in crate::history) fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.0.try_lock()
        }

        #[cold]
        fn wait(&self) -> Guard<'_, T> {
            let mut looks = 0;
            loop {
                // A read first: to try would take the cache line from its holder each time.
                if !self.0.is_locked()
                    && let Some(guard) = self.0.try_lock()
                {
                    return guard;
                }
                rest(looks);
                looks = looks.saturating_add(1);
            }
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "nobody tells that a lock is free: its holder does nothing but store"
    )]
    fn rest(looks: u32) {
        match looks {
            ..LOOKS => hint::spin_loop(),
            _ if looks < LOOKS + YIELDS => thread::yield_now(),
            _ => thread::sleep(NAP),
        }
    }
}

/// Loom has no mutex that spins; its own is one, too.
#[cfg(loom)]
mod modelled {
    use loom::sync::Mutex;
    use loom::sync::MutexGuard;

    pub(in crate::history) struct Lock<T>(Mutex<T>);

    pub(in crate::history) type Guard<'a, T> = MutexGuard<'a, T>;

    impl<T> Lock<T> {
        pub(in crate::history) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(in crate::history) fn lock(&self) -> Guard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }

        pub(in crate::history) fn try_lock(&self) -> Option<Guard<'_, T>> {
            self.0.try_lock().ok()
        }
    }
}
