//! The backup folder on disk: where things lie, which generations are there, and which files nobody
//! needs.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::db::backup::manifest::{FileHash, Manifest};
use crate::error::{Error, Result};
use crate::storage::fs::Fs;
use crate::storage::lock::Lock;
use crate::storage::tree::{is_absent, sync_with_parent};

/// No manifest is larger: a database has no million files.
const MAX_MANIFEST_BYTES: u64 = 256 << 20;
/// No folder counts this far.
pub(super) const MAX_NUMBER: u64 = 1 << 62;
const FILES: &str = "files";
const GENERATIONS: &str = "generations";
const LOCK: &str = "LOCK";

/// A backup folder.
pub(super) struct Folder<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) path: &'a Path,
}

/// The generations of a folder, oldest first.
#[derive(Default)]
pub(super) struct Manifests {
    pub(super) valid: Vec<Manifest>,
    /// Those that cannot be read, by number.
    pub(super) damaged: Vec<(u64, Error)>,
}

impl Manifests {
    /// The number after all that are there.
    pub(super) fn next_number(&self) -> u64 {
        let valid = self.valid.iter().map(|manifest| manifest.number);
        valid.chain(self.damaged.iter().map(|(number, _)| *number)).max().unwrap_or(0) + 1
    }
}

impl<'a> Folder<'a> {
    /// A folder that must be there.
    pub(super) fn open(fs: &'a dyn Fs, path: &'a Path) -> Result<Self> {
        let folder = Self { fs, path };
        match fs.list(path) {
            Ok(entries) if entries.iter().any(|entry| entry.ends_with(GENERATIONS)) => Ok(folder),
            Err(error) if !is_absent(&error) => Err(error),
            _ => Err(Error::NotABackup { path: path.to_path_buf() }),
        }
    }

    /// A folder that is there, or is made. Foreign files in it mean that it is no backup folder, and so do any in its
    /// `files` before there are generations.
    pub(super) fn open_or_create(fs: &'a dyn Fs, path: &'a Path) -> Result<Self> {
        let folder = Self { fs, path };
        match fs.list(path) {
            Ok(entries) => {
                let ours = |entry: &PathBuf| {
                    [FILES, GENERATIONS, LOCK].iter().any(|name| entry.ends_with(name))
                };
                let is_new = !entries.iter().any(|entry| entry.ends_with(GENERATIONS));
                let is_foreign = is_new
                    && entries.iter().any(|entry| entry.ends_with(FILES))
                    && !fs.list(&folder.files())?.is_empty();
                if is_foreign || !entries.iter().all(ours) {
                    return Err(Error::NotABackup { path: path.to_path_buf() });
                }
            }
            Err(error) if is_absent(&error) => fs.create_dir(path)?,
            Err(error) => return Err(error),
        }
        Ok(folder)
    }

    /// Keeps other backups out, and makes what is missing.
    pub(super) fn lock(&self) -> Result<Lock> {
        let lock = Lock::acquire(&self.path.join(LOCK), self.path)?;
        for name in [FILES, GENERATIONS] {
            let path = self.path.join(name);
            if self.fs.list(&path).as_ref().is_err_and(is_absent) {
                self.fs.create_dir(&path)?;
            }
        }
        sync_with_parent(self.fs, self.path)?;
        Ok(lock)
    }

    /// Keeps backups, which may remove generations, out while reading.
    pub(super) fn share(&self) -> Result<Option<Lock>> {
        Lock::share(&self.path.join(LOCK), self.path)
    }

    pub(super) fn files(&self) -> PathBuf {
        self.path.join(FILES)
    }

    pub(super) fn file(&self, hash: &FileHash) -> PathBuf {
        self.files().join(hash.to_hex().as_str())
    }

    /// Where a file is written before it is complete.
    pub(super) fn file_draft(&self) -> PathBuf {
        self.files().join("new.tmp")
    }

    pub(super) fn generations(&self) -> PathBuf {
        self.path.join(GENERATIONS)
    }

    pub(super) fn manifest(&self, number: u64) -> PathBuf {
        self.generations().join(format!("{number:012}.manifest"))
    }

    /// Reads all manifests.
    pub(super) fn manifests(&self) -> Result<Manifests> {
        let mut manifests = Manifests::default();
        for path in self.fs.list(&self.generations())? {
            if path.extension().is_none_or(|kind| kind != "manifest") {
                continue;
            }
            // No generation has number 0: a manifest of another name is a damaged one.
            let number = number_of(&path).unwrap_or(0);
            let read = self.fs.read(&path, MAX_MANIFEST_BYTES);
            match read.and_then(|bytes| Manifest::decode(&bytes, &path, number)) {
                Ok(manifest) => manifests.valid.push(manifest),
                Err(error) => manifests.damaged.push((number, error)),
            }
        }
        manifests.valid.sort_by_key(|manifest| manifest.number);
        manifests.damaged.sort_by_key(|(number, _)| *number);
        Ok(manifests)
    }

    /// Removes what an interrupted backup left and, if no manifest is damaged, the files that none
    /// names. What has no name of ours stays.
    pub(super) fn sweep(&self, manifests: &Manifests) -> Result<()> {
        for path in self.fs.list(&self.generations())? {
            if path.extension().is_some_and(|kind| kind == "tmp") {
                self.fs.remove(&path)?;
            }
        }
        let entries = manifests.valid.iter().flat_map(|manifest| &manifest.entries);
        let named: HashSet<_> = entries.map(|entry| self.file(&entry.hash)).collect();
        for path in self.fs.list(&self.files())? {
            let draft = path.extension().is_some_and(|kind| kind == "tmp");
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let stored = FileHash::from_hex(name).is_ok();
            // Of a damaged manifest nobody knows which files it names.
            if draft || (stored && manifests.damaged.is_empty() && !named.contains(&path)) {
                self.fs.remove(&path)?;
            }
        }
        Ok(())
    }
}

/// The generation whose manifest a file is, by its name.
fn number_of(path: &Path) -> Option<u64> {
    let name = path.file_name()?.to_str()?;
    let digits = name.strip_suffix(".manifest")?;
    let plain = digits.len() >= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|number| plain && *number < MAX_NUMBER)
}
