//! Bulk loads beside seals, filters and failing files.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::Mutex;

use super::faults::{Countdown, FaultFs, options, put};
use crate::code::{Address, Code};
use crate::db::{
    BulkLoader, BulkOptions, BulkStage, Database, Duplicates, Filter, IndexOptions, Query,
    Readable as _,
};
use crate::error::{Error, Result};
use crate::storage::fs::{Fs as _, OsFs};
use crate::storage::records::WriteFault;

fn load(loader: &mut BulkLoader, number: u64, value: &[u8]) -> Result<()> {
    let code = Code::from_bytes(&number.to_le_bytes())?;
    let address = Address::new(u32::try_from(number % 256).unwrap(), 8)?;
    loader.put(format!("key {number}").as_bytes(), address, &code, value)
}

/// What the n-th file operation finds to do.
#[derive(Default)]
struct Plot {
    db: Option<Database>,
    loader: Option<BulkLoader>,
    act: u32,
    thread: Option<JoinHandle<()>>,
}

/// A loader that was dropped gave its ids back while a seal under way had taken them for used ones: the seal
/// then swallowed the pending entry of a record that came after, and the database could not be opened
/// again, since its sealed bound was beyond the next id.
#[test]
fn a_loader_dropped_beside_a_seal_gives_back_no_id_that_the_seal_counts_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    drop(Database::create(&path, options(Arc::new(OsFs))).unwrap());
    let plot = Arc::new(Mutex::new(Plot::default()));
    let plotter = Arc::clone(&plot);
    let meddle = move || {
        let mut plot = plotter.lock();
        plot.act += 1;
        let (db, act, loader) = (plot.db.clone().unwrap(), plot.act, plot.loader.take());
        let thread = thread::spawn(move || {
            drop(loader);
            put(&db, 50 + u64::from(act)).unwrap();
        });
        if act == 1 {
            // Pending, with an id below those that the loader is about to get.
            thread.join().unwrap();
        } else {
            plot.thread = Some(thread);
            thread::sleep(Duration::from_millis(100));
        }
    };
    let countdown = Arc::new(Countdown {
        left: AtomicI64::new(i64::MAX),
        for_ever: false,
        meddle: Some(Box::new(meddle)),
    });
    let db = Database::open(&path, options(Arc::new(FaultFs(Arc::clone(&countdown))))).unwrap();
    plot.lock().db = Some(db.clone());
    put(&db, 1).unwrap();
    // The first file operation of each seal is the creation of its file.
    countdown.left.store(0, Ordering::SeqCst);
    let loader = db.bulk_loader(BulkOptions::new()).unwrap();
    plot.lock().loader = Some(loader);
    countdown.left.store(0, Ordering::SeqCst);
    db.seal().unwrap();
    let thread = plot.lock().thread.take();
    thread.unwrap().join().unwrap();
    assert_eq!(plot.lock().act, 2);
    plot.lock().db = None;
    let all =
        |db: &Database| db.range_search(&Code::from_bytes(&[0; 8]).unwrap(), 64).unwrap().len();
    assert_eq!((db.len(), all(&db)), (3, 3));
    drop(db);
    let db = Database::open(&path, options(Arc::new(OsFs))).unwrap();
    assert_eq!((db.len(), all(&db)), (3, 3));
    assert!(db.verify().unwrap().is_clean());
}

/// A merge or a delete during a load wrote the ids that are kept for it down as used ones: a load that was killed took
/// 2^40 of them with it.
#[test]
fn what_is_written_during_a_load_uses_up_none_of_its_ids() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), options(Arc::new(OsFs))).unwrap();
    for number in 0..8 {
        put(&db, number).unwrap();
        db.seal().unwrap();
    }
    let left_by_a_kill = |name: &str| {
        let copy = directory.path().join(name);
        db.checkpoint(&copy).unwrap();
        Database::open(copy, options(Arc::new(OsFs))).unwrap()
    };
    type Write = fn(&Database, &mut Option<BulkLoader>) -> Result<()>;
    let writes: [(&str, Write); 3] = [
        ("merge", |db, _| db.compact()),
        ("delete", |db, _| db.delete(b"key 1").map(|_| ())),
        ("note", |_, loader| {
            let mut loader = loader.take().unwrap();
            loader.put_note(b"who", b"nobody")?;
            loader.finish().map(|_| ())
        }),
    ];
    for (name, write) in writes {
        let next_id = db.stats().next_id;
        let mut loader = Some(db.bulk_loader(BulkOptions::new()).unwrap());
        write(&db, &mut loader).unwrap();
        let copy = left_by_a_kill(name);
        assert_eq!(copy.stats().next_id, next_id, "{name}");
        // The next record has the next id, and is there beside the others.
        put(&copy, 2000).unwrap();
        assert_eq!(copy.get(b"key 2000").unwrap().unwrap().id, next_id, "{name}");
        assert!(copy.verify().unwrap().is_clean());
    }
}

/// A filter that read all values during a load took the ids kept for the load for ids of records without a
/// value, and went on to judge the loaded records so.
#[test]
fn a_filter_that_read_the_values_during_a_load_asks_for_those_of_the_load() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), options(Arc::new(OsFs))).unwrap();
    for number in 0..300 {
        put(&db, number).unwrap();
    }
    db.seal().unwrap();
    let filter = Filter::values(|value: &[u8]| value == b"wanted");
    let code = Code::from_bytes(&[0; 8]).unwrap();
    let search = || {
        let query = Query::range(code.clone(), 64).filter(filter.clone());
        db.search(&query).unwrap().neighbors.len()
    };
    let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
    for number in 1000..1050 {
        load(&mut loader, number, b"wanted").unwrap();
    }
    // Often enough that reading all values in order costs less than asking for each.
    for _ in 0..50 {
        assert_eq!(search(), 0);
    }
    loader.finish().unwrap();
    assert_eq!(search(), 50);
    // The same where the load is given up and others get the ids.
    let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
    load(&mut loader, 2000, b"wanted").unwrap();
    for _ in 0..50 {
        assert_eq!(search(), 50);
    }
    drop(loader);
    let mut batch = crate::db::WriteBatch::new();
    batch.put(b"late", Address::new(1, 8).unwrap(), code.clone(), b"wanted");
    db.write(batch, crate::db::WriteOptions::default()).unwrap();
    assert_eq!(search(), 51);
}

/// A load that was in the database was reported as failed when a file that only says so could not be written.
#[test]
fn what_fails_after_the_commit_of_a_load_is_no_error_of_the_load() {
    let mut told = 0;
    for n in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        drop(Database::create(&path, options(Arc::new(OsFs))).unwrap());
        let left = AtomicI64::new(i64::MAX);
        let countdown = Arc::new(Countdown { left, for_ever: true, meddle: None });
        let db = Database::open(&path, options(Arc::new(FaultFs(Arc::clone(&countdown))))).unwrap();
        let mut loader =
            db.bulk_loader(BulkOptions::new().duplicates(Duplicates::Replace)).unwrap();
        for number in 0..20 {
            load(&mut loader, number, b"value").unwrap();
        }
        countdown.left.store(n, Ordering::SeqCst);
        let finished = loader.finish();
        let reached = countdown.left.load(Ordering::SeqCst) < 0;
        countdown.left.store(i64::MAX, Ordering::SeqCst);
        assert_eq!(db.len(), if finished.is_ok() { 20 } else { 0 }, "fault {n}");
        told += u32::from(db.stats().maintenance_error.is_some());
        drop(db);
        let db = Database::open(&path, options(Arc::new(OsFs))).unwrap();
        assert_eq!(db.len(), if finished.is_ok() { 20 } else { 0 }, "fault {n}");
        assert!(db.verify().unwrap().is_clean());
        if !reached {
            break;
        }
    }
    assert!(told > 2, "the files after the commit failed {told} times");
}

/// Twenty records of which eight are there already.
fn twenty(db: &Database) -> Result<BulkLoader> {
    let mut loader = db.bulk_loader(BulkOptions::new().duplicates(Duplicates::Replace))?;
    for number in 0..20 {
        load(&mut loader, number, b"value")?;
    }
    Ok(loader)
}

fn check_twenty(db: &Database) {
    assert_eq!((db.len(), db.iter().count()), (20, 20));
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

/// A disk that was full while the tables of a load got their names in the record store made the handle useless, though
/// nothing of the load was in the manifest yet.
#[test]
fn what_fails_before_the_commit_of_a_load_leaves_the_handle_as_it_was() {
    for for_ever in [false, true] {
        for n in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let left = AtomicI64::new(i64::MAX);
            let countdown = Arc::new(Countdown { left, for_ever, meddle: None });
            let fs = Arc::new(FaultFs(Arc::clone(&countdown)));
            let db = Database::create(directory.path().join("db"), options(fs)).unwrap();
            for number in 0..8 {
                put(&db, number).unwrap();
            }
            let loader = twenty(&db).unwrap();
            countdown.left.store(n, Ordering::SeqCst);
            let finished = loader.finish();
            let reached = countdown.left.swap(i64::MAX, Ordering::SeqCst) < 0;
            if let Err(error) = &finished {
                assert!(error.to_string().contains("injected"), "fault {n}: {error}");
                assert_eq!(db.len(), 8, "fault {n}");
            }
            put(&db, 3).unwrap();
            db.seal().unwrap();
            twenty(&db).unwrap().finish().unwrap();
            check_twenty(&db);
            if !reached {
                assert!(n > 10, "a load ends with only {n} operations: it tests little");
                break;
            }
        }
    }
}

/// The same where it is RocksDB that fails: it finds no table to take in.
#[test]
fn a_load_whose_tables_are_refused_leaves_the_handle_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let tables = path.join("load");
    let countdown = Arc::new(Countdown {
        left: AtomicI64::new(i64::MAX),
        for_ever: false,
        meddle: Some(Box::new(move || {
            for table in OsFs.list(&tables).unwrap_or_default() {
                OsFs.remove(&table).unwrap();
            }
        })),
    });
    let fs = Arc::new(FaultFs(Arc::clone(&countdown)));
    let db = Database::create(&path, options(fs)).unwrap();
    let mut refused = 0;
    for n in 0.. {
        let loader = twenty(&db).unwrap();
        countdown.left.store(n, Ordering::SeqCst);
        let finished = loader.finish();
        let reached = countdown.left.swap(i64::MAX, Ordering::SeqCst) < 0;
        refused += u32::from(matches!(finished, Err(Error::Records { .. })));
        put(&db, 3).unwrap();
        if !reached {
            break;
        }
    }
    assert!(refused > 0, "no table was missing when the record store was to take it in");
    check_twenty(&db);
}

/// RocksDB takes the names of the tables away where the sync of its manifest fails. The manifest may name them all the
/// same, and a database without them did not open.
#[test]
fn a_load_whose_commit_fails_is_there_whole_or_not_at_all() {
    for (fault, there) in [(WriteFault::BeforeTheDisk, 0), (WriteFault::AfterTheDisk, 20)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let db = Database::create(&path, options(Arc::new(OsFs))).unwrap();
        let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
        for number in 0..20 {
            load(&mut loader, number, b"value").unwrap();
        }
        *db.shared.engine.records().fault.lock() = Some(fault);
        let error = loader.finish().unwrap_err();
        assert!(matches!(error, Error::Records { .. }), "{error}");
        assert!(db.is_empty() && matches!(put(&db, 99), Err(Error::Poisoned)));
        drop(db);
        let db = Database::open(&path, options(Arc::new(OsFs))).unwrap();
        assert_eq!(db.len(), there, "{fault:?}");
        assert!(db.verify().unwrap().is_clean());
        assert!(!path.join("load").exists());
        put(&db, 99).unwrap();
    }
}

/// While indexes were built, many seconds for a large segment, a load told nothing and did not look whether it shall
/// stop.
#[test]
fn a_load_tells_of_its_indexes_and_stops_while_they_are_built() {
    const RECORDS: u64 = 3000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, options(Arc::new(OsFs))).unwrap();
    let mut index = IndexOptions::default().prefix(true);
    index.however_small = true;
    // The rows, the multi-index, the lists, the prefixes and the pair table; then it is written.
    for stop_at in (0..RECORDS).step_by(400).map(Some).chain([None]) {
        let (flag, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let (stop, tell) = (Arc::clone(&flag), Arc::clone(&told));
        let options = BulkOptions::new().index(index).cancel(flag).progress(move |at| {
            if at.stage == BulkStage::Indexes {
                tell.lock().push((at.done, at.total));
                let here = stop_at.is_some_and(|stop_at| at.done >= stop_at);
                stop.fetch_or(here, Ordering::Relaxed);
            }
        });
        let mut loader = db.bulk_loader(options).unwrap();
        for number in 0..RECORDS {
            load(&mut loader, number, b"").unwrap();
        }
        let finished = loader.finish();
        let told = std::mem::take(&mut *told.lock());
        assert!(told.is_sorted() && told.iter().all(|(_, total)| *total == RECORDS), "{told:?}");
        let Some(stop_at) = stop_at else {
            finished.unwrap();
            assert!(told.len() >= 6 && told.last() == Some(&(RECORDS, RECORDS)), "{told:?}");
            break;
        };
        assert!(matches!(finished, Err(Error::Cancelled)), "{stop_at}: {finished:?}");
        // Nothing more is built than what was under way.
        assert!(told.iter().filter(|(done, _)| *done >= stop_at).count() <= 2, "{told:?}");
        let segments = OsFs.list(&path.join("segments")).unwrap();
        assert!(db.is_empty() && segments.is_empty(), "{stop_at}: {segments:?}");
    }
    assert_eq!(db.len(), RECORDS);
    assert!(db.verify().unwrap().is_clean());
}

#[test]
fn a_load_on_very_many_threads_keeps_its_memory_for_records() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), options(Arc::new(OsFs))).unwrap();
    let mut loader =
        db.bulk_loader(BulkOptions::new().threads(256).memory_budget(16 << 20)).unwrap();
    for number in 0..5_000 {
        load(&mut loader, number, b"value").unwrap();
    }
    let report = loader.finish().unwrap();
    assert_eq!((report.inserted, report.runs), (5_000, 0));
}

/// All runs were merged at once, however many: each took an open file and a block of memory for every thread, so
/// that a large load with a small budget ended with "too many open files".
#[test]
fn thousands_of_runs_are_merged_in_several_passes() {
    const RECORDS: u64 = 40_000;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, options(Arc::new(OsFs))).unwrap();
    for duplicates in [Duplicates::Error, Duplicates::Replace] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let options = BulkOptions::new().duplicates(duplicates).tiny_budget();
        let options = options.progress(move |at| tell.lock().push(at));
        let mut loader = db.bulk_loader(options).unwrap();
        for number in 0..RECORDS {
            // In no order.
            load(&mut loader, number * 7_919 % RECORDS, b"").unwrap();
        }
        let report = loader.finish().unwrap();
        assert!(report.runs > 1000, "{report:?}");
        // The passes are told of, all of them, before anything that comes after them.
        let told = told.lock();
        let merges: Vec<_> = told.iter().filter(|at| at.stage == BulkStage::Merge).collect();
        let (total, most) = (merges[0].total, merges.iter().map(|at| at.done).max());
        assert!(total > 2 * RECORDS && most == Some(total), "{total} and {most:?}");
        assert!(merges.len() > 100 && merges.iter().all(|at| at.total == total));
        assert!(told[..merges.len()].iter().all(|at| at.stage == BulkStage::Merge));
        drop(told);
        let replaced = if duplicates == Duplicates::Error { 0 } else { RECORDS };
        assert_eq!((report.inserted, report.replaced), (RECORDS - replaced, replaced));
        assert_eq!(db.len(), RECORDS);
        assert!(db.verify().unwrap().is_clean());
    }
    drop(db);
    let db = Database::open(&path, options(Arc::new(OsFs))).unwrap();
    assert_eq!((db.len(), db.stats().deleted_rows), (RECORDS, RECORDS));
    assert!(db.verify().unwrap().is_clean());
    db.compact().unwrap();
    assert_eq!((db.len(), db.stats().deleted_rows), (RECORDS, 0));
    assert!(db.verify().unwrap().is_clean());
}
