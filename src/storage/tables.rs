//! Tables: sorted files for the record store, written aside and taken in all at once.
//!
//! [`Records::ingest`] is one change of RocksDB's manifest, whatever the number of tables and families:
//! after a crash all of them are part of the store or none is.
#![expect(
    unsafe_code,
    reason = "three calls that the binding lacks, two of them C++, see ingest.cc"
)]

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::{Path, PathBuf};

use rocksdb::{AsColumnFamilyRef as _, AsRawPtr as _, Cache, Options, SstFileWriter};

use crate::error::{Error, RecordError, Result};
use crate::storage::failpoint;
use crate::storage::records::{Family, Records, failure};

unsafe extern "C" {
    fn hashdb_ingest(
        db: *mut c_void,
        count: usize,
        families: *const *mut c_void,
        files: *const *const c_char,
        message: *mut *mut c_char,
    ) -> bool;

    fn hashdb_blob_files(db: *mut c_void, family: *mut c_void, length: *mut usize) -> *mut c_char;
}

/// Bytes of values that a dictionary is made of, for each of its own: as many as zstd advises.
const TRAINING: i32 = 100;
/// What waits in memory until the dictionary of its table is made. Without a limit that is the whole table.
const WAITING_BYTES: u64 = 4 << 20;

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
    let mut options = family.options(&Cache::new_lru_cache(0));
    if family == Family::Values {
        // A load is to be fast; what is written anew later gets a dictionary and the time that it takes.
        set_compression(&mut options, FAST_LEVEL, 0);
    }
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

impl Records {
    /// The names of the files that the content is made of: tables, and blob files with large values.
    pub(crate) fn live_files(&self) -> Result<Vec<String>> {
        let mut names = self.live_tables()?;
        for family in Family::ALL {
            let family = self.family(family)?.inner().cast::<c_void>();
            let mut length = 0;
            // SAFETY: the database and its families are open and stay so while `self` is borrowed; the call sets
            // the length.
            let files = unsafe {
                hashdb_blob_files(self.db.as_raw_ptr().cast::<c_void>(), family, &raw mut length)
            };
            if files.is_null() {
                return Err(self.refused("memory is short".to_owned()));
            }
            // SAFETY: so many bytes are there, which nobody else has, and they are ours to free.
            let text = unsafe {
                let bytes = std::slice::from_raw_parts(files.cast::<u8>(), length);
                let text = String::from_utf8_lossy(bytes).into_owned();
                librocksdb_sys::rocksdb_free(files.cast());
                text
            };
            let blobs = text.split('\0').filter(|name| !name.is_empty());
            names.extend(blobs.map(|name| name.trim_start_matches('/').to_owned()));
        }
        Ok(names)
    }

    /// Takes the tables in, all or none, durably; their files are gone afterwards. Where keys of a family
    /// stand in several tables, the later one wins, and each wins over what is in the store. The last
    /// change gets a new number if anything was there before under one of the keys.
    ///
    /// After an error it is only known after reopening whether they were taken in.
    pub(crate) fn ingest(&self, mut tables: Vec<Table>) -> Result<()> {
        #[cfg(test)]
        let fault = self.fault.lock().take();
        #[cfg(test)]
        if fault == Some(crate::storage::records::WriteFault::BeforeTheDisk) {
            return Err(self.refused("injected".to_owned()));
        }
        tables.sort_by_key(|table| table.family as usize);
        let mut families = Vec::with_capacity(tables.len());
        let mut paths = Vec::with_capacity(tables.len());
        for table in &tables {
            families.push(self.family(table.family)?.inner().cast::<c_void>());
            let path = CString::new(table.path.as_os_str().as_encoded_bytes());
            paths.push(path.map_err(|_| Error::invalid("path", "must hold no zero byte"))?);
        }
        let files: Vec<_> = paths.iter().map(|path| path.as_ptr()).collect();
        let mut message = std::ptr::null_mut();
        // SAFETY: the database and its families are open and stay so while `self` is borrowed; both
        // arrays have as many entries as told, and the strings live in `paths`.
        // `message` becomes null, or a string that ends with zero and is ours to free.
        let text = unsafe {
            let db = self.db.as_raw_ptr().cast::<c_void>();
            let (families, files, count) = (families.as_ptr(), files.as_ptr(), files.len());
            if hashdb_ingest(db, count, families, files, &raw mut message) {
                None
            } else if message.is_null() {
                Some("memory is short".to_owned())
            } else {
                let text = CStr::from_ptr(message).to_string_lossy().into_owned();
                librocksdb_sys::rocksdb_free(message.cast());
                Some(text)
            }
        };
        if let Some(text) = text {
            return Err(self.refused(text));
        }
        #[cfg(test)]
        if fault.is_some() {
            return Err(self.refused("injected".to_owned()));
        }
        Ok(())
    }

    fn refused(&self, message: String) -> Error {
        let corruption = message.starts_with("Corruption");
        Error::Records { path: self.path.clone(), source: RecordError { message, corruption } }
    }
}
