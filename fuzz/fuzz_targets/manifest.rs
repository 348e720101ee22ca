//! Hands the fuzzer's inputs to `src/manifest.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::manifest::run(data));
