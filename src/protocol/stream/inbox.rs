//! Cutting what comes over a connection into datagrams.

use crate::time::Time;
use crate::wire;
use crate::wire::DecodeError;
use crate::wire::HEADER_BYTES;
use crate::wire::Header;
use crate::wire::Kind;

/// The most bytes of anything but a HELLO.
const SHORT: usize = 256;

/// What has come of a datagram whose other part has not. Empty, and without memory, most of the time; at most 64 KiB,
/// and only as much as has really come.
#[derive(Debug)]
pub struct Inbox {
    bytes: Vec<u8>,
    is_whole: bool,
    /// When the datagram that waits was begun.
    begun: Time,
}

impl Inbox {
    /// Nothing has come.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), is_whole: false, begun: Time::ZERO }
    }

    /// The next whole datagram of what was kept and of `fresh`, which is moved on; `None` when all of it is taken in
    /// and ends within one. Call it with the same bytes until then.
    ///
    /// # Errors
    ///
    /// When it cannot be anything that a subscriber sends. The stream is no longer understood then.
    pub fn next<'a, 'b: 'a>(
        &'a mut self,
        now: Time,
        fresh: &mut &'b [u8],
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        if self.is_whole {
            *self = Self::new();
        }
        if self.bytes.is_empty() {
            if let Some(len) = length(fresh)?
                && let Some((whole, rest)) = fresh.split_at_checked(len)
            {
                *fresh = rest;
                return Ok(Some(whole));
            }
            self.begun = now;
        }
        loop {
            let known = length(&self.bytes)?;
            if known == Some(self.bytes.len()) {
                self.is_whole = true;
                return Ok(Some(&self.bytes));
            }
            let missing = known.unwrap_or(HEADER_BYTES) - self.bytes.len();
            let (taken, rest) = fresh.split_at(missing.min(fresh.len()));
            if taken.is_empty() {
                return Ok(None);
            }
            self.bytes.extend_from_slice(taken);
            *fresh = rest;
        }
    }

    /// When the datagram that waits to be completed was begun, if there is one.
    #[must_use]
    pub fn waits_since(&self) -> Option<Time> {
        (!self.is_whole && !self.bytes.is_empty()).then_some(self.begun)
    }

    /// Bytes that this takes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.bytes.capacity()
    }
}

impl Default for Inbox {
    fn default() -> Self {
        Self::new()
    }
}

/// The bytes of the datagram that begins with `bytes`, once its header is there.
fn length(bytes: &[u8]) -> Result<Option<usize>, DecodeError> {
    if bytes.len() < HEADER_BYTES {
        return Ok(None);
    }
    let len = wire::datagram_len(bytes)?;
    if len > SHORT && Header::peek(bytes).is_none_or(|(kind, _)| kind != Kind::Hello) {
        return Err(DecodeError::Short { need: len, got: SHORT });
    }
    Ok(Some(len))
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;
    use crate::wire::Head;
    use crate::wire::Hello;
    use crate::wire::HelloStart;
    use crate::wire::ReceiverId;
    use crate::wire::SessionId;
    use crate::wire::Status;
    use crate::wire::StreamId;

    #[test]
    fn bytes_are_cut_into_datagrams_wherever_they_were_cut() {
        let mut all = Vec::new();
        let head = Head { stream: StreamId(7), session: SessionId(70), ..Head::default() };
        let (mut hello, mut status) = (Vec::new(), Vec::new());
        assert!(wire::encode_hello(
            &mut hello,
            &head,
            &Hello::new(ReceiverId(700), HelloStart::Live),
            &["ab"; 200]
        ));
        wire::encode_status(&mut status, &head, &Status::new_zeroed());
        [&hello, &status, &status, &hello].into_iter().for_each(|bytes| all.extend_from_slice(bytes));
        for cut in 0..all.len() {
            let (mut inbox, mut found) = (Inbox::new(), Vec::new());
            for mut part in [&all[..cut], &all[cut..]] {
                while let Some(bytes) = inbox.next(Time(9), &mut part).unwrap() {
                    found.push(bytes.to_vec());
                }
                assert!(part.is_empty());
            }
            assert!(found == [&hello[..], &status, &status, &hello], "{cut}");
            assert_eq!((inbox.waits_since(), inbox.memory()), (None, 0), "{cut}");
        }
    }

    #[test]
    fn what_no_subscriber_sends_is_refused_before_it_takes_memory() {
        let mut inbox = Inbox::new();
        assert!(inbox.next(Time(0), &mut &[b'G'; 40][..]).is_err());
        // A batch of 60,000 bytes, of which the header has come.
        let head = Head { stream: StreamId(7), session: SessionId(70), ..Head::default() };
        let mut batch = vec![0; 60_000];
        wire::seal_batch(&mut batch, &head, 1);
        assert!(inbox.next(Time(0), &mut &batch[..32]).is_err());
        let mut slow = Inbox::new();
        assert_eq!(slow.next(Time(3), &mut &batch[..31]), Ok(None));
        assert_eq!(slow.waits_since(), Some(Time(3)));
        assert!(slow.memory() < 256);
    }
}
