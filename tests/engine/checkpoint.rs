//! Checkpoints: a second database of one published state, made while the first is at work.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hashdb::{Code, Database, Error, Readable as _, WriteBatch, WriteOptions};

use crate::{Random, filled, key, low_byte, small};

const WRITERS: u64 = 2;
/// Records of a batch; a checkpoint must never hold a part of one.
const BATCH: u64 = 5;
pub(crate) const ROUNDS: u64 = 8;

/// The database is sound and its indexes answer as its records do.
pub(crate) fn assert_sound(db: &Database) {
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    let code = Random(1).code(64, false);
    let records: Vec<_> = db.iter().map(Result::unwrap).collect();
    let mut expected: Vec<_> =
        records.iter().map(|record| (distance(&record.code, &code), record.id)).collect();
    expected.sort_unstable();
    let found = db.range_search(&code, 64).unwrap();
    let found: Vec<_> = found.iter().map(|n| (n.distance, n.id)).collect();
    assert_eq!(found, expected, "brute force over the records says otherwise");
    for record in &records {
        db.value(record).unwrap();
    }
}

fn distance(a: &Code, b: &Code) -> u32 {
    a.as_bytes().iter().zip(b.as_bytes()).map(|(a, b)| (a ^ b).count_ones()).sum()
}

/// Writers each write batches 0, 1, 2...; batch n replaces the newest record and deletes one of batch
/// n - 3. So what a database holds tells how many batches of each writer are in it.
fn batch(writer: u64, number: u64) -> WriteBatch {
    let mut random = Random(writer << 32 | number);
    let name = |number: u64, record: u64| key((writer << 40) + number * BATCH + record);
    let mut batch = WriteBatch::new();
    for record in 0..BATCH {
        let value = vec![low_byte(record); if record == 0 { 5000 } else { 8 }];
        batch.put(&name(number, record), random.address(8, true), random.code(64, true), &value);
    }
    let newest = format!("newest {writer}").into_bytes();
    batch.put(&newest, random.address(8, false), random.code(64, false), &number.to_le_bytes());
    if number >= 3 {
        batch.delete(&name(number - 3, 1));
    }
    batch
}

/// How many batches of a writer are there; they must be whole and without holes.
fn batches(db: &Database, writer: u64) -> u64 {
    let count = match db.get(format!("newest {writer}").as_bytes()).unwrap() {
        None => 0,
        Some(newest) => u64::from_le_bytes(db.value(&newest).unwrap().try_into().unwrap()) + 1,
    };
    for number in 0..count + 2 {
        for record in 0..BATCH {
            let deleted = record == 1 && number + 3 < count;
            let name = key((writer << 40) + number * BATCH + record);
            let found = db.get(&name).unwrap().is_some();
            assert_eq!(found, number < count && !deleted, "batch {number} of {count}, {record}");
        }
    }
    count
}

/// Lets writers write, seal and compact while `take` is called again and again; `take` makes a database
/// of the current state. Each must hold a prefix of what each writer wrote: all that was
/// acknowledged before, nothing that was begun after.
pub(crate) fn while_writers_work(
    directory: &tempfile::TempDir,
    compact_every: u64,
    rounds: u64,
    take: impl Fn(&Database, &std::path::Path, u64),
) {
    let options = small().background(true).memtable_records(150);
    let db = Database::create(directory.path().join("db"), options.clone()).unwrap();
    let done = AtomicBool::new(false);
    let tried = [AtomicU64::new(0), AtomicU64::new(0)];
    let acknowledged = [AtomicU64::new(0), AtomicU64::new(0)];
    std::thread::scope(|scope| {
        for (writer, (tried, acknowledged)) in (0..WRITERS).zip(tried.iter().zip(&acknowledged)) {
            let (db, done) = (db.clone(), &done);
            scope.spawn(move || {
                for number in 0.. {
                    if done.load(Ordering::SeqCst) {
                        return;
                    }
                    tried.store(number + 1, Ordering::SeqCst);
                    db.write(batch(writer, number), WriteOptions { sync: number % 3 == 0 })
                        .unwrap();
                    acknowledged.store(number + 1, Ordering::SeqCst);
                    // Checking takes longer the more there is.
                    std::thread::sleep(Duration::from_millis(1));
                    if number % compact_every == 0 && writer == 0 {
                        db.compact().unwrap();
                    }
                }
            });
        }
        let _stop = Stop(&done);
        for round in 0..rounds {
            std::thread::sleep(Duration::from_millis(15 * (round % 3)));
            let target = directory.path().join(format!("copy {round}"));
            let before = acknowledged.each_ref().map(|count| count.load(Ordering::SeqCst));
            take(&db, &target, round);
            let after = tried.each_ref().map(|count| count.load(Ordering::SeqCst));
            let copy = Database::open(&target, options.clone()).unwrap();
            for (writer, (before, after)) in (0..WRITERS).zip(before.iter().zip(&after)) {
                let found = batches(&copy, writer);
                assert!(
                    *before <= found && found <= *after,
                    "round {round}: {found} batches, {before:?} to {after:?}"
                );
            }
            assert_sound(&copy);
        }
    });
    let written: u64 = tried.iter().map(|count| count.load(Ordering::SeqCst)).sum();
    assert!(written > rounds, "only {written} batches were written: this shows little");
    assert_sound(&db);
}

/// Has the writers end whatever happens.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn a_checkpoint_beside_writers_is_a_published_state() {
    let directory = tempfile::tempdir().unwrap();
    while_writers_work(&directory, 60, ROUNDS, |db, target, _| {
        let info = db.checkpoint(target).unwrap();
        let copy = Database::open_read_only(target, small()).unwrap();
        assert_eq!((copy.len(), copy.stats().sequence), (info.records, info.sequence));
        assert!(info.path == target);
    });
}

#[test]
fn a_checkpoint_and_its_origin_go_separate_ways() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = filled(&path, small(), 200, 50);
    let target = directory.path().join("copy");
    let info = db.checkpoint(&target).unwrap();
    assert!(info.linked_bytes > 0 && info.copied_bytes > 0, "{info:?}");
    assert!(!path.join("staging").exists(), "the links that held the state are gone");
    let records: Vec<_> = db.iter().map(Result::unwrap).collect();

    // The origin drops every file that the two share.
    for number in 0..150 {
        db.delete(&key(number)).unwrap();
    }
    db.compact().unwrap();
    let copy = Database::open(&target, small()).unwrap();
    assert_eq!(copy.iter().map(Result::unwrap).collect::<Vec<_>>(), records);
    assert_eq!(copy.stats().database_id, db.stats().database_id);

    // And the other way round.
    for number in 100..200 {
        copy.delete(&key(number)).unwrap();
    }
    copy.compact().unwrap();
    assert_eq!((copy.len(), db.len()), (100, 50));
    assert_sound(&copy);
    drop(copy);
    drop(db);
    let (db, copy) =
        (Database::open(&path, small()).unwrap(), Database::open(&target, small()).unwrap());
    assert_sound(&db);
    assert_sound(&copy);
}

#[test]
fn a_checkpoint_of_a_read_only_handle_holds_the_newest_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = filled(&path, small(), 100, 40);
    let reader = Database::open_read_only(&path, small()).unwrap();
    db.delete(&key(1)).unwrap();
    db.compact().unwrap();
    reader.checkpoint(directory.path().join("copy")).unwrap();
    let copy = Database::open(directory.path().join("copy"), small()).unwrap();
    assert_eq!((reader.len(), copy.len()), (100, 99));
    assert_sound(&copy);
}

#[test]
fn a_checkpoint_onto_another_file_system_copies() {
    let directory = tempfile::tempdir().unwrap();
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("SKIPPED: there is no /dev/shm to copy to");
        return;
    };
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &std::path::Path| path.metadata().unwrap().dev();
    if device(directory.path()) == device(other.path()) {
        eprintln!("SKIPPED: /dev/shm is the same file system as the temporary folder");
        return;
    }
    let db = filled(&directory.path().join("db"), small(), 100, 40);
    let target = other.path().join("copy");
    let info = db.checkpoint(&target).unwrap();
    assert_eq!(info.linked_bytes, 0);
    assert!(info.copied_bytes > 0);
    let copy = Database::open(&target, small()).unwrap();
    assert_eq!(copy.len(), 100);
    assert_sound(&copy);
}

#[test]
fn a_checkpoint_inside_its_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = filled(&path, small(), 20, 20);
    for inside in ["copy", "copy/of/it", "../db/copy", "."] {
        let refused = db.checkpoint(path.join(inside)).unwrap_err();
        assert!(
            matches!(refused, Error::InvalidArgument { argument: "checkpoint", .. }),
            "{refused}"
        );
    }
    db.checkpoint(directory.path().join("db-copy")).unwrap();
    assert!(db.verify().unwrap().is_clean());
}

#[test]
fn a_checkpoint_never_touches_what_is_not_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"), small(), 20, 20);
    let taken = directory.path().join("taken");
    std::fs::create_dir(&taken).unwrap();
    db.checkpoint(&taken).unwrap();
    assert!(matches!(db.checkpoint(&taken), Err(Error::AlreadyExists { .. })));
    // The folder where the files would be gathered is somebody else's.
    let target = directory.path().join("target");
    let draft = directory.path().join("target.tmp");
    std::fs::create_dir(&draft).unwrap();
    std::fs::write(draft.join("notes"), b"mine").unwrap();
    let error = db.checkpoint(&target).unwrap_err();
    assert!(matches!(&error, Error::AlreadyExists { path } if *path == draft), "{error}");
    assert_eq!(std::fs::read(draft.join("notes")).unwrap(), b"mine");
    // What a killed checkpoint left there is.
    std::fs::remove_file(draft.join("notes")).unwrap();
    std::fs::create_dir(draft.join("segments")).unwrap();
    // A draft begins with its records.
    assert!(matches!(db.checkpoint(&target), Err(Error::AlreadyExists { .. })));
    std::fs::create_dir(draft.join("records")).unwrap();
    std::fs::write(draft.join("segments/000000000001.seg"), b"half").unwrap();
    db.checkpoint(&target).unwrap();
    assert!(!draft.exists());
    assert_sound(&Database::open(&target, small()).unwrap());
}

#[test]
fn links_that_a_killed_checkpoint_left_go_when_the_database_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    drop(filled(&path, small(), 20, 20));
    let staging = path.join("staging");
    std::fs::create_dir_all(staging.join("records")).unwrap();
    std::fs::write(staging.join("records/000012.sst"), b"link").unwrap();
    let db = Database::open(&path, small()).unwrap();
    assert!(!staging.exists());
    assert_sound(&db);
}
