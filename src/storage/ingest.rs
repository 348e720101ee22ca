//! Tables become part of the record store, all at once: [`Prepared::commit`] is one change of RocksDB's manifest,
//! whatever the number of tables and families; after a crash all of them are part of the store or none is.
//! [`Records::prepare`] does before it what may fail without a doubt about what is on the disk.
//!
//! Where that change fails, it may be on the disk all the same: a sync that failed says nothing of what it was to
//! sync. RocksDB then removes the names that it gave to the tables, and a manifest that names them could not be
//! opened any more. So the names are noted before and given back; where the manifest turns out not to have them,
//! the next open removes them.
#![expect(unsafe_code, reason = "calls that the binding lacks, see ingest.cc")]

use std::ffi::{CStr, CString, c_char, c_void};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rocksdb::{AsColumnFamilyRef as _, AsRawPtr as _};

use crate::error::{Error, RecordError, Result};
use crate::storage::fs::{Fs, OsFs};
use crate::storage::records::{Family, Records};
use crate::storage::tables::Table;

unsafe extern "C" {
    fn hashdb_ingest_prepare(
        db: *mut c_void,
        count: usize,
        families: *const *mut c_void,
        files: *const *const c_char,
        prepared: *mut *mut c_void,
        message: *mut *mut c_char,
    ) -> bool;

    fn hashdb_ingest_commit(
        db: *mut c_void,
        prepared: *mut c_void,
        message: *mut *mut c_char,
    ) -> bool;

    fn hashdb_ingest_abort(prepared: *mut c_void);

    fn hashdb_blob_files(db: *mut c_void, family: *mut c_void, length: *mut usize) -> *mut c_char;
}

/// Tables that have names in the store and are no part of it yet. They lose the names if this is dropped.
pub(crate) struct Prepared<'a> {
    linked: Linked<'a>,
    links: Vec<Link>,
}

/// What RocksDB holds of them.
struct Linked<'a> {
    records: &'a Records,
    handle: *mut c_void,
}

impl Drop for Linked<'_> {
    fn drop(&mut self) {
        if !self.handle.is_null() {
            // SAFETY: the handle is ours, was not spent, and its database is open.
            unsafe { hashdb_ingest_abort(self.handle) };
        }
    }
}

impl Linked<'_> {
    fn commit(mut self) -> Result<()> {
        let handle = std::mem::replace(&mut self.handle, std::ptr::null_mut());
        // SAFETY: the database is open while it is borrowed; the handle is ours, and spent from here on.
        self.records
            .told(|message| unsafe { hashdb_ingest_commit(self.records.raw(), handle, message) })
    }
}

/// A table and the name that the store gave it.
struct Link {
    table: PathBuf,
    name: PathBuf,
}

impl Prepared<'_> {
    /// Makes the tables part of the store, all or none, durably; their files are gone afterwards. Where keys of a
    /// family stand in several tables, the later one wins, and each wins over what is in the store. The last
    /// change gets a new number if anything was there before under one of the keys.
    ///
    /// After an error it is only known after reopening whether they were taken in.
    pub(crate) fn commit(self) -> Result<()> {
        let Self { linked, links } = self;
        let records = linked.records;
        #[cfg(test)]
        let fault = records.fault.lock().take();
        #[cfg(test)]
        if fault == Some(crate::storage::records::WriteFault::BeforeTheDisk) {
            return Err(records.refused("injected".to_owned()));
        }
        let committed = linked.commit();
        #[cfg(test)]
        let committed = records.as_after_a_failed_sync(committed, fault, &links);
        committed.inspect_err(|_| {
            // What cannot be given back is told of when the store is opened.
            let _told_later = records.give_names_back(&links);
        })
    }
}

impl Records {
    /// Gives tables names in the store, of which [`Prepared::commit`] makes them a part. An error leaves the store
    /// as it was, and the tables where they are.
    pub(crate) fn prepare(&self, fs: &dyn Fs, mut tables: Vec<Table>) -> Result<Prepared<'_>> {
        tables.sort_by_key(|table| table.family as usize);
        let linked = self.link(&tables)?;
        let links = self.links_of(fs, &tables)?;
        Ok(Prepared { linked, links })
    }

    fn link(&self, tables: &[Table]) -> Result<Linked<'_>> {
        let mut families = Vec::with_capacity(tables.len());
        let mut paths = Vec::with_capacity(tables.len());
        for table in tables {
            families.push(self.family(table.family)?.inner().cast::<c_void>());
            let path = CString::new(table.path.as_os_str().as_encoded_bytes());
            paths.push(path.map_err(|_| Error::invalid("path", "must hold no zero byte"))?);
        }
        let files: Vec<_> = paths.iter().map(|path| path.as_ptr()).collect();
        let mut handle = std::ptr::null_mut();
        // SAFETY: the database and its families are open and stay so while `self` is borrowed; both
        // arrays have as many entries as told, and the strings live in `paths`. The handle is set where
        // the call succeeds.
        self.told(|message| unsafe {
            let (families, count) = (families.as_ptr(), files.len());
            let handle = &raw mut handle;
            hashdb_ingest_prepare(self.raw(), count, families, files.as_ptr(), handle, message)
        })?;
        Ok(Linked { records: self, handle })
    }

    /// The names of the tables in the store: the same files, by their inodes. Where the file system has no links the
    /// store has copies, which are not among them: of those nothing could be given back.
    fn links_of(&self, fs: &dyn Fs, tables: &[Table]) -> Result<Vec<Link>> {
        let mut inodes = std::collections::HashMap::with_capacity(tables.len());
        for table in tables {
            inodes.insert(inode(&table.path)?, &table.path);
        }
        let mut links = Vec::with_capacity(tables.len());
        for name in fs.list(&self.path)? {
            if name.extension().is_some_and(|kind| kind == "sst")
                && let Ok(number) = inode(&name)
                && let Some(table) = inodes.remove(&number)
            {
                links.push(Link { table: table.clone(), name });
            }
        }
        Ok(links)
    }

    fn give_names_back(&self, links: &[Link]) -> Result<()> {
        for Link { table, name } in links.iter().filter(|link| !link.name.exists()) {
            OsFs.hard_link(table, name)?;
        }
        OsFs.sync_dir(&self.path)
    }

    /// The store as RocksDB leaves it where the sync of its manifest fails, which has the change all the same.
    #[cfg(test)]
    fn as_after_a_failed_sync(
        &self,
        committed: Result<()>,
        fault: Option<crate::storage::records::WriteFault>,
        links: &[Link],
    ) -> Result<()> {
        committed?;
        if fault.is_none() {
            return Ok(());
        }
        links.iter().try_for_each(|Link { table, name }| OsFs.rename(name, table))?;
        Err(self.refused("injected".to_owned()))
    }

    fn raw(&self) -> *mut c_void {
        // SAFETY: a pointer to the database, which who has it uses while `self` is borrowed.
        unsafe { self.db.as_raw_ptr() }.cast()
    }

    /// Makes a call that says whether it succeeded, and if not, why: a string that ends with zero and is ours to
    /// free, or null where memory is short.
    fn told(&self, call: impl FnOnce(*mut *mut c_char) -> bool) -> Result<()> {
        let mut message = std::ptr::null_mut();
        if call(&raw mut message) {
            return Ok(());
        }
        if message.is_null() {
            return Err(self.refused("memory is short".to_owned()));
        }
        // SAFETY: see above.
        let text = unsafe {
            let text = CStr::from_ptr(message).to_string_lossy().into_owned();
            librocksdb_sys::rocksdb_free(message.cast());
            text
        };
        Err(self.refused(text))
    }

    fn refused(&self, message: String) -> Error {
        let corruption = message.starts_with("Corruption");
        Error::Records { path: self.path.clone(), source: RecordError { message, corruption } }
    }

    /// The names of the files that the content is made of: tables, and blob files with large values.
    pub(crate) fn live_files(&self) -> Result<Vec<String>> {
        let mut names = self.live_tables()?;
        for family in Family::ALL {
            let family = self.family(family)?.inner().cast::<c_void>();
            let mut length = 0;
            // SAFETY: the database and its families are open and stay so while `self` is borrowed; the call sets
            // the length.
            let files = unsafe { hashdb_blob_files(self.raw(), family, &raw mut length) };
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
}

/// What tells a file from all others on its disk.
fn inode(path: &Path) -> Result<(u64, u64)> {
    let failed = |source| Error::Io { path: path.to_path_buf(), op: "inspect", source };
    path.metadata().map(|file| (file.dev(), file.ino())).map_err(failed)
}
