//! Rejects as the journal remembers them, of all runs.

use std::ops::ControlFlow;
use std::path::PathBuf;

use super::below::{Below, folder_of, outermost};
use super::{REJECTS, RejectNote, parse};
use crate::db::{Database, Readable as _};
use crate::ingest::IngestError;
use crate::ingest::report::Stage;
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
    let mut asked = Below::default();
    keys.iter().for_each(|key| asked.insert(key));
    let below = |rejected: &[u8]| {
        asked.holds(rejected) || patterns.iter().any(|pattern| pattern.holds_key(rejected))
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
