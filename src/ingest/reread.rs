//! Back from keys to images: what contact sheets show beside the results of a query.
//!
//! A database keeps no images. Where the files that were ingested still lie under the same paths,
//! their keys lead back to them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;

use super::foreign::ShardFormat;
use super::gate::Gate;
use super::source::{self, Content, Found, Sources, Walk};

/// Reads the encoded images of `keys` again, and hands each that is found to `visit`. A shard is read
/// once for all its entries; what is no longer there is passed over. An entry whose name occurs
/// more than once in its shard is handed over each time, the one that the database holds last.
pub fn reread(keys: &BTreeSet<Vec<u8>>, visit: &mut dyn FnMut(&[u8], Vec<u8>)) {
    reread_with(keys, None, visit);
}

/// [`reread`] that finds images in shards of one more format, too, if one is given.
pub fn reread_with(
    keys: &BTreeSet<Vec<u8>>,
    format: Option<&dyn ShardFormat>,
    visit: &mut dyn FnMut(&[u8], Vec<u8>),
) {
    let mut shards = BTreeSet::new();
    for key in keys {
        let Some(path) = path_of(key) else { continue };
        if !path.is_file() {
            shards.extend(shard_of(key, format));
        } else if let Ok(bytes) = source::read_file(&path) {
            visit(key, bytes);
        }
    }
    let shards: Vec<_> = shards.into_iter().collect();
    let mut emit = |found: Found<'_>| {
        if let Found::Image(label, Content::Bytes(bytes, _), _) = found
            && keys.contains(&label.key)
        {
            visit(&label.key, bytes);
        }
        true
    };
    // Each entry is handed on before the next one is read, so the gate never holds up the walk.
    let (waiting, read) = (Gate::new(u64::MAX), AtomicU64::new(0));
    Walk { waiting: &waiting, read: &read, planner: &(), stopped: &|| false, emit: &mut emit }
        .run(&Sources { listed: &shards, format, ..Sources::given(&[]) });
}

/// The path of a shard that a key lies in, if its name looks so and a file is there.
fn shard_of(key: &[u8], format: Option<&dyn ShardFormat>) -> Option<PathBuf> {
    let knows =
        |path: &Path| source::is_shard(path) || format.is_some_and(|format| format.knows(path));
    let slashes = key.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at);
    let mut paths = slashes.filter_map(|at| path_of(&key[..at]));
    paths.find(|path| knows(path) && path.is_file())
}

/// The path whose bytes these are.
#[cfg(unix)]
pub(super) fn path_of(key: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(key)))
}

/// The path whose bytes these are, if they are text.
#[cfg(not(unix))]
pub(super) fn path_of(key: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(key).ok().map(PathBuf::from)
}
