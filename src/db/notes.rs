//! Notes: small named values that a program keeps beside its records, changed together with them.
//!
//! The journal of an ingest is made of them: what is done is noted in the batch that does it.

use std::ops::ControlFlow;

use crate::db::options::{MAX_KEY_BYTES, MAX_NOTE_BYTES};
use crate::db::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::storage::manifest::NOTE_PREFIX;
use crate::storage::records::{Family, RecordsBatch};

/// Notes of these names say that an ingest has stored all that there is in a source. A repair that loses records
/// removes them, so that the next ingest looks at its sources again.
pub(crate) const DONE_PREFIX: &[u8] = b"ingest/source/";
/// Room for the key of a record and a word before it.
const MAX_NAME_BYTES: usize = MAX_KEY_BYTES + 64;

/// A change of a note: its name and what it says from now on, if anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NoteChange {
    pub(crate) name: Vec<u8>,
    pub(crate) text: Option<Vec<u8>>,
}

impl NoteChange {
    /// Checks the limits and returns the size in bytes.
    pub(crate) fn validate(&self) -> Result<usize> {
        let (name, text) = (self.name.len(), self.text.as_ref().map_or(0, Vec::len));
        if !(1..=MAX_NAME_BYTES).contains(&name) {
            let rule = format!("must have 1 to {MAX_NAME_BYTES} bytes, not {name}");
            return Err(Error::invalid("name of a note", rule));
        }
        if text > MAX_NOTE_BYTES {
            let rule = format!("must have at most {MAX_NOTE_BYTES} bytes, not {text}");
            return Err(Error::invalid("note", rule));
        }
        Ok(name + text)
    }

    /// Adds the change to a batch; of several to one note the last one counts.
    pub(crate) fn apply(&self, changes: &mut RecordsBatch) {
        let key = stored_name(&self.name);
        match &self.text {
            Some(text) => changes.put(Family::Meta, key, text.as_slice()),
            None => changes.delete(Family::Meta, key),
        }
    }
}

/// The name in the family `meta`.
pub(crate) fn stored_name(name: &[u8]) -> Vec<u8> {
    [NOTE_PREFIX, name].concat()
}

impl Snapshot {
    pub(crate) fn find_note(&self, name: &[u8]) -> Result<Option<Vec<u8>>> {
        self.view.records.get(Family::Meta, &stored_name(name))
    }

    pub(crate) fn visit_notes(
        &self,
        prefix: &[u8],
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let first = stored_name(prefix);
        self.view.records.scan(Family::Meta, &first, |key, text| {
            if !key.starts_with(&first) {
                return Ok(ControlFlow::Break(()));
            }
            visit(&key[NOTE_PREFIX.len()..], text)
        })
    }
}
