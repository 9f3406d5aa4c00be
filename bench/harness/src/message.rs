//! What is inside a message: its sequence number, when it should have been sent, and filler.

/// Bytes that every message needs.
pub const HEAD_BYTES: usize = 16;

/// The sequence number of the message that ends a run; its second word is how many went before.
pub(crate) const END: u64 = u64::MAX;

/// The sequence number of messages that only find out whether they come back.
pub(crate) const WARM_UP: u64 = u64::MAX - 1;

/// One message, written anew for each sending.
#[derive(Debug)]
pub struct Message {
    bytes: Box<[u8]>,
}

impl Message {
    /// A message of `bytes`, at least [`HEAD_BYTES`].
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let filler = (0..bytes.max(HEAD_BYTES)).map(|at| at as u8);
        Self { bytes: filler.collect() }
    }

    /// The message with this number and this second word.
    #[inline]
    pub fn write(&mut self, sequence: u64, word: u64) -> &[u8] {
        if let Some(head) = self.bytes.first_chunk_mut::<HEAD_BYTES>() {
            head[..8].copy_from_slice(&sequence.to_le_bytes());
            head[8..].copy_from_slice(&word.to_le_bytes());
        }
        &self.bytes
    }

    /// All of it.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// The number and the second word of a message; `None` if it is too short.
#[inline]
#[must_use]
pub fn read_head(message: &[u8]) -> Option<(u64, u64)> {
    let (sequence, rest) = message.split_first_chunk::<8>()?;
    let word = rest.first_chunk::<8>()?;
    Some((u64::from_le_bytes(*sequence), u64::from_le_bytes(*word)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut message = Message::new(32);
        let first = message.write(7, 1 << 60);
        assert_eq!((first.len(), read_head(first)), (32, Some((7, 1 << 60))));
        assert_eq!(read_head(message.write(END, 0)), Some((END, 0)));
        assert_eq!(Message::new(0).write(1, 2).len(), HEAD_BYTES);
    }

    #[test]
    fn a_short_message_has_no_head() {
        assert_eq!(read_head(&[0; HEAD_BYTES - 1]), None);
        assert_eq!(read_head(&[0; HEAD_BYTES]), Some((0, 0)));
    }
}
