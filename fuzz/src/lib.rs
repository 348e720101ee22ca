//! The bodies of the fuzz targets: each takes any bytes and fails by a panic. The targets in
//! `fuzz_targets` hand them what the fuzzer makes up; `tests/corpus.rs` compiles this same file and
//! hands them the corpora in the tree, so that every build replays them without a nightly compiler.
//!
//! Inputs are read by [`input::Input`]: a target that needs a structure takes it from the bytes one
//! by one, and zeros where they end, so that a corpus is written and understood by hand.

mod input;
mod memory;
mod oracle;
mod segment;

pub mod engine_ops;
pub mod entry_planted;
pub mod hamming_levels;
pub mod manifest;
#[cfg(feature = "encoder")]
pub mod model;
pub mod npy;
pub mod query_args;
pub mod segment_crafted;
pub mod segment_open;
#[cfg(feature = "encoder")]
pub mod shard;
pub mod superblock;
