//! Hands the fuzzer's inputs to `src/model.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::model::run(data));
