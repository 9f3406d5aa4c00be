//! The target `receiver` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nakcast_fuzz::receiver::target(data));
