//! Hands the fuzzer's inputs to `src/engine_ops.rs`.
#![no_main]

#[path = "../src/no_fallocate.rs"]
mod no_fallocate;

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::engine_ops::run(data));
