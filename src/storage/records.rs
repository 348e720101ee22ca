//! The record store: RocksDB behind a handful of verbs. This is the one file that names
//! `rocksdb`; nothing of it shows in a signature.
//!
//! Two rules hold here so that no caller can break them: a scan ends with the iterator's status
//! checked (a bad block otherwise ends it quietly), and the log is recovered in
//! `TolerateCorruptedTailRecords` (the default mode drops what lies behind a flipped bit), unless its
//! last record was plainly never written out.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB,
    DBCompressionType, DBRecoveryMode, FlushOptions, LogLevel, Options, ReadOptions, Snapshot,
    WriteBatch, WriteOptions,
};
use self_cell::self_cell;

use crate::error::{Corruption, Error, RecordError, Result};
use crate::storage::fs::OsFs;
use crate::storage::lock::Lock;
use crate::storage::log;
use crate::storage::tables::{USUAL_LEVEL, set_compression};
use crate::storage::watermark;

/// The column families (storage-format.md, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Meta,
    Records,
    Keys,
    Values,
    Pending,
    Tombstones,
}

impl Family {
    pub(crate) const ALL: [Self; 6] =
        [Self::Meta, Self::Records, Self::Keys, Self::Values, Self::Pending, Self::Tombstones];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Records => "records",
            Self::Keys => "keys",
            Self::Values => "values",
            Self::Pending => "pending",
            Self::Tombstones => "tombstones",
        }
    }

    /// How the blocks of its tables lie, without filters.
    pub(super) fn blocks(self, cache: &Cache) -> BlockBasedOptions {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(cache);
        blocks.set_format_version(6);
        if matches!(self, Self::Keys | Self::Values | Self::Records) {
            // In parts that are read when they are asked for: each open reads whole ones, and they stay in memory,
            // however many records there are. So are filters.
            blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
            blocks.set_partition_filters(true);
        }
        blocks
    }

    pub(super) fn options(self, cache: &Cache) -> Options {
        let mut blocks = self.blocks(cache);
        if matches!(self, Self::Keys | Self::Values | Self::Records) {
            // Point look-ups of absent keys are the rule while loading. Values are looked up that are there, in tables
            // that the deletions of older ones make overlap.
            blocks.set_bloom_filter(10.0, false);
        }
        let mut options = Options::default();
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::Lz4);
        if self == Self::Values {
            options.set_compression_type(DBCompressionType::Zstd);
            set_compression(&mut options, USUAL_LEVEL, DICTIONARY_BYTES);
            options.set_enable_blob_files(true);
            options.set_min_blob_size(LARGE_VALUE_BYTES);
            options.set_blob_compression_type(DBCompressionType::Zstd);
            options.set_enable_blob_gc(true);
            // Every blob file may be rewritten: the default looks at the oldest quarter only, which
            // of three files is none.
            options.set_blob_gc_age_cutoff(1.0);
        }
        options
    }
}

/// The dictionary of a table of values, in bytes, made of what they have in common: without it the names of JSON
/// members or the head of a thumbnail are stored in each block, and a block holds few values.
const DICTIONARY_BYTES: i32 = 16 << 10;
/// Values from this size on live in blob files, so that compaction does not copy them.
const LARGE_VALUE_BYTES: u64 = 4096;
/// One request of this size replaces many small ones in a scan.
const READAHEAD_BYTES: usize = 256 << 10;
const KEPT_INFO_LOGS: usize = 4;
const MAX_LOG_BYTES: u64 = 256 << 20;

/// How the store is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Create,
    Write,
    ReadOnly,
    /// For reading, and a log that ends in half a record is refused too.
    Strict,
    /// For writing, on a copy: takes what can be read up to the first damage in the log.
    Salvage,
    /// The same, and does without tables that are gone. What lies behind the first damage of a log it
    /// reads on, so that there may be holes.
    Lenient,
}

impl Access {
    /// Whether the store may be changed in ways that its owner would not want.
    fn is_of_a_copy(self) -> bool {
        matches!(self, Self::Salvage | Self::Lenient)
    }
}

/// An open record store.
///
/// The lock goes with it, so that the directory stays locked until the last snapshot is gone.
pub(crate) struct Records {
    pub(super) path: PathBuf,
    pub(super) db: DB,
    _lock: Option<Lock>,
    /// The next write fails.
    #[cfg(test)]
    pub(crate) fault: parking_lot::Mutex<Option<WriteFault>>,
}

/// How a write fails in tests: an error says nothing of whether the batch reached the disk.
#[cfg(test)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteFault {
    BeforeTheDisk,
    AfterTheDisk,
}

impl fmt::Debug for Records {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Records").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Records {
    /// Opens the store; `cache_bytes` bounds the cache of uncompressed blocks.
    pub(crate) fn open(
        path: &Path,
        access: Access,
        cache_bytes: usize,
        lock: Option<Lock>,
    ) -> Result<Self> {
        let cache = Cache::new_lru_cache(cache_bytes);
        if access != Access::Create && !path.join("CURRENT").is_file() {
            return Err(damage(path, "the file CURRENT is missing"));
        }
        if matches!(access, Access::Write | Access::ReadOnly | Access::Strict) {
            watermark::check(&OsFs, path)?;
            log::refuse_recycled(&OsFs, path)?;
            log::refuse_damaged(&OsFs, path)?;
        }
        let open = |options: Options| {
            let families = Family::ALL.map(|family| {
                let mut options = family.options(&cache);
                // Tables that are gone after a salvaging open were not named by the manifest.
                options.set_disable_auto_compactions(access.is_of_a_copy());
                ColumnFamilyDescriptor::new(family.name(), options)
            });
            match access {
                Access::Create | Access::Write | Access::Salvage | Access::Lenient => {
                    DB::open_cf_descriptors(&options, path, families)
                }
                Access::ReadOnly | Access::Strict => {
                    DB::open_cf_descriptors_read_only(&options, path, families, false)
                }
            }
        };
        let mut db = open(store_options(access));
        if matches!(access, Access::Write | Access::ReadOnly)
            && db.as_ref().is_err_and(is_corruption)
            && log::are_torn_at_most(path)
        {
            // RocksDB tolerates a tail that is missing, but not one that is zeros.
            let mut options = store_options(access);
            options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
            db = open(options);
        }
        let db = db.map_err(|error| name_log(failure(path, &error)))?;
        Ok(Self {
            path: path.to_path_buf(),
            db,
            _lock: lock,
            #[cfg(test)]
            fault: parking_lot::Mutex::default(),
        })
    }

    pub(super) fn fail(&self, error: &rocksdb::Error) -> Error {
        failure(&self.path, error)
    }

    pub(super) fn family(&self, family: Family) -> Result<&ColumnFamily> {
        self.db.cf_handle(family.name()).ok_or_else(|| {
            damage(&self.path, format!("column family {} is missing", family.name()))
        })
    }

    /// Applies the batch atomically; with `sync` it is durable on return.
    pub(crate) fn write(&self, batch: RecordsBatch, sync: bool) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(sync);
        let mut out = WriteBatch::default();
        for change in batch.changes {
            match change {
                Change::Put(family, key, value) => out.put_cf(self.family(family)?, key, value),
                Change::Delete(family, key) => out.delete_cf(self.family(family)?, key),
                Change::DeleteRange(family, from, to) => {
                    out.delete_range_cf(self.family(family)?, from, to);
                }
            }
        }
        #[cfg(test)]
        if let Some(fault) = self.fault.lock().take() {
            if fault == WriteFault::AfterTheDisk {
                self.db.write_opt(out, &options).map_err(|error| self.fail(&error))?;
            }
            let source = RecordError { message: "injected".to_owned(), corruption: false };
            return Err(Error::Records { path: self.path.clone(), source });
        }
        self.db.write_opt(out, &options).map_err(|error| self.fail(&error))
    }

    /// Makes everything written so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.db.flush_wal(true).map_err(|error| self.fail(&error))
    }

    /// The number of the last change.
    pub(crate) fn latest_sequence(&self) -> u64 {
        self.db.latest_sequence_number()
    }

    /// The newest value of a key.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>> {
        self.db.get_cf(self.family(family)?, key).map_err(|error| self.fail(&error))
    }

    /// Freezes the current content.
    pub(crate) fn snapshot(self: &Arc<Self>) -> RecordsSnapshot {
        RecordsSnapshot {
            cell: SnapshotCell::new(Arc::clone(self), |records| Frozen(records.db.snapshot())),
        }
    }

    /// An error about content that the store returned but that cannot be.
    pub(crate) fn damage(&self, what: &Corruption) -> Error {
        damage(&self.path, what.to_string())
    }

    /// Reclaims the space of deleted and replaced entries.
    pub(crate) fn compact(&self) -> Result<()> {
        self.compact_families(&Family::ALL)
    }

    /// The same for some families.
    pub(crate) fn compact_families(&self, families: &[Family]) -> Result<()> {
        let errors = || self.db.property_int_value("rocksdb.background-errors").ok().flatten();
        let before = errors();
        for &family in families {
            self.db.compact_range_cf(self.family(family)?, None::<&[u8]>, None::<&[u8]>);
        }
        // The call itself has no result.
        if errors() > before {
            let message = "compaction failed, see the file LOG".to_owned();
            let source = RecordError { message, corruption: false };
            return Err(Error::Records { path: self.path.clone(), source });
        }
        Ok(())
    }

    /// Writes what only memory and the log hold to tables, which ends the log.
    pub(crate) fn flush(&self) -> Result<()> {
        let handles = Family::ALL.map(|family| self.family(family));
        let handles = handles.into_iter().collect::<Result<Vec<_>>>()?;
        let handles: Vec<_> = handles.iter().collect();
        let flushed = self.db.flush_cfs_opt(&handles, &FlushOptions::default());
        flushed.map_err(|error| self.fail(&error))
    }

    /// Makes a second store of the same content in a directory that is absent: tables are linked,
    /// where the file system allows it, the log and the manifest copied. The caller keeps writers out.
    pub(crate) fn checkpoint(&self, path: &Path) -> Result<()> {
        // As large as a log can be: nothing is flushed, so that writers wait for a copy of the log only.
        let made = Checkpoint::new(&self.db)
            .and_then(|checkpoint| checkpoint.create_checkpoint_with_log_size(path, u64::MAX));
        made.map_err(|error| self.fail(&error))
    }

    /// The names of the tables that the content is made of.
    pub(crate) fn live_tables(&self) -> Result<Vec<String>> {
        let files = self.db.live_files().map_err(|error| self.fail(&error))?;
        Ok(files.into_iter().map(|file| file.name.trim_start_matches('/').to_owned()).collect())
    }

    /// Bytes of the store's files, without its log.
    pub(crate) fn file_bytes(&self) -> u64 {
        Family::ALL.iter().map(|&family| self.family_bytes(family)).sum()
    }

    /// Bytes of the files of one family, compressed as they are.
    pub(crate) fn family_bytes(&self, family: Family) -> u64 {
        let property = |name: &str| {
            let handle = self.db.cf_handle(family.name())?;
            self.db.property_int_value_cf(handle, name).ok().flatten()
        };
        ["rocksdb.total-sst-files-size", "rocksdb.total-blob-file-size"]
            .into_iter()
            .filter_map(property)
            .sum()
    }
}

/// Changes that happen together or not at all.
#[derive(Debug, Default)]
pub(crate) struct RecordsBatch {
    changes: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Put(Family, Vec<u8>, Vec<u8>),
    Delete(Family, Vec<u8>),
    DeleteRange(Family, Vec<u8>, Vec<u8>),
}

impl RecordsBatch {
    pub(crate) fn put(
        &mut self,
        family: Family,
        key: impl Into<Vec<u8>>,
        value: impl Into<Vec<u8>>,
    ) {
        self.changes.push(Change::Put(family, key.into(), value.into()));
    }

    pub(crate) fn delete(&mut self, family: Family, key: impl Into<Vec<u8>>) {
        self.changes.push(Change::Delete(family, key.into()));
    }

    /// Deletes the keys from `from` up to, but without, `to`.
    pub(crate) fn delete_range(
        &mut self,
        family: Family,
        from: impl Into<Vec<u8>>,
        to: impl Into<Vec<u8>>,
    ) {
        self.changes.push(Change::DeleteRange(family, from.into(), to.into()));
    }
}

/// RocksDB's snapshot, which releases itself when dropped.
struct Frozen<'a>(Snapshot<'a>);

self_cell!(
    struct SnapshotCell {
        owner: Arc<Records>,
        #[covariant]
        dependent: Frozen,
    }
);

/// The content of the store at one moment; keeps the store open while it lives.
pub(crate) struct RecordsSnapshot {
    cell: SnapshotCell,
}

/// The options of the store; `salvage` needs them too.
pub(super) fn store_options(access: Access) -> Options {
    let mut options = Options::default();
    options.create_if_missing(access == Access::Create);
    options.set_error_if_exists(access == Access::Create);
    options.create_missing_column_families(access == Access::Create);
    options.set_wal_recovery_mode(match access {
        Access::Strict => DBRecoveryMode::AbsoluteConsistency,
        Access::Salvage | Access::Lenient => DBRecoveryMode::PointInTime,
        Access::Create | Access::Write | Access::ReadOnly => {
            DBRecoveryMode::TolerateCorruptedTailRecords
        }
    });
    options.set_paranoid_checks(access != Access::Lenient);
    options.set_max_background_jobs(2);
    options.set_max_total_wal_size(MAX_LOG_BYTES);
    options.set_keep_log_file_num(KEPT_INFO_LOGS);
    options.set_log_level(LogLevel::Warn);
    // A log that is gone, or shorter than it was when the next one was begun, is refused. On for
    // readers too: RocksDB crashes in a read-only open that has it off where the writer had it on.
    options.set_track_and_verify_wals_in_manifest(!access.is_of_a_copy());
    options
}

impl fmt::Debug for RecordsSnapshot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RecordsSnapshot").finish_non_exhaustive()
    }
}

impl RecordsSnapshot {
    /// The store that was frozen.
    pub(crate) fn records(&self) -> &Arc<Records> {
        self.cell.borrow_owner()
    }

    pub(super) fn frozen(&self) -> &Snapshot<'_> {
        &self.cell.borrow_dependent().0
    }

    /// The number of the last change that it shows.
    pub(crate) fn sequence(&self) -> u64 {
        self.cell.borrow_dependent().0.sequence_number()
    }

    /// The value of a key.
    pub(crate) fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>> {
        let records = self.records();
        let handle = records.family(family)?;
        let snapshot = &self.cell.borrow_dependent().0;
        snapshot.get_cf(handle, key).map_err(|error| records.fail(&error))
    }

    /// Visits the entries of a family in key order from `from` on, until the visitor breaks. An
    /// entry that cannot be read is an error, never the end of the scan.
    pub(crate) fn scan(
        &self,
        family: Family,
        from: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let records = self.records();
        let handle = records.family(family)?;
        let options = scan_options();
        let mut entries = self.cell.borrow_dependent().0.raw_iterator_cf_opt(handle, options);
        entries.seek(from);
        while let Some((key, value)) = entries.item() {
            if visit(key, value)?.is_break() {
                return Ok(());
            }
            entries.next();
        }
        entries.status().map_err(|error| records.fail(&error))
    }

    /// An error about content that the store returned but that cannot be.
    pub(crate) fn damage(&self, what: &Corruption) -> Error {
        self.records().damage(what)
    }
}

/// How entries are read one after the other: every block is checked.
pub(super) fn scan_options() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.set_verify_checksums(true);
    options.set_readahead_size(READAHEAD_BYTES);
    options
}

/// Names the log in an error about it: RocksDB does not always, and who has to mend it must know.
fn name_log(error: Error) -> Error {
    let Error::Records { path, mut source } = error else { return error };
    if source.corruption
        && source.message.contains("MANIFEST")
        && watermark::has_unwritten(&OsFs, &path)
    {
        let advice = "its last edit was never written out, as a loss of power leaves it; \
             opening the database for writing mends it";
        let message = format!("{}: {advice}", source.message);
        return Error::Records { path, source: RecordError { message, ..source } };
    }
    // A file that the manifest names is gone.
    source.corruption |= ["No such file or directory", "Column family not found"]
        .iter()
        .any(|sign| source.message.contains(sign));
    let about_a_log = source.corruption
        && !source.message.contains(".sst")
        && !source.message.contains("MANIFEST");
    if !about_a_log || source.message.contains(".log") {
        return Error::Records { path, source };
    }
    let message = match log::first_broken(&path) {
        Some(log) => format!("{} in the log {log}", source.message),
        None => source.message,
    };
    Error::Records { path, source: RecordError { message, ..source } }
}

fn is_corruption(error: &rocksdb::Error) -> bool {
    error.kind() == rocksdb::ErrorKind::Corruption
}

pub(super) fn failure(path: &Path, error: &rocksdb::Error) -> Error {
    let source = RecordError { message: error.to_string(), corruption: is_corruption(error) };
    Error::Records { path: path.to_path_buf(), source }
}

/// An error about content that the store returned without complaint but that cannot be.
fn damage(path: &Path, message: impl Into<String>) -> Error {
    let source = RecordError { message: message.into(), corruption: true };
    Error::Records { path: path.to_path_buf(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that nothing compresses.
    struct Noise(u64);

    impl Noise {
        fn bytes(&mut self, count: usize) -> Vec<u8> {
            let next = || {
                self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                self.0.to_be_bytes()[0]
            };
            std::iter::repeat_with(next).take(count).collect()
        }
    }

    #[test]
    fn small_values_share_a_dictionary_across_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records");
        let records = Records::open(&path, Access::Create, 1 << 20, None).unwrap();
        let mut noise = Noise(7);
        // Eight heads of 1,200 bytes: a block of 4 KiB has three values, which hardly ever begin alike.
        let heads: Vec<_> = (0..8).map(|_| noise.bytes(1200)).collect();
        let count = 8000_u64;
        let value = |id: u64, noise: &mut Noise| {
            let head = heads[usize::from(noise.bytes(1)[0]) % 8].as_slice();
            [head, &noise.bytes(50), &id.to_be_bytes()].concat()
        };
        let mut expected = Vec::new();
        for id in 0..count {
            let mut batch = RecordsBatch::default();
            expected.push(value(id, &mut noise));
            batch.put(Family::Values, id.to_be_bytes(), expected[expected.len() - 1].clone());
            records.write(batch, false).unwrap();
        }
        records.flush().unwrap();
        let bytes = records.family_bytes(Family::Values) / count;
        assert!((50..300).contains(&bytes), "a value of 1,258 bytes takes {bytes}");
        drop(records);
        for access in [Access::ReadOnly, Access::Write] {
            let records = Records::open(&path, access, 1 << 20, None).unwrap();
            for (id, expected) in (0..count).zip(&expected) {
                let value = records.get(Family::Values, &id.to_be_bytes()).unwrap();
                assert_eq!(value.as_ref(), Some(expected), "{id}");
            }
        }
    }
}
