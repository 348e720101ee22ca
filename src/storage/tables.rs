//! Tables: sorted files for the record store, written aside until `ingest` takes them in.
#![expect(unsafe_code, reason = "a call that the binding lacks")]

use std::path::{Path, PathBuf};

use rocksdb::{AsRawPtr as _, Cache, Options, SstFileWriter};

use crate::error::Result;
use crate::storage::failpoint;
use crate::storage::records::{Family, failure};

/// Bytes of values that a dictionary is made of, for each of its own: as many as zstd advises.
const TRAINING: i32 = 100;
/// What waits in memory until the dictionary of its table is made. Without a limit that is the whole table.
const WAITING_BYTES: u64 = 4 << 20;

/// Bytes of values that a load compresses together, twice as many as usual: zstd makes half as many tables of symbols.
const VALUE_BLOCK_BYTES: usize = 8 << 10;
/// zstd's level where its speed counts.
const FAST_LEVEL: i32 = 1;
/// RocksDB's number for the default of whatever compresses: zstd's level 3.
pub(super) const USUAL_LEVEL: i32 = 32_767;

/// Sets how hard zstd tries, and the size of the dictionary of tables, 0 for none. Not for LZ4, which takes a level
/// above 0 for the slow variant.
pub(super) fn set_compression(options: &mut Options, level: i32, dictionary_bytes: i32) {
    // The window that zstd chooses and its strategy: RocksDB's defaults, which come with the call.
    let (window_bits, strategy) = (-14, 0);
    options.set_compression_options(window_bits, level, strategy, dictionary_bytes);
    options.set_zstd_max_train_bytes(TRAINING * dictionary_bytes);
    // SAFETY: the options are alive and borrowed for writing; the call puts a number into them.
    unsafe {
        let options = options.as_raw_ptr();
        librocksdb_sys::rocksdb_options_set_compression_options_max_dict_buffer_bytes(
            options,
            WAITING_BYTES,
        );
    }
}

/// A finished table, durable but for its name.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) family: Family,
    pub(crate) path: PathBuf,
}

/// A table under way: entries in rising order of their keys, each key once.
pub(crate) struct TableWriter<'a> {
    writer: SstFileWriter<'a>,
    path: &'a Path,
    entries: u64,
}

impl TableWriter<'_> {
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.entries += 1;
        self.writer.put(key, value).map_err(|error| failure(self.path, &error))
    }

    /// Notes that an entry of this key goes.
    pub(crate) fn delete(&mut self, key: &[u8]) -> Result<()> {
        self.entries += 1;
        self.writer.delete(key).map_err(|error| failure(self.path, &error))
    }
}

/// Writes a table; none if `fill` puts nothing in.
pub(crate) fn write_table(
    path: &Path,
    family: Family,
    fill: impl FnOnce(&mut TableWriter<'_>) -> Result<()>,
) -> Result<Option<Table>> {
    write(path, family, family.options(&Cache::new_lru_cache(0)), fill)
}

/// Writes a table of values whose ids no other table has between; none if `fill` puts nothing in. A load is to be fast;
/// what is written anew later gets a dictionary, smaller blocks and the time that they take.
pub(crate) fn write_values(
    path: &Path,
    fill: impl FnOnce(&mut TableWriter<'_>) -> Result<()>,
) -> Result<Option<Table>> {
    let (family, cache) = (Family::Values, Cache::new_lru_cache(0));
    let mut options = family.options(&cache);
    set_compression(&mut options, FAST_LEVEL, 0);
    // Without a filter: only values that are there are looked up, and no other table has ids between these.
    let mut blocks = family.blocks(&cache);
    blocks.set_block_size(VALUE_BLOCK_BYTES);
    options.set_block_based_table_factory(&blocks);
    write(path, family, options, fill)
}

fn write(
    path: &Path,
    family: Family,
    mut options: Options,
    fill: impl FnOnce(&mut TableWriter<'_>) -> Result<()>,
) -> Result<Option<Table>> {
    // The disk begins at once, so that little is left to wait for at the end.
    options.set_bytes_per_sync(1 << 20);
    let writer = SstFileWriter::create(&options);
    writer.open(path).map_err(|error| failure(path, &error))?;
    let mut table = TableWriter { writer, path, entries: 0 };
    fill(&mut table)?;
    if table.entries == 0 {
        return Ok(None);
    }
    table.writer.finish().map_err(|error| failure(path, &error))?;
    failpoint::reach("table.written");
    Ok(Some(Table { family, path: path.to_path_buf() }))
}
