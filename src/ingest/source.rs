//! What images there are: folders, files and tar shards, in an order that only names decide.
//!
//! The pipeline's source thread calls [`Walk::run`]. A folder is walked recursively, sorted by name;
//! symbolic links are followed, loops refused. In a folder or a shard only names that look like those
//! of images count ([`looks_like_an_image`]); a file that was named itself is always tried. The key
//! of a file is its path as given, joined with `/`; that of a shard's entry is the path of the shard,
//! `/`, and the entry's name, byte for byte: names are data and never touch the file system.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use walkdir::WalkDir;

use super::decode::{DecodeError, MAX_INPUT_BYTES};
use super::gate::{Gate, Permit};
use super::journal::{Mark, Origin, Plan};
use super::report::{Reject, Stage};
use super::siblings::Siblings;
use super::{IngestError, shard};
use crate::db::MAX_KEY_BYTES;

/// Endings of files that are images. Those of formats that are not decoded are among them: who keeps
/// such images shall read in the rejects that they are missing.
const IMAGE_ENDINGS: [&str; 22] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif",
    "avif", "jp2", "j2k", "jxl", "ico", "cur", "psd", "bpg", "ppm", "tga",
];

/// Something that was met on the way.
pub(super) enum Found<'a> {
    /// An image to decode; how far its source has been read with it.
    Image(Label, Content<'a>, Mark),
    /// Something that should have been an image.
    Reject(Reject, Option<Mark>),
    /// Something that does not look like an image.
    Skipped,
    /// A file or a shard of so many bytes that an earlier run has done.
    Known(u64),
    /// The end of a shard.
    End(Mark),
}

/// What the record of an image has beside its codes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Label {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
}

impl From<Vec<u8>> for Label {
    fn from(key: Vec<u8>) -> Self {
        Self { key, value: Vec::new() }
    }
}

/// Knows what earlier runs have done.
pub(super) trait Planner: Sync {
    /// Learns that something could not be looked at, so that nobody knows what lies below it.
    fn lose(&self, _key: &[u8]) {}

    /// What a source needs.
    fn plan(&self, _origin: &Origin) -> Plan {
        Plan::From(0)
    }
}

/// Knows nothing: everything is read.
impl Planner for () {}

/// Where the bytes of an image are.
pub(super) enum Content<'a> {
    /// In a file, still to be read; nothing is to be done if its content has this hash.
    File(PathBuf, Option<u128>),
    /// Read from a shard; the permit bounds how much of that waits in memory.
    Bytes(Vec<u8>, Permit<'a>),
}

/// A walk over the paths that were given.
pub(super) struct Walk<'a, 'f> {
    /// Bounds the bytes that were read from shards and not yet decoded.
    pub(super) waiting: &'a Gate,
    /// Counts bytes of shards as they are read from disk.
    pub(super) read: &'a AtomicU64,
    /// Knows what is done.
    pub(super) planner: &'f dyn Planner,
    /// Siblings that become values.
    pub(super) siblings: Option<&'f Siblings>,
    /// Whether to stop in the middle of a shard.
    pub(super) stopped: &'f dyn Fn() -> bool,
    /// Takes what was found; `false` ends the walk.
    pub(super) emit: &'f mut dyn FnMut(Found<'a>) -> bool,
}

impl Walk<'_, '_> {
    /// Walks all paths in the order given; whether it got to the end.
    pub(super) fn run(&mut self, paths: &[PathBuf]) -> bool {
        list(paths, &mut |listed| match listed {
            Listed::Skipped => (self.emit)(Found::Skipped),
            Listed::Reject(reject) => {
                self.planner.lose(&reject.key);
                (self.emit)(Found::Reject(reject, None))
            }
            Listed::Shard(path, origin) => match self.planner.plan(&origin) {
                Plan::Stop => false,
                Plan::Skip => (self.emit)(Found::Known(origin.bytes)),
                plan => shard::read(self, &path, &Arc::new(origin), &plan),
            },
            Listed::Image(path, origin) => match self.planner.plan(&origin) {
                Plan::Stop => false,
                Plan::Skip => (self.emit)(Found::Known(origin.bytes)),
                plan => (self.emit)(found_file(path, origin, &plan)),
            },
        })
    }
}

fn found_file(path: PathBuf, origin: Origin, plan: &Plan) -> Found<'static> {
    let known = if let Plan::Unless(hash) = plan { Some(*hash) } else { None };
    let mark = Mark { origin: Arc::new(origin), passed: 1, finished: true, hash: None };
    match checked_key(mark.origin.key.clone()) {
        Ok(key) => Found::Image(key.into(), Content::File(path, known), mark),
        Err(reject) => Found::Reject(reject, None),
    }
}

/// Bytes that a walk over the paths will read, as they lie on disk; `None` if stopped.
pub(super) fn measure(paths: &[PathBuf], stopped: &dyn Fn() -> bool) -> Option<u64> {
    let mut total = 0;
    let finished = list(paths, &mut |listed| {
        if let Listed::Image(_, origin) | Listed::Shard(_, origin) = listed {
            total += origin.bytes;
        }
        !stopped()
    });
    finished.then_some(total)
}

/// Refuses a path that does not exist, before anything starts.
pub(super) fn check(paths: &[PathBuf]) -> Result<(), IngestError> {
    for path in paths {
        let looked = path.metadata();
        looked.map_err(|source| IngestError::Path { path: path.clone(), source })?;
    }
    Ok(())
}

enum Listed {
    Image(PathBuf, Origin),
    Shard(PathBuf, Origin),
    Reject(Reject),
    Skipped,
}

/// Lists files in order until `visit` says `false`; whether it got to the end.
fn list(paths: &[PathBuf], visit: &mut dyn FnMut(Listed) -> bool) -> bool {
    paths.iter().all(|path| match path.metadata() {
        Err(error) => visit(Listed::Reject(unreadable(path, &error))),
        Ok(meta) if meta.is_dir() => list_folder(path, visit),
        Ok(meta) if !meta.is_file() => visit(Listed::Reject(not_regular(key_of(path)))),
        Ok(meta) if is_shard(path) => visit(Listed::Shard(path.clone(), Origin::new(path, &meta))),
        Ok(meta) => visit(Listed::Image(path.clone(), Origin::new(path, &meta))),
    })
}

fn list_folder(folder: &Path, visit: &mut dyn FnMut(Listed) -> bool) -> bool {
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    walk.into_iter().all(|entry| match entry {
        Err(error) => visit(Listed::Reject(walk_reject(folder, &error))),
        Ok(entry) if entry.file_type().is_dir() => true,
        Ok(entry) => {
            let path = entry.path();
            let listed = match entry.metadata() {
                _ if !is_shard(path) && !looks_like_an_image(name_of(path)) => Listed::Skipped,
                Err(error) => Listed::Reject(walk_reject(folder, &error)),
                Ok(meta) if !meta.is_file() => Listed::Reject(not_regular(key_of(path))),
                Ok(meta) if is_shard(path) => {
                    Listed::Shard(path.to_path_buf(), Origin::new(path, &meta))
                }
                Ok(meta) => Listed::Image(path.to_path_buf(), Origin::new(path, &meta)),
            };
            visit(listed)
        }
    })
}

fn walk_reject(folder: &Path, error: &walkdir::Error) -> Reject {
    let path = error.path().unwrap_or(folder);
    if error.loop_ancestor().is_some() {
        let cause = "the link leads back to a folder above it".to_owned();
        return Reject { key: key_of(path), stage: Stage::Source, kind: "link-loop", cause };
    }
    let cause = error.io_error().map_or_else(|| "cannot read it".to_owned(), ToString::to_string);
    Reject { key: key_of(path), stage: Stage::Source, kind: "unreadable", cause }
}

fn unreadable(path: &Path, error: &io::Error) -> Reject {
    let cause = error.to_string();
    Reject { key: key_of(path), stage: Stage::Source, kind: "unreadable", cause }
}

/// A link in a shard, a device, a pipe.
pub(super) fn not_regular(key: Vec<u8>) -> Reject {
    let cause = "not a regular file".to_owned();
    Reject { key, stage: Stage::Source, kind: "not-regular", cause }
}

/// More bytes than any image may have.
pub(super) fn too_large(key: Vec<u8>, bytes: u64) -> Reject {
    let error = DecodeError::too_large(bytes, "bytes", MAX_INPUT_BYTES);
    Reject { key, stage: Stage::Source, kind: error.kind(), cause: error.to_string() }
}

/// The key, if a record may have it.
pub(super) fn checked_key(key: Vec<u8>) -> Result<Vec<u8>, Reject> {
    if key.len() <= MAX_KEY_BYTES {
        return Ok(key);
    }
    let cause = format!("the key has {} bytes, the limit is {MAX_KEY_BYTES}", key.len());
    Err(Reject { key, stage: Stage::Source, kind: "key-too-long", cause })
}

/// The key of a file: the bytes of its path, with `/` on every system.
pub(super) fn key_of(path: &Path) -> Vec<u8> {
    let mut key = path.as_os_str().as_encoded_bytes().to_vec();
    if std::path::MAIN_SEPARATOR == '\\' {
        key.iter_mut().filter(|byte| **byte == b'\\').for_each(|byte| *byte = b'/');
    }
    key
}

fn name_of(path: &Path) -> &[u8] {
    path.file_name().unwrap_or_default().as_encoded_bytes()
}

/// Whether a name ends like that of an image, in any case.
pub(super) fn looks_like_an_image(name: &[u8]) -> bool {
    let Some(dot) = name.iter().rposition(|&byte| byte == b'.') else {
        return false;
    };
    let ending = &name[dot + 1..];
    IMAGE_ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known.as_bytes()))
}

/// Whether a name ends like that of a tar archive, compressed or not.
pub(super) fn is_shard(path: &Path) -> bool {
    let name = name_of(path).to_ascii_lowercase();
    [&b".tar"[..], b".tar.gz", b".tgz"].iter().any(|ending| name.ends_with(ending))
}

/// Opens a file for reading.
#[expect(
    clippy::disallowed_methods,
    reason = "a picture of the user, not a file of a database; the reject names its path"
)]
pub(super) fn open(path: &Path) -> io::Result<File> {
    File::open(path)
}

/// Reads the file of an image, unless it is too large to be decoded.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, Reject> {
    let read = || {
        let mut bytes = Vec::new();
        open(path)?.take(MAX_INPUT_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes = read().map_err(|error| unreadable(path, &error))?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        let bytes = path.metadata().map_or(bytes.len() as u64, |meta| meta.len());
        return Err(too_large(key_of(path), bytes));
    }
    Ok(bytes)
}

/// Counts what is read through it and fails once the run is stopped.
pub(super) struct Counted<'a, R> {
    pub(super) inner: R,
    pub(super) read: &'a AtomicU64,
    pub(super) stopped: &'a dyn Fn() -> bool,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if (self.stopped)() {
            return Err(io::Error::other("the run was stopped"));
        }
        let count = self.inner.read(buffer)?;
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_images_and_shards() {
        for name in ["a.jpg", "B.JPEG", "c.TiFf", ".png", "d.e.webp", "f.heic"] {
            assert!(looks_like_an_image(name.as_bytes()), "{name}");
        }
        for name in ["a.csv", "jpg", "b.jpg.txt", "c.", "", "d.tar"] {
            assert!(!looks_like_an_image(name.as_bytes()), "{name}");
        }
        for name in ["a.tar", "b.TAR.GZ", "c.tgz"] {
            assert!(is_shard(Path::new(name)), "{name}");
        }
        assert!(!is_shard(Path::new("a.gz")));
    }

    #[test]
    fn a_key_may_have_4096_bytes_and_no_more() {
        assert!(checked_key(vec![b'k'; MAX_KEY_BYTES]).is_ok());
        let reject = checked_key(vec![b'k'; MAX_KEY_BYTES + 1]).unwrap_err();
        assert_eq!(reject.kind, "key-too-long");
    }
}
