//! Hands the fuzzer's inputs to `src/segment_open.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::segment_open::run(data));
