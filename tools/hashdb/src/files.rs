//! The user's own files: weights, values, pictures, reports. Every error names its path.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use tempfile::{Builder, NamedTempFile, TempDir};

/// What the names of drafts end with.
const DRAFT: &str = ".tmp";
/// Bytes of a file's name that stand in those of its drafts.
const MOST_OF_NAME: usize = 200;

/// Reads a whole file of at most `limit` bytes.
#[expect(clippy::disallowed_methods, reason = "the error names the path")]
pub(crate) fn read(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let failed = |error: io::Error| anyhow!("cannot read {}: {error}", path.display());
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit {
        bail!("{} has more than {limit} bytes", path.display());
    }
    Ok(bytes)
}

/// Creates a file, dropping what was there.
#[expect(clippy::disallowed_methods, reason = "the error names the path")]
pub(crate) fn create(path: &Path) -> Result<File> {
    File::create(path).map_err(|error| anyhow!("cannot create {}: {error}", path.display()))
}

/// Writes a file so that it is there whole or not at all, whatever interrupts the writing.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let written = draft(path).and_then(|mut draft| {
        draft.as_file_mut().write_all(bytes)?;
        draft.as_file().sync_all()?;
        draft.persist(path).map_err(|error| error.error)
    });
    written.map(drop).map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

/// Refuses files that [`replace`] could not write, before the work whose results they shall take.
pub(crate) fn check_replaceable<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<()> {
    paths.into_iter().try_for_each(|path| {
        if path.is_dir() {
            bail!("cannot write {}: it is a folder", path.display());
        }
        if path.exists() && !path.is_file() {
            bail!("cannot write {}: what is there is no file", path.display());
        }
        let tried = draft(path);
        tried.map(drop).map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
    })
}

/// A file beside `path`, under a name of its own until it is whole; it goes when it is dropped.
pub(crate) fn draft(path: &Path) -> io::Result<NamedTempFile> {
    let (folder, begin) = place_of(path);
    // As any file that a program creates; the system takes from it what the user's mask says.
    let mode = fs::Permissions::from_mode(0o666);
    Builder::new()
        .prefix(&begin)
        .suffix(DRAFT)
        .permissions(mode)
        .tempfile_in(folder)
        .map_err(without_path)
}

/// A folder beside `path`, as [`draft`] makes a file.
pub(crate) fn draft_folder(path: &Path) -> io::Result<TempDir> {
    let (folder, begin) = place_of(path);
    let mode = fs::Permissions::from_mode(0o777);
    Builder::new()
        .prefix(&begin)
        .suffix(DRAFT)
        .permissions(mode)
        .tempdir_in(folder)
        .map_err(without_path)
}

/// The error without the name of a draft, which means nothing to the user.
#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
fn without_path(error: io::Error) -> io::Error {
    let text = error.to_string();
    let what = text.split(" at path ").next().unwrap_or_default();
    io::Error::new(error.kind(), what)
}

/// The folder in which `path` lies, and what the names of its drafts begin with.
fn place_of(path: &Path) -> (&Path, OsString) {
    let name = path.file_name().unwrap_or_default().as_bytes();
    // File systems take names of 255 bytes.
    let begin = [&name[..name.len().min(MOST_OF_NAME)], b"."].concat();
    (folder_of(path), OsString::from_vec(begin))
}

/// The folder in which `path` lies.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Removes a file that may be absent.
#[expect(clippy::disallowed_methods, reason = "the error names the path")]
pub(crate) fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            bail!("cannot remove {}: {error}", path.display())
        }
        _ => Ok(()),
    }
}

/// Removes a database that this process made and that holds nothing; what cannot be removed stays.
#[expect(
    clippy::disallowed_methods,
    reason = "the superblock first, so that the rest is no database"
)]
pub(crate) fn remove_database(folder: &Path) {
    if fs::remove_file(folder.join("SUPERBLOCK")).is_ok() {
        let _left = fs::remove_dir_all(folder);
    }
}
