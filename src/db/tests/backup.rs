//! The n-th file operation of a checkpoint, a backup or a restore fails, once or for ever, for every
//! n: the earlier generations stay whole, the database goes on, and nothing half-made looks whole.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::faults::{Countdown, FaultFs, options, put};
use crate::db::capture::Capture;
use crate::db::{Backup, Database, Readable as _};
use crate::error::Error;
use crate::storage::fs::{Fs, OsFs};
use crate::storage::layout::Layout;

/// In memory where that can be: the faults are ours, and thousands of syncs take their time.
fn place() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A database with segments, deleted rows and a memtable.
fn fill(path: &Path, fs: Arc<dyn Fs>) -> Database {
    let db = Database::create(path, options(fs)).unwrap();
    for number in 0..30 {
        put(&db, number).unwrap();
        if number % 10 == 9 {
            db.seal().unwrap();
        }
    }
    db.delete(b"key 3").unwrap();
    put(&db, 40).unwrap();
    db
}

/// Fails at the operation after `n` others; far away while something is prepared.
fn countdown(for_ever: bool) -> Arc<Countdown> {
    Arc::new(Countdown { left: AtomicI64::new(i64::MAX), for_ever, meddle: None })
}

fn keys(db: &Database) -> Vec<Vec<u8>> {
    let mut keys: Vec<_> = db.iter().map(|record| record.unwrap().key).collect();
    keys.sort();
    keys
}

fn assert_whole(path: &Path, expected: &[Vec<u8>], n: i64) {
    let db = Database::open(path, options(Arc::new(OsFs))).unwrap_or_else(|e| panic!("{n}: {e}"));
    assert_eq!(keys(&db), expected, "fault {n}");
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "fault {n}: {report:?}");
}

#[test]
fn a_checkpoint_that_fails_leaves_no_database_and_the_origin_goes_on() {
    for for_ever in [false, true] {
        let directory = place();
        let faults = countdown(for_ever);
        let db = fill(&directory.path().join("db"), Arc::new(FaultFs(Arc::clone(&faults))));
        let expected = keys(&db);
        let mut failures = 0;
        for n in 0.. {
            let target = directory.path().join(format!("copy {n}"));
            faults.left.store(n, Ordering::SeqCst);
            let made = db.checkpoint(&target);
            let reached = faults.left.swap(i64::MAX, Ordering::SeqCst) < 0;
            failures += usize::from(made.is_err());
            match made {
                Ok(info) => {
                    assert_eq!(info.records, expected.len() as u64);
                    assert_whole(&target, &expected, n);
                }
                // A superblock may have been renamed when the last sync failed; then all is there.
                Err(_) if Database::exists(&target) => assert_whole(&target, &expected, n),
                Err(_) => {}
            }
            // What was left behind does not stop the next one.
            if n % 7 == 0 || !reached {
                let again = directory.path().join(format!("again {n}"));
                db.checkpoint(&again).unwrap();
                assert_whole(&again, &expected, n);
            }
            if !reached {
                assert!(failures > 25, "only {failures} of {n} operations failed");
                break;
            }
        }
        assert!(db.verify().unwrap().is_clean());
        put(&db, 41).unwrap();
    }
}

#[test]
fn a_backup_that_fails_leaves_the_earlier_generations_whole() {
    for for_ever in [false, true] {
        let directory = place();
        let (path, folder) = (directory.path().join("db"), directory.path().join("backups"));
        let faults = countdown(for_ever);
        let db = fill(&path, Arc::new(OsFs));
        let mut backup = Backup::at(&folder).keep(2);
        db.backup(&backup).unwrap();
        let sound = backup.clone();
        backup.fs = Arc::new(FaultFs(Arc::clone(&faults)));
        let (mut failures, mut restored) = (0, 0);
        for n in 0.. {
            put(&db, 100 + u64::try_from(n).unwrap()).unwrap();
            let before = sound.verify().unwrap();
            faults.left.store(n, Ordering::SeqCst);
            // In turn by the handle and by the directory.
            let made = if n % 2 == 0 { db.backup(&backup) } else { backup.create(&path) };
            let reached = faults.left.swap(i64::MAX, Ordering::SeqCst) < 0;
            failures += usize::from(made.is_err());
            let after = sound.verify().unwrap();
            assert!(after.is_clean(), "fault {n}: {:?}", after.damages);
            let newest = before.whole.last().unwrap();
            assert!(after.whole.contains(newest), "fault {n} took generation {newest}");
            // A manifest that could not be read for once counts for nothing, and nothing is lost.
            if made.is_ok_and(|made| made.damaged.is_empty()) {
                assert_eq!(after.whole.len(), 2, "fault {n}: {after:?}");
            }
            if n % 10 == 0 || !reached {
                let target = directory.path().join(format!("copy {n}"));
                let made = db.backup(&sound).unwrap();
                assert!(made.damaged.is_empty());
                sound.restore(None, &target).unwrap();
                assert_whole(&target, &keys(&db), n);
                restored += 1;
            }
            if !reached {
                assert!(failures > 30 && restored > 2, "only {failures} of {n} operations failed");
                break;
            }
        }
        // What failures left behind was swept.
        let expected: std::collections::HashSet<_> = std::fs::read_dir(folder.join("files"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(expected.len() as u64, sound.verify().unwrap().files);
    }
}

#[test]
fn a_restore_that_fails_leaves_no_database() {
    let directory = place();
    let folder = directory.path().join("backups");
    let db = fill(&directory.path().join("db"), Arc::new(OsFs));
    let mut backup = Backup::at(&folder);
    db.backup(&backup).unwrap();
    let expected = keys(&db);
    let sound = backup.clone();
    for for_ever in [false, true] {
        let faults = countdown(for_ever);
        backup.fs = Arc::new(FaultFs(Arc::clone(&faults)));
        for n in 0.. {
            let target = directory.path().join(format!("copy {for_ever} {n}"));
            faults.left.store(n, Ordering::SeqCst);
            let restored = backup.restore(None, &target);
            let reached = faults.left.swap(i64::MAX, Ordering::SeqCst) < 0;
            match restored {
                Ok(_) => assert_whole(&target, &expected, n),
                Err(_) if Database::exists(&target) => assert_whole(&target, &expected, n),
                // Where the failure was not the disk's last word, nothing is left to be cleared away.
                Err(error) if !for_ever => {
                    sound.restore(None, &target).unwrap_or_else(|e| panic!("{n}: {error}; {e}"));
                }
                Err(_) => {
                    let opened = Database::open(&target, options(Arc::new(OsFs)));
                    assert!(matches!(opened, Err(Error::NotADatabase { .. })), "fault {n}");
                }
            }
            if !reached {
                assert!(n > 30, "a restore has only {n} operations");
                break;
            }
        }
    }
    assert!(sound.verify().unwrap().is_clean());
}

/// What a writer in another process may do at any moment of a capture: it writes, ends the log,
/// which may replace tables and segments, and writes again.
fn meddle(db: &Database, compacts: bool, number: u64) {
    put(db, number).unwrap();
    let ended = if compacts { db.compact() } else { db.engine().records().flush() };
    ended.unwrap();
    put(db, number + 1).unwrap();
}

/// A directory is captured file by file while a writer in another process goes on. Were a log copied
/// whose predecessor had just been flushed and removed, or a manifest older than the tables, records in
/// the middle would be missing without any error. So the writer writes, flushes and writes at every
/// moment of a capture.
#[test]
fn a_writer_that_meddles_at_any_moment_of_a_capture_costs_no_record() {
    // Before one of two operations, flushing, and before one of four, compacting, to stay quick.
    for (compacts, first, step) in [(false, 0, 2), (true, 1, 4)] {
        for n in (first..).step_by(step) {
            let directory = place();
            let path = directory.path().join("db");
            let db = fill(&path, Arc::new(OsFs));
            let number = 1000 + 2 * db.len();
            let (before, writer) = (keys(&db), db.clone());
            let faults = Arc::new(Countdown {
                left: AtomicI64::new(n),
                for_ever: false,
                meddle: Some(Box::new(move || meddle(&writer, compacts, number))),
            });
            let seen = options(Arc::new(FaultFs(Arc::clone(&faults))));
            let capture = Capture::of_directory(&Layout::new(&path), &seen)
                .unwrap_or_else(|error| panic!("{n}: {error}"));
            let target = directory.path().join("copy");
            let copy = open_captured(&capture, &target);
            let report = copy.verify().unwrap();
            assert!(report.is_clean(), "{n}: {report:?}");
            // All from before, and of what came meanwhile the first or both.
            let found = keys(&copy);
            let meanwhile = [number, number + 1].map(|new| format!("key {new}").into_bytes());
            let states: Vec<Vec<_>> = (0..3)
                .map(|count| {
                    let mut state = [&before, &meanwhile[..count]].concat();
                    state.sort();
                    state
                })
                .collect();
            assert!(states.contains(&found), "{compacts}, {n}: no state that was published");
            if faults.left.load(Ordering::SeqCst) >= 0 {
                assert!(n > 40, "a capture has only {n} operations");
                break;
            }
        }
    }
}

/// A reader beside a writer reads the manifest, then the logs that it names. Where the writer flushed in
/// between, the log was gone and its records with it: the reader showed the newest ones and not those
/// before, without an error. Now it looks again whether the files are those that it began with.
#[test]
fn a_reader_that_opens_while_the_writer_flushes_misses_no_record() {
    let directory = place();
    let path = directory.path().join("db");
    let db = Database::create(&path, options(Arc::new(OsFs))).unwrap();
    put(&db, 0).unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 1.. {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                put(&db, number).unwrap();
                if number % 3 == 0 {
                    db.engine().records().flush().unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(4));
                }
            }
        });
        let read = || {
            let (mut opened, begun) = (0, std::time::Instant::now());
            while opened < 20 && begun.elapsed() < std::time::Duration::from_secs(4) {
                // A writer this fast may also keep a reader out, with an error.
                let reader = Database::open_read_only(&path, options(Arc::new(OsFs)));
                let Ok(reader) = reader else { continue };
                opened += 1;
                let found = keys(&reader);
                for number in 0..reader.len() {
                    let key = format!("key {number}").into_bytes();
                    assert!(found.contains(&key), "{number} of {} is missing", reader.len());
                }
                assert_eq!(found.len() as u64, reader.len());
            }
            assert!(opened > 0, "no reader came in: this shows nothing");
        };
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read));
        done.store(true, Ordering::SeqCst);
        if let Err(panic) = outcome {
            std::panic::resume_unwind(panic);
        }
    });
}

/// A database of the captured files.
fn open_captured(capture: &Capture, target: &Path) -> Database {
    for folder in ["", "records", "segments", "models"] {
        OsFs.create_dir(&target.join(folder)).unwrap();
    }
    for file in &capture.files {
        OsFs.hard_link(&file.path, &target.join(&file.name)).unwrap();
    }
    capture.superblock.create(&OsFs, &Layout::new(target).superblock()).unwrap();
    Database::open(target, options(Arc::new(OsFs))).unwrap()
}
