//! The target `ring` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nakcast_fuzz::ring::target(data));
