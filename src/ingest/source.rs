//! What images there are: folders, files, shards and what a pattern matches, in an order that only names decide.
//!
//! The pipeline's source thread calls [`Walk::run`]. A folder is walked recursively, sorted by name;
//! symbolic links are followed, loops refused. A path that does not exist may be a [`Pattern`]. In a folder or a
//! shard only names that look like those of images count ([`looks_like_an_image`]); a file that was named itself is
//! always tried. The key of a file is its path as given, joined with `/`; that of a shard's entry is the path of the
//! shard, `/`, and the entry's name, byte for byte: names are data and never touch the file system.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use walkdir::{DirEntry, WalkDir};

use super::beside::{Beside, Folders, Part, Samples};
use super::decode::{DecodeError, MAX_INPUT_BYTES};
use super::entries::Shard;
use super::foreign::ShardFormat;
use super::gate::{Gate, Permit};
use super::journal::{Form, Mark, Origin, Plan};
use super::options::IngestOptions;
use super::pattern::Pattern;
use super::report::{Reject, Stage};
use super::siblings::Siblings;
use super::{IngestError, foreign, shard, zipped};
use crate::db::MAX_KEY_BYTES;

/// Endings of files that are images. Those of formats that are not decoded are among them: who keeps
/// such images shall read in the rejects that they are missing.
const IMAGE_ENDINGS: [&str; 22] = [
    "jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff", "heic", "heif",
    "avif", "jp2", "j2k", "jxl", "ico", "cur", "psd", "bpg", "ppm", "tga",
];

/// Labels of causes why something cannot be looked at.
const UNREADABLE: &str = "unreadable";
const LINK_LOOP: &str = "link-loop";
const NOT_REGULAR: &str = "not-regular";

/// Whether a cause may be that of something that is neither a file nor a shard.
pub(super) fn is_of_walk(kind: &str) -> bool {
    [UNREADABLE, LINK_LOOP, NOT_REGULAR].contains(&kind)
}

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

    /// Whether a source was read before.
    fn knows(&self, _key: &[u8]) -> bool {
        false
    }

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
    /// Whether to stop in the middle of a shard.
    pub(super) stopped: &'f dyn Fn() -> bool,
    /// Takes what was found; `false` ends the walk.
    pub(super) emit: &'f mut dyn FnMut(Found<'a>) -> bool,
}

impl Walk<'_, '_> {
    /// Walks all sources in the order given; whether it got to the end.
    pub(super) fn run(&mut self, sources: &Sources<'_>) -> bool {
        list(sources, &mut |listed| match listed {
            Listed::Skipped => (self.emit)(Found::Skipped),
            Listed::Reject(reject) => {
                self.planner.lose(&reject.key);
                (self.emit)(Found::Reject(reject, None))
            }
            Listed::Shard(path, origin, named) => match self.planner.plan(&origin) {
                Plan::Stop => false,
                Plan::Skip => (self.emit)(Found::Known(origin.bytes)),
                plan => {
                    let (origin, siblings) = (Arc::new(origin), sources.siblings);
                    match sources.format.filter(|format| format.knows(&path)) {
                        Some(format) => foreign::read(self, format, &path, &origin, (&plan, named)),
                        None if is_zip(&path) => {
                            zipped::read(self, &path, Shard::new(&origin, &plan, siblings))
                        }
                        None => shard::read(self, &path, Shard::new(&origin, &plan, siblings)),
                    }
                }
            },
            Listed::Image(path, origin, beside) => match self.planner.plan(&origin) {
                Plan::Stop => false,
                Plan::Skip => (self.emit)(Found::Known(origin.bytes)),
                plan => (self.emit)(found_file(path, origin, &plan, beside.as_deref())),
            },
        })
    }
}

fn found_file(
    path: PathBuf,
    origin: Origin,
    plan: &Plan,
    beside: Option<&Beside>,
) -> Found<'static> {
    let known = if let Plan::Unless(hash) = plan { Some(*hash) } else { None };
    let mark = Mark { origin: Arc::new(origin), passed: 1, finished: true, hash: None };
    let key = match checked_key(mark.origin.key.clone()) {
        Ok(key) => key,
        Err(reject) => return Found::Reject(reject, None),
    };
    match beside.map(Beside::value) {
        Some(Err((kind, cause))) => {
            let cause = cause.clone();
            Found::Reject(Reject { key, stage: Stage::Source, kind, cause }, Some(mark))
        }
        value => {
            let value = value.and_then(|value| value.as_ref().ok()).cloned().unwrap_or_default();
            Found::Image(Label { key, value }, Content::File(path, known), mark)
        }
    }
}

/// Bytes that a walk over the sources will read, as they lie on disk; `None` if stopped.
pub(super) fn measure(sources: &Sources<'_>, stopped: &dyn Fn() -> bool) -> Option<u64> {
    let mut total = 0;
    let sources = Sources { siblings: None, ..*sources };
    let finished = list(&sources, &mut |listed| {
        if let Listed::Image(_, origin, _) | Listed::Shard(_, origin, _) = listed {
            total += origin.bytes;
        }
        !stopped()
    });
    finished.then_some(total)
}

/// Where to look for images.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sources<'a> {
    /// Paths that must exist, or patterns that must match something.
    pub(super) given: &'a [PathBuf],
    /// Paths of a list, which are what they are: one that cannot be looked at is a reject.
    pub(super) listed: &'a [PathBuf],
    /// Siblings that become values.
    pub(super) siblings: Option<&'a Siblings>,
    /// One more format of shards.
    pub(super) format: Option<&'a dyn ShardFormat>,
}

impl<'a> Sources<'a> {
    pub(super) fn new(given: &'a [PathBuf], options: &IngestOptions<'a>) -> Self {
        let IngestOptions { listed, siblings, format, .. } = *options;
        Self { given, listed, siblings, format }
    }

    pub(super) fn given(given: &'a [PathBuf]) -> Self {
        Self { given, listed: &[], siblings: None, format: None }
    }

    /// Refuses a path that does not exist, before anything starts.
    pub(super) fn check(&self) -> Result<(), IngestError> {
        for path in self.given {
            let failed = |source| IngestError::Path { path: path.clone(), source };
            let Err(missing) = path.metadata() else { continue };
            let pattern = pattern_of(path, &missing).ok_or(missing).map_err(failed)?;
            let pattern = pattern.map_err(|wrong| {
                failed(io::Error::new(io::ErrorKind::InvalidInput, format!("no pattern: {wrong}")))
            })?;
            let folder = pattern.folder();
            if !folder.as_os_str().is_empty() {
                folder.metadata().map_err(failed)?;
            }
            let mut goes_on = |listed| matches!(listed, Listed::Skipped);
            let sources = Sources { siblings: None, ..*self };
            if list_folder(&sources, folder, Some(&pattern), &mut goes_on) {
                let nothing = "no picture and no shard matches it";
                return Err(failed(io::Error::new(io::ErrorKind::NotFound, nothing)));
            }
        }
        Ok(())
    }
}

impl Sources<'_> {
    /// A shard, if the name of a file is that of one.
    fn shard(&self, path: &Path, meta: &Metadata, named: bool) -> Option<Listed> {
        let foreign = self.format.filter(|format| format.knows(path));
        let how = match foreign {
            Some(format) => Some(format.label()),
            None if is_shard(path) => self.siblings.map(Siblings::label),
            None => return None,
        };
        let form = Form::Shard(how.map(Arc::from));
        let origin = Origin { form, ..Origin::new(path, meta) };
        Some(Listed::Shard(path.to_path_buf(), origin, named))
    }

    /// Whether a name is that of an image or of a shard.
    fn takes(&self, path: &Path) -> bool {
        let knows = |format: &dyn ShardFormat| format.knows(path);
        looks_like_an_image(name_of(path)) || is_shard(path) || self.format.is_some_and(knows)
    }
}

/// The pattern that a path is if nothing has that path.
pub(super) fn pattern_of(path: &Path, missing: &io::Error) -> Option<Result<Pattern, String>> {
    Pattern::of(path).filter(|_| missing.kind() == io::ErrorKind::NotFound)
}

pub(super) enum Listed {
    /// An image, and its siblings if it has any.
    Image(PathBuf, Origin, Option<Rc<Beside>>),
    /// A shard, and whether the path that was given is its own.
    Shard(PathBuf, Origin, bool),
    Reject(Reject),
    Skipped,
}

/// Lists files in order until `visit` says `false`; whether it got to the end.
fn list(sources: &Sources<'_>, visit: &mut dyn FnMut(Listed) -> bool) -> bool {
    let mut folders = Folders::default();
    let mut one = |path: &PathBuf, visit: &mut dyn FnMut(Listed) -> bool| match path.metadata() {
        Err(error) => visit(Listed::Reject(unreadable(path, &error))),
        Ok(meta) if meta.is_dir() => list_folder(sources, path, None, visit),
        Ok(meta) if !meta.is_file() => visit(Listed::Reject(not_regular(key_of(path)))),
        Ok(meta) => visit(sources.shard(path, &meta, true).unwrap_or_else(|| {
            let origin = Origin::new(path, &meta);
            let Some(siblings) = sources.siblings else {
                return Listed::Image(path.clone(), origin, None);
            };
            folders.image((path, origin), siblings, &|path| sources.takes(path))
        })),
    };
    let mut given = |path: &PathBuf, visit: &mut dyn FnMut(Listed) -> bool| {
        let pattern = path.metadata().err().and_then(|error| pattern_of(path, &error));
        match pattern.and_then(Result::ok) {
            Some(pattern) => list_folder(sources, pattern.folder(), Some(&pattern), visit),
            None => one(path, visit),
        }
    };
    sources.given.iter().all(|path| given(path, visit))
        && sources.listed.iter().all(|path| one(path, visit))
}

/// Lists the files below a folder, those that match the pattern if there is one.
fn list_folder(
    sources: &Sources<'_>,
    folder: &Path,
    pattern: Option<&Pattern>,
    visit: &mut dyn FnMut(Listed) -> bool,
) -> bool {
    let here = folder.as_os_str().is_empty();
    let walk = WalkDir::new(if here { Path::new(".") } else { folder });
    let walk = walk.max_depth(pattern.map_or(usize::MAX, Pattern::depth));
    let mut samples = sources.siblings.map(Samples::new);
    let finished = walk.follow_links(true).sort_by_file_name().into_iter().all(|entry| {
        if let Some(samples) = &mut samples {
            let (depth, path) = match &entry {
                Ok(entry) => (entry.depth(), Some(entry.path())),
                Err(error) => (error.depth(), error.path()),
            };
            if !samples.pass(depth, path.map_or(b"", name_of), visit) {
                return false;
            }
        }
        let entry = match entry {
            Ok(entry) if entry.file_type().is_dir() => return true,
            Ok(entry) => entry,
            // Nobody asked for it, unless what is asked for may lie in it.
            Err(error) if pattern.is_some_and(|pattern| !pattern.may_lead_to(error.path())) => {
                return true;
            }
            Err(error) => {
                let reject = walk_reject(folder, &error);
                if let (Some(samples), Some(path)) = (&mut samples, error.path())
                    && !sources.takes(path)
                {
                    samples.lose(error.depth(), path, &reject.cause);
                }
                return visit(Listed::Reject(reject));
            }
        };
        let path = entry.path();
        let path = if here { path.strip_prefix(".").unwrap_or(path) } else { path };
        let listed = list_file(sources, (folder, path), &entry, pattern);
        let Some(samples) = &mut samples else { return listed.is_none_or(&mut *visit) };
        let part = match listed {
            Some(Listed::Image(path, origin, _)) => Part::Image(path, origin),
            Some(Listed::Skipped) => Part::Other(true),
            Some(other) => return visit(other),
            None if sources.takes(path) => return true,
            None => Part::Other(false),
        };
        let meta = if let Part::Other(_) = part { entry.metadata().ok() } else { None };
        samples.take((entry.depth(), path), part, meta.as_ref(), visit)
    });
    finished && samples.is_none_or(|samples| samples.end(visit))
}

/// What a file below a folder is; none if it does not match the pattern.
fn list_file(
    sources: &Sources<'_>,
    (folder, path): (&Path, &Path),
    entry: &DirEntry,
    pattern: Option<&Pattern>,
) -> Option<Listed> {
    let tried = match pattern {
        Some(pattern) if !pattern.matches(path) => return None,
        Some(pattern) => pattern.names_ending(),
        None => false,
    };
    Some(match entry.metadata() {
        _ if !tried && !sources.takes(path) => Listed::Skipped,
        Err(error) => Listed::Reject(walk_reject(folder, &error)),
        Ok(meta) if !meta.is_file() => Listed::Reject(not_regular(key_of(path))),
        Ok(meta) => sources
            .shard(path, &meta, tried)
            .unwrap_or_else(|| Listed::Image(path.to_path_buf(), Origin::new(path, &meta), None)),
    })
}

fn walk_reject(folder: &Path, error: &walkdir::Error) -> Reject {
    let path = error.path().unwrap_or(folder);
    if error.loop_ancestor().is_some() {
        let cause = "the link leads back to a folder above it".to_owned();
        return Reject { key: key_of(path), stage: Stage::Source, kind: LINK_LOOP, cause };
    }
    let cause = error.io_error().map_or_else(|| "cannot read it".to_owned(), ToString::to_string);
    Reject { key: key_of(path), stage: Stage::Source, kind: UNREADABLE, cause }
}

fn unreadable(path: &Path, error: &io::Error) -> Reject {
    let cause = error.to_string();
    Reject { key: key_of(path), stage: Stage::Source, kind: UNREADABLE, cause }
}

/// A link in a shard, a device, a pipe.
pub(super) fn not_regular(key: Vec<u8>) -> Reject {
    let cause = "not a regular file".to_owned();
    Reject { key, stage: Stage::Source, kind: NOT_REGULAR, cause }
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

/// Whether a name ends like that of an archive: tar, compressed or not, or zip.
pub(super) fn is_shard(path: &Path) -> bool {
    let endings = [&b".tar"[..], b".tar.gz", b".tgz", b".tar.zst", b".tzst"];
    endings.iter().any(|ending| ends_with(path, ending)) || is_zip(path)
}

fn is_zip(path: &Path) -> bool {
    ends_with(path, b".zip")
}

/// Whether a name ends so, in any case.
fn ends_with(path: &Path, ending: &[u8]) -> bool {
    let name = name_of(path);
    let start = name.len().checked_sub(ending.len());
    start.is_some_and(|start| name[start..].eq_ignore_ascii_case(ending))
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
        for name in ["a.tar", "b.TAR.GZ", "c.tgz", "d.tar.zst", "e.Zip"] {
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
