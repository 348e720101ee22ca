//! Hands the fuzzer's inputs to `src/superblock.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::superblock::run(data));
