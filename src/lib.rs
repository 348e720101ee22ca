//! hashdb: an embedded, persistent key-value engine keyed by short binary codes.
//!
//! A database keeps **records** (key, short **address**, long **code**, value) in one directory,
//! durably, and finds them by key, by address, by every address within a Hamming radius, and by
//! the distance of their codes, exactly. See [`Database`] for writing, [`Readable`] for reading.
//!
//! ```
//! use hashdb::{Address, Code, Database, Options, Readable as _};
//!
//! # fn main() -> hashdb::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let path = directory.path().join("db");
//! let db = Database::create(&path, Options::new().code_bits(64).address_bits(16))?;
//! db.put(b"a", Address::new(0x00ff, 16)?, Code::from_bytes(&[0; 8])?, b"first")?;
//! db.put(b"b", Address::new(0x00fe, 16)?, Code::from_bytes(&[1; 8])?, b"second")?;
//!
//! // Both addresses lie within one bit of 0x00ff.
//! let near = db.ball(Address::new(0x00ff, 16)?, 1)?;
//! assert_eq!(near.len(), 2);
//!
//! // The code of "b" differs from this one in no bit, that of "a" in eight.
//! let nearest = db.knn(&Code::from_bytes(&[1; 8])?, 1)?;
//! assert_eq!(db.record(&nearest[0])?.key, b"b");
//! # Ok(())
//! # }
//! ```

mod bytes;
#[cfg_attr(
    not(feature = "__internals"),
    expect(unreachable_pub, reason = "public for benches and fuzz targets, see `internals`")
)]
mod code;
mod db;
mod error;
#[cfg(feature = "encoder")]
pub mod eval;
#[cfg_attr(
    not(feature = "__internals"),
    expect(unreachable_pub, reason = "public for benches and fuzz targets, see `internals`")
)]
mod hamming;
#[cfg_attr(
    not(feature = "__internals"),
    expect(unreachable_pub, reason = "public for benches and fuzz targets, see `internals`")
)]
mod index;
#[cfg(feature = "encoder")]
pub mod ingest;
#[cfg(feature = "encoder")]
mod linear;
#[cfg(feature = "encoder")]
pub mod model;
mod storage;

pub use code::{Address, Code};
pub use db::{
    Answer, Backup, BackupCreated, BackupProgress, BackupReport, BulkLoader, BulkOptions,
    BulkProgress, BulkReport, BulkStage, CheckpointInfo, Damage, Database, Digest, Duplicates,
    EncoderModel, ExplainedSource, Explanation, Filter, Generation, IndexOptions, Iter,
    MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_NOTE_BYTES, MAX_VALUE_BYTES, Options, PatchAnswer,
    PatchExplanation, PatchMatch, PatchQuery, Plan, Query, QueryStats, Readable, Record,
    RepairOptions, RepairReport, SegmentStats, Snapshot, SpaceReport, Stats, VerifyReport,
    WriteBatch, WriteOptions, Written,
};
pub use error::{Corruption, Error, RecordError, Result};
pub use hamming::Level;
pub use index::{MAX_PATCH_RADIUS, MAX_PATCHES, Neighbor, PatchCounting};
pub use storage::layout::FORMAT_VERSION;

/// The lower floors, for benches and fuzz targets only. No promise of stability.
#[doc(hidden)]
#[cfg(feature = "__internals")]
pub mod internals {
    /// F1.
    pub mod hamming {
        pub use crate::hamming::*;
    }
    /// F2.
    pub mod code {
        pub use crate::code::*;
    }
    /// F3.
    pub mod index {
        pub use crate::index::*;
    }
    /// F4.
    #[cfg(feature = "failpoints")]
    pub mod failpoint {
        pub use crate::storage::failpoint::{POINTS, set};
    }
    /// F5a.
    pub mod db {
        pub use crate::db::{
            EntryKind, PlantedEntry, Probe, ProbeAnswer, ProbedSegment, ProbedSuperblock,
            list_entries, plant_entries, probe_entry, probe_superblock,
        };
    }
}
