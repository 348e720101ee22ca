//! The way back: from the keys that an ingest gave to the encoded images.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use super::gate::Gate;
use super::source::{Content, Found, Walk, is_shard, read_file};
use super::shard;

/// Reads the images behind keys again and hands the bytes of each to `take`, in any order. Keys whose
/// image is not there any more, or never was one, are passed over. Each tar shard that is needed is
/// read once, from its beginning to the last entry that is wanted.
pub fn reread(keys: &BTreeSet<Vec<u8>>, take: &mut dyn FnMut(&[u8], Vec<u8>)) {
    let mut shards: BTreeMap<PathBuf, BTreeSet<&[u8]>> = BTreeMap::new();
    for key in keys {
        let Some(path) = path_of(key) else { continue };
        if path.is_file() {
            if let Ok(bytes) = read_file(&path) {
                take(key, bytes);
            }
        } else if let Some(shard) = path.ancestors().skip(1).find(|path| is_shard(path)) {
            shards.entry(shard.to_path_buf()).or_default().insert(key);
        }
    }
    for (shard, wanted) in shards {
        read_shard(&shard, wanted, take);
    }
}

fn read_shard(
    path: &Path,
    mut wanted: BTreeSet<&[u8]>,
    take: &mut dyn FnMut(&[u8], Vec<u8>),
) {
    // Entries come one at a time, so no gate need hold any back.
    let (waiting, read) = (Gate::new(u64::MAX), AtomicU64::new(0));
    let mut emit = |found: Found<'_>| {
        if let Found::Image(key, Content::Bytes(bytes, _)) = found
            && wanted.remove(key.as_slice())
        {
            take(&key, bytes);
        }
        !wanted.is_empty()
    };
    let mut walk = Walk { waiting: &waiting, read: &read, stopped: &|| false, emit: &mut emit };
    shard::read(&mut walk, path);
}

/// The path that a key was made of.
#[cfg(unix)]
fn path_of(key: &[u8]) -> Option<PathBuf> {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(OsStr::from_bytes(key)))
}

/// The path that a key was made of.
#[cfg(not(unix))]
fn path_of(key: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(key).ok().map(PathBuf::from)
}
