//! Bulk loading: many records in any order, sorted within a memory budget, written once in their final
//! shape and committed as one change.
//!
//! Data flows one way. [`BulkLoader::put`] gives an id, puts the record into a [`chunk`] and its value
//! into a table ([`values`]: ids rise, so values are in order as they come). A full chunk leaves as two
//! [`run`]s, by key and by row. [`BulkLoader::finish`] [`merge`]s the runs, or sorts the one chunk that
//! there is (very many runs first become fewer, in [`passes`]), and [`build`]s tables and segments from them; [`commit`] hands all to the record store at
//! once. Until then everything lies in the folder `load` and under segment numbers that no manifest
//! names, which the next open removes.

mod build;
mod chunk;
mod commit;
mod entry;
mod merge;
mod options;
mod passes;
mod removals;
mod run;
mod values;
mod work;

use std::sync::atomic::Ordering;

pub use options::{BulkOptions, BulkProgress, BulkReport, BulkStage, Duplicates};

use crate::code::{Address, Code};
use crate::db::Database;
use crate::db::batch::{
    WriteBatch, validate_address, validate_code, validate_key, validate_patches, validate_value,
};
use crate::db::engine::Engine;
use crate::db::notes::NoteChange;
use crate::db::options::WriteOptions;
use crate::db::recover::MAX_COUNTER;
use crate::db::view::View;
use crate::error::{Error, Result};
use crate::storage::failpoint;
use crate::storage::manifest::State;
use crate::storage::tree::{ensure_dir, remove_tree};
use build::Build;
use chunk::Chunk;
use commit::Load;
use entry::{Entry, Order};
use merge::Sorted;
use passes::{Passes, Reading};
use run::Run;
use values::ValueTables;
use work::{Meter, Names, check_cancelled, deal};

/// Ids that a load keeps for itself until it ends: more than it can bring.
pub(crate) const RESERVED_IDS: u64 = 1 << 40;
/// Parts of the budget that a block of values takes one of, at most.
const VALUE_BLOCKS: usize = 64;

/// Brings many records in at once, faster than [`Database::write`] does. Get one from
/// [`Database::bulk_loader`], [`put`](BulkLoader::put) records in any order, and
/// [`finish`](BulkLoader::finish): only then is anything of it in the database, all at once. Dropping a
/// loader gives the load up. The database stays open as long as a loader of it.
///
/// Others may read and write meanwhile; while `finish` works, writers wait.
#[derive(Debug)]
pub struct BulkLoader {
    // Dropped in this order: tables under way, then what keeps the folder.
    values: ValueTables,
    by_key: Vec<Run>,
    by_row: Vec<Run>,
    chunk: Chunk,
    names: Names,
    first_id: u64,
    count: u64,
    /// A record with patch addresses was put.
    patched: bool,
    notes: Vec<NoteChange>,
    /// Something could not be written: what was put is no longer whole.
    failed: bool,
    options: BulkOptions,
    reservation: Reservation,
}

/// The ids of a load and its folder, given back at its end.
#[derive(Debug)]
struct Reservation {
    database: Database,
}

impl Reservation {
    fn engine(&self) -> &Engine {
        self.database.engine()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let engine = self.engine();
        // What a failed commit named may be part of the database: the next open knows.
        if let Ok(mut commit) = engine.lock_commit() {
            let view = engine.view();
            if view.kept.is_some() {
                engine.publish(&mut commit, view.with_state(view.state, None));
            }
            drop(commit);
            // What cannot be removed goes at the next load or the next open.
            let _left = remove_tree(engine.options.fs.as_ref(), &engine.layout.load());
        }
        engine.loading.store(false, Ordering::Release);
    }
}

impl BulkLoader {
    /// Begins a load.
    pub(crate) fn begin(database: &Database, options: BulkOptions) -> Result<Self> {
        let engine = database.engine();
        if engine.read_only {
            return Err(Error::ReadOnly);
        }
        if engine.loading.swap(true, Ordering::AcqRel) {
            return Err(Error::invalid("bulk load", "is under way already, one at a time"));
        }
        // Given back from here on, whatever fails.
        let reservation = Reservation { database: database.clone() };
        let first_id = reserve(engine)?;
        let (fs, folder) = (engine.options.fs.as_ref(), engine.layout.load());
        remove_tree(fs, &folder)?;
        ensure_dir(fs, &folder)?;
        failpoint::reach("bulk.begin");
        // One block is filled while as many as there are threads are written, with one more to spare; most is for
        // the chunk.
        let blocks = options.threads + 2;
        let block_bytes = options.memory_budget / VALUE_BLOCKS.max(4 * blocks);
        Ok(Self {
            values: ValueTables::new(options.threads, block_bytes),
            by_key: Vec::new(),
            by_row: Vec::new(),
            chunk: Chunk::new(
                usize::from(engine.schema.code_bits / 8),
                options.memory_budget - block_bytes * blocks,
            ),
            names: Names::new(folder),
            first_id,
            count: 0,
            patched: false,
            notes: Vec::new(),
            failed: false,
            options,
            reservation,
        })
    }

    /// Adds a record. Where its key is there already, [`BulkOptions::duplicates`] says what happens.
    ///
    /// # Errors
    ///
    /// [`Error::CodeWidth`], [`Error::AddressWidth`] or [`Error::InvalidArgument`] for a record that
    /// breaks a limit: it is not taken in, and the load goes on. [`Error::Io`] or [`Error::Records`] if
    /// the disk fails, [`Error::Cancelled`] if the load shall stop: it cannot go on.
    pub fn put(&mut self, key: &[u8], address: Address, code: &Code, value: &[u8]) -> Result<()> {
        self.put_with_patches(key, address, code, value, &[])
    }

    /// Adds a record with patch addresses, as [`WriteBatch::put_with_patches`](crate::WriteBatch::put_with_patches).
    ///
    /// # Errors
    ///
    /// As [`BulkLoader::put`].
    pub fn put_with_patches(
        &mut self,
        key: &[u8],
        address: Address,
        code: &Code,
        value: &[u8],
        patches: &[Address],
    ) -> Result<()> {
        let schema = &self.reservation.engine().schema;
        validate_key(key)?;
        validate_code(code, schema)?;
        validate_address(address, schema)?;
        validate_value(value)?;
        validate_patches(patches, schema)?;
        if self.failed || self.count >= RESERVED_IDS {
            return Err(given_up());
        }
        let id = self.first_id + self.count;
        if !value.is_empty()
            && let Err(error) = self.values.push(id, value, || self.names.next("sst"))
        {
            self.failed = true;
            return Err(error);
        }
        let (address, code, has_value) = (address.value(), code.as_bytes(), !value.is_empty());
        self.patched |= !patches.is_empty();
        let patches: Vec<_> = patches.iter().map(|patch| patch.value().to_le_bytes()).collect();
        self.chunk.push(&Entry { id, address, has_value, code, patches: &patches, key });
        self.count += 1;
        if self.chunk.is_full()
            && let Err(error) = self.spill()
        {
            self.failed = true;
            return Err(error);
        }
        Ok(())
    }

    /// Writes a note with the load, as [`WriteBatch::put_note`](crate::WriteBatch::put_note) does.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] for a note that breaks a limit.
    pub fn put_note(&mut self, name: &[u8], text: &[u8]) -> Result<()> {
        let note = NoteChange { name: name.to_vec(), text: Some(text.to_vec()) };
        note.validate()?;
        self.notes.push(note);
        Ok(())
    }

    /// The number of records that were put.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether nothing was put.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Sorts what is in memory and puts it on the disk.
    fn spill(&mut self) -> Result<()> {
        check_cancelled(self.options.cancel.as_ref())?;
        let fs = self.reservation.engine().options.fs.as_ref();
        let orders = [Order::Key, Order::Row];
        let runs = deal(self.options.threads, orders.len(), |number| {
            Run::of_chunk(fs, &self.names.next("run"), &self.chunk, orders[number])
        })?;
        for (run, runs) in runs.into_iter().zip([&mut self.by_key, &mut self.by_row]) {
            runs.push(run);
        }
        self.chunk.clear();
        Ok(())
    }

    /// Sorts and writes what was put, and makes it part of the database: durable, all at once. Writers
    /// wait meanwhile.
    ///
    /// # Errors
    ///
    /// [`Error::DuplicateKey`] if a key is there twice and [`BulkOptions::duplicates`] does not allow it,
    /// [`Error::Cancelled`] if the load was stopped, [`Error::Io`] or [`Error::Records`] if the disk
    /// fails: the database is as before. Where the commit itself fails, the handle is
    /// [poisoned](Error::Poisoned), and whether the load survived shows after reopening. What fails after
    /// the commit is told by [`Stats::maintenance_error`](crate::Stats::maintenance_error).
    pub fn finish(mut self) -> Result<BulkReport> {
        if self.failed {
            return Err(given_up());
        }
        let tables = self.values.finish(|| self.names.next("sst"))?;
        if self.count == 0 {
            let batch = WriteBatch { notes: self.notes, ..WriteBatch::default() };
            self.reservation.database.write(batch, WriteOptions::default())?;
            return Ok(BulkReport::default());
        }
        if !self.by_key.is_empty() && !self.chunk.is_empty() {
            self.spill()?;
        }
        let runs = self.by_key.len() as u64;
        if runs > 0 {
            // Its memory is the segments' now.
            self.chunk.release();
        }
        let engine = self.reservation.engine();
        let passes = Passes {
            fs: engine.options.fs.as_ref(),
            names: &self.names,
            reading: Reading::within(self.options.memory_budget, self.options.threads + 1),
            cancel: self.options.cancel.as_ref(),
        };
        let work = passes.work(&self.by_key) + passes.work(&self.by_row);
        let meter = (work > 0).then(|| Meter::new(&self.options, BulkStage::Merge, work));
        let [by_key, by_row] = [&mut self.by_key, &mut self.by_row].map(std::mem::take);
        self.by_key = passes.reduce(by_key, Order::Key, meter.as_ref())?;
        self.by_row = passes.reduce(by_row, Order::Row, meter.as_ref())?;
        let notes = std::mem::take(&mut self.notes);
        let [by_key, by_row] = self.sorted()?;
        let _sealing = engine.sealing.lock();
        if engine.view().memtable.rows().next().is_some_and(|rows| rows.id(0) < self.first_id) {
            // Rows of segments have smaller ids than pending ones.
            engine.seal_locked()?;
        }
        let mut commit = engine.lock_commit()?;
        let view = engine.view();
        let build = Build {
            engine,
            view: &view,
            options: &self.options,
            passes,
            first_id: self.first_id,
            count: self.count,
        };
        let mut built = build.run(&by_key, &by_row)?;
        built.tables.extend(tables);
        let state = self.state_after(&view, &built);
        let report = BulkReport {
            inserted: built.inserted,
            replaced: built.replaced.count,
            skipped: built.dropped,
            segments: built.segments.iter().count() as u64,
            runs,
        };
        let load = Load { built, notes, state, patched: self.patched };
        engine.commit_load(&mut commit, &view, load, &passes, &self.options)?;
        drop(commit);
        engine.keep_ballast();
        self.reservation.database.wake();
        Ok(report)
    }

    /// All records in both orders.
    fn sorted(&self) -> Result<[Vec<Sorted<'_>>; 2]> {
        if !self.by_key.is_empty() {
            let files = [&self.by_key, &self.by_row];
            return Ok(files.map(|runs| runs.iter().map(Sorted::File).collect()));
        }
        let (chunk, orders) = (&self.chunk, [Order::Key, Order::Row]);
        let mut sorted = deal(self.options.threads, orders.len(), |number| {
            Ok(vec![Sorted::Memory { chunk, places: chunk.sorted(orders[number]) }])
        })?;
        let by_row = sorted.pop().unwrap_or_default();
        Ok([sorted.pop().unwrap_or_default(), by_row])
    }

    fn state_after(&self, view: &View, built: &build::Built) -> State {
        let end = self.first_id + self.count;
        let (numbers, state) = (built.segments.iter().map(|segment| segment.number()), view.state);
        State {
            // Unless others came behind the ids that are kept.
            next_id: state.next_id.max(end),
            sealed_bound: state.sealed_bound.max(end),
            next_segment: numbers.max().map_or(0, |last| last + 1).max(state.next_segment),
            record_count: state.record_count + built.inserted,
        }
    }
}

/// Keeps ids for a load: returns the first.
fn reserve(engine: &Engine) -> Result<u64> {
    // What is pending has smaller ids and has to be in a segment when the load is.
    engine.seal()?;
    let mut commit = engine.lock_commit()?;
    let view = engine.view();
    let first_id = view.state.next_id;
    if first_id >= MAX_COUNTER - RESERVED_IDS {
        return Err(Error::invalid("bulk load", "finds no ids that are left"));
    }
    let kept = first_id..first_id + RESERVED_IDS;
    engine.publish(&mut commit, view.with_state(view.state, Some(kept)));
    Ok(first_id)
}

fn given_up() -> Error {
    Error::invalid("bulk load", "has failed before; begin anew")
}
