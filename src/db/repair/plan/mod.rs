//! Holds the parts of a database against each other and decides what each entry has to be. Run
//! once to count, and once more to write.
//!
//! | gone | made from |
//! |---|---|
//! | a segment | the records |
//! | a key | its record |
//! | a record | its key and its row in a segment or in `pending` |
//! | a pending entry | its record |
//! | a tombstone | the row of a segment that has no record |
//! | the state | counted; ids go on beyond every id that is seen |
//! | the schema | the superblock, and that from the schema |
//! | a value | nothing: its record stays without one |

mod meta;
mod records;

use std::collections::HashMap;
use std::ops::ControlFlow;

use roaring::RoaringTreemap;

use crate::db::columns::Columns;
use crate::db::notes::{DONE_PREFIX, stored_name};
use crate::db::record::{Location, decode_id, decode_pending, decode_record, encode_pending};
use crate::db::recover::MAX_COUNTER;
use crate::db::repair::Repair;
use crate::db::repair::evidence::{BadSegment, Witness};
use crate::db::repair::store::Changes;
use crate::error::{Corruption, Error, Result};
use crate::storage::records::{Family, Records, RecordsSnapshot};
use meta::Meta;

/// Rows of one rebuilt segment at most: what a merge of that size takes of memory.
const SEGMENT_ROWS: usize = 4_000_000;

/// Patch addresses of one rebuilt segment, about.
const SEGMENT_PATCHES: usize = 1 << 26;

/// What a plan comes to.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings {
    /// What the store's own counter says.
    pub(super) recorded_count: Option<u64>,
    pub(super) record_count: u64,
    /// Records of which there is a trace and nothing else.
    pub(super) lost_records: u64,
    pub(super) lost_values: u64,
    pub(super) records_rebuilt: u64,
    pub(super) keys_rebuilt: u64,
    pub(super) rows_to_build: u64,
    pub(super) changes: u64,
    pub(super) bad_segments: Vec<BadSegment>,
    pub(super) notes: Vec<String>,
}

/// A plan under way.
pub(super) struct Plan<'a> {
    pub(super) snapshot: RecordsSnapshot,
    pub(super) changes: Changes<'a>,
    pub(super) meta: Meta,
    pub(super) findings: Findings,
    witnesses: Vec<Witness>,
    /// Ids that have a record in the end.
    live: RoaringTreemap,
    /// Ids below which records are in segments.
    pub(super) bound: u64,
    /// Ids of records with a value.
    valued: RoaringTreemap,
    /// Ids that have a value.
    present: RoaringTreemap,
    tombstones: RoaringTreemap,
    /// Ids that were records and are none any more.
    lost: RoaringTreemap,
    /// Ids of records that a newer one of the same key replaced.
    replaced: RoaringTreemap,
    /// Records whose key does not name them.
    contested: HashMap<Vec<u8>, Vec<(Location, bool)>>,
    /// Live ids that no segment has and none is pending.
    homeless: RoaringTreemap,
    /// Records have patch addresses.
    patched: bool,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        repair: &Repair,
        snapshot: RecordsSnapshot,
        target: Option<&'a Records>,
    ) -> Result<Self> {
        let mut findings = Findings::default();
        let meta = Meta::read(repair, &snapshot, &mut findings)?;
        let bound = meta.state.map(|state| state.sealed_bound);
        let (witnesses, bad) = repair.witnesses(&meta.schema, &meta.entries, bound)?;
        findings.bad_segments = bad;
        Ok(Self {
            snapshot,
            changes: Changes::new(target),
            meta,
            findings,
            witnesses,
            live: RoaringTreemap::new(),
            bound: bound.unwrap_or(0),
            valued: RoaringTreemap::new(),
            present: RoaringTreemap::new(),
            tombstones: RoaringTreemap::new(),
            lost: RoaringTreemap::new(),
            replaced: RoaringTreemap::new(),
            contested: HashMap::new(),
            homeless: RoaringTreemap::new(),
            patched: false,
        })
    }

    /// Goes through everything; afterwards `rows` gives the rows of new segments.
    pub(super) fn run(&mut self) -> Result<Findings> {
        self.present = self.ids(Family::Values)?;
        self.tombstones = self.ids(Family::Tombstones)?;
        self.read_records()?;
        self.read_keys()?;
        self.settle_contested()?;
        if self.meta.state.is_none() {
            // Which records were sealed nobody knows: all of them are from now on.
            self.bound = self.next_unseen();
        }
        self.drop_wrong_segments();
        for id in &self.present - &self.valued {
            self.changes.delete_id(Family::Values, id)?;
            self.lost_unless_replaced(id);
        }
        self.settle_pending()?;
        self.settle_tombstones()?;
        self.settle_rows()?;
        self.forget_what_is_done()?;
        let (records, next_id) = (self.live.len(), self.next_unseen());
        self.meta.count_changes(records, next_id, self.patched, &mut self.changes)?;
        let findings = &mut self.findings;
        findings.recorded_count = self.meta.state.map(|state| state.record_count);
        findings.record_count = self.live.len();
        findings.lost_records = self.lost.len();
        findings.changes = self.changes.count + findings.bad_segments.len() as u64;
        Ok(findings.clone())
    }

    /// Where records are lost, an ingest must not take their sources for done.
    fn forget_what_is_done(&mut self) -> Result<()> {
        let counted = self.meta.state.map_or(0, |state| state.record_count);
        if self.lost.is_empty() && counted <= self.live.len() {
            return Ok(());
        }
        let (first, changes) = (stored_name(DONE_PREFIX), &mut self.changes);
        let mut forgotten = 0_u64;
        self.snapshot.scan(Family::Meta, &first, |key, _| {
            if !key.starts_with(&first) {
                return Ok(ControlFlow::Break(()));
            }
            forgotten += 1;
            changes.delete(Family::Meta, key)?;
            Ok(ControlFlow::Continue(()))
        })?;
        if forgotten > 0 {
            let note = format!(
                "the next ingest reads {forgotten} files and shards again, since records are lost"
            );
            self.findings.notes.push(note);
        }
        Ok(())
    }

    fn ids(&mut self, family: Family) -> Result<RoaringTreemap> {
        let mut ids = RoaringTreemap::new();
        let (snapshot, changes) = (&self.snapshot, &mut self.changes);
        snapshot.scan(family, &[], |key, _| {
            match decode_id(key) {
                Ok(id) if id < MAX_COUNTER => {
                    ids.insert(id);
                }
                _ => changes.delete(family, key)?,
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(ids)
    }

    /// Notes that a record is gone, unless it was deleted or replaced.
    fn lost_unless_replaced(&mut self, id: u64) {
        let known =
            self.live.contains(id) || self.replaced.contains(id) || self.tombstones.contains(id);
        if !known {
            self.lost.insert(id);
        }
    }

    /// Segments that the records contradict go.
    fn drop_wrong_segments(&mut self) {
        let mut seen = RoaringTreemap::new();
        for witness in &mut self.witnesses {
            if !seen.is_disjoint(&witness.covered) && witness.wrong.is_none() {
                witness.wrong = Some("it holds rows of another segment".to_owned());
            }
            if witness.wrong.is_none() {
                seen |= &witness.covered;
            }
        }
        let (wrong, sound) = std::mem::take(&mut self.witnesses)
            .into_iter()
            .partition::<Vec<_>, _>(|witness| witness.wrong.is_some());
        self.witnesses = sound;
        for witness in wrong {
            let (number, reason) = (witness.number(), witness.wrong.unwrap_or_default());
            self.findings.bad_segments.push(BadSegment { number, reason });
        }
    }

    /// Pending names the live records from the bound on, with their codes, and no others.
    fn settle_pending(&mut self) -> Result<()> {
        let mut right = RoaringTreemap::new();
        let mut wrong = Vec::new();
        let (schema, bound, live) = (self.meta.schema, self.bound, &self.live);
        let snapshot = &self.snapshot;
        snapshot.scan(Family::Pending, &[], |key, value| {
            let entry = decode_id(key).and_then(|id| Ok((id, decode_pending(&schema, value)?)));
            let Ok((id, pending)) = entry else {
                wrong.push((key.to_vec(), None));
                return Ok(ControlFlow::Continue(()));
            };
            let location = Location { address: pending.address, id };
            let record = snapshot.get(Family::Records, &location.encode())?;
            // A record that is about to be made from this entry agrees with it.
            let agrees = record.is_none_or(|record| {
                decode_record(&schema, location, &record).is_ok_and(|record| {
                    record.code.as_bytes() == pending.code
                        && record.patch_values().eq(pending.patches.iter().copied())
                })
            });
            if id >= bound && live.contains(id) && agrees {
                right.insert(id);
            } else {
                wrong.push((key.to_vec(), Some(id)));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        for (key, id) in wrong {
            self.changes.delete(Family::Pending, &key)?;
            if let Some(id) = id {
                self.lost_unless_replaced(id);
            }
        }
        self.homeless =
            self.live.iter().filter(|id| *id >= bound && !right.contains(*id)).collect();
        Ok(())
    }

    /// Tombstones are the rows without a record, and no others.
    fn settle_tombstones(&mut self) -> Result<()> {
        let mut expected = RoaringTreemap::new();
        for witness in &self.witnesses {
            expected |= &witness.dead;
        }
        for id in &expected - &self.tombstones {
            self.changes.put(Family::Tombstones, id.to_be_bytes().to_vec(), Vec::new())?;
            self.lost_unless_replaced(id);
        }
        for id in &self.tombstones - &expected {
            self.changes.delete_id(Family::Tombstones, id)?;
        }
        Ok(())
    }

    /// Pending entries that are missing are written; rows that are missing are left for `rows`.
    fn settle_rows(&mut self) -> Result<()> {
        let mut covered = RoaringTreemap::new();
        for witness in &self.witnesses {
            covered |= &witness.covered;
        }
        let rows = self.live.iter().filter(|id| *id < self.bound && !covered.contains(*id));
        let rows: RoaringTreemap = rows.collect();
        self.findings.rows_to_build = rows.len();
        if !self.homeless.is_empty() {
            let (schema, homeless) = (self.meta.schema, &self.homeless);
            let (snapshot, changes) = (&self.snapshot, &mut self.changes);
            each_record(snapshot, &schema, |record| {
                if homeless.contains(record.id) {
                    let patches = record.patch_values();
                    let value = encode_pending(record.address, &record.code, patches);
                    changes.put(Family::Pending, record.id.to_be_bytes().to_vec(), value)?;
                }
                Ok(())
            })?;
        }
        self.homeless = rows;
        Ok(())
    }

    /// Hands over the rows that no segment has, in order, in pieces that become segments. `snapshot`
    /// holds the records that this plan brought back, too.
    pub(super) fn rows(
        &self,
        snapshot: &RecordsSnapshot,
        mut each: impl FnMut(Columns) -> Result<()>,
    ) -> Result<()> {
        let width = usize::from(self.meta.schema.code_bits / 8);
        let (mut columns, mut found) = (Columns::new(width), 0);
        if self.homeless.is_empty() {
            return Ok(());
        }
        each_record(snapshot, &self.meta.schema, |record| {
            if !self.homeless.contains(record.id) {
                return Ok(());
            }
            found += 1;
            let (address, code) = (record.address.value(), record.code.as_bytes());
            columns.push_patched(record.id, address, code, record.patch_values());
            if columns.len() >= SEGMENT_ROWS || columns.patches.len() >= SEGMENT_PATCHES {
                each(std::mem::replace(&mut columns, Columns::new(width)))?;
            }
            Ok(())
        })?;
        if found != self.homeless.len() {
            // A scan that ends early must not become a segment that misses rows.
            let expected = self.homeless.len();
            let what = Corruption::Mismatch { field: "rows to rebuild", expected, found };
            return Err(snapshot.damage(&what));
        }
        if columns.is_empty() { Ok(()) } else { each(columns) }
    }

    /// The first id behind all of which there is any trace.
    pub(super) fn next_unseen(&self) -> u64 {
        let sets = [&self.live, &self.tombstones, &self.lost, &self.present];
        let rows = self.witnesses.iter().map(Witness::max_id);
        let highest = sets.into_iter().filter_map(RoaringTreemap::max).chain(rows).max();
        highest.map_or(0, |id| id.saturating_add(1))
    }

    pub(super) fn live_count(&self) -> u64 {
        self.live.len()
    }
}

/// Visits the records that can be decoded.
fn each_record(
    snapshot: &RecordsSnapshot,
    schema: &crate::storage::manifest::Schema,
    mut visit: impl FnMut(crate::db::record::Record) -> Result<(), Error>,
) -> Result<()> {
    snapshot.scan(Family::Records, &[], |key, value| {
        let record =
            Location::decode(key).and_then(|location| decode_record(schema, location, value));
        if let Ok(record) = record {
            visit(record)?;
        }
        Ok(ControlFlow::Continue(()))
    })
}
