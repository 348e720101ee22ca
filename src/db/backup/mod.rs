//! Backup: a folder that holds several states of one database, its generations
//! (storage-format.md, section 9).
//!
//! A file is stored once under the hash of its bytes, whichever generations need it, and never changed.
//! A generation is one manifest, written when all its files are durable; pruning removes manifests
//! first and files that none names afterwards. So whatever stops a backup, every generation that has a
//! manifest is whole, and the next backup removes what was left over.

mod check;
mod create;
mod folder;
mod manifest;
mod restore;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use check::BackupReport;

use crate::db::Database;
use crate::db::capture::Capture;
use crate::db::options::Options;
use crate::db::recover::read_superblock;
use crate::error::Result;
use crate::storage::fs::{Fs, OsFs};
use crate::storage::layout::Layout;
use crate::storage::tree::refuse_inside;
use folder::Folder;
use manifest::Manifest;

/// A folder with backups of one database. Nothing is read or written before a method is called.
///
/// ```
/// use hashdb::{Address, Backup, Code, Database, Options, Readable as _};
///
/// # fn main() -> hashdb::Result<()> {
/// # let place = tempfile::tempdir().unwrap();
/// # let (db_path, folder, copy) =
/// #     (place.path().join("db"), place.path().join("backups"), place.path().join("copy"));
/// let db = Database::create(&db_path, Options::new().code_bits(64).address_bits(16))?;
/// db.put(b"a", Address::new(1, 16)?, Code::from_bytes(&[0; 8])?, b"value")?;
///
/// let backup = Backup::at(&folder).keep(7);
/// let created = db.backup(&backup)?;
/// assert!(backup.verify()?.is_clean());
///
/// backup.restore(Some(created.generation.number), &copy)?;
/// assert_eq!(Database::open(&copy, Options::new())?.len(), 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Backup {
    path: PathBuf,
    keep: usize,
    recheck: bool,
    progress: Option<Arc<Progress>>,
    pub(crate) fs: Arc<dyn Fs>,
}

type Progress = dyn Fn(BackupProgress) + Send + Sync;

impl fmt::Debug for Backup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, keep) = (&self.path, &self.keep);
        formatter.debug_struct("Backup").field("path", path).field("keep", keep).finish()
    }
}

/// How far a backup, a verification or a restore has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupProgress {
    /// Bytes read so far.
    pub done_bytes: u64,
    /// Bytes to be read in all.
    pub total_bytes: u64,
}

/// A state of a database in a backup folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Generation {
    /// Its number; numbers rise and are not used twice.
    pub number: u64,
    /// When it was made, in seconds since 1970.
    pub created: u64,
    /// The record store's sequence number that it holds.
    pub sequence: u64,
    /// Its records.
    pub records: u64,
    /// Its files.
    pub files: u64,
    /// Bytes of its files, shared with other generations or not.
    pub bytes: u64,
}

/// What [`Backup::create`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupCreated {
    /// The new generation.
    pub generation: Generation,
    /// Files that no earlier generation had.
    pub new_files: u64,
    /// Bytes of them.
    pub new_bytes: u64,
    /// Generations that were removed, because more than [`Backup::keep`] were there.
    pub pruned: Vec<u64>,
    /// Generations whose manifest is damaged. They count for nothing, and while one is there no file is
    /// removed.
    pub damaged: Vec<u64>,
}

impl Backup {
    /// A backup folder.
    pub fn at(path: impl AsRef<Path>) -> Self {
        let path = path.as_ref().to_path_buf();
        Self { path, keep: usize::MAX, recheck: false, progress: None, fs: Arc::new(OsFs) }
    }

    /// How many generations a new one leaves, itself included; at least 1, default all.
    #[must_use]
    pub fn keep(mut self, generations: usize) -> Self {
        self.keep = generations.max(1);
        self
    }

    /// Whether a new generation reads the stored files that it shares with earlier ones, and stores those that are
    /// damaged again, which mends the earlier generations too. Default no: a stored file is believed if its name
    /// and its length are right, as the folder may be slow to read; [`Backup::verify`] tells of others.
    #[must_use]
    pub fn recheck(mut self, recheck: bool) -> Self {
        self.recheck = recheck;
        self
    }

    /// Has `progress` called now and then, in the thread that works.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(BackupProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }

    /// Adds a generation: the newest state of the database in the directory `database`, also while
    /// another process writes to it. Files that the folder holds already are not written again, see
    /// [`Backup::recheck`]. Then removes the oldest generations beyond [`Backup::keep`]. A program that has the
    /// database open itself uses [`Database::backup`].
    ///
    /// # Errors
    ///
    /// As [`Database::open_read_only`] for the database, whose directory must be writable;
    /// [`Error::NotABackup`](crate::Error::NotABackup) if the folder holds something else,
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) if it holds another database or lies in this one,
    /// [`Error::Locked`](crate::Error::Locked) if another process works on it or on the database,
    /// [`Error::Io`](crate::Error::Io) if a file cannot be read or written. Earlier generations stay.
    pub fn create(&self, database: impl AsRef<Path>) -> Result<BackupCreated> {
        let mut options = Options::new();
        options.fs = Arc::clone(&self.fs);
        let layout = Layout::new(database.as_ref());
        // What is no database shall not leave an empty backup folder.
        read_superblock(self.fs.as_ref(), &layout)?;
        refuse_inside(&self.path, database.as_ref(), "backup folder")?;
        let folder = Folder::open_or_create(self.fs.as_ref(), &self.path)?;
        create::create(self, &folder, || Capture::of_directory(&layout, &options))
    }

    /// The generations, oldest first, without reading their files. Damaged manifests are left out;
    /// [`Backup::verify`] names them.
    ///
    /// # Errors
    ///
    /// [`Error::NotABackup`](crate::Error::NotABackup) or [`Error::Io`](crate::Error::Io).
    pub fn list(&self) -> Result<Vec<Generation>> {
        let folder = Folder::open(self.fs.as_ref(), &self.path)?;
        Ok(folder.manifests()?.valid.iter().map(Manifest::generation).collect())
    }

    /// Reads every byte of every generation and names what is damaged.
    ///
    /// # Errors
    ///
    /// [`Error::NotABackup`](crate::Error::NotABackup), [`Error::Io`](crate::Error::Io) if the folder
    /// cannot be listed, [`Error::Locked`](crate::Error::Locked) while a backup is being made. Damage, and
    /// files that cannot be read, are listed in the report.
    pub fn verify(&self) -> Result<BackupReport> {
        let folder = Folder::open(self.fs.as_ref(), &self.path)?;
        let _reading = folder.share()?;
        check::verify(self, &folder)
    }

    /// Makes a database of a generation, the newest if `generation` is `None`, in `target`, a directory
    /// that is absent or empty. Every byte is checked on the way; the superblock is written last, so
    /// that half a restore is never a database. The database has the id of its origin.
    ///
    /// # Errors
    ///
    /// [`Error::AlreadyExists`](crate::Error::AlreadyExists) for a target that is not empty,
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) for a generation that is not there and for a target in
    /// the backup folder,
    /// [`Error::DamagedBackup`](crate::Error::DamagedBackup) if the generation is damaged, with the
    /// generations that are whole, [`Error::Io`](crate::Error::Io) if a file cannot be read or written.
    /// What was written to the target is removed again.
    pub fn restore(&self, generation: Option<u64>, target: impl AsRef<Path>) -> Result<Generation> {
        let folder = Folder::open(self.fs.as_ref(), &self.path)?;
        refuse_inside(target.as_ref(), &self.path, "directory to restore into")?;
        let _reading = folder.share()?;
        restore::restore(self, &folder, generation, target.as_ref())
    }

    /// A meter of `total_bytes` for the caller's progress.
    fn meter(&self, total_bytes: u64) -> Meter<'_> {
        Meter { progress: self.progress.as_deref(), done_bytes: 0, total_bytes }
    }
}

impl Database {
    /// Adds a generation with the current state to a backup folder, while reads and writes go on; see
    /// [`Backup::create`]. On a read-only handle it is the newest state in the directory.
    ///
    /// # Errors
    ///
    /// As [`Database::checkpoint`] for the database and [`Backup::create`] for the folder.
    pub fn backup(&self, backup: &Backup) -> Result<BackupCreated> {
        let engine = self.engine();
        refuse_inside(&backup.path, engine.layout.root(), "backup folder")?;
        let folder = Folder::open_or_create(backup.fs.as_ref(), &backup.path)?;
        let _capturing = engine.capturing.lock();
        create::create(backup, &folder, || engine.capture())
    }
}

/// Tells the caller how far the work is.
struct Meter<'a> {
    progress: Option<&'a Progress>,
    done_bytes: u64,
    total_bytes: u64,
}

impl Meter<'_> {
    fn add(&mut self, bytes: usize) {
        self.done_bytes += bytes as u64;
        self.tell();
    }

    fn tell(&self) {
        if let Some(progress) = self.progress {
            // A file that grew must not show more than everything.
            let total_bytes = self.total_bytes.max(self.done_bytes);
            progress(BackupProgress { done_bytes: self.done_bytes, total_bytes });
        }
    }
}
