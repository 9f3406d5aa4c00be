//! A message written in place.

use core::ops::Deref;
use core::ops::DerefMut;

use crate::history::Open;
use crate::offset::Offset;
use crate::protocol::Leave;
use crate::publisher::core::Core;
use crate::publisher::path::Departure;
use crate::publisher::streams::By;

/// Room for one message in the open batch, to be written in place and then [committed](Claim::commit).
///
/// It holds whatever was there before. Dropped without commit it is as if it had never been. Nobody else can publish,
/// and the tail of a burst does not leave, while it is held; so it must not be forgotten (`mem::forget`).
#[must_use = "a claim that is not committed publishes nothing"]
pub struct Claim<'a> {
    pub(super) core: &'a Core,
    pub(super) open: Open<'a>,
    pub(super) departure: &'a mut Departure,
    pub(super) leave: Leave,
    pub(super) is_committed: bool,
}

impl core::fmt::Debug for Claim<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Claim").field("bytes", &self.len()).finish_non_exhaustive()
    }
}

impl Claim<'_> {
    /// Publishes the message; gives its offset.
    pub fn commit(mut self) -> Offset {
        let offset = self.open.commit();
        self.is_committed = true;
        self.departure.leave(self.core, &mut self.open, self.leave);
        let core = self.core;
        // The train is unlocked first: it is read now.
        drop(self);
        core.carry(By::Publisher);
        offset
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if !self.is_committed {
            // The next message is the first again: it goes the slow way, where it is decided how it leaves.
            self.open.set_limit(0);
        }
    }
}

impl Deref for Claim<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.open.claimed()
    }
}

impl DerefMut for Claim<'_> {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.open.claimed_mut()
    }
}
