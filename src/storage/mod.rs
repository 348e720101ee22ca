//! Everything that touches the disk: the directory, the lock, the superblock, the record store
//! (RocksDB) and the segment files.
//!
//! Storage keeps tagged, checksummed bytes without knowing what they mean; `db` gives them their
//! meaning through `index`. RocksDB is named in `records`,
//! `cursor`, `tables`, `ingest`, `salvage` and `blocks` alone, memory maps in `mmap` and `arena` alone, and
//! every file operation of our own goes through the trait [`fs::Fs`]. The bytes are described in
//! storage-format.md and nowhere else.

pub(crate) mod arena;
pub(crate) mod ballast;
pub(crate) mod blocks;
pub(crate) mod cursor;
pub(crate) mod failpoint;
pub(crate) mod fs;
mod ingest;
pub(crate) mod layout;
pub(crate) mod lock;
pub(crate) mod log;
pub(crate) mod manifest;
pub(crate) mod mark;
pub(crate) mod mmap;
pub(crate) mod records;
pub(crate) mod salvage;
pub(crate) mod segment;
pub(crate) mod superblock;
pub(crate) mod tables;
pub(crate) mod tree;
pub(crate) mod watermark;
