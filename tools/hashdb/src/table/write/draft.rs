//! A file, or a folder of files, that gets its name in the end and is removed if that never comes.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek as _, SeekFrom, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::failed;

/// A file under way.
#[derive(Debug)]
pub(super) struct Draft {
    writer: BufWriter<File>,
    name: Name,
}

/// The two names of a file or folder; removes what has the first one.
#[derive(Debug)]
pub(super) struct Name {
    draft: PathBuf,
    path: PathBuf,
    is_done: bool,
}

impl Name {
    pub(super) fn new(path: &Path) -> Self {
        let mut draft: OsString = path.as_os_str().to_owned();
        draft.push(".tmp");
        Self { draft: draft.into(), path: path.to_path_buf(), is_done: false }
    }

    /// The name until the end.
    pub(super) fn draft(&self) -> &Path {
        &self.draft
    }

    /// An error of writing.
    pub(super) fn failed(&self, error: io::Error) -> anyhow::Error {
        failed(&self.path.display().to_string(), error)
    }

    /// Gives the name, durably.
    #[expect(clippy::disallowed_methods, reason = "the error names the path")]
    pub(super) fn take(mut self) -> Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let named = fs::rename(&self.draft, &self.path).and_then(|()| {
            self.is_done = true;
            File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
        });
        named.map_err(|error| self.failed(error))
    }
}

impl Drop for Name {
    #[expect(clippy::disallowed_methods, reason = "what cannot be removed stays")]
    fn drop(&mut self) {
        if !self.is_done {
            // Something else failed before, which is the error to tell.
            let _already_failing = match self.draft.is_dir() {
                true => fs::remove_dir_all(&self.draft),
                false => fs::remove_file(&self.draft),
            };
        }
    }
}

impl Draft {
    /// Begins a file.
    #[expect(clippy::disallowed_methods, reason = "the error names the path")]
    pub(super) fn create(path: &Path) -> Result<Self> {
        let name = Name::new(path);
        let file = File::create(name.draft()).map_err(|error| name.failed(error))?;
        Ok(Self { writer: BufWriter::with_capacity(1 << 18, file), name })
    }

    /// The name that it will have.
    pub(super) fn path(&self) -> &Path {
        &self.name.path
    }

    /// Writes bytes over the first ones.
    pub(super) fn write_start(&mut self, bytes: &[u8]) -> Result<()> {
        let written =
            self.writer.seek(SeekFrom::Start(0)).and_then(|_| self.writer.write_all(bytes));
        written.map_err(|error| self.name.failed(error))
    }

    /// Appends bytes.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(|error| self.name.failed(error))
    }

    /// Gives the file its name, once it is on the disk.
    pub(super) fn finish(self) -> Result<()> {
        let Self { writer, name } = self;
        let file = writer.into_inner().map_err(|error| name.failed(error.into_error()))?;
        file.sync_all().map_err(|error| name.failed(error))?;
        name.take()
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
