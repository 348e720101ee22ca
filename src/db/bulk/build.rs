//! From sorted records to tables and segments: who wins where a key comes twice, what is written.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::entry::{Entry, Order, Range};
use super::merge::{Merge, Sorted};
use super::options::{BulkOptions, BulkStage, Duplicates};
use super::passes::Passes;
use super::removals::{Removals, Removed};
use super::work::{Counter, Meter, SegmentMeter, deal};
use crate::db::columns::Columns;
use crate::db::engine::Engine;
use crate::db::options::IndexOptions;
use crate::db::record::{KeyEntry, Location, write_record};
use crate::db::segment::Segment;
use crate::db::threads::Threads;
use crate::db::view::View;
use crate::error::{Corruption, Error, Result};
use crate::index::MOST_SORTERS;
use crate::storage::cursor::Cursor;
use crate::storage::failpoint;
use crate::storage::records::Family;
use crate::storage::tables::{Table, write_table};

/// Rows of a segment at least: fewer would not make the memory that is taken any less.
const LEAST_ROWS: u64 = 1 << 12;

/// Patch addresses of a segment at least, and at most.
const LEAST_PATCHES: usize = 1 << 16;
const MOST_PATCHES: usize = 1 << 31;

/// What a load is built from.
pub(super) struct Build<'a> {
    pub(super) engine: &'a Engine,
    pub(super) view: &'a View,
    pub(super) options: &'a BulkOptions,
    pub(super) passes: Passes<'a>,
    /// The id of the first record, and the number of records.
    pub(super) first_id: u64,
    pub(super) count: u64,
}

/// Records of a load that another of the same key keeps out.
struct Dropped {
    first_id: u64,
    words: Vec<AtomicU64>,
}

impl Dropped {
    fn new(first_id: u64, count: u64) -> Self {
        let words = usize::try_from(count.div_ceil(64)).unwrap_or(usize::MAX);
        Self { first_id, words: (0..words).map(|_| AtomicU64::new(0)).collect() }
    }

    fn place(&self, id: u64) -> (Option<&AtomicU64>, u64) {
        let at = id.wrapping_sub(self.first_id);
        let word = usize::try_from(at / 64).ok().and_then(|word| self.words.get(word));
        (word, 1 << (at % 64))
    }

    fn insert(&self, id: u64) {
        if let (Some(word), bit) = self.place(id) {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn contains(&self, id: u64) -> bool {
        let (word, bit) = self.place(id);
        word.is_some_and(|word| word.load(Ordering::Relaxed) & bit != 0)
    }
}

/// What is ready to become part of the database.
pub(super) struct Built {
    pub(super) tables: Vec<Table>,
    pub(super) segments: Unnamed,
    /// Records of the database that go: by row, by id.
    pub(super) replaced: Removed,
    /// Records of the load whose values were written and that were dropped since: by id.
    pub(super) orphans: Removed,
    pub(super) inserted: u64,
    pub(super) dropped: u64,
}

/// What one range of keys gave.
#[derive(Default)]
struct Keys {
    table: Option<Table>,
    kept: u64,
    dropped: u64,
}

/// What is known of who loses while keys are compared.
struct Losers<'a> {
    dropped: Dropped,
    replaced: Removals<'a>,
    orphans: Removals<'a>,
}

impl Build<'_> {
    /// Writes everything.
    pub(super) fn run(&self, by_key: &[Sorted<'_>], by_row: &[Sorted<'_>]) -> Result<Built> {
        let budget = self.options.memory_budget;
        let losers = Losers {
            dropped: Dropped::new(self.first_id, self.count),
            replaced: Removals::new(self.passes, &[Order::Row, Order::Id], budget),
            orphans: Removals::new(self.passes, &[Order::Id], budget),
        };
        let meter = Meter::new(self.options, BulkStage::Keys, self.count);
        let threads = self.options.threads.min(self.passes.reading.threads);
        let ranges = super::merge::ranges(by_key, Order::Key, threads);
        let keys = deal(threads, ranges.len(), |number| {
            self.write_keys(by_key, &ranges[number], &losers, meter.counter())
        })?;
        let Losers { dropped, replaced, orphans } = losers;
        let mut built = Built {
            tables: Vec::new(),
            segments: Unnamed::default(),
            replaced: replaced.finish()?,
            orphans: orphans.finish()?,
            inserted: 0,
            dropped: 0,
        };
        for keys in keys {
            built.tables.extend(keys.table);
            built.inserted += keys.kept;
            built.dropped += keys.dropped;
        }
        failpoint::reach("bulk.keys");
        built.inserted -= built.replaced.count;

        let ranges = super::merge::ranges(by_row, Order::Row, threads);
        let (records, segments) = (
            Meter::new(self.options, BulkStage::Records, self.count),
            Meter::new(self.options, BulkStage::Segments, self.count),
        );
        let kept = self.count - built.dropped;
        let indexes = Meter::new(self.options, BulkStage::Indexes, kept);
        // Mostly there are none, and looking for each record takes as long as reading it.
        let dropped = (built.dropped > 0).then_some(&dropped);
        // The segments are one long job and begin first. One thread more than asked for, since they all wait
        // for the disk at times.
        let threads = (self.options.threads + 1).min(self.passes.reading.threads);
        let parts = deal(threads, ranges.len() + 1, |number| match number {
            0 => self
                .write_segments(by_row, dropped, segments.counter(), &indexes)
                .map(Part::Segments),
            _ => self
                .write_records(by_row, &ranges[number - 1], dropped, records.counter())
                .map(Part::Records),
        });
        for part in parts? {
            match part {
                Part::Records(table) => built.tables.extend(table),
                Part::Segments(segments) => built.segments = segments,
            }
        }
        failpoint::reach("bulk.built");
        Ok(built)
    }

    fn write_keys(
        &self,
        by_key: &[Sorted<'_>],
        range: &Range,
        losers: &Losers<'_>,
        mut counter: Counter<'_, '_>,
    ) -> Result<Keys> {
        let mut keys = Keys::default();
        let mut records = Merge::new(by_key, Order::Key, range, self.passes.fs)?;
        let mut there = (self.view.state.record_count > 0)
            .then(|| self.view.records.cursor(Family::Keys))
            .transpose()?;
        let table = write_table(&self.passes.names.next("sst"), Family::Keys, |table| {
            // The record that its key belongs to as far as is known.
            let mut held: Option<(KeyEntry, Vec<u8>)> = None;
            let mut spare = Vec::new();
            while let Some(entry) = records.next()? {
                counter.step()?;
                // Compared here rather than where it lies: comparing reads on behind its end, and what comes there has
                // nothing to do with it and is in no cache.
                spare.clear();
                spare.extend_from_slice(entry.key);
                if let Some((winner, key)) = &mut held
                    && *key == spare
                {
                    let loser = match self.options.duplicates {
                        Duplicates::Error => return Err(duplicate(entry.key, false)),
                        Duplicates::Skip => key_entry(&entry),
                        Duplicates::Replace => std::mem::replace(winner, key_entry(&entry)),
                    };
                    keys.drop_record(loser, losers)?;
                    continue;
                }
                let next = (key_entry(&entry), std::mem::take(&mut spare));
                if let Some((winner, key)) = held.replace(next) {
                    self.settle(winner, &key, there.as_mut(), &mut keys, losers, table)?;
                    spare = key;
                }
            }
            counter.look()?;
            match held {
                Some((winner, key)) => {
                    self.settle(winner, &key, there.as_mut(), &mut keys, losers, table)
                }
                None => Ok(()),
            }
        })?;
        keys.table = table;
        Ok(keys)
    }

    /// Writes the entry of a key, unless the record that the database has under it stays.
    fn settle(
        &self,
        winner: KeyEntry,
        key: &[u8],
        there: Option<&mut Cursor<'_>>,
        keys: &mut Keys,
        losers: &Losers<'_>,
        table: &mut crate::storage::tables::TableWriter<'_>,
    ) -> Result<()> {
        let old = match there {
            Some(cursor) => cursor.find(key)?.map(KeyEntry::decode),
            None => None,
        };
        let damage = |what: Corruption| self.view.records.damage(&what);
        if let Some(old) = old.transpose().map_err(damage)? {
            if old.location.id >= self.view.state.next_id {
                let value = old.location.id;
                return Err(damage(Corruption::OutOfRange { field: "id of a key", value }));
            }
            match self.options.duplicates {
                Duplicates::Error => return Err(duplicate(key, true)),
                Duplicates::Skip => {
                    keys.drop_record(winner, losers)?;
                    return Ok(());
                }
                Duplicates::Replace => losers.replaced.push(old)?,
            }
        }
        keys.kept += 1;
        table.put(key, &winner.encode())
    }

    fn write_records(
        &self,
        by_row: &[Sorted<'_>],
        range: &Range,
        dropped: Option<&Dropped>,
        mut counter: Counter<'_, '_>,
    ) -> Result<Option<Table>> {
        let mut records = Merge::new(by_row, Order::Row, range, self.passes.fs)?;
        write_table(&self.passes.names.next("sst"), Family::Records, |table| {
            let mut value = Vec::new();
            while let Some(entry) = records.next()? {
                counter.step()?;
                if dropped.is_some_and(|dropped| dropped.contains(entry.id)) {
                    continue;
                }
                let location = Location { address: entry.address, id: entry.id };
                value.clear();
                let patches = entry.patches.iter().map(|patch| u32::from_le_bytes(*patch));
                write_record(&mut value, entry.code, entry.key, entry.has_value, patches);
                table.put(&location.encode(), &value)?;
            }
            counter.look()
        })
    }

    fn write_segments(
        &self,
        by_row: &[Sorted<'_>],
        dropped: Option<&Dropped>,
        mut counter: Counter<'_, '_>,
        indexes: &Meter<'_>,
    ) -> Result<Unnamed> {
        let kept = indexes.total();
        let mut written = Unnamed::default();
        let index = self.options.index.unwrap_or(*self.engine.index.lock());
        let code_bytes = usize::from(self.engine.schema.code_bits / 8);
        let most = self.most_rows(index, code_bytes);
        // Segments of one size, rather than full ones and a rest.
        let rows = kept.div_ceil(kept.div_ceil(most).max(1));
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        // Each takes four bytes here and six in the side of the table that is being made.
        let most_patches = (self.options.memory_budget / 4 / 10).clamp(LEAST_PATCHES, MOST_PATCHES);
        let mut records = Merge::new(by_row, Order::Row, &Range::default(), self.passes.fs)?;
        let mut columns = Columns::with_capacity(code_bytes, rows);
        let mut before = 0;
        let mut write = |columns: &mut Columns| {
            let number = self.engine.reserve_segment_number();
            let rows = columns.len() as u64;
            let watch = SegmentMeter { meter: indexes, before, rows };
            let threads = Threads::of(self.options.threads).watched(&watch);
            written.0.extend(self.engine.write_segment(number, index, threads, columns)?);
            before += rows;
            indexes.tell(before);
            columns.clear();
            failpoint::reach("bulk.segment");
            Ok::<(), Error>(())
        };
        while let Some(entry) = records.next()? {
            counter.step()?;
            if dropped.is_some_and(|dropped| dropped.contains(entry.id)) {
                continue;
            }
            let patches = entry.patches.iter().map(|patch| u32::from_le_bytes(*patch));
            columns.push_patched(entry.id, entry.address, entry.code, patches);
            if columns.len() == rows || columns.patches.len() >= most_patches {
                write(&mut columns)?;
            }
        }
        write(&mut columns)?;
        counter.look()?;
        Ok(written)
    }

    /// Rows of a segment whose making fits into half of the budget.
    fn most_rows(&self, index: IndexOptions, code_bytes: usize) -> u64 {
        let columns = 12 + code_bytes;
        // The largest index at a time; the lists keep a copy of the codes.
        let sorters = self.options.threads.min(MOST_SORTERS);
        let multi = if index.multi { code_bytes * 3 + 16 * sorters } else { 0 };
        let lists = if index.clusters { code_bytes + 16 } else { 0 };
        let row = columns + multi.max(lists).max(16);
        let rows = (self.options.memory_budget / 2 / row) as u64;
        rows.clamp(LEAST_ROWS, u64::from(u32::MAX))
    }
}

enum Part {
    Records(Option<Table>),
    Segments(Unnamed),
}

/// Segments that no manifest names: their files go with them.
#[derive(Default)]
pub(super) struct Unnamed(Vec<Arc<Segment>>);

impl Unnamed {
    pub(super) fn iter(&self) -> impl Iterator<Item = &Segment> {
        self.0.iter().map(Arc::as_ref)
    }

    /// The segments, which a manifest names or may name from now on.
    pub(super) fn keep(&mut self) -> Vec<Arc<Segment>> {
        std::mem::take(&mut self.0)
    }
}

impl Drop for Unnamed {
    fn drop(&mut self) {
        for segment in &self.0 {
            segment.mark_obsolete();
        }
    }
}

impl Keys {
    fn drop_record(&mut self, loser: KeyEntry, losers: &Losers<'_>) -> Result<()> {
        losers.dropped.insert(loser.location.id);
        self.dropped += 1;
        if loser.has_value { losers.orphans.push(loser) } else { Ok(()) }
    }
}

fn key_entry(entry: &Entry<'_>) -> KeyEntry {
    let location = Location { address: entry.address, id: entry.id };
    KeyEntry { location, has_value: entry.has_value }
}

fn duplicate(key: &[u8], in_database: bool) -> Error {
    Error::DuplicateKey { key: key.to_vec(), in_database }
}
