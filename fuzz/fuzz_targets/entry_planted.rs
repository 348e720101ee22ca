//! Hands the fuzzer's inputs to `src/entry_planted.rs`.
#![no_main]

#[path = "../src/no_fallocate.rs"]
mod no_fallocate;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::entry_planted::run(data));
