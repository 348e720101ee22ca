//! The commit of a load: one change of the record store's manifest that holds all of it.
//!
//! Beside the new records' tables there are small ones for what the load undoes (records that are
//! replaced, values of records that were dropped) and one for the family `meta`: the counters and the
//! new segments. So a crash leaves the old database or the new one.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::build::Built;
use super::entry::{Entry, Order};
use super::merge::Sorted;
use super::options::{BulkOptions, BulkProgress, BulkStage};
use super::passes::Passes;
use super::removals::visit;
use crate::db::engine::{CommitState, Engine};
use crate::db::notes::{NoteChange, stored_name};
use crate::db::record::{Location, encode_id};
use crate::db::view::View;
use crate::error::Result;
use crate::storage::failpoint;
use crate::storage::manifest::{SCHEMA_KEY, STATE_KEY, SegmentEntry, State};
use crate::storage::records::Family;
use crate::storage::tables::{Table, TableWriter, write_table};

/// The orders of replaced records.
const BY_ROW: usize = 0;
const BY_ID: usize = 1;

/// Writes what a record that goes leaves in a table.
type Fill<'f> = dyn Fn(&mut TableWriter<'_>, &Entry<'_>) -> Result<()> + 'f;

/// What a load brings to the commit.
pub(super) struct Load {
    pub(super) built: Built,
    pub(super) notes: Vec<NoteChange>,
    pub(super) state: State,
    /// Records have patch addresses.
    pub(super) patched: bool,
}

/// What notes say in the end, by their names in the store.
fn last_of_each(notes: Vec<NoteChange>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let stored = |note: NoteChange| Some((stored_name(&note.name), note.text?));
    notes.into_iter().filter_map(stored).collect()
}

impl Engine {
    /// Makes a load part of the database. The caller holds the locks for sealing and committing since
    /// before `view` was taken, so nothing has changed.
    pub(super) fn commit_load(
        &self,
        commit: &mut CommitState,
        view: &View,
        load: Load,
        passes: &Passes<'_>,
        options: &BulkOptions,
    ) -> Result<()> {
        let names = passes.names;
        let Load { mut built, notes, state, patched } = load;
        if let Some(progress) = &options.progress {
            let done = built.inserted + built.replaced.count;
            progress(BulkProgress { stage: BulkStage::Commit, done: 0, total: done });
        }
        let mut tables = std::mem::take(&mut built.tables);
        self.undo(&mut tables, &built, passes)?;
        let gone = built.replaced.ids(BY_ID, passes)?;
        let meta = write_table(&names.next("sst"), Family::Meta, |table| {
            // In the order of their names: notes, the schema, segments, the state.
            for (name, text) in last_of_each(notes) {
                table.put(&name, &text)?;
            }
            if patched {
                table.put(SCHEMA_KEY, &self.schema.encode_patched())?;
            }
            let mut segments: Vec<_> =
                built.segments.iter().map(|segment| segment.entry()).collect();
            segments.sort_unstable_by_key(|entry| entry.number);
            for entry in segments {
                table.put(&SegmentEntry::key(entry.number), &entry.encode())?;
            }
            table.put(STATE_KEY, &state.encode())
        })?;
        tables.extend(meta);
        self.options.fs.sync_dir(&self.layout.load())?;
        let records = self.records();
        // What fails up to here has changed nothing: the handle stays as it is.
        let prepared = records.prepare(self.options.fs.as_ref(), tables)?;
        failpoint::reach("bulk.before_ingest");
        let added = built.segments.keep();
        if let Err(error) = prepared.commit() {
            // It may have reached the manifest: only recovery can tell.
            commit.poisoned = true;
            return Err(error);
        }
        failpoint::reach("bulk.after_ingest");
        let mut next = view.with_state(state, None);
        next.segments.extend(added);
        next.segments.sort_unstable_by_key(|segment: &Arc<_>| segment.number());
        next.deleted.insert_set(gone);
        self.publish(commit, next);
        failpoint::reach("bulk.published");
        // The load is in and durable, and a SUPERBLOCK may know less than is there.
        if let Err(error) = self.write_superblock(commit) {
            self.maintenance_errors.lock().seal.get_or_insert(error.to_string());
        }
        failpoint::reach("bulk.end");
        Ok(())
    }

    /// Writes the tables that take away what was replaced or dropped.
    fn undo(&self, tables: &mut Vec<Table>, built: &Built, passes: &Passes<'_>) -> Result<()> {
        let bound = self.view().state.sealed_bound;
        let (by_row, by_id) = (built.replaced.sorted(BY_ROW), built.replaced.sorted(BY_ID));
        let mut write = |family, sorted: &[Sorted<'_>], order, fill: &Fill<'_>| {
            let table = write_table(&passes.names.next("sst"), family, |table| {
                visit(sorted, order, passes, |gone| fill(table, gone))
            });
            table.map(|table| tables.extend(table))
        };
        write(Family::Records, &by_row, Order::Row, &|table, gone| {
            table.delete(&Location { address: gone.address, id: gone.id }.encode())
        })?;
        let mut values = built.orphans.sorted(0);
        values.extend(built.replaced.sorted(BY_ID));
        write(Family::Values, &values, Order::Id, &|table, gone| {
            if gone.has_value { table.delete(&encode_id(gone.id)) } else { Ok(()) }
        })?;
        write(Family::Pending, &by_id, Order::Id, &|table, gone| {
            if gone.id >= bound { table.delete(&encode_id(gone.id)) } else { Ok(()) }
        })?;
        write(Family::Tombstones, &by_id, Order::Id, &|table, gone| {
            if gone.id < bound { table.put(&encode_id(gone.id), &[]) } else { Ok(()) }
        })
    }
}
