//! The store of early datagrams, for itself.

use super::*;

const SPARE: usize = 4 << 20;

fn cursor() -> Cursor {
    let bytes = batch(OffsetRange::new(Offset(3), Offset(4)), false);
    let datagram = Datagram::decode(&bytes).expect("sound");
    Cursor::new(SourceKey(1), Place::Datagram, &datagram, datagram.header.range())
}

#[test]
fn room_is_kept_to_be_used_again_up_to_a_bound() {
    let mut store = Store::default();
    let large = store.keep(&vec![1; SPARE], cursor());
    store.free(large);
    assert_eq!(store.kept_bytes(), SPARE, "just within the bound");
    assert_eq!(store.keep(b"again", cursor()), large);
    assert_eq!((store.bytes(large), store.kept_bytes()), (b"again".as_slice(), SPARE));
    let small = store.keep(&[2; 100], cursor());
    assert_eq!((store.bytes(small), store.kept_bytes()), ([2; 100].as_slice(), SPARE + 100));
    store.free(large);
    store.free(small);
    assert_eq!(store.kept_bytes(), SPARE, "beyond the bound nothing is kept");
}

#[test]
fn what_is_lent_is_missing_until_it_is_put_back() {
    let mut store = Store::default();
    let slot = store.keep(b"held", cursor());
    let lent = store.lend(slot);
    assert_eq!((lent.as_slice(), store.bytes(slot)), (b"held".as_slice(), b"".as_slice()));
    store.put_back(slot, lent);
    assert_eq!(store.bytes(slot), b"held");
    assert!(store.cursor(slot).is_some() && store.cursor(slot + 1).is_none());
    assert!(store.bytes(slot + 1).is_empty() && store.lend(slot + 1).is_empty());
}
