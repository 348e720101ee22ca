//! The commit of a merge: its segment takes the place of others, and the tombstones of the rows that it left out
//! go, at once.
//!
//! Few tombstones go in the batch that swaps the manifest entries. Those that a load leaves which replaced
//! millions of records would make a batch of that size: in memory, in the log while writers wait, and at every
//! open that reads this log again. So many become a table of deletions, which the record store takes in with one
//! for the family `meta` as one change of RocksDB's manifest, as it does a bulk load.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::db::engine::{CommitState, Engine};
use crate::db::record::encode_id;
use crate::db::segment::Segment;
use crate::error::Result;
use crate::storage::failpoint;
use crate::storage::manifest::{STATE_KEY, SegmentEntry, State};
use crate::storage::records::{Family, RecordsBatch};
use crate::storage::tables::{Table, write_table};

/// A merge that is written and no part of the database yet. If it is dropped, its files go.
pub(super) struct Swap<'a> {
    engine: &'a Engine,
    merged: Option<Arc<Segment>>,
    /// The manifest entries that change, by their keys; none where a segment goes.
    entries: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    tombstones: Tombstones,
    /// Names that tables have, or had before the record store took them in.
    drafts: Vec<PathBuf>,
}

/// The tombstones that go.
enum Tombstones {
    InBatch(RecordsBatch),
    InTables(Vec<Table>),
}

impl Engine {
    /// Whether the tombstones of these rows are too many for a batch. An open may have to read the log of a memtable
    /// at any time.
    pub(super) fn are_many(&self, dropped: &RoaringTreemap) -> bool {
        dropped.len() > self.options.memtable_records as u64
    }
}

impl<'a> Swap<'a> {
    /// Prepares what needs no lock, which is what grows with the merge: `merged`, if rows are left, takes the place
    /// of `inputs`.
    pub(super) fn new(
        engine: &'a Engine,
        inputs: &[Arc<Segment>],
        (number, merged): (u64, Option<Arc<Segment>>),
        dropped: &RoaringTreemap,
    ) -> Result<Self> {
        let mut entries: BTreeMap<_, _> =
            inputs.iter().map(|input| (SegmentEntry::key(input.number()), None)).collect();
        if let Some(entry) = merged.as_ref().map(|segment| segment.entry()) {
            entries.insert(SegmentEntry::key(entry.number), Some(entry.encode()));
        }
        let tombstones = Tombstones::InBatch(RecordsBatch::default());
        let mut swap = Self { engine, merged, entries, tombstones, drafts: Vec::new() };
        if engine.are_many(dropped) {
            // The segment has its final name.
            let draft = swap.draft(number);
            let table = write_table(&draft, Family::Tombstones, |table| {
                dropped.iter().try_for_each(|id| table.delete(&encode_id(id)))
            })?;
            swap.tombstones = Tombstones::InTables(table.into_iter().collect());
        } else if let Tombstones::InBatch(batch) = &mut swap.tombstones {
            for id in dropped {
                batch.delete(Family::Tombstones, encode_id(id));
            }
        }
        Ok(swap)
    }

    /// A name for a table, which the next open removes if it is left.
    fn draft(&mut self, number: u64) -> PathBuf {
        let path = self.engine.layout.segment_draft(number);
        self.drafts.push(path.clone());
        path
    }

    /// Makes the merge part of the record store, durably, with these counters; gives back its segment.
    ///
    /// Where the change itself fails the handle is poisoned; what fails before it has changed nothing.
    pub(super) fn commit(
        mut self,
        commit: &mut CommitState,
        state: State,
    ) -> Result<Option<Arc<Segment>>> {
        self.entries.insert(STATE_KEY.to_vec(), Some(state.encode()));
        let records = self.engine.records();
        let written = match std::mem::replace(&mut self.tombstones, Tombstones::InTables(vec![])) {
            Tombstones::InBatch(mut batch) => {
                for (key, entry) in std::mem::take(&mut self.entries) {
                    match entry {
                        Some(entry) => batch.put(Family::Meta, key, entry),
                        None => batch.delete(Family::Meta, key),
                    }
                }
                failpoint::reach("merge.before_batch");
                records.write(batch, true)
            }
            Tombstones::InTables(mut tables) => {
                tables.extend(self.write_entries()?);
                let fs = self.engine.options.fs.as_ref();
                fs.sync_dir(&self.engine.layout.segments())?;
                failpoint::reach("merge.tables");
                let prepared = records.prepare(fs, tables)?;
                failpoint::reach("merge.before_batch");
                prepared.commit()
            }
        };
        // From here on a manifest names the segment and the tables, or may name them.
        self.drafts.clear();
        let merged = self.merged.take();
        commit.poisoned |= written.is_err();
        written.map(|()| merged)
    }

    /// Writes the entries of the family `meta` as a table.
    fn write_entries(&mut self) -> Result<Option<Table>> {
        let draft = self.draft(self.engine.reserve_segment_number());
        write_table(&draft, Family::Meta, |table| {
            self.entries.iter().try_for_each(|(key, entry)| match entry {
                Some(entry) => table.put(key, entry),
                None => table.delete(key),
            })
        })
    }
}

impl Drop for Swap<'_> {
    fn drop(&mut self) {
        if let Some(merged) = &self.merged {
            merged.mark_obsolete();
        }
        for draft in &self.drafts {
            // One that was not begun is absent; one that cannot be removed goes at the next open.
            let _left_for_open = self.engine.options.fs.remove(draft);
        }
    }
}
