//! The seam between hashdb and the file system: one small trait, so that tests can make the n-th
//! operation fail, and one implementation for real files whose errors name the path.
//!
//! RocksDB's own files do not pass through here.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::storage::failpoint;

/// The file operations that hashdb's own files need.
pub(crate) trait Fs: Send + Sync + fmt::Debug {
    /// Creates a directory; one that exists is an error of kind `AlreadyExists`.
    fn create_dir(&self, path: &Path) -> Result<()>;
    /// Creates an empty file for writing, dropping what was there.
    fn create(&self, path: &Path) -> Result<Box<dyn FsFile>>;
    /// Opens an existing file for writing in place.
    fn open_write(&self, path: &Path) -> Result<Box<dyn FsFile>>;
    /// Opens a file for reading or mapping.
    fn open_read(&self, path: &Path) -> Result<File>;
    /// Reads a whole file of at most `limit` bytes.
    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>>;
    /// Renames a file over another.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// Gives a file a second name; both lie on one file system, else the error's kind is
    /// `CrossesDevices`.
    fn hard_link(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> Result<()>;
    /// Makes the names in a directory durable.
    fn sync_dir(&self, path: &Path) -> Result<()>;
    /// The paths in a directory, sorted.
    fn list(&self, path: &Path) -> Result<Vec<PathBuf>>;
    /// Bytes that an ordinary user may still write to the file system of a directory.
    fn free_bytes(&self, path: &Path) -> Result<u64>;
}

/// A file open for writing.
pub(crate) trait FsFile: Send + fmt::Debug {
    /// Appends at the cursor.
    fn write_all(&mut self, bytes: &[u8]) -> Result<()>;
    /// Writes at an offset; the cursor is unspecified afterwards.
    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> Result<()>;
    /// Makes content and length durable. After an error the content is in doubt: never retry.
    fn sync(&mut self) -> Result<()>;
    /// Makes the file so long, with room on the disk for all of it.
    fn allocate(&mut self, bytes: u64) -> Result<()>;
}

fn io_error(path: &Path, op: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |source| Error::Io { path, op, source }
}

/// Writes a small file so that it is there whole or not at all.
pub(crate) fn write_durably(fs: &dyn Fs, path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = path.with_extension("tmp");
    let mut file = fs.create(&draft)?;
    file.write_all(bytes)?;
    file.sync()?;
    failpoint::reach("durable.written");
    fs.rename(&draft, path)?;
    failpoint::reach("durable.renamed");
    path.parent().map_or(Ok(()), |parent| fs.sync_dir(parent))
}

/// Bytes that one call appends at most. For more the page cache takes pages of 2 MiB, which a virtual machine may have to
/// ask its host for, one by one, while the call waits.
const PIECE_BYTES: usize = 1 << 20;

/// The file system of the operating system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OsFs;

#[expect(clippy::disallowed_methods, reason = "this is the one place that calls std::fs")]
impl Fs for OsFs {
    fn create_dir(&self, path: &Path) -> Result<()> {
        fs::create_dir(path).map_err(io_error(path, "create directory"))
    }

    fn create(&self, path: &Path) -> Result<Box<dyn FsFile>> {
        let file = File::create(path).map_err(io_error(path, "create"))?;
        Ok(Box::new(OsFile { path: path.to_path_buf(), file }))
    }

    fn open_write(&self, path: &Path) -> Result<Box<dyn FsFile>> {
        let file = OpenOptions::new()
            .write(true)
            .open(path)
            .map_err(io_error(path, "open for writing"))?;
        Ok(Box::new(OsFile { path: path.to_path_buf(), file }))
    }

    fn open_read(&self, path: &Path) -> Result<File> {
        File::open(path).map_err(io_error(path, "open"))
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        let length = fs::metadata(path).map_err(io_error(path, "read"))?.len();
        if length > limit {
            let rule = format!("of {} bytes is over the limit of {limit} bytes", path.display());
            return Err(Error::invalid("file", format!("{rule}, it has {length}")));
        }
        fs::read(path).map_err(io_error(path, "read"))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(io_error(to, "rename a file to"))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        fs::hard_link(from, to).map_err(io_error(to, "link a file to"))
    }

    fn remove(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(io_error(path, "remove"))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir(path).map_err(io_error(path, "remove directory"))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let directory = File::open(path).map_err(io_error(path, "open"))?;
        directory.sync_all().map_err(io_error(path, "sync directory"))
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(path).map_err(io_error(path, "list"))?;
        let paths: io::Result<Vec<_>> = entries.map(|entry| entry.map(|e| e.path())).collect();
        let mut paths = paths.map_err(io_error(path, "list"))?;
        paths.sort();
        Ok(paths)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64> {
        let space = rustix::fs::statvfs(path)
            .map_err(|error| io_error(path, "ask for the free space of")(io::Error::from(error)))?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }
}

#[derive(Debug)]
struct OsFile {
    path: PathBuf,
    file: File,
}

impl FsFile for OsFile {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        bytes
            .chunks(PIECE_BYTES)
            .try_for_each(|piece| self.file.write_all(piece))
            .map_err(io_error(&self.path, "write"))
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        use std::os::unix::fs::FileExt as _;
        self.file.write_all_at(bytes, offset).map_err(io_error(&self.path, "write"))
    }

    fn sync(&mut self) -> Result<()> {
        self.file.sync_all().map_err(io_error(&self.path, "sync"))
    }

    fn allocate(&mut self, bytes: u64) -> Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        let failed = |error| io_error(&self.path, "allocate room for")(io::Error::from(error));
        fallocate(&self.file, FallocateFlags::empty(), 0, bytes).map_err(failed)
    }
}
