//! Seal: the memtable becomes a segment.
//!
//! The file is durable under its final name before the one record-store batch that names it in
//! the manifest and clears `pending`. A crash before that batch leaves the old state and a file
//! that the next open removes; a crash after it leaves the new state.

use std::sync::Arc;

use crate::db::columns::Columns;
use crate::db::engine::Engine;
use crate::db::gather::{Gathered, gather};
use crate::db::options::IndexOptions;
use crate::db::record::encode_id;
use crate::db::segment::Segment;
use crate::db::threads::Threads;
use crate::db::view::View;
use crate::error::Result;
use crate::storage::failpoint;
use crate::storage::manifest::{STATE_KEY, SegmentEntry, State};
use crate::storage::records::{Family, RecordsBatch};

impl Engine {
    /// Seals what the memtable holds now; says whether there was anything. Writers go on while the
    /// file is written and wait only for the batch that names it.
    pub(crate) fn seal(&self) -> Result<bool> {
        let _sealing = self.sealing.lock();
        self.seal_locked()
    }

    /// Seals the memtable if it is full.
    pub(crate) fn seal_if_full(&self) -> Result<()> {
        self.seal_from(self.options.memtable_records)
    }

    /// Seals the memtable if it holds `rows` or more once nobody else seals.
    pub(crate) fn seal_from(&self, rows: usize) -> Result<()> {
        let _sealing = self.sealing.lock();
        if self.view().memtable.len() >= rows {
            self.seal_locked()?;
        }
        Ok(())
    }

    /// The same; the caller holds the lock `sealing`.
    pub(crate) fn seal_locked(&self) -> Result<bool> {
        // A poisoned handle may touch no file: the batch that failed may have reached the disk, and
        // what its manifest entry names must stay as it is.
        drop(self.lock_commit()?);
        let view = self.view();
        if view.memtable.is_empty() {
            return Ok(false);
        }
        failpoint::reach("seal.begin");
        let bound = view.state.next_id;
        let runs = view.memtable.runs();
        let sources: Vec<_> = runs.map(|run| (run.rows(), &run.patches)).collect();
        let code_bytes = usize::from(self.schema.code_bits / 8);
        let Gathered { columns, .. } = gather(&sources, code_bytes, |id| view.is_live(id))?;
        let number = self.reserve_segment_number();
        // Without indexes over codes: they would hold up the writers, and the merge that follows
        // would throw them away.
        let segment = self.write_segment(number, IndexOptions::none(), Threads::one(), &columns)?;

        let mut commit = self.lock_commit()?;
        let current = self.view();
        let sealed = view.state.sealed_bound..bound;
        let mut changes = RecordsBatch::default();
        if let Some(segment) = &segment {
            put_segment(&mut changes, segment);
        }
        // From where the last seal ended: of ranges that lie in each other RocksDB keeps, for each stretch,
        // all that cover it, and needs memory with the square of their number to read the family.
        let from = current.state.sealed_bound;
        changes.delete_range(Family::Pending, encode_id(from), encode_id(bound));
        // Records that were deleted while the file was written are in it: from now on a
        // tombstone has to say that they are dead.
        for id in current.deleted.iter() {
            if sealed.contains(&id) && !view.deleted.contains(id) {
                changes.put(Family::Tombstones, encode_id(id), Vec::new());
            }
        }
        let state = State {
            sealed_bound: bound,
            next_segment: current.state.next_segment.max(number + 1),
            ..current.state
        };
        changes.put(Family::Meta, STATE_KEY, state.encode());
        failpoint::reach("seal.before_batch");
        if let Err(error) = self.records().write(changes, true) {
            commit.poisoned = true;
            return Err(error);
        }
        failpoint::reach("seal.after_batch");
        let mut segments = current.segments.clone();
        segments.extend(segment);
        segments.sort_unstable_by_key(|segment| segment.number());
        let next = View {
            records: self.records().snapshot(),
            segments,
            memtable: current.memtable.split_off(bound),
            deleted: current
                .deleted
                .retain(|id| !(sealed.contains(&id) && view.deleted.contains(id))),
            state,
            kept: current.kept.clone(),
        };
        self.publish(&mut commit, next);
        failpoint::reach("seal.published");
        self.write_superblock(&mut commit)?;
        drop(commit);
        self.keep_ballast();
        failpoint::reach("seal.end");
        Ok(true)
    }

    /// Writes and opens a segment; none if there are no rows.
    pub(crate) fn write_segment(
        &self,
        number: u64,
        index: IndexOptions,
        threads: Threads<'_>,
        columns: &Columns,
    ) -> Result<Option<Arc<Segment>>> {
        if columns.is_empty() {
            return Ok(None);
        }
        let (fs, schema) = (&self.options.fs, &self.schema);
        let (draft, path) = (self.layout.segment_draft(number), self.layout.segment(number));
        let written = Segment::write(
            fs.as_ref(),
            &draft,
            &path,
            (schema, index),
            (self.search.level, threads),
            number,
            columns,
        )
        .and_then(|entry| Segment::open(fs, &path, schema, entry, self.options.mmap));
        if written.is_err() {
            // On a full disk the space matters now. What cannot be removed goes at the next open.
            let _left_for_open = fs.remove(&draft).or_else(|_| fs.remove(&path));
        }
        failpoint::reach("segment.opened");
        written.map(Arc::new).map(Some)
    }
}

/// Names a segment in the manifest.
pub(crate) fn put_segment(changes: &mut RecordsBatch, segment: &Segment) {
    let (number, row_count) = (segment.number(), segment.row_count());
    let entry = SegmentEntry { number, row_count, file_bytes: segment.file_bytes() };
    changes.put(Family::Meta, SegmentEntry::key(number), entry.encode());
}
