//! Hands the fuzzer's inputs to `src/npy.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::npy::run(data));
