//! What a demo message holds: when it was meant to be sent, its number, and a pattern that follows from the number.

use std::time::Duration;

const STAMP: usize = 8;
const NUMBER: usize = 8;
const HEAD: usize = STAMP + NUMBER;

/// Fills `payload`, of 16 bytes or more.
pub(crate) fn write(payload: &mut [u8], number: u64, meant_for: Duration) {
    let stamp = u64::try_from(meant_for.as_nanos()).unwrap_or(u64::MAX);
    for (at, byte) in stamp.to_le_bytes().into_iter().chain(number.to_le_bytes()).enumerate() {
        if let Some(place) = payload.get_mut(at) {
            *place = byte;
        }
    }
    for (word, place) in payload.get_mut(HEAD..).unwrap_or_default().chunks_mut(8).enumerate() {
        let bytes = pattern(number, word);
        place.iter_mut().zip(bytes).for_each(|(place, byte)| *place = byte);
    }
}

/// The number and the time of a message, if every byte is right.
pub(crate) fn read(payload: &[u8]) -> Option<(u64, Duration)> {
    let (stamp, rest) = payload.split_first_chunk::<STAMP>()?;
    let (number, rest) = rest.split_first_chunk::<NUMBER>()?;
    let number = u64::from_le_bytes(*number);
    let is_right = |(word, bytes): (usize, &[u8])| pattern(number, word).starts_with(bytes);
    let right = rest.chunks(8).enumerate().all(is_right);
    right.then(|| (number, Duration::from_nanos(u64::from_le_bytes(*stamp))))
}

/// Eight bytes that differ from message to message and from place to place.
const fn pattern(number: u64, word: usize) -> [u8; 8] {
    let mixed = (number ^ (word as u64).rotate_left(40)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        for size in [16, 17, 24, 100] {
            let mut payload = vec![0; size];
            write(&mut payload, 7, Duration::from_nanos(99));
            assert_eq!(read(&payload), Some((7, Duration::from_nanos(99))));
            for at in 16..size {
                payload[at] ^= 1;
                assert_eq!(read(&payload), None);
                payload[at] ^= 1;
            }
        }
        assert_eq!(read(&[0; 15]), None);
    }
}
