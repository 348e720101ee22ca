//! The engine: owns every thread and every lock, and joins `index` (searchable structures) with
//! `storage` (bytes on disk).
//!
//! Data flows one way: a [`WriteBatch`] is committed to the record store, its rows go to the
//! memtable, a new [`view`] is published; seal and compact turn rows into segments and publish
//! again; readers hold views.

mod answer;
mod backup;
mod batch;
mod bulk;
mod capture;
mod catch_up;
mod checkpoint;
mod columns;
mod commit;
mod compact;
mod deleted;
mod digest;
mod engine;
mod explain;
mod filter;
mod gather;
mod iter;
mod maintenance;
mod memtable;
mod notes;
mod options;
mod patched;
mod patches;
#[cfg(feature = "__internals")]
mod probe;
mod published;
mod query;
mod record;
mod recover;
mod repair;
mod seal;
mod search;
mod segment;
mod snapshot;
mod space;
mod stats;
mod strict;
mod swap;
mod sync;
mod threads;
mod ticket;
mod verify;
mod view;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

pub use answer::{Answer, Plan, QueryStats};
pub use backup::{Backup, BackupCreated, BackupProgress, BackupReport, Generation};
pub use batch::WriteBatch;
pub use bulk::{BulkLoader, BulkOptions, BulkProgress, BulkReport, BulkStage, Duplicates};
pub use checkpoint::CheckpointInfo;
pub use digest::Digest;
pub use explain::{ExplainedSource, Explanation, PatchExplanation};
pub use filter::Filter;
pub use iter::Iter;
#[cfg(feature = "encoder")]
pub(crate) use notes::DONE_PREFIX;
pub use options::{
    EncoderModel, IndexOptions, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_NOTE_BYTES, MAX_VALUE_BYTES,
    Options, WriteOptions,
};
pub use patches::{PatchAnswer, PatchMatch, PatchQuery};
#[cfg(feature = "__internals")]
pub use probe::{
    EntryKind, PlantedEntry, ProbedSuperblock, list_entries, plant_entries, probe_entry,
    probe_superblock,
};
pub use query::Query;
pub use record::Record;
pub use repair::{RepairOptions, RepairReport};
#[cfg(feature = "__internals")]
pub use segment::{Probe, ProbeAnswer, ProbedSegment};
pub use snapshot::{Readable, Snapshot};
pub use space::SpaceReport;
pub use stats::{SegmentStats, Stats};
pub use ticket::Written;
pub use verify::{Damage, VerifyReport};

use crate::code::{Address, Code};
use crate::error::{Error, Result};
use crate::storage::failpoint;
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
            failpoint::reach("close.begin");
            let _recovered_at_open = self.engine.sync();
            failpoint::reach("close.synced");
        }
    }
}

impl Database {
    fn start(engine: Engine) -> Self {
        let engine = Arc::new(engine);
        let wanted = engine.options.background && !engine.read_only;
        let maintainer = wanted.then(|| Maintainer::start(Arc::clone(&engine)));
        let database = Self { shared: Arc::new(Shared { engine, maintainer }) };
        if database.engine().is_behind() {
            database.wake();
        }
        database
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
    /// the state of the moment of opening until [`Database::catch_up`]. Beside a writer that compacts,
    /// a value of 4 KiB or more may become unreadable; catching up mends that.
    ///
    /// # Errors
    ///
    /// As [`Database::open`], but never [`Error::Locked`](crate::Error::Locked).
    pub fn open_read_only(path: impl AsRef<Path>, options: Options) -> Result<Self> {
        Engine::open_read_only(path.as_ref(), options).map(Self::start)
    }

    /// Repairs a damaged database that nobody has open. Where its records can be read, nothing is
    /// lost: segments, keys, pending entries, tombstones, counters and the superblock are made anew
    /// from them, and a record whose entry cannot be read from its key and its row. Where they cannot,
    /// nothing is changed unless [`RepairOptions::accept_loss`] says that what is gone may be given up;
    /// then what can be read is salvaged. Damaged files are moved to the folder `damaged`, never
    /// removed. A repair that was interrupted is finished by the next one.
    ///
    /// Takes 8 bytes of memory a record at most, and a record store of which blocks cannot be read is
    /// written anew: that takes as much room on the disk as it has.
    ///
    /// # Errors
    ///
    /// [`Error::WouldLose`](crate::Error::WouldLose) if something would be lost: nothing was changed.
    /// [`Error::Locked`](crate::Error::Locked) if the database is open,
    /// [`Error::UnsupportedFormat`](crate::Error::UnsupportedFormat) for a newer format,
    /// [`Error::Io`](crate::Error::Io) or [`Error::Records`](crate::Error::Records) if the disk fails.
    pub fn repair(path: impl AsRef<Path>, options: RepairOptions) -> Result<RepairReport> {
        repair::repair(path.as_ref(), options)
    }

    /// Makes room on a full disk: gives the file BALLAST back ([`Options::ballast_bytes`]), opens the
    /// database for writing, which needs some, and reclaims the space of deleted records. The reserve
    /// is taken again by a later seal or compaction, when there is room.
    ///
    /// # Errors
    ///
    /// As [`Database::open`]; if the disk is still too full, room has to be made elsewhere.
    pub fn recover_space(path: impl AsRef<Path>, options: Options) -> Result<SpaceReport> {
        space::recover_space(path.as_ref(), options)
    }

    /// Looks at the files of a database that nobody has open for what cannot be seen any more once
    /// it is: a log that ends in half a record, as a crash during an unacknowledged write leaves it, and
    /// files that do not belong there. Changes nothing; see [`Database::verify`] for everything else.
    ///
    /// # Errors
    ///
    /// [`Error::NotADatabase`](crate::Error::NotADatabase),
    /// [`Error::Locked`](crate::Error::Locked) if a process has it open for writing, and
    /// [`Error::Io`](crate::Error::Io) if a folder cannot be listed.
    pub fn check_files(path: impl AsRef<Path>) -> Result<Vec<Damage>> {
        strict::check_files(path.as_ref())
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

    /// The same for a record with patch addresses ([`WriteBatch::put_with_patches`]).
    ///
    /// # Errors
    ///
    /// As [`Database::write`].
    pub fn put_with_patches(
        &self,
        key: &[u8],
        address: Address,
        code: Code,
        value: &[u8],
        patches: &[Address],
    ) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.put_with_patches(key, address, code, value, patches);
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
        if self.engine().wants_maintenance() {
            self.wake();
        }
        Ok(written)
    }

    /// Begins to bring many records in at once, which is faster than [`Database::write`];
    /// one load at a time. See [`BulkLoader`].
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if a load is under way,
    /// [`Error::ReadOnly`](crate::Error::ReadOnly),
    /// [`Error::Io`](crate::Error::Io) or [`Error::Records`](crate::Error::Records) if the disk fails.
    pub fn bulk_loader(&self, options: BulkOptions) -> Result<BulkLoader> {
        BulkLoader::begin(self, options)
    }

    /// Has the background look for something to do.
    fn wake(&self) {
        if let Some(maintainer) = &self.shared.maintainer {
            maintainer.wake();
        }
    }

    /// Keeps the memtable bounded where writers outrun the background thread.
    fn relieve(&self) -> Result<()> {
        let engine = self.engine();
        let most = engine.options.memtable_records.saturating_mul(4);
        if !engine.read_only && engine.view().memtable.len() >= most {
            engine.seal_from(most)?;
            self.keep_up()?;
        }
        Ok(())
    }

    /// Has who seals wait where seals outrun the background's merges.
    fn keep_up(&self) -> Result<()> {
        if self.shared.maintainer.is_some() { self.engine().keep_up() } else { Ok(()) }
    }

    /// Makes every write so far durable, those without sync too.
    ///
    /// # Errors
    ///
    /// As [`Database::write`].
    pub fn sync(&self) -> Result<()> {
        self.engine().sync()
    }

    /// Turns the memtable into a segment now; says whether there was anything in it. Where seals follow each
    /// other faster than the background merges, it takes part and takes longer.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) if the segment or the superblock cannot be written: no record is
    /// lost and no answer changes. [`Error::Poisoned`](crate::Error::Poisoned) after a failed write.
    pub fn seal(&self) -> Result<bool> {
        let sealed = self.engine().seal()?;
        self.wake();
        self.keep_up()?;
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

    /// Makes a second database of one state of this one in `path`, a directory that is absent or empty:
    /// all writes that were acknowledged before the call, none that began after it. Files that never
    /// change are shared by hard links, so it takes next to no time and space; where the file system
    /// cannot link, they are copied. Writers wait for milliseconds, readers never. What the two
    /// databases do afterwards does not touch the other; both have the same database id.
    ///
    /// On a read-only handle it holds the newest state in the directory, whoever writes to it, which may
    /// be newer than the one that the handle shows. The database's own directory must be writable.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) if something is at `path`, or something
    /// foreign at the same path with `.tmp` behind it, where the files are gathered;
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if `path` lies in the database;
    /// [`Error::Locked`](crate::Error::Locked) if another process makes a checkpoint or a backup, or
    /// writes so fast that no state can be held; [`Error::Io`](crate::Error::Io) and
    /// [`Error::Records`](crate::Error::Records) if the disk fails: nothing that looks like a database
    /// is left at `path`.
    pub fn checkpoint(&self, path: impl AsRef<Path>) -> Result<CheckpointInfo> {
        self.engine().checkpoint(path.as_ref())
    }

    /// Has a read-only handle show the newest state, whatever another process wrote since; says whether
    /// there was anything newer. Snapshots that were taken before stay as they are, large values that the
    /// writer has moved excepted. Costs what opening
    /// costs, without the segments that are open already. A handle that writes always shows the newest
    /// state: there is nothing to do.
    ///
    /// # Errors
    ///
    /// As [`Database::open_read_only`]; the handle then shows what it showed.
    pub fn catch_up(&self) -> Result<bool> {
        self.engine().catch_up()
    }

    /// Reads every byte that hashdb owns and holds the parts against each other: superblock,
    /// records, keys, values, pending entries, tombstones, segments. The record store checks every
    /// block of every table, those of its own indexes and filters too; blob files are checked as far
    /// as a value lies in them. Its log was read when the database was opened, its manifest too. Of
    /// the encoder's weights it sees that they are there; whether they are right,
    /// `Autoencoder::from_bytes` says.
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
