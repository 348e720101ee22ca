//! The engine: owns every thread and every lock, and joins `index` (searchable structures) with
//! `storage` (bytes on disk).
//!
//! Data flows one way: a [`WriteBatch`] is committed to the record store, its rows go to the
//! memtable, a new [`view`] is published; seal and compact turn rows into segments and publish
//! again; readers hold views.

mod answer;
mod batch;
mod columns;
mod commit;
mod compact;
mod deleted;
mod engine;
mod explain;
mod filter;
mod gather;
mod iter;
mod maintenance;
mod memtable;
mod options;
#[cfg(feature = "__internals")]
mod probe;
mod query;
mod record;
mod recover;
mod seal;
mod search;
mod segment;
mod snapshot;
mod stats;
mod ticket;
mod verify;
mod view;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use answer::{Answer, Plan, QueryStats};
pub use batch::WriteBatch;
pub use explain::{ExplainedSource, Explanation};
pub use filter::Filter;
pub use iter::Iter;
pub use options::{
    EncoderModel, IndexOptions, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, Options,
    WriteOptions,
};
#[cfg(feature = "__internals")]
pub use probe::{
    EntryKind, PlantedEntry, ProbedSuperblock, list_entries, plant_entries, probe_entry,
    probe_superblock,
};
pub use query::Query;
pub use record::Record;
#[cfg(feature = "__internals")]
pub use segment::{Probe, ProbeAnswer, ProbedSegment};
pub use snapshot::{Readable, Snapshot};
pub use stats::{SegmentStats, Stats};
pub use ticket::Written;
pub use verify::{Damage, VerifyReport};

use crate::code::{Address, Code};
use crate::error::{Error, Result};
use crate::storage::fs::{Fs as _, OsFs};
use engine::Engine;
use maintenance::Maintainer;

/// Largest weight file that a database keeps, in bytes.
const MAX_MODEL_BYTES: u64 = 4 << 30;

/// A handle on an open database; clones share it, from any number of threads. Reads are in
/// [`Readable`]. When the last clone is dropped the database is closed, after the background has
/// finished what it is at, and every write is made durable; call [`Database::sync`] first to see an
/// error of that.
#[derive(Debug, Clone)]
pub struct Database {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    engine: Arc<Engine>,
    maintainer: Option<Maintainer>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The threads first: they write too.
        self.maintainer = None;
        if !self.engine.read_only {
            // What cannot be synced now is recovered from the log at the next open.
            let _recovered_at_open = self.engine.sync();
        }
    }
}

impl Database {
    fn start(engine: Engine) -> Self {
        let engine = Arc::new(engine);
        let wanted = engine.options.background && !engine.read_only;
        let maintainer = wanted.then(|| Maintainer::start(Arc::clone(&engine)));
        Self { shared: Arc::new(Shared { engine, maintainer }) }
    }

    /// Creates a database in a directory that is absent or empty.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if something is there (what a creation
    /// that failed left behind, a folder without SUPERBLOCK, may be removed),
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for widths out of range,
    /// [`Error::Io`](crate::Error::Io) if the directory cannot be written.
    pub fn create(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Engine::create(path.as_ref(), options).map(Self::start)
    }

    /// Opens a database for reading and writing. Recovers whatever a crash left.
    ///
    /// # Errors
    ///
    /// [`Error::NotADatabase`](crate::Error::NotADatabase),
    /// [`Error::Locked`](crate::Error::Locked) if another process writes to it,
    /// [`Error::UnsupportedFormat`](crate::Error::UnsupportedFormat) for a newer format,
    /// [`Error::RolledBack`](crate::Error::RolledBack) if durable records are gone,
    /// [`Error::Corruption`](crate::Error::Corruption) or
    /// [`Error::Records`](crate::Error::Records) for damage.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Engine::open(path.as_ref(), options).map(Self::start)
    }

    /// Opens a database for reading, also while another process writes to it. The handle shows
    /// the state of the moment of opening. Beside a writer that compacts, a value of 4 KiB or more may
    /// become unreadable later: then open anew.
    ///
    /// # Errors
    ///
    /// As [`Database::open`], but never [`Error::Locked`](crate::Error::Locked).
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Engine::open_read_only(path.as_ref(), options).map(Self::start)
    }

    /// Whether a path holds a database, by its superblock.
    #[must_use]
    pub fn exists(path: impl AsRef<Path>) -> bool {
        path.as_ref().join("SUPERBLOCK").is_file()
    }

    /// Inserts a record, or replaces the one with this key, durably.
    ///
    /// # Errors
    ///
    /// As [`Database::write`].
    pub fn put(&self, key: &[u8], address: Address, code: Code, value: &[u8]) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.put(key, address, code, value);
        self.write(batch, WriteOptions::default()).map(|_| ())
    }

    /// Deletes the record with this key, durably; says whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Database::write`].
    pub fn delete(&self, key: &[u8]) -> Result<bool> {
        let mut batch = WriteBatch::new();
        batch.delete(key);
        self.write(batch, WriteOptions::default()).map(|written| written.deleted > 0)
    }

    /// Applies all changes of the batch or none. Calls from several threads share one sync.
    ///
    /// # Errors
    ///
    /// [`Error::CodeWidth`](crate::Error::CodeWidth),
    /// [`Error::AddressWidth`](crate::Error::AddressWidth) or
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a change that breaks a limit:
    /// nothing is written. [`Error::Io`](crate::Error::Io) or
    /// [`Error::Records`](crate::Error::Records) if the disk fails: the handle is then
    /// [poisoned](crate::Error::Poisoned), and whether the batch survived shows after reopening.
    pub fn write(&self, batch: WriteBatch, options: WriteOptions) -> Result<Written> {
        self.relieve()?;
        let written = self.engine().write(batch, options)?;
        if let Some(maintainer) = &self.shared.maintainer
            && self.engine().wants_maintenance()
        {
            maintainer.wake();
        }
        Ok(written)
    }

    /// Keeps the memtable bounded where writers outrun the background thread.
    fn relieve(&self) -> Result<()> {
        let engine = self.engine();
        let most = engine.options.memtable_records.saturating_mul(4);
        if !engine.read_only && engine.view().memtable.len() >= most {
            engine.seal_from(most)?;
        }
        Ok(())
    }

    /// Makes every write so far durable, those without sync too.
    ///
    /// # Errors
    ///
    /// As [`Database::write`].
    pub fn sync(&self) -> Result<()> {
        self.engine().sync()
    }

    /// Turns the memtable into a segment now; says whether there was anything in it.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if the segment or the superblock cannot be written: no record is
    /// lost and no answer changes. [`Error::Poisoned`](crate::Error::Poisoned) after a failed write.
    pub fn seal(&self) -> Result<bool> {
        let sealed = self.engine().seal()?;
        if let Some(maintainer) = &self.shared.maintainer {
            maintainer.wake();
        }
        Ok(sealed)
    }

    /// Changes which indexes over codes merged segments carry, durably. Segments that exist keep theirs
    /// until they are merged; [`Database::compact`] brings all of them to the new choice.
    ///
    /// # Errors
    ///
    /// As [`Database::write`].
    pub fn set_index(&self, index: IndexOptions) -> Result<()> {
        self.engine().set_index(index)
    }

    /// Merges everything into one segment without deleted rows, with all indexes, and reclaims the
    /// space. Takes the memory of all rows (ids, addresses, codes) and of the largest index: up to
    /// 160 bytes a record with codes of 256 bits.
    ///
    /// # Errors
    ///
    /// As [`Database::seal`].
    pub fn compact(&self) -> Result<()> {
        self.engine().compact()
    }

    /// Reads every byte that hashdb owns and holds the parts against each other: superblock,
    /// records, keys, values, pending entries, tombstones, segments. Of the encoder's weights it sees
    /// that they are there; whether they are right, `Autoencoder::from_bytes` says.
    ///
    /// # Errors
    ///
    /// Only if reading itself fails; damage is listed in the report.
    pub fn verify(&self) -> Result<VerifyReport> {
        self.engine().verify()
    }

    /// Figures about the database.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.engine().stats()
    }

    /// Fingerprint of the encoder that fills the database, if it has one.
    #[must_use]
    pub fn encoder(&self) -> Option<&str> {
        self.engine().encoder.as_deref()
    }

    /// The weight file of the database's encoder.
    ///
    /// # Errors
    ///
    /// [`Error::EncoderMismatch`](crate::Error::EncoderMismatch) if the database has no encoder,
    /// [`Error::Io`](crate::Error::Io) if the file cannot be read.
    pub fn read_model(&self) -> Result<Vec<u8>> {
        let none = || Error::EncoderMismatch { expected: "none".into(), found: "any".into() };
        let fingerprint = self.encoder().ok_or_else(none)?;
        OsFs.read(&self.engine().layout.model(fingerprint), MAX_MODEL_BYTES)
    }

    fn engine(&self) -> &Engine {
        &self.shared.engine
    }
}

impl Readable for Database {
    fn snapshot(&self) -> Snapshot {
        let engine = self.engine();
        Snapshot { tools: Arc::clone(&engine.search), view: engine.view() }
    }
}
