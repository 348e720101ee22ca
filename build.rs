//! Compiles `src/storage/ingest.cc`: the calls that RocksDB's C interface lacks. The headers are those
//! of the RocksDB that `librocksdb-sys` brings.

use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-changed=src/storage/ingest.cc");
    println!("cargo:rerun-if-env-changed=ROCKSDB_INCLUDE_DIR");
    // `librocksdb-sys` tells its dependents where its sources lie.
    let headers = std::env::var_os("ROCKSDB_INCLUDE_DIR").map_or_else(
        || {
            let sources = std::env::var_os("DEP_ROCKSDB_CARGO_MANIFEST_DIR").unwrap_or_default();
            PathBuf::from(sources).join("rocksdb").join("include")
        },
        PathBuf::from,
    );
    cc::Build::new()
        .cpp(true)
        .std("c++20")
        .define("NDEBUG", "1")
        .include(headers)
        .warnings(false)
        .file("src/storage/ingest.cc")
        .compile("hashdb_ingest");
}
