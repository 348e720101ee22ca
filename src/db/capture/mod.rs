//! Capture: all files of one state of a database, gathered in its folder `staging`, so that they stay
//! while a checkpoint or a backup is made of them and the database goes on.
//!
//! Files that never change are linked there, the log and the manifest copied: nothing in a capture is
//! written to any more by the database. One capture at a time; what a killed one left is removed by
//! the next, and when the database is opened for writing.

mod directory;
mod handle;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::Result;
use crate::storage::fs::Fs;
use crate::storage::layout::Layout;
use crate::storage::lock::Lock;
use crate::storage::superblock::Superblock;
use crate::storage::tree::{file_bytes, link_or_copy, remove_tree};

/// One state of a database as files that nobody changes.
#[derive(Debug)]
pub(crate) struct Capture {
    /// The superblock of exactly this state; it is no file yet.
    pub(crate) superblock: Superblock,
    /// All files but the superblock, sorted by name.
    pub(crate) files: Vec<CapturedFile>,
    _staging: Staging,
}

/// A file of a captured state.
#[derive(Debug)]
pub(crate) struct CapturedFile {
    /// Its name in a database: folder, slash, file.
    pub(crate) name: String,
    /// Where it lies now.
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

impl CapturedFile {
    /// Whether the database itself has the very same file, since it never changes.
    pub(crate) fn is_shared(&self) -> bool {
        !self.name.starts_with("records/")
            || self.path.extension().is_some_and(|kind| kind == "sst" || kind == "blob")
    }
}

/// The folders of a database that hold a state, beside its superblock.
pub(crate) const FOLDERS: [&str; 3] = ["records", "segments", "models"];

/// The folder `staging` of a database, while it is in use.
#[derive(Debug)]
struct Staging {
    layout: Layout,
    fs: Arc<dyn Fs>,
    _lock: Lock,
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What stays behind is removed by the next capture.
        let _left_for_the_next = remove_tree(self.fs.as_ref(), self.layout.root());
    }
}

impl Staging {
    fn begin(fs: &Arc<dyn Fs>, origin: &Layout) -> Result<Self> {
        let root = origin.staging();
        let lock = Lock::acquire(&origin.staging_lock(), &root)?;
        let staging = Self { layout: Layout::new(&root), fs: Arc::clone(fs), _lock: lock };
        staging.clear()?;
        Ok(staging)
    }

    /// Begins anew with empty folders; the record store makes its own.
    fn clear(&self) -> Result<()> {
        remove_tree(self.fs.as_ref(), self.layout.root())?;
        self.fs.create_dir(self.layout.root())?;
        self.fs.create_dir(&self.layout.segments())?;
        self.fs.create_dir(&self.layout.models())
    }

    /// Takes in a file that never changes.
    fn adopt(&self, from: &Path, to: &Path) -> Result<()> {
        link_or_copy(self.fs.as_ref(), from, to).map(|_| ())
    }

    /// Lists what was gathered.
    fn finish(self, superblock: Superblock) -> Result<Capture> {
        let mut files = Vec::new();
        for folder in FOLDERS {
            for path in self.fs.list(&self.layout.root().join(folder))? {
                let file = path.file_name().unwrap_or_default().to_string_lossy();
                if folder != "records" || is_record_file(&file) {
                    let (name, bytes) = (format!("{folder}/{file}"), file_bytes(&*self.fs, &path)?);
                    files.push(CapturedFile { name, path, bytes });
                }
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Capture { superblock, files, _staging: self })
    }
}

/// Whether a file in the record store's folder is part of its content: all but its messages and its
/// lock.
fn is_record_file(name: &str) -> bool {
    !name.starts_with("LOG") && name != "LOCK"
}

/// Removes what a killed capture left, unless one is under way.
pub(crate) fn sweep_staging(fs: &Arc<dyn Fs>, layout: &Layout) {
    if layout.staging().is_dir() {
        // What cannot be removed now harms nobody; the next capture removes it.
        let _left_for_the_next = Staging::begin(fs, layout).map(drop);
    }
}
