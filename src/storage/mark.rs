//! Whether the record store's set of files changed while somebody without its lock read it.
//!
//! RocksDB notes every table that comes, and every table and log that may go, in its manifest before
//! it touches a file. If the manifest, the names of the logs and the lengths of all but the newest are
//! the same before and after a reading, what was read is one state. Without that a reader could have
//! the manifest of before a flush, but find the log gone that the flush ended: the records in
//! it would be missing without any error.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Corruption, Result};
use crate::storage::fs::Fs;
use crate::storage::tree::file_bytes;

/// CURRENT holds one file name.
const MAX_CURRENT_BYTES: u64 = 4096;

/// The set of files of a record store at one moment.
#[derive(Debug)]
pub(crate) struct Mark {
    /// The content of CURRENT.
    pub(crate) current: Vec<u8>,
    /// The name of the manifest, which CURRENT holds.
    pub(crate) manifest: String,
    pub(crate) manifest_bytes: u64,
    /// The logs and their lengths, oldest first.
    logs: BTreeMap<String, u64>,
}

impl Mark {
    /// The files in `folder` as they are now.
    pub(crate) fn of(fs: &dyn Fs, folder: &Path) -> Result<Self> {
        let current = fs.read(&folder.join("CURRENT"), MAX_CURRENT_BYTES)?;
        let manifest = manifest_name(folder, &current)?;
        let manifest_bytes = file_bytes(fs, &folder.join(&manifest))?;
        let mut logs = BTreeMap::new();
        for path in fs.list(folder)? {
            if kind(&path) == Some("log") {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                logs.insert(name.into_owned(), file_bytes(fs, &path)?);
            }
        }
        Ok(Self { current, manifest, manifest_bytes, logs })
    }

    /// Whether no log has gone since. Logs go oldest first, so none that came later has gone either.
    pub(crate) fn keeps_logs(&self, now: &Self) -> bool {
        self.logs.keys().all(|log| now.logs.contains_key(log))
    }

    /// Whether at most the newest log grew since.
    pub(crate) fn still_holds(&self, now: &Self) -> bool {
        let newest = self.logs.len().saturating_sub(1);
        self.current == now.current
            && self.manifest_bytes == now.manifest_bytes
            && self.logs.keys().eq(now.logs.keys())
            && self.logs.values().take(newest).eq(now.logs.values().take(newest))
    }
}

/// The manifest that CURRENT names.
fn manifest_name(folder: &Path, current: &[u8]) -> Result<String> {
    let name = std::str::from_utf8(current).unwrap_or_default().trim_end();
    let number = name.strip_prefix("MANIFEST-").unwrap_or_default();
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        let what = Corruption::Missing { what: "the name of the manifest" };
        return Err(what.at(&folder.join("CURRENT"), 0));
    }
    Ok(name.to_owned())
}

/// What kind of file it is, by its name.
pub(crate) fn kind(path: &Path) -> Option<&str> {
    path.extension().and_then(|kind| kind.to_str())
}
