//! Many threads on one handle: group commit loses nothing, and every answer is a published state.

use std::sync::atomic::{AtomicBool, Ordering};

use hashdb::{Database, Readable as _, WriteBatch, WriteOptions};

use crate::{Random, key, small};

const WRITERS: u64 = 4;
const BATCHES: u64 = 60;
/// Records of a batch; a reader must never see a part of one.
const BATCH: u64 = 7;

#[test]
fn readers_see_whole_batches_while_writers_seal_and_compact() {
    let directory = tempfile::tempdir().unwrap();
    let options = small().background(true).memtable_records(100);
    let db = Database::create(directory.path().join("db"), options).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let db = db.clone();
                scope.spawn(move || {
                    let mut random = Random(writer);
                    for number in 0..BATCHES {
                        let mut batch = WriteBatch::new();
                        for record in 0..BATCH {
                            let name = (writer * BATCHES + number) * BATCH + record;
                            batch.put(
                                &key(name),
                                random.address(8, true),
                                random.code(64, true),
                                b"v",
                            );
                        }
                        // A batch replaces the one before the last and deletes the one before that.
                        if number % 5 == 4 {
                            for record in 0..BATCH {
                                let older =
                                    |back| (writer * BATCHES + number - back) * BATCH + record;
                                batch.delete(&key(older(3)));
                                let (address, code) =
                                    (random.address(8, false), random.code(64, false));
                                batch.put(&key(older(2)), address, code, b"w");
                            }
                        }
                        db.write(batch, WriteOptions { sync: number % 2 == 0 }).unwrap();
                        if number % 25 == 24 {
                            db.compact().unwrap();
                        }
                    }
                })
            })
            .collect();
        for reader in 0..3 {
            let (db, done) = (db.clone(), &done);
            scope.spawn(move || {
                let code = Random(reader).code(64, false);
                while !done.load(Ordering::Relaxed) {
                    let snapshot = db.snapshot();
                    let count = snapshot.len();
                    assert!(count % BATCH == 0, "{count} records: a part of a batch");
                    assert_eq!(snapshot.range_search(&code, 64).unwrap().len() as u64, count);
                    assert_eq!(snapshot.iter().map(Result::unwrap).count() as u64, count);
                }
            });
        }
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(db.len(), WRITERS * (BATCHES - BATCHES / 5) * BATCH);
    assert!(db.verify().unwrap().is_clean());
}

#[test]
fn the_background_gives_the_space_of_deleted_records_back() {
    let directory = tempfile::tempdir().unwrap();
    let options = crate::small().memtable_records(300).background(true);
    let db = crate::filled(&directory.path().join("db"), options, 3_000, 1_000);
    let bytes = |db: &Database| -> u64 { db.stats().segments.iter().map(|s| s.bytes).sum() };
    let before = bytes(&db);
    let mut batch = WriteBatch::new();
    (0..2_500).for_each(|number| batch.delete(&key(number)));
    db.write(batch, WriteOptions::default()).unwrap();
    let start = std::time::Instant::now();
    while db.stats().deleted_rows > 0 {
        assert!(start.elapsed().as_secs() < 60, "{:?}", db.stats());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    assert!(bytes(&db) * 2 < before, "{} of {before} bytes", bytes(&db));
    assert_eq!(db.len(), 500);
    assert!(db.verify().unwrap().is_clean());
}
