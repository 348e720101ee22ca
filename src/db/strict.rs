//! What can only be seen before a database is opened for writing: a log that ends in half a record,
//! which recovery tidies away, and files that belong to nobody.

use std::path::Path;

use crate::db::verify::Damage;
use crate::error::{Error, Result};
use crate::storage::fs::{Fs, OsFs};
use crate::storage::layout::Layout;
use crate::storage::lock::Lock;
use crate::storage::records::{Access, Records};

/// What may lie in a database directory.
const ROOT: [&str; 11] = [
    "LOCK",
    "SUPERBLOCK",
    "BALLAST",
    "records",
    "segments",
    "models",
    "damaged",
    "salvage",
    "staging",
    "staging.lock",
    "load",
];
/// The files of RocksDB, by how they begin or end.
const STORE_STARTS: [&str; 7] =
    ["CURRENT", "IDENTITY", "LOCK", "LOG", "MANIFEST-", "OPTIONS-", "WATERMARK"];
const STORE_ENDS: [&str; 4] = [".sst", ".log", ".blob", ".dbtmp"];

/// Looks at a database that nobody has open; changes nothing.
pub(crate) fn check_files(path: &Path) -> Result<Vec<Damage>> {
    let layout = Layout::new(path);
    if !layout.superblock().is_file() {
        return Err(Error::NotADatabase { path: path.to_path_buf() });
    }
    let _lock = Lock::acquire(&layout.lock(), path)?;
    let mut found = Vec::new();
    if let Err(error) = Records::open(&layout.records(), Access::Strict, 0, None) {
        found.push(Damage { path: layout.records(), description: error.to_string() });
    }
    strays(layout.root(), |name| ROOT.contains(&name), &mut found)?;
    let of_store = |name: &str| {
        STORE_STARTS.iter().any(|start| name.starts_with(start))
            || STORE_ENDS.iter().any(|end| name.ends_with(end))
    };
    strays(&layout.records(), of_store, &mut found)?;
    strays(&layout.segments(), is_segment, &mut found)?;
    if layout.models().is_dir() {
        strays(&layout.models(), |name| name.ends_with(".safetensors"), &mut found)?;
    }
    Ok(found)
}

fn is_segment(name: &str) -> bool {
    let stem = name.strip_suffix(".seg").or_else(|| name.strip_suffix(".tmp"));
    stem.is_some_and(|stem| stem.len() == 12 && stem.bytes().all(|byte| byte.is_ascii_digit()))
}

fn strays(folder: &Path, belongs: impl Fn(&str) -> bool, found: &mut Vec<Damage>) -> Result<()> {
    for path in OsFs.list(folder)? {
        if !path.file_name().and_then(|name| name.to_str()).is_some_and(&belongs) {
            found.push(Damage { path, description: "does not belong there".to_owned() });
        }
    }
    Ok(())
}
