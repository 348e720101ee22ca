//! The journal of an ingest: which files and shards are done, how far a shard was read, and what was
//! rejected. It is kept in the notes of the database, each note in the batch of the records that it speaks
//! of, so it never says more than the database holds, and never less by more than one batch.
//!
//! Notes (storage-format.md, section 4.1): `ingest/source/` + key: [`SourceNote`]; `ingest/reject/` + key:
//! [`RejectNote`], both as JSON; `ingest/patches`: how many patch addresses the records of a run were given.

use std::collections::{BTreeSet, HashSet};
use std::fs::Metadata;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::IngestError;
use super::options::IngestOptions;
use super::report::{Reject, Stage};
use super::source::{Planner, key_of, pattern_of};
use crate::db::{DONE_PREFIX, Database, MAX_KEY_BYTES, Readable, WriteBatch, WriteOptions};
use crate::error::Result;

const SOURCES: &[u8] = DONE_PREFIX;
const REJECTS: &[u8] = b"ingest/reject/";
const PATCHES: &[u8] = b"ingest/patches";
/// Paths whose rejects are looked up path by path.
const FEW_PATHS: usize = 64;
/// Deletes of one batch.
const DELETES: usize = 1000;

/// What of an earlier run is done again. By default nothing: what was done or rejected is passed over, and a
/// shard that was read in part is read on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redo {
    /// What was rejected is tried again.
    pub rejects: bool,
    /// Files and shards that changed since are read again: those whose size or time is another, files only
    /// if their content or one of their siblings is another too; and shards that were read with other
    /// [`Siblings`](super::Siblings) or by another [`ShardFormat`](super::ShardFormat).
    pub changed: bool,
    /// Everything is read again.
    pub all: bool,
}

/// A file or shard as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) key: Vec<u8>,
    pub(super) bytes: u64,
    /// Nanoseconds since 1970, as far as the file system tells.
    pub(super) modified: u64,
    /// How it is read, as far as that changes its records.
    pub(super) how: Option<Arc<str>>,
}

impl Origin {
    pub(super) fn new(path: &Path, metadata: &Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
        Self { key: key_of(path), bytes: metadata.len(), modified, how: None }
    }
}

/// How far a source has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) origin: Arc<Origin>,
    /// Entries of a shard that were passed, of whatever kind; 1 for a file.
    pub(super) passed: u64,
    pub(super) finished: bool,
    /// The hash of a file's content.
    pub(super) hash: Option<u128>,
}

/// What a source still needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Nothing.
    Skip,
    /// To be read from this entry on.
    From(u64),
    /// To be read again, but for a file of this content.
    Unless(u128),
    /// Of a shard, these entries.
    Only(BTreeSet<Vec<u8>>),
    /// The run ends: the journal cannot be read.
    Stop,
}

#[derive(Debug, Serialize, Deserialize)]
struct SourceNote {
    bytes: u64,
    modified: u64,
    passed: u64,
    finished: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    how: Option<String>,
    #[serde(flatten)]
    choice: Choice,
}

/// What is stored with each record beside its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Choice {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    store: Option<String>,
    /// Patch addresses; absent for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    patches: Option<usize>,
}

impl SourceNote {
    fn hash(&self) -> Option<u128> {
        u128::from_str_radix(self.hash.as_deref()?, 16).ok()
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct RejectNote {
    stage: Stage,
    kind: String,
    cause: String,
}

/// The journal of one run.
#[derive(Debug)]
pub(super) struct Journal<'a> {
    db: &'a Database,
    redo: Redo,
    choice: Choice,
    /// Whether this run has noted its patches.
    patches_noted: AtomicBool,
    stored_otherwise: AtomicU64,
    /// The first error of the walk, which has nobody to return it to.
    failure: Mutex<Option<IngestError>>,
    /// Hashes of the keys of all sources met, if they are wanted: what is not among them is missing.
    met: Option<Mutex<HashSet<u128>>>,
    /// Keys of what could not be looked at: nothing below them is missing as far as is known.
    lost: Mutex<Vec<Vec<u8>>>,
    /// Sources that were rejected before and are read again.
    retried: Mutex<HashSet<Vec<u8>>>,
}

impl<'a> Journal<'a> {
    /// A journal that can tell what is missing if that shall be deleted.
    pub(super) fn new(db: &'a Database, options: &IngestOptions<'_>) -> Self {
        Self {
            db,
            redo: options.redo,
            choice: Choice {
                store: options.store.label(),
                patches: Some(options.patches).filter(|count| *count > 0),
            },
            patches_noted: AtomicBool::new(false),
            stored_otherwise: AtomicU64::new(0),
            failure: Mutex::default(),
            met: options.delete_missing.then(Mutex::default),
            lost: Mutex::default(),
            retried: Mutex::default(),
        }
    }

    fn look_up(&self, origin: &Origin) -> Result<Plan, IngestError> {
        let rejected = self.db.note(&[REJECTS, &origin.key].concat())?.is_some();
        let plan = self.weigh(origin, rejected)?;
        if rejected && plan != Plan::Skip {
            self.retried.lock().insert(origin.key.clone());
        }
        Ok(plan)
    }

    fn weigh(&self, origin: &Origin, rejected: bool) -> Result<Plan, IngestError> {
        let note = self.db.note(&[SOURCES, &origin.key].concat())?;
        let Some(note) = note.filter(|_| !self.redo.all) else { return Ok(Plan::From(0)) };
        let note: SourceNote = parse(&origin.key, &note)?;
        let same = (note.bytes, note.modified) == (origin.bytes, origin.modified);
        let same_values = note.how.as_deref() == origin.how.as_deref();
        let same_choice = note.choice == self.choice;
        if !note.finished {
            let goes_on = same && same_values && same_choice;
            return Ok(Plan::From(if goes_on { note.passed } else { 0 }));
        }
        if self.redo.rejects && rejected {
            return Ok(Plan::From(0));
        }
        if !same_values && self.redo.changed {
            return Ok(Plan::From(0));
        }
        if !same && self.redo.changed {
            // Its note will name this choice, so its record has to have it; and of a reject there is none.
            let hash = note.hash().filter(|_| same_choice && !rejected);
            return Ok(hash.map_or(Plan::From(0), Plan::Unless));
        }
        let skip = || {
            if !same_choice && !rejected {
                self.stored_otherwise.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Plan::Skip)
        };
        if !self.redo.rejects {
            return skip();
        }
        let mut entries = BTreeSet::new();
        self.db.for_each_note(&[REJECTS, &origin.key, b"/"].concat(), |name, _| {
            entries.insert(name[REJECTS.len()..].to_vec());
            Ok(ControlFlow::Continue(()))
        })?;
        match entries.is_empty() {
            true => skip(),
            // Of another shard than it was, some entries are not enough.
            false if !same || !same_values || !same_choice => Ok(Plan::From(0)),
            false => Ok(Plan::Only(entries)),
        }
    }

    /// Files and shards that were passed over so far and whose records hold what another choice stored.
    pub(super) fn stored_otherwise(&self) -> u64 {
        self.stored_otherwise.load(Ordering::Relaxed)
    }

    /// The error that ended the walk, if one did.
    pub(super) fn take_failure(&self) -> Option<IngestError> {
        self.failure.lock().take()
    }

    /// Adds what was passed to the batch of its records. `done` are their keys.
    pub(super) fn note<'k>(
        &self,
        batch: &mut WriteBatch,
        marks: &[Mark],
        rejects: &[Reject],
        done: impl Iterator<Item = &'k [u8]>,
    ) -> Result<(), IngestError> {
        let again = self.redo != Redo::default();
        let mut done = done.peekable();
        if let Some(count) = self.choice.patches
            && done.peek().is_some()
            && !self.patches_noted.swap(true, Ordering::Relaxed)
        {
            batch.put_note(PATCHES, count.to_string().as_bytes());
        }
        for key in done.filter(|_| again) {
            batch.delete_note(&[REJECTS, key].concat());
        }
        for mark in marks.iter().filter(|mark| mark.finished) {
            if self.retried.lock().remove(&mark.origin.key) {
                batch.delete_note(&[REJECTS, &mark.origin.key].concat());
            }
        }
        // A key that no record can have has no note either.
        for reject in rejects.iter().filter(|reject| reject.key.len() <= MAX_KEY_BYTES) {
            let (kind, cause) = (reject.kind.to_owned(), reject.cause.clone());
            let note = RejectNote { stage: reject.stage, kind, cause };
            batch.put_note(&[REJECTS, &reject.key].concat(), &text_of(&note)?);
        }
        for Mark { origin, passed, finished, hash } in marks {
            let hash = hash.map(|hash| format!("{hash:032x}"));
            let (bytes, modified) = (origin.bytes, origin.modified);
            let (passed, finished, how) =
                (*passed, *finished, origin.how.as_deref().map(str::to_owned));
            let choice = self.choice.clone();
            let note = SourceNote { bytes, modified, passed, finished, hash, how, choice };
            batch.put_note(&[SOURCES, &origin.key].concat(), &text_of(&note)?);
        }
        Ok(())
    }

    /// Deletes the records of files and shards below `paths` that the walk did not meet, and returns how
    /// many there were. The walk came to its end.
    pub(super) fn delete_missing(&self, paths: &[PathBuf]) -> Result<u64, IngestError> {
        let Some(met) = &self.met else { return Ok(0) };
        let met = met.lock();
        let lost = self.lost.lock();
        let unknown = |source: &[u8]| {
            lost.iter().any(|key| {
                source.strip_prefix(key.as_slice()).is_some_and(|rest| {
                    rest.is_empty() || rest.starts_with(b"/") || key.ends_with(b"/")
                })
            })
        };
        let mut missing = Vec::new();
        for path in paths {
            let key = key_of(path);
            let folder = folder_of(&key);
            for prefix in [key.clone(), folder.clone()] {
                self.db.for_each_note(&[SOURCES, &prefix].concat(), |name, _| {
                    let source = &name[SOURCES.len()..];
                    let below = source == key || source.starts_with(&folder);
                    if below && !met.contains(&hash(source)) && !unknown(source) {
                        missing.push(source.to_vec());
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
            }
        }
        missing.sort_unstable();
        missing.dedup();
        missing.iter().map(|source| self.delete_source(source, &met)).sum()
    }

    /// Deletes the record of a file or all records of a shard, but for those that are files of their own by
    /// now, and then what is noted of it.
    fn delete_source(&self, source: &[u8], met: &HashSet<u128>) -> Result<u64, IngestError> {
        let mut keys = vec![source.to_vec()];
        let entries = [source, b"/"].concat();
        let note = self.db.note(&[SOURCES, source].concat())?;
        let note: Option<SourceNote> = note.map(|note| parse(source, &note)).transpose()?;
        // What is below the key of a file is not of this file: shards alone have entries, and no hash.
        if note.is_none_or(|note| note.hash.is_none()) {
            self.db.for_each_key(&entries, |key| {
                if !met.contains(&hash(key)) && self.db.note(&[SOURCES, key].concat())?.is_none() {
                    keys.push(key.to_vec());
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let mut deleted = 0;
        for keys in keys.chunks(DELETES) {
            let mut batch = WriteBatch::new();
            keys.iter().for_each(|key| batch.delete(key));
            deleted += self.db.write(batch, WriteOptions::default())?.deleted;
        }
        let mut batch = WriteBatch::new();
        batch.delete_note(&[REJECTS, source].concat());
        self.db.for_each_note(&[REJECTS, &entries].concat(), |name, _| {
            batch.delete_note(name);
            Ok(ControlFlow::Continue(()))
        })?;
        batch.delete_note(&[SOURCES, source].concat());
        self.db.write(batch, WriteOptions::default())?;
        Ok(deleted)
    }
}

/// How many patch addresses the records have that ingests brought in; `None` if no run stored any. A run of another
/// number is refused, one without patches is not.
///
/// # Errors
///
/// [`IngestError::Database`] if the note cannot be read, [`IngestError::Journal`] if it makes no sense.
pub fn noted_patches(db: &impl Readable) -> Result<Option<usize>, IngestError> {
    db.note(PATCHES)?.map(|note| parse(PATCHES, &note)).transpose()
}

/// A reject of this run or an earlier one, as the journal remembers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotedReject {
    /// The key that the record would have had, or the path of the shard.
    pub key: Vec<u8>,
    /// Where it failed.
    pub stage: Stage,
    /// The label of the cause.
    pub kind: String,
    /// The cause.
    pub cause: String,
}

/// The rejects below `paths` that no later run has taken in, one by one, each once: path by path in the
/// order of their names, and in the order of their keys below each. There may be millions.
///
/// # Errors
///
/// [`IngestError::Database`] if the notes cannot be read, [`IngestError::Journal`] if one makes no sense,
/// and what `visit` returns.
pub fn for_each_noted_reject(
    db: &Database,
    paths: &[PathBuf],
    visit: &mut dyn FnMut(NotedReject) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let mut patterns = Vec::new();
    let mut keys = Vec::new();
    for path in paths {
        let pattern = path.metadata().err().and_then(|error| pattern_of(path, &error));
        match pattern {
            Some(Ok(pattern)) => patterns.push(pattern),
            _ => keys.push(key_of(path)),
        }
    }
    if patterns.is_empty() && keys.len() <= FEW_PATHS {
        return outermost(keys).iter().try_for_each(|key| {
            let folder = folder_of(key);
            let below = |rejected: &[u8]| rejected == *key || rejected.starts_with(&folder);
            visit_rejects(db, key, &below, visit)
        });
    }
    // One pass over all rejects is less than one for each of many paths.
    let trimmed = |key: Vec<u8>| key.strip_suffix(b"/").map_or(key.clone(), <[u8]>::to_vec);
    let keys: HashSet<_> = keys.into_iter().map(trimmed).collect();
    let below = |rejected: &[u8]| {
        let slashes = rejected.iter().enumerate().filter(|(_, byte)| **byte == b'/');
        let mut ends = slashes.map(|(at, _)| at).chain([rejected.len()]);
        ends.any(|end| keys.contains(&rejected[..end]))
            || patterns.iter().any(|pattern| pattern.holds_key(rejected))
    };
    visit_rejects(db, b"", &below, visit)
}

/// Visits the noted rejects whose keys begin so and are `below` what was asked for.
fn visit_rejects(
    db: &Database,
    prefix: &[u8],
    below: &dyn Fn(&[u8]) -> bool,
    visit: &mut dyn FnMut(NotedReject) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let mut failure = None;
    db.for_each_note(&[REJECTS, prefix].concat(), |name, note| {
        let rejected = &name[REJECTS.len()..];
        if !below(rejected) {
            return Ok(ControlFlow::Continue(()));
        }
        let told = parse(rejected, note).and_then(|RejectNote { stage, kind, cause }| {
            visit(NotedReject { key: rejected.to_vec(), stage, kind, cause })
        });
        failure = told.err();
        Ok(if failure.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    failure.map_or(Ok(()), Err)
}

/// The rejects of [`for_each_noted_reject`] as a list.
///
/// # Errors
///
/// Its errors.
pub fn noted_rejects(db: &Database, paths: &[PathBuf]) -> Result<Vec<NotedReject>, IngestError> {
    let mut found = Vec::new();
    for_each_noted_reject(db, paths, &mut |reject| {
        found.push(reject);
        Ok(())
    })?;
    Ok(found)
}

/// What the keys of everything in the folder or shard of this key begin with.
fn folder_of(key: &[u8]) -> Vec<u8> {
    [key.strip_suffix(b"/").unwrap_or(key), b"/"].concat()
}

/// The keys in order, without those that lie below another one.
fn outermost(mut keys: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    // Compared like this, all that lies below a folder comes right behind it.
    keys.sort_by_cached_key(|key| folder_of(key));
    keys.dedup_by(|later, kept| folder_of(later).starts_with(&folder_of(kept)));
    keys
}

impl Planner for Journal<'_> {
    fn lose(&self, key: &[u8]) {
        self.lost.lock().push(key.to_vec());
    }

    fn plan(&self, origin: &Origin) -> Plan {
        if let Some(met) = &self.met {
            met.lock().insert(hash(&origin.key));
        }
        self.look_up(origin).unwrap_or_else(|error| {
            self.failure.lock().get_or_insert(error);
            Plan::Stop
        })
    }
}

/// The hash of a file's content, or of a key.
pub(super) fn hash(bytes: &[u8]) -> u128 {
    first_half(blake3::hash(bytes).as_bytes())
}

/// What the journal keeps of a hash.
pub(super) fn first_half(hash: &[u8; 32]) -> u128 {
    let mut first = [0; 16];
    first.copy_from_slice(&hash[..16]);
    u128::from_be_bytes(first)
}

fn parse<'n, N: Deserialize<'n>>(key: &[u8], note: &'n [u8]) -> Result<N, IngestError> {
    let key = key.escape_ascii();
    serde_json::from_slice(note)
        .map_err(|error| IngestError::Journal(format!("the note of {key} cannot be read: {error}")))
}

fn text_of(note: &impl Serialize) -> Result<Vec<u8>, IngestError> {
    serde_json::to_vec(note).map_err(|error| IngestError::Journal(error.to_string()))
}
