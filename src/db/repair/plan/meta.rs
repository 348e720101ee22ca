//! The family `meta`: what it says, and what is put in place of what it cannot say any more.

use std::ops::ControlFlow;

use super::Findings;
use crate::db::options::{IndexOptions, is_fingerprint, validate_widths};
use crate::db::recover::MAX_COUNTER;
use crate::db::repair::Repair;
use crate::db::repair::store::Changes;
use crate::error::{Corruption, Result};
use crate::storage::manifest::{
    ENCODER_KEY, INDEX_KEY, SCHEMA_KEY, STATE_KEY, Schema, SegmentEntry, State,
};
use crate::storage::records::{Family, RecordsSnapshot};

/// What the database is and holds, as far as that is known.
pub(in crate::db::repair) struct Meta {
    pub(in crate::db::repair) schema: Schema,
    pub(in crate::db::repair) index: IndexOptions,
    /// The counters, where they can be read.
    pub(in crate::db::repair) state: Option<State>,
    /// Whether the store has a schema, and whether that says that records may have patch addresses.
    has_schema: bool,
    says_patched: bool,
    /// The manifest.
    pub(in crate::db::repair) entries: Vec<SegmentEntry>,
    /// Entries to write.
    put: Vec<(&'static [u8], Vec<u8>)>,
    /// Entries of the manifest that make no sense.
    remove: Vec<Vec<u8>>,
}

impl Meta {
    pub(super) fn read(
        repair: &Repair,
        snapshot: &RecordsSnapshot,
        findings: &mut Findings,
    ) -> Result<Self> {
        let (mut put, mut remove, mut entries) = (Vec::new(), Vec::new(), Vec::new());
        let stored = snapshot.get(Family::Meta, SCHEMA_KEY)?;
        if let Some(bytes) = &stored {
            // One of a newer format is not ours to touch.
            Schema::check_version(bytes, &repair.layout.records())?;
        }
        let says_patched = stored.as_ref().is_some_and(|bytes| Schema::is_patched(bytes));
        let stored = stored.and_then(|bytes| Schema::decode(&bytes).ok());
        let has_schema = stored.is_some();
        let known = repair.schema_of_superblock();
        let Some(schema) = stored.or(known) else {
            return Err(snapshot.damage(&Corruption::Missing { what: "the schema" }));
        };
        validate_widths(schema.code_bits, schema.address_bits)?;
        if stored.is_none() {
            findings.notes.push("the schema was taken from SUPERBLOCK".to_owned());
        }
        if let (Some(stored), Some(known)) = (stored, known)
            && stored != known
        {
            let (expected, found) = (u64::from(known.code_bits), u64::from(stored.code_bits));
            let what = Corruption::Mismatch { field: "schema (code bits)", expected, found };
            return Err(snapshot.damage(&what));
        }
        let state = snapshot.get(Family::Meta, STATE_KEY)?;
        let state = state.and_then(|bytes| State::decode(&bytes).ok());
        if state.is_none() {
            findings.notes.push("the state is missing".to_owned());
        }
        let index = IndexOptions::decode(snapshot.get(Family::Meta, INDEX_KEY)?.as_deref());
        if index.is_err() || (state.is_none() && snapshot.get(Family::Meta, INDEX_KEY)?.is_none()) {
            put.push((INDEX_KEY, IndexOptions::default().encode()));
        }
        let encoder = snapshot.get(Family::Meta, ENCODER_KEY)?;
        let encoder = encoder.and_then(|name| String::from_utf8(name).ok());
        if !encoder.is_some_and(|name| is_fingerprint(&name))
            && let Some(name) = only_model(repair)?
        {
            findings.notes.push(format!("the encoder was taken from models/{name}.safetensors"));
            put.push((ENCODER_KEY, name.into_bytes()));
        }
        snapshot.scan(Family::Meta, SegmentEntry::first_key(), |key, value| {
            if !SegmentEntry::is_key(key) {
                return Ok(ControlFlow::Break(()));
            }
            match SegmentEntry::decode(key, value) {
                Ok(entry) => entries.push(entry),
                Err(_) => remove.push(key.to_vec()),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let state = state.filter(|state| {
            let leaves_room = state.next_id < MAX_COUNTER && state.next_segment < MAX_COUNTER;
            let is_behind = entries.iter().all(|entry| entry.number < state.next_segment);
            let counts = leaves_room && is_behind && state.record_count <= state.next_id;
            if !counts {
                findings.notes.push("the state counts what cannot be".to_owned());
            }
            counts
        });
        let index = index.unwrap_or_default();
        Ok(Self { schema, has_schema, says_patched, index, state, entries, put, remove })
    }

    /// Adds what has to change. The state goes with the manifest, last.
    pub(super) fn count_changes(
        &self,
        records: u64,
        next_id: u64,
        patched: bool,
        changes: &mut Changes<'_>,
    ) -> Result<()> {
        let schema = self.schema;
        if patched && !self.says_patched {
            changes.put(Family::Meta, SCHEMA_KEY.to_vec(), schema.encode_patched())?;
        } else if !self.has_schema {
            changes.put(Family::Meta, SCHEMA_KEY.to_vec(), schema.encode())?;
        }
        for (key, value) in &self.put {
            changes.put(Family::Meta, key.to_vec(), value.clone())?;
        }
        for key in &self.remove {
            changes.delete(Family::Meta, key)?;
        }
        let counts = |state: State| state.record_count == records && state.next_id >= next_id;
        if !self.state.is_some_and(counts) {
            changes.count += 1;
        }
        Ok(())
    }
}

/// The fingerprint of the only model there is.
fn only_model(repair: &Repair) -> Result<Option<String>> {
    let folder = repair.layout.models();
    if !folder.is_dir() {
        return Ok(None);
    }
    let files = repair.fs.list(&folder)?;
    let mut names = files.iter().filter_map(|file| {
        let name = file.file_stem()?.to_str()?;
        let ours = file.extension().is_some_and(|kind| kind == "safetensors");
        (ours && is_fingerprint(name)).then(|| name.to_owned())
    });
    Ok(names.next().filter(|_| names.next().is_none()))
}
