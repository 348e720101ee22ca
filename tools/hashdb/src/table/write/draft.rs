//! A file, or a folder of files, that gets its name in the end and is removed if that never comes. Until then it has a
//! name of its own, so that it is in nobody's way.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use tempfile::{PathPersistError, TempDir, TempPath};

use super::failed;
use crate::files;

/// A file under way.
#[derive(Debug)]
pub(super) struct Draft {
    writer: BufWriter<File>,
    draft: TempPath,
    path: PathBuf,
    /// What errors call it.
    shown: PathBuf,
}

/// A folder under way.
#[derive(Debug)]
pub(super) struct DraftFolder {
    folder: TempDir,
    path: PathBuf,
}

impl Draft {
    /// Begins a file.
    pub(super) fn create(path: &Path) -> Result<Self> {
        Self::create_as(path, path)
    }

    fn create_as(path: &Path, shown: &Path) -> Result<Self> {
        let draft = files::draft(path).map_err(|error| cannot_write(shown, error))?;
        let (file, draft) = draft.into_parts();
        let writer = BufWriter::with_capacity(1 << 18, file);
        Ok(Self { writer, draft, path: path.to_path_buf(), shown: shown.to_path_buf() })
    }

    /// The name that it will have.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes bytes over the first ones.
    pub(super) fn write_start(&mut self, bytes: &[u8]) -> Result<()> {
        let written =
            self.writer.seek(SeekFrom::Start(0)).and_then(|_| self.writer.write_all(bytes));
        written.map_err(|error| cannot_write(&self.shown, error))
    }

    /// Appends bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|error| cannot_write(&self.shown, error))
    }

    /// Gives the file its name, durably, once it is on the disk. What got that name meanwhile stays.
    pub(super) fn finish(self) -> Result<()> {
        let Self { writer, draft, path, shown } = self;
        let written = writer.into_inner().map_err(io::IntoInnerError::into_error);
        let named = written.and_then(|file| {
            file.sync_all()?;
            give_name(draft, &path)
        });
        match named {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => is_there(&path),
            named => named
                .and_then(|()| sync(files::folder_of(&path)))
                .map_err(|error| cannot_write(&shown, error)),
        }
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl DraftFolder {
    /// Begins a folder.
    pub(super) fn create(path: &Path) -> Result<Self> {
        let folder = files::draft_folder(path).map_err(|error| cannot_write(path, error))?;
        Ok(Self { folder, path: path.to_path_buf() })
    }

    /// Begins one of its files.
    pub(super) fn create_file(&self, name: &str) -> Result<Draft> {
        Draft::create_as(&self.folder.path().join(name), &self.path.join(name))
    }

    /// Gives the folder its name, durably. Its files are on the disk, and what got that name meanwhile stays.
    #[expect(clippy::disallowed_methods, reason = "the error names the path")]
    pub(super) fn finish(self) -> Result<()> {
        let Self { mut folder, path } = self;
        if let Err(error) = fs::rename(folder.path(), &path) {
            return match path.symlink_metadata() {
                Ok(_) => is_there(&path),
                Err(_) => Err(cannot_write(&path, error)),
            };
        }
        // Nothing has its first name any more.
        folder.disable_cleanup(true);
        sync(files::folder_of(&path)).map_err(|error| cannot_write(&path, error))
    }
}

/// Gives a draft its name, unless something has got it.
fn give_name(draft: TempPath, path: &Path) -> io::Result<()> {
    let Err(PathPersistError { error, path: draft }) = draft.persist_noclobber(path) else {
        return Ok(());
    };
    if error.kind() == io::ErrorKind::AlreadyExists || path.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    // Not every file system can do that at once, nor has links.
    draft.persist(path).map_err(|error| error.error)
}

#[expect(clippy::disallowed_methods, reason = "errors are given the path by callers")]
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// The error where a table has its name already.
pub(super) fn is_there(path: &Path) -> Result<()> {
    bail!("{} is there already", path.display())
}

fn cannot_write(path: &Path, error: io::Error) -> anyhow::Error {
    failed(&path.display().to_string(), error)
}
