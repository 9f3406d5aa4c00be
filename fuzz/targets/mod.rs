//! What the fuzzers drive, one function a target. The libFuzzer programs in `src/bin/` call these, and so does
//! `tests/fuzz_corpus.rs`, which replays the corpus without libFuzzer.
//!
//! An input is a [script](script::Script): it never fails to parse, so every mutation does something.

pub mod forge;
pub mod press;
pub mod publisher;
pub mod receiver;
pub mod ring;
pub mod script;
pub mod seeds;
pub mod text;
pub mod wire;

/// A target: takes any bytes and panics when a promise is broken.
pub type Target = fn(&[u8]);

/// Every target and its name.
pub const TARGETS: [(&str, Target); 5] = [
    ("wire", wire::target),
    ("receiver", receiver::target),
    ("publisher", publisher::target),
    ("ring", ring::target),
    ("text", text::target),
];

/// Panics, in a build with `--cfg canary`, when a state is reached that takes real exploration: a fuzzer that does not
/// find it is blind.
pub fn canary(is_reached: bool) {
    assert!(!(cfg!(canary) && is_reached), "the canary is found");
}
