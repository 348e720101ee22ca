//! Hands the fuzzer's inputs to `src/hamming_levels.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::hamming_levels::run(data));
