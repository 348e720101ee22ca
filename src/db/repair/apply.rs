//! Carries a plan out, in the order of every other change: files first, then one batch that names
//! them, then the superblock.

use std::sync::Arc;

use super::Repair;
use super::plan::Plan;
use super::store::{NEXT_SUPERBLOCK, Work};
use crate::db::bulk::RESERVED_IDS;
use crate::db::columns::Columns;
use crate::db::options::IndexOptions;
use crate::db::segment::Segment;
use crate::db::threads::Threads;
use crate::error::Result;
use crate::hamming::Level;
use crate::storage::failpoint;
use crate::storage::manifest::{STATE_KEY, Schema, SegmentEntry, State};
use crate::storage::records::{Access, Family, Records, RecordsBatch};
use crate::storage::superblock::Superblock;
use crate::storage::tree::ensure_dir;

/// Ids that are skipped where it is not known which were given out last: as many as a lost bulk load may have had.
const ID_GAP: u64 = RESERVED_IDS;

impl Repair {
    pub(super) fn apply(&mut self, work: &Work) -> Result<()> {
        let sound = self.report.was_sound();
        if !sound {
            self.write(work)?;
        }
        Ok(())
    }

    fn write(&mut self, work: &Work) -> Result<()> {
        let records = Arc::new(Records::open(&work.path, Access::Write, 0, None)?);
        failpoint::reach("repair.opened");
        let mut plan = Plan::new(self, records.snapshot(), Some(&records))?;
        let findings = plan.run()?;
        ensure_dir(self.fs.as_ref(), &self.layout.segments())?;
        ensure_dir(self.fs.as_ref(), &self.layout.models())?;
        let mut next_segment = self.next_segment(&plan)?;
        let mut made = Vec::new();
        let (schema, index) = (plan.meta.schema, plan.meta.index);
        records.write(plan.changes.rest(), false)?;
        failpoint::reach("repair.derived");
        plan.rows(&records.snapshot(), |columns| {
            made.push(self.make_segment(&schema, index, next_segment, &columns)?);
            next_segment += 1;
            Ok(())
        })?;
        failpoint::reach("repair.rows");
        let live: Vec<u64> = plan
            .meta
            .entries
            .iter()
            .map(|entry| entry.number)
            .filter(|number| findings.bad_segments.iter().all(|bad| bad.number != *number))
            .chain(made.iter().map(|entry| entry.number))
            .collect();
        self.set_segments_aside(&live)?;
        failpoint::reach("repair.aside");

        let state = self.state(&plan, work, next_segment);
        let mut last = RecordsBatch::default();
        for bad in &findings.bad_segments {
            last.delete(Family::Meta, SegmentEntry::key(bad.number));
        }
        for entry in &made {
            last.put(Family::Meta, SegmentEntry::key(entry.number), entry.encode());
        }
        last.put(Family::Meta, STATE_KEY, state.encode());
        drop(plan);
        records.write(last, true)?;
        failpoint::reach("repair.batch");
        let sequence = records.latest_sequence();
        drop(records);
        let generation = self.superblock.map_or(1, |superblock| superblock.generation + 1);
        let superblock = Superblock {
            database_id: schema.database_id,
            code_bits: schema.code_bits,
            address_bits: schema.address_bits,
            generation,
            sequence,
            record_count: state.record_count,
            next_segment: state.next_segment,
        };
        let fs = self.fs.as_ref();
        if work.copied {
            // It comes with the store that it is of: the old one would find the new store too short.
            superblock.create(fs, &work.path.join(NEXT_SUPERBLOCK))?;
            self.swap(work)?;
            self.take_superblock()?;
        } else {
            superblock.create(fs, &self.layout.superblock())?;
        }
        failpoint::reach("repair.superblock");
        Ok(())
    }

    fn make_segment(
        &self,
        schema: &Schema,
        index: IndexOptions,
        number: u64,
        columns: &Columns,
    ) -> Result<SegmentEntry> {
        let (draft, path) = (self.layout.segment_draft(number), self.layout.segment(number));
        let means = (Level::from_environment()?, Threads::foreground());
        Segment::write(self.fs.as_ref(), &draft, &path, (schema, index), means, number, columns)
    }

    /// A number that no segment has had.
    fn next_segment(&self, plan: &Plan<'_>) -> Result<u64> {
        let files = self.fs.list(&self.layout.segments())?;
        let on_disk = files.iter().filter_map(|file| file.file_stem()?.to_str()?.parse().ok());
        let named = plan.meta.entries.iter().map(|entry| entry.number);
        let highest = on_disk.chain(named).max().map_or(1, |number: u64| number + 1);
        let state = plan.meta.state.map_or(1, |state| state.next_segment);
        Ok(highest.max(state).max(self.superblock.map_or(1, |superblock| superblock.next_segment)))
    }

    /// The counters. An id is never given twice: where it is unknown which were, many are skipped.
    fn state(&self, plan: &Plan<'_>, work: &Work, next_segment: u64) -> State {
        let seen = plan.next_unseen().max(plan.bound);
        let next_id = match plan.meta.state {
            Some(state) if !work.salvaged => state.next_id.max(seen),
            state => {
                let mark = self.superblock.map_or(0, |superblock| superblock.sequence);
                let behind = mark.saturating_sub(work.sequence);
                let known = state.map_or(seen, |state| state.next_id.max(seen));
                known.saturating_add(behind).saturating_add(ID_GAP)
            }
        };
        State { next_id, sealed_bound: plan.bound, next_segment, record_count: plan.live_count() }
    }

    /// Moves the segment files that are not live out of the way: opening would remove them.
    fn set_segments_aside(&mut self, live: &[u64]) -> Result<()> {
        let live: Vec<_> = live.iter().map(|number| self.layout.segment(*number)).collect();
        let files = self.fs.list(&self.layout.segments())?;
        let stray: Vec<_> = files
            .into_iter()
            .filter(|file| file.extension().is_some_and(|kind| kind == "seg"))
            .filter(|file| !live.contains(file))
            .collect();
        if stray.is_empty() {
            return Ok(());
        }
        let aside = self.set_aside()?.join("segments");
        ensure_dir(self.fs.as_ref(), &aside)?;
        for file in &stray {
            if let Some(name) = file.file_name() {
                self.fs.rename(file, &aside.join(name))?;
            }
        }
        self.fs.sync_dir(&aside)?;
        self.fs.sync_dir(&self.layout.segments())
    }
}
