//! Merges that leave many deleted rows out: their tombstones go as tables and not through the log.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::faults::{Countdown, FaultFs, options, put};
use crate::code::{Address, Code};
use crate::db::{BulkOptions, Database, Duplicates, Options, Readable as _};
use crate::error::Error;
use crate::storage::fs::{Fs, OsFs};
use crate::storage::records::{Family, WriteFault};

const RECORDS: u64 = 400;

/// Such that more rows than `few` are many.
fn many_above(few: usize, fs: Arc<dyn Fs>) -> Options {
    options(fs).memtable_records(few)
}

/// A database of which a load replaced every record but the last three.
fn replaced(path: &Path, options: Options) -> Database {
    let db = Database::create(path, options).unwrap();
    for number in 0..RECORDS {
        put(&db, number).unwrap();
    }
    db.seal().unwrap();
    let mut loader = db.bulk_loader(BulkOptions::new().duplicates(Duplicates::Replace)).unwrap();
    for number in 0..RECORDS - 3 {
        let code = Code::from_bytes(&(number + RECORDS).to_le_bytes()).unwrap();
        let key = format!("key {number}");
        loader.put(key.as_bytes(), Address::new(5, 8).unwrap(), &code, b"new").unwrap();
    }
    loader.finish().unwrap();
    assert_eq!(db.stats().deleted_rows, RECORDS - 3);
    db
}

fn bytes_of_logs(path: &Path) -> u64 {
    let files = OsFs.list(&path.join("records")).unwrap();
    let logs = files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "log"));
    logs.map(|log| log.metadata().unwrap().len()).sum()
}

/// Everything is there once, and what is found is what a scan of the records finds.
fn check(db: &Database, rows: u64) {
    answers(db, rows);
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

fn answers(db: &Database, rows: u64) {
    let code = Code::from_bytes(&[0; 8]).unwrap();
    for radius in [2, 64] {
        let scanned = db.iter().map(|record| record.unwrap());
        let near = scanned.filter(|record| record.code.distance(&code) <= radius);
        let expected: BTreeSet<_> = near.map(|record| record.id).collect();
        let found = db.range_search(&code, radius).unwrap();
        let found: BTreeSet<_> = found.into_iter().map(|neighbor| neighbor.id).collect();
        assert_eq!(found, expected, "radius {radius}");
    }
    assert_eq!((db.len(), db.iter().count() as u64), (rows, rows));
}

fn tombstones(db: &Database) -> usize {
    let mut count = 0;
    let snapshot = db.engine().records().snapshot();
    let visit = |_: &[u8], _: &[u8]| {
        count += 1;
        Ok(std::ops::ControlFlow::Continue(()))
    };
    snapshot.scan(Family::Tombstones, &[], visit).unwrap();
    count
}

/// Files of the segment folder that are no live segments.
fn leftovers(db: &Database, path: &Path) -> usize {
    let live = db.engine().view().segments.len();
    OsFs.list(&path.join("segments")).unwrap().len() - live
}

/// A merge after a load that had replaced millions of records cleared their tombstones in one batch: it lay in the
/// log, and each read-only open read it again, 1.5 s for two million, where the table takes no time.
#[test]
fn a_merge_that_drops_many_rows_writes_nothing_of_them_to_the_log() {
    for (few, in_log) in [(usize::try_from(RECORDS).unwrap() - 3, true), (100, false)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let db = replaced(&path, many_above(few, Arc::new(OsFs)));
        let reader = Database::open_read_only(&path, Options::new()).unwrap();
        let before = bytes_of_logs(&path);
        db.engine().merge_full_classes().unwrap();
        let grown = bytes_of_logs(&path).saturating_sub(before);
        assert_eq!(grown > RECORDS * 8, in_log, "the log grew by {grown} bytes");
        assert!(in_log || grown == 0, "the log grew by {grown} bytes");
        // An open has none of them to pass over.
        let bytes = db.engine().records().family_bytes(Family::Tombstones);
        assert_eq!(bytes == 0, !in_log, "{bytes} bytes of tombstones");
        assert_eq!((db.stats().deleted_rows, tombstones(&db), leftovers(&db, &path)), (0, 0, 0));
        check(&db, RECORDS);
        reader.catch_up().unwrap();
        assert_eq!(reader.stats().deleted_rows, 0);
        check(&reader, RECORDS);
        // What comes after the tables wins over them.
        put(&db, 1000).unwrap();
        db.delete(b"key 3").unwrap();
        check(&db, RECORDS);
        for reopened in [Database::open_read_only(&path, Options::new()).unwrap(), {
            drop(db);
            Database::open(&path, options(Arc::new(OsFs))).unwrap()
        }] {
            assert_eq!((reopened.stats().deleted_rows, tombstones(&reopened)), (1, 1));
            check(&reopened, RECORDS);
        }
    }
}

#[test]
fn a_merge_that_leaves_no_row_at_all_is_one_of_tables_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, many_above(10, Arc::new(OsFs))).unwrap();
    for number in 0..20 {
        put(&db, number).unwrap();
    }
    db.seal().unwrap();
    for number in 0..20 {
        db.delete(format!("key {number}").as_bytes()).unwrap();
    }
    db.compact().unwrap();
    assert_eq!((db.stats().segments.len(), tombstones(&db), leftovers(&db, &path)), (0, 0, 0));
    drop(db);
    check(&Database::open(&path, options(Arc::new(OsFs))).unwrap(), 0);
}

/// A load has a folder of its own, which is removed when the next one begins and at its end: the tables of a merge
/// must not lie there.
#[test]
fn a_merge_beside_a_load_leaves_the_tables_of_the_load_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = replaced(&path, many_above(100, Arc::new(OsFs)));
    let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
    let code = Code::from_bytes(&[7; 8]).unwrap();
    loader.put(b"loaded", Address::new(7, 8).unwrap(), &code, b"value").unwrap();
    db.engine().merge_full_classes().unwrap();
    assert_eq!(db.stats().deleted_rows, 0);
    loader.finish().unwrap();
    check(&db, RECORDS + 1);
    drop(db);
    check(&Database::open(&path, options(Arc::new(OsFs))).unwrap(), RECORDS + 1);
}

/// Each file operation of a merge fails, once or with all after it: the handle goes on, since nothing of ours that
/// fails leaves in doubt what the record store has.
#[test]
fn every_file_operation_of_a_merge_of_many_deleted_rows_may_fail() {
    for for_ever in [false, true] {
        for n in 0.. {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("db");
            drop(replaced(&path, many_above(100, Arc::new(OsFs))));
            let left = AtomicI64::new(i64::MAX);
            let countdown = Arc::new(Countdown { left, for_ever, meddle: None });
            let fs = Arc::new(FaultFs(Arc::clone(&countdown)));
            let db = Database::open(&path, many_above(100, fs)).unwrap();
            countdown.left.store(n, Ordering::SeqCst);
            let merged = db.engine().merge_full_classes();
            let reached = countdown.left.swap(i64::MAX, Ordering::SeqCst) < 0;
            let deleted = db.stats().deleted_rows;
            assert!(deleted == 0 || deleted == RECORDS - 3 && merged.is_err(), "fault {n}");
            // A SUPERBLOCK that was written by half is mended by the next open.
            answers(&db, RECORDS);
            put(&db, 1000).unwrap();
            drop(db);
            let db = Database::open(&path, options(Arc::new(OsFs))).unwrap();
            assert_eq!(db.stats().deleted_rows, deleted, "fault {n}");
            assert_eq!(leftovers(&db, &path), 0, "fault {n}");
            check(&db, RECORDS + 1);
            if !reached {
                assert!(n > 10, "a merge has only {n} operations: it tests little");
                break;
            }
        }
    }
}

#[test]
fn a_merge_of_many_deleted_rows_whose_commit_fails_is_there_whole_or_not_at_all() {
    for (fault, left) in [(WriteFault::BeforeTheDisk, RECORDS - 3), (WriteFault::AfterTheDisk, 0)] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let db = replaced(&path, many_above(100, Arc::new(OsFs)));
        *db.engine().records().fault.lock() = Some(fault);
        let error = db.engine().merge_full_classes().unwrap_err();
        assert!(matches!(error, Error::Records { .. }), "{error}");
        assert!(matches!(put(&db, 1000), Err(Error::Poisoned)));
        check(&db, RECORDS);
        drop(db);
        let db = Database::open(&path, options(Arc::new(OsFs))).unwrap();
        assert_eq!((db.stats().deleted_rows, leftovers(&db, &path)), (left, 0), "{fault:?}");
        check(&db, RECORDS);
        put(&db, 1000).unwrap();
    }
}

/// The record store takes no table in that is gone: an error before its manifest is touched.
#[test]
fn a_merge_whose_tables_are_refused_leaves_the_handle_as_it_was() {
    let mut refused = 0;
    for n in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        drop(replaced(&path, many_above(100, Arc::new(OsFs))));
        let segments = path.join("segments");
        let remove_drafts = move || {
            let files = OsFs.list(&segments).unwrap();
            let is_draft = |file: &&PathBuf| file.extension().is_some_and(|kind| kind == "tmp");
            files.iter().filter(is_draft).for_each(|draft| OsFs.remove(draft).unwrap());
        };
        let countdown = Arc::new(Countdown {
            left: AtomicI64::new(i64::MAX),
            for_ever: false,
            meddle: Some(Box::new(remove_drafts)),
        });
        let fs = Arc::new(FaultFs(Arc::clone(&countdown)));
        let db = Database::open(&path, many_above(100, fs)).unwrap();
        countdown.left.store(n, Ordering::SeqCst);
        let merged = db.engine().merge_full_classes();
        let reached = countdown.left.swap(i64::MAX, Ordering::SeqCst) < 0;
        refused += u32::from(matches!(merged, Err(Error::Records { .. })));
        put(&db, 0).unwrap();
        check(&db, RECORDS);
        if !reached {
            break;
        }
    }
    assert!(refused > 0, "no table was missing when the record store was to take it in");
}
