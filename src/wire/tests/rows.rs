//! ROWS: golden bytes, and what is no ROWS.

use core::net::SocketAddr;

use super::*;

/// The same rules as the decoder's, said another way.
pub(super) fn sound(body: &[u8], count: u64) -> bool {
    let word = |at: usize| u32::from_le_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
    if count > 15 || body.len() as u64 != 8 + 88 * count || word(4) != 0 || (count == 0 && word(0) != 0) {
        return false;
    }
    let rows: Vec<_> = body[8..].chunks(88).collect();
    let id = |row: &[u8]| row[..8].iter().rev().fold(0_u64, |id, byte| id << 8 | u64::from(*byte));
    let is_clean = |row: &&[u8]| row[82] <= 15 && row[83..88].iter().all(|byte| *byte == 0);
    rows.iter().all(is_clean) && rows.windows(2).all(|two| id(two[0]) < id(two[1]))
}

fn row(receiver: u64, flags: u16, address: &str) -> RowEntry {
    let row = RowEntry {
        receiver: U64::new(receiver),
        next: U64::new(0x12),
        delivered: U64::new(0x22),
        lost: U64::new(0x32),
        naks: U64::new(0x42),
        kernel_drops: U64::new(0x52),
        lag_us: U32::new(0x6162_6364),
        rtt_us: U32::new(0x7172_7374),
        heard_ms: U32::new(0x0102_0304),
        window: U32::new(0x1112_1314),
        address: [0; 16],
        port: U16::ZERO,
        flags: U16::new(flags),
        zero: U32::ZERO,
    };
    row.at(address.parse().expect("an address"))
}

fn rows() -> [RowEntry; 2] {
    let all = RowEntry::LIVE | RowEntry::EVICTED | RowEntry::SLOW | RowEntry::STREAM;
    [row(5, all, "10.0.0.1:33154"), row(RECEIVER.0, RowEntry::LIVE, "[fd00::7]:33154")]
}

#[test]
fn golden_rows() {
    const { assert!(size_of::<RowEntry>() == 88) };
    written(ROWS, |out| encode_rows(out, &HEAD, 7, &rows()));
    let bytes = hex(ROWS);
    let Body::Rows(body, entries) = decoded(&bytes).body else { panic!("ROWS") };
    assert_eq!((body.left(), entries), (7, &rows()[..]));
    assert_eq!(entries[0].address(), SocketAddr::from(([10, 0, 0, 1], 33_154)));
    assert_eq!(entries[1].receiver(), RECEIVER);
    assert!(entries[0].has(RowEntry::SLOW) && !entries[1].has(RowEntry::SLOW));
}

#[test]
fn no_more_rows_than_fit_and_each_receiver_once() {
    let many: Vec<_> = (0..16).map(|id| row(id, 1, "10.0.0.1:1")).collect();
    let mut bytes = Vec::new();
    encode_rows(&mut bytes, &HEAD, 9, &many);
    assert_eq!((decoded(&bytes).header.count(), bytes.len()), (15, 32 + 8 + 15 * 88));
    for (entries, left) in [(&[many[1], many[0]][..], 0), (&[many[0], many[0]], 0), (&[], 1)] {
        encode_rows(&mut bytes, &HEAD, left, entries);
        assert!(Datagram::decode(&bytes).is_err());
    }
    encode_rows(&mut bytes, &HEAD, 0, &[]);
    assert!(matches!(decoded(&bytes).body, Body::Rows(_, [])));
}

#[test]
fn a_hello_may_ask_for_them() {
    let mut bytes = Vec::new();
    let hello = Hello::new(RECEIVER, HelloStart::Live).for_rows();
    assert!(encode_hello(&mut bytes, &HEAD, &hello, &[] as &[&[u8]]));
    let Body::Hello(hello, _) = decoded(&bytes).body else { panic!("a HELLO") };
    assert!(hello.wants_rows() && hello.is_observer());
}
