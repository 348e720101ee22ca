//! Bulk loads: larger than the memory they get, beside writers, given up, with keys that come twice.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hashdb::{
    Address, BulkLoader, BulkOptions, BulkStage, Code, Database, Duplicates, Error, IndexOptions,
    Options, Readable as _, WriteBatch, WriteOptions,
};

use crate::{Random, key};

/// The least that a load works with: whatever is asked for.
const LEAST_MEMORY: usize = 0;

fn options() -> Options {
    Options::new().code_bits(128).address_bits(20).background(false)
}

#[derive(Debug, Clone, PartialEq)]
struct Held {
    address: Address,
    code: Code,
    value: Vec<u8>,
}

fn held(random: &mut Random) -> Held {
    let length = usize::try_from(random.below(40)).unwrap();
    let (address, code) = (random.address(20, true), random.code(128, true));
    Held { address, code, value: random.bytes(length) }
}

fn put(loader: &mut BulkLoader, key: &[u8], held: &Held) {
    loader.put(key, held.address, &held.code, &held.value).unwrap();
}

/// The whole content of a database against what it must be.
fn check(db: &Database, expected: &BTreeMap<Vec<u8>, Held>) {
    assert_eq!(db.len(), expected.len() as u64);
    let mut found = BTreeMap::new();
    for record in db.iter() {
        let record = record.unwrap();
        let value = db.value(&record).unwrap();
        let held = Held { address: record.address, code: record.code.clone(), value };
        assert_eq!(db.get(&record.key).unwrap().unwrap().id, record.id);
        assert!(found.insert(record.key, held).is_none());
    }
    assert!(found == *expected, "the content differs");
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    // Answers come from the segments, which verify held against the records: a few suffice here.
    for held in expected.values().step_by(expected.len() / 5 + 1) {
        assert_eq!(db.knn(&held.code, 1).unwrap()[0].distance, 0);
        let near = db.ball(held.address, 2).unwrap();
        let within = |other: &&Held| other.address.distance(held.address) <= 2;
        assert_eq!(near.len(), expected.values().filter(within).count());
    }
}

/// Names of what lies in the folders where a load works.
fn leftovers(path: &Path, db: &Database) -> (usize, usize) {
    let count = |name: &str| std::fs::read_dir(path.join(name)).map_or(0, Iterator::count);
    (count("load"), count("segments") - db.stats().segments.len())
}

#[test]
fn a_load_that_does_not_fit_into_memory_equals_one_record_after_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, options()).unwrap();
    let (mut random, mut expected) = (Random(11), BTreeMap::new());
    for round in 0..3 {
        let mut batch = WriteBatch::new();
        for number in (0..3000).map(|number| round * 2000 + number) {
            let held = held(&mut random);
            batch.put(&key(number), held.address, held.code.clone(), &held.value);
            expected.insert(key(number), held);
        }
        db.write(batch, WriteOptions { sync: false }).unwrap();
        if round == 1 {
            db.compact().unwrap();
        }
    }
    for duplicates in [Duplicates::Skip, Duplicates::Replace] {
        let before = expected.clone();
        let options = BulkOptions::new().memory_budget(LEAST_MEMORY).duplicates(duplicates);
        let mut loader = db.bulk_loader(options).unwrap();
        for _ in 0..250_000 {
            // A tenth of the keys are in the database, and some come twice.
            let number = random.below(300_000);
            let held = held(&mut random);
            put(&mut loader, &key(number), &held);
            if duplicates == Duplicates::Replace || !expected.contains_key(&key(number)) {
                expected.insert(key(number), held);
            }
        }
        assert_eq!(loader.len(), 250_000);
        let report = loader.finish().unwrap();
        assert!(report.runs > 1 && report.segments > 0, "{report:?}");
        assert_eq!(report.inserted, (expected.len() - before.len()) as u64);
        assert!(report.skipped > 0);
        assert_eq!(report.replaced > 0, duplicates == Duplicates::Replace);
        assert_eq!(report.inserted + report.replaced + report.skipped, 250_000);
        assert_eq!(leftovers(&path, &db), (0, 0));
    }
    check(&db, &expected);
    drop(db);
    let db = Database::open(&path, options()).unwrap();
    check(&db, &expected);
    db.compact().unwrap();
    check(&db, &expected);
}

#[test]
fn a_million_entries_of_one_key_are_one_record() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), options()).unwrap();
    let code = |number: u64| Code::from_bytes(&[number.to_le_bytes(), [7; 8]].concat()).unwrap();
    for (duplicates, wanted) in [(Duplicates::Skip, 0), (Duplicates::Replace, 999_999)] {
        let options = BulkOptions::new().memory_budget(LEAST_MEMORY).duplicates(duplicates);
        let mut loader = db.bulk_loader(options).unwrap();
        for number in 0..1_000_000 {
            let address = Address::new(u32::try_from(number).unwrap(), 20).unwrap();
            loader.put(b"the one", address, &code(number), b"x").unwrap();
        }
        let report = loader.finish().unwrap();
        assert_eq!(report.inserted + report.replaced, 1);
        assert_eq!(report.skipped, 999_999);
        let record = db.get(b"the one").unwrap().unwrap();
        assert_eq!((db.len(), record.code), (1, code(wanted)));
    }
    assert!(db.verify().unwrap().is_clean());
    let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
    for number in 0..1000 {
        loader.put(b"another", Address::new(1, 20).unwrap(), &code(number), b"").unwrap();
    }
    let error = loader.finish().unwrap_err();
    assert_eq!(error.to_string(), "the key another is in the load twice");
}

#[test]
fn writers_go_on_while_records_are_put() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, options()).unwrap();
    let (mut random, mut expected) = (Random(5), BTreeMap::new());
    let mut write =
        |db: &Database, expected: &mut BTreeMap<_, _>, numbers: std::ops::Range<u64>| {
            for number in numbers {
                let held = held(&mut random);
                db.put(&key(number), held.address, held.code.clone(), &held.value).unwrap();
                expected.insert(key(number), held);
            }
        };
    write(&db, &mut expected, 0..50);
    let replace = || BulkOptions::new().duplicates(Duplicates::Replace);
    let mut loader = db.bulk_loader(replace()).unwrap();
    let mut others = Random(6);
    let loaded: BTreeMap<_, _> = (20..120).map(|number| (key(number), held(&mut others))).collect();
    for (key, held) in loaded.iter().take(60) {
        put(&mut loader, key, held);
    }
    // Written, sealed, deleted meanwhile: keys of the load and others.
    write(&db, &mut expected, 100..140);
    db.seal().unwrap();
    write(&db, &mut expected, 130..150);
    for number in [10, 30, 110, 135] {
        assert!(db.delete(&key(number)).unwrap());
        expected.remove(&key(number));
    }
    for (key, held) in loaded.iter().skip(60) {
        put(&mut loader, key, held);
    }
    let report = loader.finish().unwrap();
    assert_eq!(report.inserted + report.replaced, 100);
    expected.extend(loaded);
    check(&db, &expected);
    write(&db, &mut expected, 140..160);
    check(&db, &expected);
    drop(db);
    let db = Database::open(&path, options()).unwrap();
    check(&db, &expected);
    assert!(db.bulk_loader(replace()).is_ok());
}

#[test]
fn a_load_that_is_given_up_leaves_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, options()).unwrap();
    let mut random = Random(3);
    db.put(&key(1), random.address(20, false), random.code(128, false), b"here").unwrap();
    db.seal().unwrap();
    let next_id = || db.get(&key(1)).unwrap().unwrap().id + 1;
    let fill = |loader: &mut BulkLoader, random: &mut Random| {
        for number in 10..80_000 {
            put(loader, &key(number), &held(random));
        }
    };
    let least = || BulkOptions::new().memory_budget(LEAST_MEMORY);

    // Dropped.
    let mut loader = db.bulk_loader(least()).unwrap();
    fill(&mut loader, &mut random);
    let error = db.bulk_loader(least()).unwrap_err();
    assert!(error.to_string().contains("under way"), "{error}");
    drop(loader);
    assert_eq!((db.len(), leftovers(&path, &db)), (1, (0, 0)));

    // Stopped at each stage, by whoever watches.
    let stages = [BulkStage::Keys, BulkStage::Records, BulkStage::Segments, BulkStage::Indexes];
    for stage in stages {
        let flag = Arc::new(AtomicBool::new(false));
        let set = Arc::clone(&flag);
        let options = least().threads(1).cancel(flag).progress(move |progress| {
            set.fetch_or(progress.stage == stage, Ordering::Relaxed);
        });
        let mut loader = db.bulk_loader(options).unwrap();
        fill(&mut loader, &mut random);
        let error = loader.finish().unwrap_err();
        assert!(matches!(error, Error::Cancelled), "{stage:?}: {error}");
        assert_eq!((db.len(), leftovers(&path, &db)), (1, (0, 0)), "{stage:?}");
    }

    // A key that is there.
    let mut loader = db.bulk_loader(least()).unwrap();
    fill(&mut loader, &mut random);
    put(&mut loader, &key(1), &held(&mut random));
    let error = loader.finish().unwrap_err();
    assert!(matches!(&error, Error::DuplicateKey { in_database: true, .. }), "{error}");
    assert_eq!((db.len(), leftovers(&path, &db)), (1, (0, 0)));

    // Its ids are nobody's: the next record gets the next one.
    db.put(&key(2), random.address(20, false), random.code(128, false), b"").unwrap();
    assert_eq!(db.get(&key(2)).unwrap().unwrap().id, next_id());
    assert!(db.verify().unwrap().is_clean());

    // What a process that died left goes when the next one opens.
    drop(db);
    std::fs::create_dir(path.join("load")).unwrap();
    std::fs::write(path.join("load/000000.sst"), b"half a table").unwrap();
    std::fs::write(path.join("segments/000000000999.seg"), b"of no manifest").unwrap();
    let db = Database::open(&path, options()).unwrap();
    assert_eq!(leftovers(&path, &db), (0, 0));
    assert!(!path.join("load").exists());
}

#[test]
fn a_record_that_breaks_a_limit_is_refused_and_the_load_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, options()).unwrap();
    let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
    let (address, code) = (Address::new(1, 20).unwrap(), Code::from_bytes(&[1; 16]).unwrap());
    let bad: [(&[u8], Address, Code, usize); 5] = [
        (b"", address, code.clone(), 0),
        (&[b'x'; hashdb::MAX_KEY_BYTES + 1], address, code.clone(), 0),
        (b"k", Address::new(1, 19).unwrap(), code.clone(), 0),
        (b"k", address, Code::from_bytes(&[1; 8]).unwrap(), 0),
        (b"k", address, code.clone(), hashdb::MAX_VALUE_BYTES + 1),
    ];
    for (key, address, code, value) in bad {
        assert!(loader.put(key, address, &code, &vec![0; value]).is_err());
    }
    let longest = [b'x'; hashdb::MAX_KEY_BYTES];
    loader.put(&longest, address, &code, &vec![5; 3 << 20]).unwrap();
    loader.put(b"short", address, &code, b"").unwrap();
    assert_eq!(loader.finish().unwrap().inserted, 2);
    let record = db.get(&longest).unwrap().unwrap();
    assert_eq!(db.value(&record).unwrap(), vec![5; 3 << 20]);
    // A large value goes into a blob file later, with everything else.
    db.compact().unwrap();
    assert_eq!(db.value(&record).unwrap(), vec![5; 3 << 20]);
    assert!(db.verify().unwrap().is_clean());
    assert_eq!(db.bulk_loader(BulkOptions::new()).unwrap().finish().unwrap().inserted, 0);
    drop(db);
    let db = Database::open_read_only(&path, options()).unwrap();
    assert!(matches!(db.bulk_loader(BulkOptions::new()), Err(Error::ReadOnly)));
}

#[test]
fn progress_tells_of_every_record_and_never_runs_backwards() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), options()).unwrap();
    let last = Arc::new([const { AtomicU64::new(0) }; 6]);
    let seen = Arc::clone(&last);
    let options = BulkOptions::new().threads(1).index(IndexOptions::none()).progress(move |at| {
        let before = seen[at.stage as usize].swap(at.done, Ordering::Relaxed);
        assert!(before <= at.done && at.done <= at.total, "{at:?}");
    });
    let (mut loader, mut random) = (db.bulk_loader(options).unwrap(), Random(2));
    for number in 0..150_000 {
        put(&mut loader, &key(number), &held(&mut random));
    }
    loader.finish().unwrap();
    let stages = [BulkStage::Keys, BulkStage::Records, BulkStage::Segments, BulkStage::Indexes];
    for stage in stages {
        assert_eq!(last[stage as usize].load(Ordering::Relaxed), 150_000, "{stage:?}");
    }
}

/// What the segments of a load hold, without what names their database.
fn segments_of(path: &Path) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(path.join("segments")).unwrap();
    let mut files: Vec<_> = files.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |path| {
        let mut bytes = std::fs::read(path).unwrap();
        // The checksum of the header, and the id.
        bytes[12..32].fill(0);
        bytes
    };
    files.into_iter().map(read).collect()
}

#[test]
fn indexes_are_the_same_bytes_whatever_the_number_of_threads() {
    let directory = tempfile::tempdir().unwrap();
    let load = |threads: usize| {
        let path = directory.path().join(threads.to_string());
        let db = Database::create(&path, options()).unwrap();
        let mut loader = db.bulk_loader(BulkOptions::new().threads(threads)).unwrap();
        let mut random = Random(8);
        // Enough for every index that is there by default.
        for number in 0..140_000 {
            put(&mut loader, &key(number), &held(&mut random));
        }
        loader.finish().unwrap();
        let segments = segments_of(&path);
        assert!(segments.iter().any(|bytes| bytes[..2048].windows(8).any(|at| at == b"MULTI.RO")));
        segments
    };
    let alone = load(1);
    assert!(alone == load(2) && alone == load(5));
}
