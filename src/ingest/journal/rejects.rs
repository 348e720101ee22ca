//! Rejects as the journal remembers them, of all runs.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::below::{Below, folder_of, outermost};
use super::{REJECTS, RejectNote, parse};
use crate::db::{Database, Readable as _};
use crate::ingest::IngestError;
use crate::ingest::pattern::Pattern;
use crate::ingest::report::Stage;
use crate::ingest::reread::path_of;
use crate::ingest::source::{key_of, pattern_of};

/// Paths whose rejects are looked up path by path.
const FEW_PATHS: usize = 64;

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

/// Where a run looks: below paths, and at what patterns match.
pub(super) struct Scope {
    keys: Vec<Vec<u8>>,
    below: Below,
    patterns: Vec<Pattern>,
}

impl Scope {
    /// That of a run: a path that was given may be a pattern, one of a list is what it is.
    pub(super) fn new(given: &[PathBuf], listed: &[PathBuf]) -> Self {
        let mut patterns = Vec::new();
        let mut keys = Vec::new();
        for path in given {
            let pattern = path.metadata().err().and_then(|error| pattern_of(path, &error));
            match pattern {
                Some(Ok(pattern)) => patterns.push(pattern),
                _ => keys.push(key_of(path)),
            }
        }
        keys.extend(listed.iter().map(|path| key_of(path)));
        let mut below = Below::default();
        keys.iter().for_each(|key| below.insert(key));
        Self { keys, below, patterns }
    }

    /// Whether a key is that of something in it.
    fn holds(&self, key: &[u8]) -> bool {
        self.below.holds(key) || self.patterns.iter().any(|pattern| pattern.holds_key(key))
    }

    /// Whether a walk comes to what has this key: one by a pattern comes to files that match and does not look into
    /// every folder.
    pub(super) fn walks(&self, key: &[u8]) -> bool {
        let is_folder = || path_of(key).is_some_and(|path| path.is_dir());
        self.below.holds(key)
            || self.patterns.iter().any(|pattern| pattern.matches_key(key)) && !is_folder()
    }
}

/// The rejects of runs over these paths that no later run has taken in, one by one, each once: path by path in the
/// order of their names, and in the order of their keys below each. Paths that were `given` may be patterns, those that
/// were `listed` are what they are. There may be millions.
///
/// # Errors
///
/// [`IngestError::Database`] if the notes cannot be read, [`IngestError::Journal`] if one makes no sense,
/// and what `visit` returns.
pub fn for_each_noted_reject(
    db: &Database,
    given: &[PathBuf],
    listed: &[PathBuf],
    visit: &mut dyn FnMut(NotedReject) -> Result<(), IngestError>,
) -> Result<(), IngestError> {
    let scope = Scope::new(given, listed);
    if scope.patterns.is_empty() && scope.keys.len() <= FEW_PATHS {
        return outermost(scope.keys).iter().try_for_each(|key| {
            let folder = folder_of(key);
            let below = |rejected: &[u8]| rejected == *key || rejected.starts_with(&folder);
            visit_rejects(db, key, &below, visit)
        });
    }
    // One pass over all rejects is less than one for each of many paths.
    visit_rejects(db, b"", &|rejected| scope.holds(rejected), visit)
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

/// The rejects of [`for_each_noted_reject`] below paths or of patterns, as a list.
///
/// # Errors
///
/// Its errors.
pub fn noted_rejects(db: &Database, paths: &[PathBuf]) -> Result<Vec<NotedReject>, IngestError> {
    let mut found = Vec::new();
    for_each_noted_reject(db, paths, &[], &mut |reject| {
        found.push(reject);
        Ok(())
    })?;
    Ok(found)
}
