//! Replays the fuzzers' corpus, and damages every kind of datagram in every way, without a fuzzer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

#[path = "../fuzz/targets/mod.rs"]
#[allow(unreachable_pub, dead_code, reason = "shared with the fuzzers, which use all of it")]
mod targets;

use std::fs;
use std::path::Path;

use nakcast::wire::Datagram;
use nakcast::wire::HEADER_BYTES;

/// The files of a target's corpus, by name.
fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let Ok(files) = fs::read_dir(&folder) else { return Vec::new() };
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect()
}

fn replay(name: &str) {
    let (_, target) = targets::TARGETS.into_iter().find(|(one, _)| *one == name).unwrap();
    let files = corpus(name);
    assert!(!files.is_empty(), "fuzz/corpus/{name} is empty: was it packed?");
    for (file, bytes) in files {
        println!("{file}");
        target(&bytes);
    }
}

#[test]
fn the_wire_takes_its_corpus() {
    replay("wire");
}

#[test]
fn the_receiver_takes_its_corpus() {
    replay("receiver");
}

#[test]
fn the_publisher_takes_its_corpus() {
    replay("publisher");
}

#[test]
fn the_ring_takes_its_corpus() {
    replay("ring");
}

#[test]
fn the_texts_take_their_corpus() {
    replay("text");
}

/// `fuzz/run seeds` calls this after a change of what the targets' scripts mean.
#[test]
#[ignore = "writes files"]
fn write_the_seeds() {
    for (name, _) in targets::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
        fs::create_dir_all(&folder).unwrap();
        for (number, bytes) in targets::seeds::of(name).iter().enumerate() {
            fs::write(folder.join(format!("seed-{number:02}")), bytes).unwrap();
        }
    }
}

/// Every target takes what was made for another.
#[test]
fn every_target_takes_anything() {
    for (name, _) in targets::TARGETS {
        for (other, target) in targets::TARGETS.into_iter().filter(|(other, _)| *other != name) {
            for (file, bytes) in corpus(name).into_iter().take(20) {
                println!("{other} takes {file}");
                target(&bytes);
            }
        }
    }
}

/// REPAIR lies outside the checksum; every other bit of a datagram of any kind counts, and so does every byte.
#[test]
fn every_damage_is_refused() {
    let flags = 8 * 3;
    for bytes in targets::seeds::datagrams() {
        for len in 0..bytes.len() {
            assert!(Datagram::decode(&bytes[..len]).is_err(), "{bytes:02x?} cut to {len}");
        }
        let end = HEADER_BYTES + Datagram::decode(&bytes).unwrap().header.length();
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let is_harmless = bit == flags || bit / 8 >= end;
            assert_eq!(
                Datagram::decode(&flipped).is_ok(),
                is_harmless,
                "{bytes:02x?} with bit {bit} flipped"
            );
        }
    }
}

/// Whoever knows the format can mend the checksum: then a damaged datagram is refused or says what it says again.
#[test]
fn every_mended_damage_is_refused_or_harmless() {
    for bytes in targets::seeds::datagrams() {
        for len in 0..=bytes.len() {
            targets::wire::target(&bytes[..len]);
        }
        for bit in 0..8 * bytes.len() {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            targets::wire::target(&flipped);
        }
    }
}
