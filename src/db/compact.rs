//! Compact: several segments become one, without the rows that are deleted.
//!
//! The same order as in `seal`: file first, then one change ([`Swap`]) that swaps the manifest entries and
//! forgets the tombstones of the rows that are gone. The old files go when the last view that
//! uses them does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use roaring::RoaringTreemap;

use crate::db::engine::Engine;
use crate::db::gather::{Gathered, gather};
use crate::db::options::IndexOptions;
use crate::db::segment::Segment;
use crate::db::swap::Swap;
use crate::db::threads::Threads;
use crate::db::view::View;
use crate::error::Result;
use crate::storage::failpoint;
use crate::storage::manifest::{INDEX_KEY, State};
use crate::storage::records::{Family, RecordsBatch};

/// Segments of like size that are merged at once; keeps their number logarithmic.
const FAN_IN: usize = 4;
/// Patch addresses that the background merges at once: it takes some 13 bytes of memory for each.
const MERGED_PATCHES: u64 = 1 << 27;
/// Segments at which who seals waits for merges: some four times what merging leaves in the largest
/// database.
pub(super) const MOST_SEGMENTS: usize = 128;
/// Segments at which merges that an earlier process left undone begin with the opening: more than merging leaves.
const LEFT_SEGMENTS: usize = MOST_SEGMENTS / 4;

impl Engine {
    /// Seals, then merges all segments into one without deleted rows, and has the record store
    /// reclaim its space too.
    pub(crate) fn compact(&self) -> Result<()> {
        let merging = self.merging.lock();
        failpoint::reach("compact.begin");
        self.seal()?;
        failpoint::reach("compact.sealed");
        let view = self.view();
        let index = *self.index.lock();
        let clean = view.segments.len() <= 1
            && view.deleted.len() == 0
            && view.segments.iter().all(|segment| segment.carries(index));
        if !clean {
            self.merge_locked(&view.segments, Threads::foreground())?;
        }
        // The view holds the old segment files and pins what the store is about to drop.
        drop(view);
        drop(merging);
        failpoint::reach("compact.merged");
        self.records().compact()?;
        self.keep_ballast();
        failpoint::reach("compact.end");
        Ok(())
    }

    /// Notes which indexes merged segments carry.
    pub(crate) fn set_index(&self, index: IndexOptions) -> Result<()> {
        let mut commit = self.lock_commit()?;
        let mut changes = RecordsBatch::default();
        changes.put(Family::Meta, INDEX_KEY, index.encode());
        failpoint::reach("set_index.before_batch");
        if let Err(error) = self.records().write(changes, true) {
            commit.poisoned = true;
            return Err(error);
        }
        failpoint::reach("set_index.after_batch");
        *self.index.lock() = index;
        Ok(())
    }

    /// Merges segments that are half deleted, then while enough of like size stand side by side.
    pub(crate) fn merge_full_classes(&self) -> Result<()> {
        let _merging = self.merging.lock();
        let wasteful = self.wasteful_segments(&self.view())?;
        if !wasteful.is_empty() {
            self.merge_behind(&wasteful)?;
        }
        while !self.closing.load(Ordering::Relaxed)
            && let Some(inputs) = self.merge_candidates()
        {
            self.merge_behind(&inputs)?;
        }
        Ok(())
    }

    /// Merges `inputs` beside others; the caller holds the lock `merging`, and no view.
    fn merge_behind(&self, inputs: &[Arc<Segment>]) -> Result<()> {
        if self.merge_locked(inputs, Threads::background())? {
            // Until then each open passes over all of them, and over what deletes them.
            self.records().compact_families(&[Family::Tombstones])?;
        }
        Ok(())
    }

    /// Merges here and now if seals have outrun the merges: otherwise every query would have to look into
    /// ever more segments.
    pub(crate) fn keep_up(&self) -> Result<()> {
        if self.small_segments() >= MOST_SEGMENTS {
            self.merge_full_classes()?;
        }
        Ok(())
    }

    /// Whether many merges were left undone, by a process that ended while they were behind the seals.
    pub(crate) fn is_behind(&self) -> bool {
        self.small_segments() >= LEFT_SEGMENTS
    }

    /// The largest stay as they are, however many.
    fn small_segments(&self) -> usize {
        let most = self.options.segment_records / FAN_IN as u64;
        self.view().segments.iter().filter(|segment| segment.row_count() <= most).count()
    }

    /// Whether there may be something for the background to do. Many deleted rows are looked at
    /// again only when there are a memtable's worth more, so that a merge that failed is not tried
    /// with every write.
    pub(crate) fn wants_maintenance(&self) -> bool {
        let (view, unit) = (self.view(), self.options.memtable_records);
        let rows: u64 = view.segments.iter().map(|segment| segment.row_count()).sum();
        let deleted = view.deleted.len();
        let seen = self.deleted_seen.load(Ordering::Relaxed);
        let wasteful = deleted as u64 * 2 >= rows && deleted >= seen.saturating_add(unit);
        if wasteful || deleted < seen {
            self.deleted_seen.store(deleted, Ordering::Relaxed);
        }
        wasteful || view.memtable.len() >= unit
    }

    /// The segments of which half is deleted, if that is a memtable's worth of rows.
    fn wasteful_segments(&self, view: &View) -> Result<Vec<Arc<Segment>>> {
        let mut wasteful = Vec::new();
        if view.deleted.len() < self.options.memtable_records {
            return Ok(wasteful);
        }
        let (mut wasted, mut left) = (0, self.options.segment_records);
        let mut patches_left = MERGED_PATCHES;
        for segment in &view.segments {
            let rows = segment.rows()?;
            let dead = (0..rows.len()).filter(|row| !view.is_live(rows.id(*row))).count();
            let live = (rows.len() - dead) as u64;
            // What would become too large is for the next time.
            let fits = live <= left && segment.patch_count() <= patches_left;
            if dead * 2 >= rows.len() && (fits || wasteful.is_empty()) {
                wasteful.push(Arc::clone(segment));
                wasted += dead;
                left = left.saturating_sub(live);
                patches_left = patches_left.saturating_sub(segment.patch_count());
            }
        }
        if wasted < self.options.memtable_records {
            wasteful.clear();
        }
        Ok(wasteful)
    }

    /// The segments of the smallest size class that is full, if any. A class spans a factor of
    /// `FAN_IN`, counted from the size of a sealed memtable. What would become too large is left.
    fn merge_candidates(&self) -> Option<Vec<Arc<Segment>>> {
        let view = self.view();
        let unit = self.options.memtable_records as u64;
        let class = |segment: &Segment| (segment.row_count() / unit).max(1).ilog(FAN_IN as u64);
        let largest = view.segments.iter().map(|segment| class(segment)).max()?;
        (0..=largest).find_map(|wanted| {
            let (mut left, mut patches_left) = (self.options.segment_records, MERGED_PATCHES);
            let mut members: Vec<_> =
                view.segments.iter().filter(|segment| class(segment) == wanted).cloned().collect();
            members.sort_by_key(|segment| segment.row_count());
            members.retain(|segment| {
                let (rows, patches) = (segment.row_count(), segment.patch_count());
                let fits = rows <= left && patches <= patches_left;
                left = left.saturating_sub(rows);
                patches_left = patches_left.saturating_sub(patches);
                fits
            });
            (members.len() >= FAN_IN).then_some(members)
        })
    }

    /// Merges `inputs`; the caller holds the lock `merging`. Says whether many tombstones went, which the record store
    /// can drop as soon as no view shows them.
    fn merge_locked(&self, inputs: &[Arc<Segment>], threads: Threads<'_>) -> Result<bool> {
        drop(self.lock_commit()?);
        failpoint::reach("merge.begin");
        let view = self.view();
        let patches = inputs.iter().map(|segment| segment.patch_lists());
        let patches = patches.collect::<Result<Vec<_>>>()?;
        let sources =
            inputs.iter().zip(&patches).map(|(input, patches)| Ok((input.rows()?, patches)));
        let sources = sources.collect::<Result<Vec<_>>>()?;
        let code_bytes = usize::from(self.schema.code_bits / 8);
        let Gathered { columns, mut dropped } =
            gather(&sources, code_bytes, |id| view.is_live(id))?;
        drop(patches);
        failpoint::reach("merge.gathered");
        let number = self.reserve_segment_number();
        let index = *self.index.lock();
        let merged = self.write_segment(number, index, threads, &columns)?;

        // What grows with the merge is made before writers have to wait.
        dropped.sort_unstable();
        let dropped: RoaringTreemap = dropped.into_iter().collect();
        let swap = Swap::new(self, inputs, (number, merged), &dropped)?;

        let mut commit = self.lock_commit()?;
        let current = self.view();
        let state =
            State { next_segment: current.state.next_segment.max(number + 1), ..current.state };
        let merged = swap.commit(&mut commit, state)?;
        failpoint::reach("merge.after_batch");
        let is_input = |number| inputs.iter().any(|input| input.number() == number);
        let mut segments: Vec<_> = current
            .segments
            .iter()
            .filter(|segment| !is_input(segment.number()))
            .cloned()
            .collect();
        segments.extend(merged);
        segments.sort_unstable_by_key(|segment| segment.number());
        let next = View {
            records: self.records().snapshot(),
            segments,
            memtable: current.memtable.clone(),
            deleted: current.deleted.without(&dropped),
            state,
            kept: current.kept.clone(),
        };
        self.publish(&mut commit, next);
        failpoint::reach("merge.published");
        for input in inputs {
            input.mark_obsolete();
        }
        failpoint::reach("merge.obsolete");
        self.write_superblock(&mut commit)?;
        failpoint::reach("merge.end");
        Ok(self.are_many(&dropped))
    }
}
