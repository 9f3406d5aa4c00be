//! A publisher for several threads.

use core::time::Duration;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;

use crate::error::FinishError;
use crate::error::PublishError;
use crate::offset::Offset;
use crate::publisher::Publisher;
use crate::publisher::lock::lock;

/// A [`Publisher`] that several threads publish through; clones are handles to the same one.
///
/// One lock more for each message. A thread that waits for the subscribers' window keeps the others waiting too: they
/// would find it closed as well.
#[derive(Debug, Clone)]
pub struct SharedPublisher(Arc<Mutex<Publisher>>);

impl SharedPublisher {
    pub(super) fn new(publisher: Publisher) -> Self {
        Self(Arc::new(Mutex::new(publisher)))
    }

    /// As [`Publisher::publish`].
    ///
    /// # Errors
    ///
    /// As [`Publisher::publish`].
    pub fn publish(&self, topic: &[u8], payload: &[u8]) -> Result<Offset, PublishError> {
        self.lock().publish(topic, payload)
    }

    /// As [`Publisher::try_publish`].
    ///
    /// # Errors
    ///
    /// As [`Publisher::try_publish`].
    pub fn try_publish(&self, topic: &[u8], payload: &[u8]) -> Result<Offset, PublishError> {
        self.lock().try_publish(topic, payload)
    }

    /// As [`Publisher::flush`].
    ///
    /// # Errors
    ///
    /// As [`Publisher::flush`].
    pub fn flush(&self) -> Result<(), PublishError> {
        self.lock().flush()
    }

    /// As [`Publisher::finish`].
    ///
    /// # Errors
    ///
    /// As [`Publisher::finish`].
    pub fn finish(&self, timeout: Duration) -> Result<(), FinishError> {
        self.lock().finish(timeout)
    }

    /// The publisher, for everything else, while no other thread has it.
    pub fn lock(&self) -> MutexGuard<'_, Publisher> {
        lock(&self.0)
    }
}
