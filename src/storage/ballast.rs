//! BALLAST: room on the disk that is kept back, so that a disk that has run full can be worked on:
//! even opening a database for writing needs some (storage-format.md, section 1).
//!
//! A reserve that is larger than the database would be out of proportion, and one that takes the last
//! free space would cause what it is there for: it is made once the database is as large and the
//! disk has four times as much left.

use std::io::ErrorKind;
use std::path::Path;

use crate::error::{Error, Result};
use crate::storage::failpoint;
use crate::storage::fs::Fs;

/// Free space that has to be there, in multiples of the reserve.
const ROOM: u64 = 4;

/// Makes the reserve if it is missing, due and affordable; says whether it did.
pub(crate) fn keep(fs: &dyn Fs, path: &Path, bytes: u64, database_bytes: u64) -> Result<bool> {
    let Some(folder) = path.parent() else { return Ok(false) };
    if bytes == 0 || database_bytes < bytes || path.is_file() {
        return Ok(false);
    }
    if fs.free_bytes(folder)? / ROOM < bytes {
        return Ok(false);
    }
    let draft = path.with_extension("tmp");
    let made = (|| {
        let mut file = fs.create(&draft)?;
        file.allocate(bytes)?;
        failpoint::reach("ballast.allocated");
        file.sync()?;
        fs.rename(&draft, path)?;
        failpoint::reach("ballast.renamed");
        fs.sync_dir(folder)?;
        failpoint::reach("ballast.kept");
        Ok(())
    })();
    if made.is_err() {
        // Half a reserve is of no use; the first error is the one to tell.
        let _already_failing = fs.remove(&draft);
    }
    made.map(|()| true)
}

/// Gives the reserve back; returns how large it was, 0 where there was none.
pub(crate) fn release(fs: &dyn Fs, path: &Path) -> Result<u64> {
    let mut released = 0;
    // Half a reserve, of a program that died while it made it, holds as much room.
    for file in [path.to_path_buf(), path.with_extension("tmp")] {
        let length = file.metadata().map_or(0, |metadata| metadata.len());
        match fs.remove(&file) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            removed => {
                removed?;
                released += length;
            }
        }
    }
    Ok(released)
}
