//! The user's own files: weights, values, pictures, reports. Every error names its path.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};

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
#[expect(clippy::disallowed_methods, reason = "the error names the path")]
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error: io::Error| anyhow!("cannot write {}: {error}", path.display());
    let draft = draft_of(path);
    let written = File::create(&draft).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        // The draft is of no use to anybody; the first error is the one to tell.
        let _already_failing = fs::remove_file(&draft);
    }
    written.map_err(failed)
}

/// Refuses files that [`replace`] could not write, before the work whose results they shall take.
#[expect(clippy::disallowed_methods, reason = "the error names the path")]
pub(crate) fn check_replaceable<'p>(paths: impl IntoIterator<Item = &'p PathBuf>) -> Result<()> {
    paths.into_iter().try_for_each(|path| {
        if path.is_dir() {
            bail!("cannot write {}: it is a folder", path.display());
        }
        let draft = draft_of(path);
        let tried = match File::create_new(&draft) {
            Ok(_) => fs::remove_file(&draft),
            // Of a command that was killed, or somebody's: as it is, it stays.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                File::options().append(true).open(&draft).map(drop)
            }
            Err(error) => Err(error),
        };
        tried.map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
    })
}

fn draft_of(path: &Path) -> PathBuf {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".tmp");
    draft.into()
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
