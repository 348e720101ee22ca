//! Shards of formats that this library does not read: a program hands over a [`ShardFormat`], as the command does
//! for Parquet, so that a library that only looks for images needs no library for tables.

use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::decode::MAX_INPUT_BYTES;
use super::entries::damaged;
use super::journal::{Mark, Origin, Plan};
use super::report::{Reject, Stage};
use super::siblings::MAX_SIBLING_BYTES;
use super::source::{Content, Found, Label, Walk, checked_key, too_large};

/// An entry of a shard: an image that becomes a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardEntry {
    /// What its key ends with, behind the path of the shard and `/`; 1 byte or more.
    pub name: Vec<u8>,
    /// The encoded image, or why there is none.
    pub image: Result<Vec<u8>, String>,
    /// The value of the record, at most 16 MiB.
    pub value: Vec<u8>,
}

/// Why a shard cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShardError {
    /// It holds something else than images. One that was met in a folder is passed over.
    NoImages(String),
    /// It holds images and not what else was asked for. It is a reject wherever it was met.
    WrongSchema(String),
    /// It is damaged, or the disk is.
    Damaged(String),
}

/// The entries of a shard, in an order that depends on its content alone; nothing follows an error.
pub type ShardEntries<'e> = Box<dyn Iterator<Item = Result<ShardEntry, ShardError>> + 'e>;

/// Reads shards of one format.
pub trait ShardFormat: Debug + Sync {
    /// Whether a file is such a shard, by its name.
    fn knows(&self, path: &Path) -> bool;

    /// What names, images and values are made of, in a few words: who changes it begins shards that were read in
    /// part anew.
    fn label(&self) -> String;

    /// The entries from the one with this number on, counted from 0.
    ///
    /// # Errors
    ///
    /// What is wrong with the shard, in one sentence.
    fn entries(&self, path: &Path, first: u64) -> Result<ShardEntries<'_>, ShardError>;
}

/// The label of the cause why a shard holds no images, or not what else was asked for.
pub(super) const WRONG_SCHEMA: &str = "wrong-schema";

/// Emits what the plan asks for of a shard; `false` if the walk shall end. One that was `named` shall hold images.
pub(super) fn read(
    walk: &mut Walk<'_, '_>,
    format: &dyn ShardFormat,
    path: &Path,
    origin: &Arc<Origin>,
    (plan, named): (&Plan, bool),
) -> bool {
    let first = plan.first();
    let mut shard = Rows { origin, plan, passed: first, counted: 0 };
    let read = match format.entries(path, first) {
        Ok(mut entries) => loop {
            let next = entries.next();
            if (walk.stopped)() {
                return false;
            }
            match next {
                Some(Ok(entry)) => {
                    if !shard.take(walk, entry) {
                        return false;
                    }
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(()),
            }
        },
        Err(error) => Err(error),
    };
    walk.read.fetch_add(origin.bytes - shard.counted, Ordering::Relaxed);
    let end = shard.mark(true);
    let key = origin.key.clone();
    (walk.emit)(match read {
        Ok(()) => Found::End(end),
        // What it had when it was read before is gone.
        Err(ShardError::NoImages(_)) if !named && walk.planner.knows(&key) => Found::End(end),
        Err(ShardError::NoImages(_)) if !named => Found::Skipped,
        Err(ShardError::NoImages(cause) | ShardError::WrongSchema(cause)) => Found::Reject(
            Reject { key, stage: Stage::Source, kind: WRONG_SCHEMA, cause },
            Some(end),
        ),
        Err(ShardError::Damaged(cause)) => {
            Found::Reject(damaged(key, &io::Error::other(cause)), Some(end))
        }
    })
}

/// A shard that is being read.
struct Rows<'s> {
    origin: &'s Arc<Origin>,
    plan: &'s Plan,
    /// Entries so far.
    passed: u64,
    /// Bytes of the file that were told as read: those of its images.
    counted: u64,
}

impl Rows<'_> {
    fn mark(&self, finished: bool) -> Mark {
        let (passed, finished) = self.plan.reached(self.passed, finished);
        Mark { origin: Arc::clone(self.origin), passed, finished, hash: None }
    }

    /// Takes one entry; `false` if the walk shall end.
    fn take(&mut self, walk: &mut Walk<'_, '_>, entry: ShardEntry) -> bool {
        self.passed += 1;
        let ShardEntry { name, image, value } = entry;
        let bytes = image.as_ref().map_or(0, |image| image.len() as u64);
        let counted = bytes.min(self.origin.bytes - self.counted);
        self.counted += counted;
        walk.read.fetch_add(counted, Ordering::Relaxed);
        let key = [&self.origin.key, b"/".as_slice(), &name].concat();
        if !self.plan.wants(self.passed, &key) {
            return true;
        }
        let mark = self.mark(false);
        let reject = |key, kind, cause| Err(Reject { key, stage: Stage::Source, kind, cause });
        let checked = match (checked_key(key), image) {
            (Err(rejected), _) => Err(rejected),
            (Ok(key), Err(cause)) => reject(key, "no-image", cause),
            (Ok(key), Ok(_)) if bytes > MAX_INPUT_BYTES => Err(too_large(key, bytes)),
            (Ok(key), Ok(_)) if value.len() > MAX_SIBLING_BYTES => {
                let cause = format!("its value has more than {MAX_SIBLING_BYTES} bytes");
                reject(key, "value-too-large", cause)
            }
            (Ok(key), Ok(image)) => Ok((key, image)),
        };
        let (key, image) = match checked {
            Ok(checked) => checked,
            Err(reject) => return (walk.emit)(Found::Reject(reject, Some(mark))),
        };
        let Some(permit) = walk.waiting.enter(bytes) else { return false };
        (walk.emit)(Found::Image(Label { key, value }, Content::Bytes(image, permit), mark))
    }
}
