use super::*;

use crate::time::Jitter;

fn beacon() -> Beacon {
    let announcement = Announcement::new("no", SessionId(0x1817_1615_1413_1211))
        .endpoint("tcp://[::]:7001?stream=3".parse::<Endpoint>().unwrap());
    let node = NodeId(0x0807_0605_0403_0201);
    Beacon { node, serial: 9, leaving: true, interval: Duration::from_secs(1), announcement }
}

fn encoded(beacon: &Beacon) -> Vec<u8> {
    let mut bytes = Vec::new();
    beacon.encode(&mut bytes);
    bytes
}

/// With the checksum that belongs to it, so that what is wrong is seen.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes[CHECKSUM_AT..CHECKSUM_AT + 4].fill(0);
    let checksum = crc32fast::hash(&bytes).to_le_bytes();
    bytes[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&checksum);
    bytes
}

#[test]
fn golden_bytes() {
    let mut golden = vec![0x4E, 0x42, 1, 1];
    golden.extend([0; 4]);
    golden.extend(1..=8);
    golden.extend(0x11..=0x18);
    golden.extend([3, 0, 0, 0, 9, 0, 0, 0, 0xE8, 0x03, 27, 0, 2, 1, 0, 0]);
    golden.extend(b"no\x18tcp://[::]:7001?stream=3");
    assert_eq!(encoded(&beacon()), sealed(golden.clone()));
    assert_eq!(sealed(golden)[CHECKSUM_AT..][..4], [0x81, 0x9F, 0x4B, 0x72]);
}

#[test]
fn what_is_written_is_read_again() {
    let many = (0..8).fold(Announcement::new("ä".repeat(32), SessionId(u64::MAX)), |announcement, port| {
        announcement.endpoint(Endpoint::Udp(
            format!("udp://239.192.0.1:{}?interface=lo", 4_000 + port).parse().unwrap(),
        ))
    });
    assert!(many.check().is_ok());
    let none = Announcement::new("x", SessionId::default());
    for announcement in [beacon().announcement, many, none] {
        for leaving in [false, true] {
            let beacon = Beacon { leaving, announcement: announcement.clone(), ..beacon() };
            assert_eq!(Beacon::decode(&encoded(&beacon)), Ok(beacon));
        }
    }
}

#[test]
fn every_cut_and_every_flipped_bit_is_refused() {
    let whole = encoded(&beacon());
    for bytes in 0..whole.len() {
        assert!(Beacon::decode(&whole[..bytes]).is_err(), "{bytes} bytes");
    }
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(Beacon::decode(&bytes).is_err(), "bit {bit}");
    }
    assert!(Beacon::decode(&[whole, vec![0]].concat()).is_err());
}

#[test]
fn what_is_sealed_and_wrong_is_refused_by_name() {
    let refused = |at: usize, value: u8| {
        let mut bytes = encoded(&beacon());
        bytes[at] = value;
        Beacon::decode(&sealed(bytes)).unwrap_err()
    };
    assert_eq!(refused(0, 0x4B), BeaconError::Magic);
    assert_eq!(refused(2, 2), BeaconError::Version(2));
    assert_eq!(refused(3, 2), BeaconError::Malformed("a reserved bit"));
    assert_eq!(refused(24, 4), BeaconError::Malformed("the stream of an endpoint"));
    assert_eq!(refused(33, 0xFF), BeaconError::Malformed("the interval"));
    assert_eq!(refused(36, 0), BeaconError::Malformed("the name"));
    assert_eq!(refused(36, 255), BeaconError::Malformed("the name"));
    assert_eq!(refused(37, 0), BeaconError::Malformed("the end"));
    assert_eq!(refused(37, 2), BeaconError::Malformed("an endpoint"));
    assert_eq!(refused(37, 9), BeaconError::Malformed("the number of endpoints"));
    assert_eq!(refused(39, 1), BeaconError::Malformed("a reserved bit"));
    assert_eq!(refused(40, b'\n'), BeaconError::Malformed("the name"));
    assert_eq!(refused(41, 0xFF), BeaconError::Malformed("the name"));
    assert_eq!(refused(43, b'x'), BeaconError::Malformed("an endpoint"));
}

#[test]
fn no_bytes_make_it_panic() {
    let (mut jitter, whole) = (Jitter::new(5), encoded(&beacon()));
    for _ in 0..200_000 {
        let mut bytes = whole.clone();
        bytes.resize(jitter.bits() as usize % 100, 0);
        for _ in 0..jitter.bits() % 8 {
            let at = jitter.bits() as usize % bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte = jitter.bits() as u8;
            }
        }
        if bytes.len() >= 8 && jitter.bits() % 2 == 0 {
            bytes = sealed(bytes);
        }
        if let Ok(beacon) = Beacon::decode(&bytes) {
            assert!(beacon.announcement.check().is_ok() || beacon.announcement.endpoints.len() <= ENDPOINTS);
        }
    }
}

#[test]
fn what_no_beacon_can_say_is_not_announced() {
    let told = |announcement: Announcement| announcement.check().unwrap_err().to_string();
    let named = |name: &str| Announcement::new(name, SessionId(1));
    let at = |announcement: Announcement, uri: &str| announcement.endpoint(uri.parse::<Endpoint>().unwrap());
    for name in ["", "a\nb", &"x".repeat(65)] {
        assert!(told(named(name)).contains("1 to 64 bytes"), "{name:?}");
    }
    assert!(told(at(named("a"), "tcp://h:0")).contains("instead of 0"));
    assert!(told(at(at(named("a"), "tcp://h:1"), "tcp://h:1?stream=2")).contains("one stream only"));
    let nine = (0..9).fold(named("a"), |announcement, _| at(announcement, "tcp://h:1"));
    assert!(told(nine).contains("8 endpoints at most"));
    let long = format!("tcp://{}:1", "h".repeat(250));
    assert!(told(at(named("a"), &long)).contains("shorten the endpoints"));
    let long = format!("tcp://{}:1", "h".repeat(240));
    assert!(
        told((0..5).fold(named("a"), |announcement, _| at(announcement, &long)))
            .contains("1,200 bytes in all")
    );
}
