//! The target `text` under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| nakcast_fuzz::text::target(data));
