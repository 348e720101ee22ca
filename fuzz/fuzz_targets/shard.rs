//! Hands the fuzzer's inputs to `src/shard.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::shard::run(data));
