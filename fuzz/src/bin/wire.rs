//! The target `wire` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nakcast_fuzz::wire::target(data));
