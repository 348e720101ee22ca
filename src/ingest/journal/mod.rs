//! The journal of an ingest: which files and shards are done, how far a shard was read, and what was
//! rejected. It is kept in the notes of the database, each note in the batch of the records that it speaks
//! of, so it never says more than the database holds, and never less by more than one batch.
//!
//! Notes (storage-format.md, section 4.1): `ingest/source/` + key: [`SourceNote`]; `ingest/reject/` + key:
//! [`RejectNote`], both as JSON; `ingest/patches`: how many patch addresses the records of a run were given;
//! `ingest/round/` + what names its paths: a reading of everything anew that was stopped.
//!
//! `plan` says what a source still needs, `rounds` what everything anew means to it, `rejects` tells what was
//! rejected, `missing` what is no longer there; `below` compares keys as paths.

mod below;
mod missing;
mod plan;
mod rejects;
mod rounds;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::Metadata;
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
use crate::db::{DONE_PREFIX, Database, MAX_KEY_BYTES, Readable, WriteBatch};
use below::{Below, outermost};
use missing::Changes;
use rounds::Round;

pub use rejects::{NotedReject, for_each_noted_reject, noted_rejects};

const SOURCES: &[u8] = DONE_PREFIX;
const REJECTS: &[u8] = b"ingest/reject/";
const PATCHES: &[u8] = b"ingest/patches";
/// Bytes of a cause that are remembered.
const MAX_CAUSE: usize = 4096;

/// What of an earlier run is done again. By default nothing: what was done or rejected is passed over, and a
/// shard that was read in part is read on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Redo {
    /// What was rejected is tried again.
    pub rejects: bool,
    /// Files and shards that changed since are read again: those whose size or time is another, files only
    /// if their content or one of their siblings is another too. What did not change keeps what it holds, also where
    /// this run would read it with other [`Siblings`](super::Siblings) or by another
    /// [`ShardFormat`](super::ShardFormat).
    pub changed: bool,
    /// Everything is read again. A run of this kind that did not come to its end is gone on with by the next one over
    /// the same paths, which tries its rejects again.
    pub all: bool,
}

/// A file or shard as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) key: Vec<u8>,
    pub(super) bytes: u64,
    /// Nanoseconds since 1970, as far as the file system tells.
    pub(super) modified: u64,
    pub(super) form: Form,
}

/// What a source is, and how it is read as far as that changes its records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    /// A file whose siblings nobody asked for.
    File,
    /// A file, and what its siblings are known by, if there are any.
    Beside(Option<Arc<str>>),
    /// A shard, and what is read of its entries beside the images, if anything is.
    Shard(Option<Arc<str>>),
}

impl Form {
    fn how(&self) -> Option<&str> {
        let (Self::Beside(how) | Self::Shard(how)) = self else { return None };
        how.as_deref()
    }
}

impl Origin {
    pub(super) fn new(path: &Path, metadata: &Metadata) -> Self {
        let since = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let modified = since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0));
        Self { key: key_of(path), bytes: metadata.len(), modified, form: Form::File }
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
    /// Of a shard, these entries, which were rejected, and all that come after the first `rest`.
    Only { entries: BTreeSet<Vec<u8>>, rest: u64 },
    /// The run ends: the journal cannot be read.
    Stop,
}

impl Plan {
    /// Of a shard that was read to its end, these entries.
    fn of_rejects(entries: BTreeSet<Vec<u8>>) -> Self {
        Self::Only { entries, rest: u64::MAX }
    }

    /// How many entries of a shard are passed over, whatever they are.
    pub(super) fn first(&self) -> u64 {
        if let Self::From(first) = self { *first } else { 0 }
    }

    /// Whether the entry is asked for that was passed as number `passed`, from 1.
    pub(super) fn wants(&self, passed: u64, key: &[u8]) -> bool {
        match self {
            Self::Only { entries, rest } => passed > *rest || entries.contains(key),
            _ => true,
        }
    }

    /// How far a shard is with so many entries passed, and whether that is all of it: it is no less far than it was.
    pub(super) fn reached(&self, passed: u64, finished: bool) -> (u64, bool) {
        match self {
            Self::Only { rest: u64::MAX, .. } => (passed, true),
            Self::Only { rest, .. } => (passed.max(*rest), finished),
            _ => (passed, finished),
        }
    }
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
    /// Whether it is a shard; unknown of old notes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shard: Option<bool>,
    /// Of a shard that was read before: the first id that records of its last reading may have. Older ones may be
    /// of entries that are gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    since: Option<u64>,
    /// The round in which it was read, if that was in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    round: Option<u64>,
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
    fn is_shard(&self) -> bool {
        // Of files that were read there is a hash.
        self.shard.unwrap_or(self.hash.is_none())
    }

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
    /// The round of this run, if it reads everything again.
    round: Option<Round>,
    choice: Choice,
    /// Whether this run has noted its patches.
    patches_noted: AtomicBool,
    stored_otherwise: AtomicU64,
    /// The first error of the walk, which has nobody to return it to.
    failure: Mutex<Option<IngestError>>,
    /// Hashes of the keys of all sources met, if they are wanted: what is not among them is missing, and what comes
    /// again is done.
    met: Option<Mutex<HashSet<u128>>>,
    /// What could not be looked at: nothing below it is missing as far as is known.
    lost: Mutex<Below>,
    /// Sources that were rejected before and are read again.
    retried: Mutex<HashSet<Vec<u8>>>,
    /// Shards that were read before and are read on or again.
    readings: Mutex<HashMap<Vec<u8>, Reading>>,
    /// Rejects that are tried again, or over, and were not met so far: entries of shards that are read for them, and
    /// sources that could not be looked at.
    asked: Mutex<HashSet<Vec<u8>>>,
    /// Of those shards the ones that cannot be read to their end.
    broken: Mutex<Below>,
    /// Files that changed in their times, perhaps not in their content, and were read for another choice.
    touched: Mutex<HashMap<Vec<u8>, Touched>>,
    /// Whether what is missing shall be deleted.
    deletes: bool,
    cancel: Option<&'a AtomicBool>,
}

/// What the record of a file keeps if the content is what it was.
#[derive(Debug)]
struct Touched {
    hash: u128,
    how: Option<String>,
    choice: Choice,
}

/// What the marks of a shard do not tell.
#[derive(Debug)]
struct Reading {
    /// Those of its note.
    since: Option<u64>,
    round: Option<u64>,
    /// Whether it begins anew, so that the rejects of the reading before are none any more.
    begins: bool,
}

impl<'a> Journal<'a> {
    /// The journal of a run over `given` and what the options list.
    pub(super) fn new(
        db: &'a Database,
        given: &[PathBuf],
        options: &IngestOptions<'a>,
    ) -> Result<Self, IngestError> {
        let remembers = options.delete_missing || may_meet_twice(given, options.listed);
        Ok(Self {
            db,
            redo: options.redo,
            round: (options.redo.all)
                .then(|| Round::enter(db, given, options.listed))
                .transpose()?,
            choice: Choice {
                store: options.store.label(),
                patches: Some(options.patches).filter(|count| *count > 0),
            },
            patches_noted: AtomicBool::new(false),
            stored_otherwise: AtomicU64::new(0),
            failure: Mutex::default(),
            met: remembers.then(Mutex::default),
            lost: Mutex::default(),
            retried: Mutex::default(),
            readings: Mutex::default(),
            asked: Mutex::default(),
            broken: Mutex::default(),
            touched: Mutex::default(),
            deletes: options.delete_missing,
            cancel: options.cancel,
        })
    }

    /// Counts a file or shard whose records stay, and whether a run of this choice would have stored the same.
    fn count_kept(&self, as_chosen: bool) {
        if !as_chosen {
            self.stored_otherwise.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Files and shards whose records stay and hold what another choice stored.
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
            self.asked.lock().remove(key);
            batch.delete_note(&[REJECTS, key].concat());
        }
        // What goes is taken away before what comes is noted, which may be the same.
        let mut notes = Vec::with_capacity(marks.len());
        for Mark { origin, finished, .. } in marks {
            notes.push(self.pass(origin)?);
            if *finished && self.retried.lock().remove(&origin.key) {
                batch.delete_note(&[REJECTS, &origin.key].concat());
            }
        }
        // A key that no record can have has no note either.
        for reject in rejects.iter().filter(|reject| reject.key.len() <= MAX_KEY_BYTES) {
            self.asked.lock().remove(&reject.key);
            if self.readings.lock().contains_key(&reject.key) {
                self.broken.lock().insert(&reject.key);
            }
            let (kind, mut cause) = (reject.kind.to_owned(), reject.cause.clone());
            cause.truncate(cause.floor_char_boundary(MAX_CAUSE));
            let note = RejectNote { stage: reject.stage, kind, cause };
            batch.put_note(&[REJECTS, &reject.key].concat(), &text_of(&note)?);
        }
        for (Mark { origin, passed, finished, hash }, note) in marks.iter().zip(notes) {
            let hashed = hash.map(|hash| format!("{hash:032x}"));
            let (passed, finished) = (*passed, *finished);
            let mut note = SourceNote { passed, finished, hash: hashed, ..note };
            let touched = self.touched.lock().remove(&origin.key);
            if let Some(touched) = touched.filter(|touched| *hash == Some(touched.hash)) {
                // The content is what it was, so the record stays as it is.
                (note.how, note.choice) = (touched.how, touched.choice);
                self.count_kept(false);
            }
            batch.put_note(&[SOURCES, &origin.key].concat(), &text_of(&note)?);
        }
        Ok(())
    }

    /// The note of a source of which nothing was read.
    fn unread(&self, origin: &Origin) -> SourceNote {
        SourceNote {
            bytes: origin.bytes,
            modified: origin.modified,
            passed: 0,
            finished: false,
            hash: None,
            how: origin.form.how().map(str::to_owned),
            shard: Some(matches!(origin.form, Form::Shard(_))),
            since: None,
            round: self.round(),
            choice: self.choice.clone(),
        }
    }

    /// Passes something of a source: its note but for the mark. The first time, the rejects of an earlier
    /// reading go; there may be millions, so the note says before that it is read from its start.
    fn pass(&self, origin: &Origin) -> Result<SourceNote, IngestError> {
        let mut readings = self.readings.lock();
        let Some(Reading { since, round, begins }) = readings.get_mut(&origin.key) else {
            return Ok(self.unread(origin));
        };
        let note = SourceNote { since: *since, round: *round, ..self.unread(origin) };
        let begins = std::mem::take(begins);
        drop(readings);
        if begins {
            let mut changes = Changes::new(self.db);
            changes.note(&origin.key, &note)?;
            changes.write()?;
            for key in self.rejects_below(&origin.key)? {
                changes.forget(REJECTS, &key);
                changes.settle()?;
            }
            changes.write()?;
        }
        Ok(note)
    }
}

/// Whether a walk over these may come to a file or a shard more than once. Which time is the first must not depend on
/// how far the writes are.
fn may_meet_twice(given: &[PathBuf], listed: &[PathBuf]) -> bool {
    if !listed.is_empty() || given.len() < 2 {
        return !listed.is_empty();
    }
    let is_pattern =
        |path: &PathBuf| path.metadata().err().and_then(|error| pattern_of(path, &error)).is_some();
    let keys = Vec::from_iter(given.iter().map(|path| key_of(path)));
    given.iter().any(is_pattern) || outermost(keys).len() < given.len()
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

impl Planner for Journal<'_> {
    fn lose(&self, key: &[u8]) {
        self.lost.lock().insert(key);
    }

    fn knows(&self, key: &[u8]) -> bool {
        self.db.note(&[SOURCES, key].concat()).is_ok_and(|note| note.is_some())
    }

    fn plan(&self, origin: &Origin) -> Plan {
        let came = self.met.as_ref().is_some_and(|met| !met.lock().insert(hash(&origin.key)));
        if came {
            return Plan::Skip;
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
