//! The framing of packed datagrams: a header of 24 bytes, and 4 before each message.
//!
//! ```text
//! crc u32 | length u16 | count u16 | number u64 | position u64 | then count × (length u32 | bytes)
//! ```
//!
//! `number` counts datagrams; `position` is how many bytes of datagrams went before. The CRC is of all that follows it.

/// Bytes of the header.
pub(crate) const HEADER_BYTES: usize = 24;

/// Bytes before each message.
pub(crate) const FRAME_BYTES: usize = 4;

/// What stands in a header, but for the CRC and the length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) count: u16,
    pub(crate) number: u64,
    pub(crate) position: u64,
}

/// Writes the header of a datagram whose messages are in place.
pub(crate) fn seal<const CRC: bool>(datagram: &mut [u8], header: Header) {
    let first = (datagram.len() as u64) << 32 | u64::from(header.count) << 48;
    let words = [first, header.number, header.position];
    for (place, word) in datagram.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
    if CRC {
        let crc = crc32fast::hash(&datagram[4..]);
        datagram[..4].copy_from_slice(&crc.to_le_bytes());
    }
}

/// Writes a message into room of exactly its size and [`FRAME_BYTES`].
#[inline]
pub(crate) fn write(room: &mut [u8], message: &[u8]) {
    let (head, place) = room.split_at_mut(FRAME_BYTES);
    head.copy_from_slice(&(message.len() as u32).to_le_bytes());
    // A copy of known size is two moves, one of unknown size a call.
    match (<&[u8; 32]>::try_from(message), <&mut [u8; 32]>::try_from(&mut *place)) {
        (Ok(message), Ok(place)) => *place = *message,
        _ => place.copy_from_slice(message),
    }
}

/// The header and the frames of a datagram; `None` if it is damaged.
#[inline]
pub(crate) fn open<const CRC: bool>(datagram: &[u8]) -> Option<(Header, &[u8])> {
    let (head, frames) = datagram.split_first_chunk::<HEADER_BYTES>()?;
    let [first, number, position] = head.as_chunks::<8>().0 else { return None };
    let first = u64::from_le_bytes(*first);
    let is_whole = first >> 32 & 0xFFFF == datagram.len() as u64;
    if !is_whole || CRC && crc32fast::hash(&datagram[4..]) != first as u32 {
        return None;
    }
    let (number, position) = (u64::from_le_bytes(*number), u64::from_le_bytes(*position));
    Some((Header { count: (first >> 48) as u16, number, position }, frames))
}

/// Hands on the messages of a datagram; says how many there were.
#[inline]
pub(crate) fn walk(mut frames: &[u8], mut each: impl FnMut(&[u8])) -> u16 {
    let mut count = 0;
    while let Some((length, rest)) = frames.split_first_chunk::<FRAME_BYTES>() {
        let Some((message, rest)) = rest.split_at_checked(u32::from_le_bytes(*length) as usize) else {
            break;
        };
        each(message);
        (frames, count) = (rest, count + 1);
    }
    count
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

    use super::*;

    const HEADER: Header = Header { count: 2, number: 7, position: 1 << 40 };

    /// A datagram of two messages, of 32 and of 5 bytes.
    fn datagram<const CRC: bool>() -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES + 2 * FRAME_BYTES + 32 + 5];
        write(&mut bytes[24..60], &[3; 32]);
        write(&mut bytes[60..], b"hello");
        seal::<CRC>(&mut bytes, HEADER);
        bytes
    }

    fn messages(frames: &[u8]) -> (u16, Vec<Vec<u8>>) {
        let mut seen = Vec::new();
        let count = walk(frames, |message| seen.push(message.to_vec()));
        (count, seen)
    }

    #[test]
    fn what_is_written_is_read() {
        for bytes in [datagram::<true>(), datagram::<false>()] {
            let (header, frames) = open::<false>(&bytes).unwrap();
            assert_eq!(header, HEADER);
            assert_eq!(messages(frames), (2, vec![vec![3; 32], b"hello".to_vec()]));
        }
        assert!(open::<true>(&datagram::<true>()).is_some());
    }

    #[test]
    fn damage_is_noticed() {
        let whole = datagram::<true>();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 4;
            assert_eq!(open::<true>(&bytes), None, "byte {at}");
        }
        assert_eq!(open::<false>(&whole[..whole.len() - 1]), None);
        assert_eq!(open::<false>(&whole[..HEADER_BYTES - 1]), None);
    }

    #[test]
    fn a_length_beyond_the_datagram_ends_the_walk() {
        let mut bytes = datagram::<false>();
        bytes[60] = 6;
        assert_eq!(messages(&bytes[HEADER_BYTES..]), (1, vec![vec![3; 32]]));
    }
}
