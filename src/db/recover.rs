//! Creating a database and opening one: what is on disk becomes a view, or an error that says
//! what is wrong and leaves everything as it is.

use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::db::capture::sweep_staging;
use crate::db::columns::Columns;
use crate::db::deleted::DeletedIds;
use crate::db::engine::{Engine, Recovered, SearchTools};
use crate::db::memtable::Memtable;
use crate::db::options::{IndexOptions, Options, is_fingerprint, validate_widths};
use crate::db::record::{Pending, decode_id, decode_pending};
use crate::db::segment::Segment;
use crate::db::view::View;
use crate::error::{Corruption, Error, Result};
use crate::hamming::Level;
use crate::index::HalfBalls;
use crate::storage::failpoint;
use crate::storage::fs::{Fs, write_durably};
use crate::storage::layout::Layout;
use crate::storage::lock::Lock;
use crate::storage::manifest::{
    ENCODER_KEY, INDEX_KEY, SCHEMA_KEY, STATE_KEY, Schema, SegmentEntry, State,
};
use crate::storage::mark::Mark;
use crate::storage::records::{Access, Family, Records, RecordsBatch, RecordsSnapshot};
use crate::storage::superblock::Superblock;
use crate::storage::tree::{is_absent, remove_tree};
use crate::storage::watermark;

/// How often a reader beside a live writer starts over when what it read about was flushed or
/// compacted away before it had opened it.
const READ_ONLY_ATTEMPTS: u32 = 20;
/// No database counts this far; a number from here on is damage.
pub(crate) const MAX_COUNTER: u64 = 1 << 62;
const RETRY_PAUSE: Duration = Duration::from_millis(2);

impl Engine {
    /// Creates a database in an absent or empty directory.
    pub(crate) fn create(path: &Path, options: Options) -> Result<Self> {
        options.validate()?;
        let fs = Arc::clone(&options.fs);
        create_root(fs.as_ref(), path)?;
        failpoint::reach("create.root");
        let layout = Layout::new(path);
        let mut database_id = [0; 16];
        getrandom::fill(&mut database_id)
            .map_err(|_| Error::invalid("database id", "needs the system's random numbers"))?;
        let (code_bits, address_bits) = (options.code_bits, options.address_bits);
        let schema = Schema { database_id, code_bits, address_bits };
        let search = search_tools(schema)?;
        let lock = Lock::acquire(&layout.lock(), path)?;
        let records =
            Records::open(&layout.records(), Access::Create, options.cache_bytes, Some(lock))?;
        let records = Arc::new(records);
        failpoint::reach("create.records");
        fs.create_dir(&layout.segments())?;
        fs.create_dir(&layout.models())?;
        let state = State { next_id: 0, sealed_bound: 0, next_segment: 1, record_count: 0 };
        let mut changes = RecordsBatch::default();
        changes.put(Family::Meta, SCHEMA_KEY, schema.encode());
        changes.put(Family::Meta, STATE_KEY, state.encode());
        changes.put(Family::Meta, INDEX_KEY, options.index.encode());
        let encoder = options.encoder.as_ref().map(|model| model.fingerprint.clone());
        if let Some(model) = &options.encoder {
            write_durably(fs.as_ref(), &layout.model(&model.fingerprint), &model.weights)?;
            changes.put(Family::Meta, ENCODER_KEY, model.fingerprint.as_bytes());
        }
        records.write(changes, true)?;
        failpoint::reach("create.batch");
        watermark::write(fs.as_ref(), &layout.records())?;
        // The superblock comes last: a directory that has one is a whole database.
        let superblock = Superblock {
            database_id,
            code_bits,
            address_bits,
            generation: 1,
            sequence: records.latest_sequence(),
            record_count: 0,
            next_segment: state.next_segment,
        };
        superblock.create(fs.as_ref(), &layout.superblock())?;
        failpoint::reach("create.superblock");
        let view = View {
            records: records.snapshot(),
            segments: Vec::new(),
            memtable: Memtable::default(),
            deleted: DeletedIds::default(),
            state,
            kept: None,
        };
        let recovered = Recovered { encoder, index: options.index, superblock, view };
        Ok(Self::new(layout, options, search, recovered, false))
    }

    /// Opens a database for writing.
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self> {
        let fs = Arc::clone(&options.fs);
        let layout = Layout::new(path);
        read_superblock(fs.as_ref(), &layout)?;
        let lock = Lock::acquire(&layout.lock(), path)?;
        failpoint::reach("open.superblock");
        watermark::cut_unwritten(fs.as_ref(), &layout.records())?;
        let (mut superblock, torn) = read_superblock(fs.as_ref(), &layout)?;
        let search = search_tools(schema_of(&superblock))?;
        let segments = look(&layout, &options, &superblock)?;
        failpoint::reach("open.probed");
        let records =
            Records::open(&layout.records(), Access::Write, options.cache_bytes, Some(lock))?;
        let records = Arc::new(records);
        failpoint::reach("open.records");
        let recovered = recover(&layout, &options, &superblock, records.snapshot(), &segments)?;
        failpoint::reach("open.recovered");
        sweep_staging(&fs, &layout);
        // What a load that did not end left behind.
        remove_tree(fs.as_ref(), &layout.load())?;
        sweep(fs.as_ref(), &layout, &recovered.view)?;
        failpoint::reach("open.swept");
        // Opening has begun a new manifest.
        watermark::write(fs.as_ref(), &layout.records())?;
        failpoint::reach("open.marked");
        if torn {
            // The next generation goes where the torn slot is.
            superblock.generation += 1;
            superblock.write(fs.as_ref(), &layout.superblock())?;
        }
        let recovered = Recovered { superblock, ..recovered };
        Ok(Self::new(layout, options, search, recovered, false))
    }

    /// Opens a database for reading, beside a writer or not.
    pub(crate) fn open_read_only(path: &Path, options: Options) -> Result<Self> {
        let layout = Layout::new(path);
        let recovered = read_newest(&layout, &options, &[])?;
        let search = search_tools(schema_of(&recovered.superblock))?;
        Ok(Self::new(layout, options, search, recovered, true))
    }
}

/// Reads the newest state of a database, beside its writer or not. Segments that are `known` are
/// not opened again.
pub(crate) fn read_newest(
    layout: &Layout,
    options: &Options,
    known: &[Arc<Segment>],
) -> Result<Recovered> {
    let mut attempt = 1;
    loop {
        // Read before the records: a superblock of a later moment would look like a rollback.
        let (superblock, _torn) = read_superblock(options.fs.as_ref(), layout)?;
        validate_widths(superblock.code_bits, superblock.address_bits)?;
        let opened = read_once(layout, options, &superblock, known);
        match opened {
            Ok(None) if attempt >= READ_ONLY_ATTEMPTS => {
                let owner = Lock::owner(&layout.lock());
                return Err(Error::Locked { path: layout.root().to_path_buf(), owner });
            }
            Ok(None) => {
                std::thread::sleep(RETRY_PAUSE * attempt);
                attempt += 1;
            }
            Ok(Some(recovered)) => return Ok(recovered),
            Err(error)
                if attempt < READ_ONLY_ATTEMPTS && (overtaken(&error) || is_absent(&error)) =>
            {
                if attempt > 1 && !Lock::is_held(&layout.lock()) {
                    return Err(error);
                }
                std::thread::sleep(RETRY_PAUSE * attempt);
                attempt += 1;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads the state of this moment; `None` if the writer removed a log meanwhile. A table that it removed
/// is an error of the record store.
fn read_once(
    layout: &Layout,
    options: &Options,
    superblock: &Superblock,
    known: &[Arc<Segment>],
) -> Result<Option<Recovered>> {
    let (fs, folder) = (options.fs.as_ref(), layout.records());
    let before = Mark::of(fs, &folder);
    // Of a damaged store its own error says more than the mark's.
    let records = Records::open(&folder, Access::ReadOnly, options.cache_bytes, None)?;
    // It has read its manifest and its logs by now, and holds its tables open.
    if !before?.keeps_logs(&Mark::of(fs, &folder)?) {
        return Ok(None);
    }
    let records = Arc::new(records);
    check_rollback(layout, superblock, records.latest_sequence())?;
    recover(layout, options, superblock, records.snapshot(), known).map(Some)
}

/// Whether a live writer may be the cause: it removes segments, tables and logs while a reader
/// that has read their names is about to open them.
pub(crate) fn overtaken(error: &Error) -> bool {
    matches!(
        error,
        // A log that was flushed and removed after the manifest was read looks like a rollback.
        Error::Records { .. }
            | Error::RolledBack { .. }
            | Error::Corruption { what: Corruption::Missing { .. }, .. }
    )
}

pub(crate) fn create_root(fs: &dyn Fs, path: &Path) -> Result<()> {
    match fs.create_dir(path) {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
            let taken = || Error::AlreadyExists { path: path.to_path_buf() };
            match fs.list(path) {
                Ok(entries) if entries.is_empty() => Ok(()),
                _ => Err(taken()),
            }
        }
        Ok(()) => match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => fs.sync_dir(parent),
            _ => fs.sync_dir(Path::new(".")),
        },
        other => other,
    }
}

/// The superblock, and whether its other slot is torn, as a crash in the middle of a write leaves it.
pub(crate) fn read_superblock(fs: &dyn Fs, layout: &Layout) -> Result<(Superblock, bool)> {
    match Superblock::read(fs, &layout.superblock()) {
        Ok((superblock, other_slot)) => Ok((superblock, other_slot.is_some())),
        Err(Error::Io { source, .. })
            if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
        {
            Err(Error::NotADatabase { path: layout.root().to_path_buf() })
        }
        Err(error) => Err(error),
    }
}

fn schema_of(superblock: &Superblock) -> Schema {
    Schema {
        database_id: superblock.database_id,
        code_bits: superblock.code_bits,
        address_bits: superblock.address_bits,
    }
}

fn search_tools(schema: Schema) -> Result<SearchTools> {
    validate_widths(schema.code_bits, schema.address_bits)?;
    let level = Level::from_environment()?;
    Ok(SearchTools { schema, level, half_balls: HalfBalls::new(schema.address_bits) })
}

pub(crate) fn check_rollback(layout: &Layout, superblock: &Superblock, found: u64) -> Result<()> {
    if found >= superblock.sequence {
        return Ok(());
    }
    let path = layout.root().to_path_buf();
    Err(Error::RolledBack { path, expected: superblock.sequence, found })
}

/// Reads the families that a view is made of. Segments that are `known` are not opened again.
pub(crate) fn recover(
    layout: &Layout,
    options: &Options,
    superblock: &Superblock,
    records: RecordsSnapshot,
    known: &[Arc<Segment>],
) -> Result<Recovered> {
    let damage = |what: Corruption| records.damage(&what);
    let schema = read_schema(layout, superblock, &records)?;
    let state = records.get(Family::Meta, STATE_KEY)?;
    let state = state.ok_or_else(|| damage(Corruption::Missing { what: "the state" }))?;
    let state = State::decode(&state).map_err(damage)?;
    let same_moment = records.records().latest_sequence() == superblock.sequence;
    if same_moment && state.record_count != superblock.record_count {
        let (expected, found) = (superblock.record_count, state.record_count);
        return Err(damage(Corruption::Mismatch { field: "record count", expected, found }));
    }
    let encoder = match records.get(Family::Meta, ENCODER_KEY)? {
        None => None,
        // It names a file, so it is held to what creation allows.
        Some(name) => match String::from_utf8(name) {
            Ok(name) if is_fingerprint(&name) => Some(name),
            _ => {
                let what = Corruption::OutOfRange { field: "encoder fingerprint", value: 0 };
                return Err(damage(what));
            }
        },
    };
    let index =
        IndexOptions::decode(records.get(Family::Meta, INDEX_KEY)?.as_deref()).map_err(damage)?;
    let segments = open_segments(layout, options, &schema, &records, known)?;
    check_numbers(&state, superblock, &segments).map_err(damage)?;
    let memtable = read_pending(&schema, &state, &records)?;
    let deleted = read_tombstones(&state, &records)?;
    // A scan that ended early would leave records out of every answer: each row and each pending
    // entry is a record or has a tombstone.
    let rows: u64 = segments.iter().map(|segment| segment.row_count()).sum();
    let rows = rows + memtable.len() as u64;
    if rows != state.record_count.saturating_add(deleted.len() as u64) {
        let (expected, found) = (state.record_count, rows.saturating_sub(deleted.len() as u64));
        return Err(damage(Corruption::Mismatch { field: "indexed records", expected, found }));
    }
    let view = View { records, segments, memtable, deleted, state, kept: None };
    Ok(Recovered { encoder, index, superblock: *superblock, view })
}

/// The schema, which is that of the superblock.
fn read_schema(
    layout: &Layout,
    superblock: &Superblock,
    records: &RecordsSnapshot,
) -> Result<Schema> {
    let damage = |what: Corruption| records.damage(&what);
    let stored = records.get(Family::Meta, SCHEMA_KEY)?;
    let stored = stored.ok_or_else(|| damage(Corruption::Missing { what: "the schema" }))?;
    Schema::check_version(&stored, &layout.records())?;
    let schema = Schema::decode(&stored).map_err(damage)?;
    if schema != schema_of(superblock) {
        let (expected, found) = (u64::from(superblock.code_bits), u64::from(schema.code_bits));
        return Err(damage(Corruption::Mismatch { field: "schema (code bits)", expected, found }));
    }
    Ok(schema)
}

/// Looks at the parts of a database before anything is touched: a writable open removes files that the
/// record store's manifest does not name, which are the records if the manifest was cut, and nothing may
/// be changed of which a part is of a newer format. Returns the segments.
pub(crate) fn look(
    layout: &Layout,
    options: &Options,
    superblock: &Superblock,
) -> Result<Vec<Arc<Segment>>> {
    let records = Arc::new(Records::open(&layout.records(), Access::ReadOnly, 0, None)?);
    check_rollback(layout, superblock, records.latest_sequence())?;
    let records = records.snapshot();
    let schema = read_schema(layout, superblock, &records)?;
    open_segments(layout, options, &schema, &records, &[])
}

/// Numbers that count on must leave room, and must be beyond everything that was counted.
fn check_numbers(
    state: &State,
    superblock: &Superblock,
    segments: &[Arc<Segment>],
) -> Result<(), Corruption> {
    let numbers = [
        ("next id", state.next_id),
        ("next segment", state.next_segment),
        ("generation", superblock.generation),
    ];
    for (field, value) in numbers {
        if value >= MAX_COUNTER {
            return Err(Corruption::OutOfRange { field, value });
        }
    }
    if state.record_count > state.next_id {
        // Each record has an id of its own.
        let value = state.record_count;
        return Err(Corruption::OutOfRange { field: "record count", value });
    }
    for segment in segments {
        if segment.number() >= state.next_segment {
            let value = state.next_segment;
            return Err(Corruption::OutOfRange { field: "next segment", value });
        }
        if segment.max_id() >= state.sealed_bound {
            let value = state.sealed_bound;
            return Err(Corruption::OutOfRange { field: "sealed bound", value });
        }
    }
    Ok(())
}

fn open_segments(
    layout: &Layout,
    options: &Options,
    schema: &Schema,
    records: &RecordsSnapshot,
    known: &[Arc<Segment>],
) -> Result<Vec<Arc<Segment>>> {
    let mut entries = Vec::new();
    records.scan(Family::Meta, SegmentEntry::first_key(), |key, value| {
        if !SegmentEntry::is_key(key) {
            return Ok(ControlFlow::Break(()));
        }
        entries.push(SegmentEntry::decode(key, value).map_err(|what| records.damage(&what))?);
        Ok(ControlFlow::Continue(()))
    })?;
    let open = |entry: SegmentEntry| {
        if let Some(segment) = known.iter().find(|segment| segment.entry() == entry) {
            return Ok(Arc::clone(segment));
        }
        let path = layout.segment(entry.number);
        match Segment::open(&options.fs, &path, schema, entry, options.mmap) {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {
                Err(Corruption::Missing { what: "the segment" }.at(&path, 0))
            }
            opened => opened.map(Arc::new),
        }
    };
    entries.into_iter().map(open).collect()
}

fn read_pending(schema: &Schema, state: &State, records: &RecordsSnapshot) -> Result<Memtable> {
    let mut columns = Columns::new(usize::from(schema.code_bits / 8));
    records.scan(Family::Pending, &[], |key, value| {
        let damage = |what: Corruption| records.damage(&what);
        let id = decode_id(key).map_err(damage)?;
        if !(state.sealed_bound..state.next_id).contains(&id) {
            return Err(damage(Corruption::OutOfRange { field: "pending id", value: id }));
        }
        let Pending { address, code, patches } = decode_pending(schema, value).map_err(damage)?;
        columns.push_patched(id, address, code, patches);
        Ok(ControlFlow::Continue(()))
    })?;
    let mut memtable = Memtable::default();
    memtable.append(columns);
    Ok(memtable)
}

fn read_tombstones(state: &State, records: &RecordsSnapshot) -> Result<DeletedIds> {
    let mut ids = Vec::new();
    records.scan(Family::Tombstones, &[], |key, _| {
        let damage = |what: Corruption| records.damage(&what);
        let id = decode_id(key).map_err(damage)?;
        if id >= state.sealed_bound {
            // It would hide a record that is in no segment, or one that is still to be written.
            return Err(damage(Corruption::OutOfRange { field: "tombstone", value: id }));
        }
        ids.push(id);
        Ok(ControlFlow::Continue(()))
    })?;
    let mut deleted = DeletedIds::default();
    deleted.insert(ids);
    Ok(deleted)
}

/// Removes what an interrupted seal or compaction left in the segment folder.
fn sweep(fs: &dyn Fs, layout: &Layout, view: &View) -> Result<()> {
    let files = fs.list(&layout.segments())?.into_iter().filter(|path| {
        let live = view.segments.iter().any(|segment| segment.path() == path);
        let ours = path.extension().is_some_and(|kind| kind == "seg" || kind == "tmp");
        ours && !live
    });
    let draft = layout.ballast().with_extension("tmp");
    for path in files.chain(draft.exists().then_some(draft)) {
        match fs.remove(&path) {
            // Whoever had the database before was about to remove it too.
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(())
}
