//! The target `publisher` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nakcast_fuzz::publisher::target(data));
