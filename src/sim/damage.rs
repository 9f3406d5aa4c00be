//! Datagrams that arrive other than they were sent.

use std::rc::Rc;

use crate::sim::chance::Chance;

/// The most bits that are flipped.
const BITS: u64 = 16;
/// The most bytes that are added.
const MORE: u64 = 64;

/// A damaged copy of `bytes`: bits flipped, cut short, made longer, or with the end of `other`.
pub(super) fn damage(bytes: &[u8], other: &[u8], chance: &mut Chance) -> Rc<[u8]> {
    let mut damaged = bytes.to_vec();
    match chance.below(4) {
        0 => {
            for _ in 0..chance.within(1, BITS) {
                let bit = chance.below(8 * bytes.len() as u64);
                if let Some(byte) = damaged.get_mut(bit as usize / 8) {
                    *byte ^= 1 << (bit % 8);
                }
            }
        }
        1 => damaged.truncate(chance.below(bytes.len() as u64) as usize),
        2 => damaged.extend((0..chance.within(1, MORE)).map(|_| chance.below(256) as u8)),
        _ => {
            let cut = chance.below(bytes.len() as u64) as usize;
            damaged.truncate(cut);
            damaged.extend_from_slice(other.get(cut..).unwrap_or_default());
        }
    }
    damaged.into()
}
