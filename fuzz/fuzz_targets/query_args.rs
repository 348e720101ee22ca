//! Hands the fuzzer's inputs to `src/query_args.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hashdb_fuzz::query_args::run(data));
