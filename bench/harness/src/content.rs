//! Messages whose every byte follows from their number, to see that what arrives is what was published.

use crate::message::HEAD_BYTES;
use crate::message::Message;
use crate::message::read_head;

/// Spreads consecutive numbers over all bits (the golden ratio, as in Fibonacci hashing).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Writes and checks such messages, and sums up all of them in their order.
#[derive(Debug)]
pub(crate) struct Content {
    message: Message,
    sum: crc32fast::Hasher,
    /// Messages that were not as their number says.
    pub(crate) wrong: u64,
}

impl Content {
    pub(crate) fn new(bytes: usize) -> Self {
        Self { message: Message::new(bytes), sum: crc32fast::Hasher::new(), wrong: 0 }
    }

    /// The next message to publish.
    pub(crate) fn write(&mut self, sequence: u64) -> &[u8] {
        let message = whole(&mut self.message, sequence);
        self.sum.update(message);
        message
    }

    /// Takes in a message that came.
    pub(crate) fn check(&mut self, message: &[u8]) {
        self.sum.update(message);
        let expected = read_head(message).map(|(sequence, _)| whole(&mut self.message, sequence));
        self.wrong += u64::from(expected != Some(message));
    }

    /// CRC-32 over all messages, one behind the other.
    pub(crate) fn sum(&self) -> u32 {
        self.sum.clone().finalize()
    }
}

/// The message of this number.
fn whole(message: &mut Message, sequence: u64) -> &[u8] {
    message.write(sequence, 0);
    let body = message.bytes_mut().get_mut(HEAD_BYTES..).unwrap_or_default();
    for (index, part) in body.chunks_mut(8).enumerate() {
        let word = (sequence + index as u64).wrapping_mul(SPREAD).to_le_bytes();
        part.copy_from_slice(&word[..part.len()]);
    }
    message.bytes_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a subscriber makes of these bytes: messages that are wrong, and whether the sum is the publisher's.
    fn heard(change: impl Fn(&mut Vec<Vec<u8>>)) -> (u64, bool) {
        let (mut sent, mut got) = (Content::new(45), Content::new(45));
        let mut messages: Vec<Vec<u8>> = (0..5).map(|sequence| sent.write(sequence).to_vec()).collect();
        change(&mut messages);
        messages.iter().for_each(|message| got.check(message));
        (got.wrong, got.sum() == sent.sum())
    }

    #[test]
    fn what_is_the_same_is_right() {
        assert_eq!(heard(|_| {}), (0, true));
    }

    #[test]
    fn one_bit_a_swap_and_a_want_are_noticed() {
        assert_eq!(heard(|messages| messages[3][44] ^= 1), (1, false));
        assert_eq!(heard(|messages| messages.swap(1, 2)), (0, false));
        assert_eq!(heard(|messages| drop(messages.pop())), (0, false));
        assert_eq!(heard(|messages| messages[0].truncate(44)), (1, false));
    }
}
