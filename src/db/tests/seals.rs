//! Many small seals.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::faults::{options, put};
use crate::db::compact::MOST_SEGMENTS;
use crate::db::record::encode_id;
use crate::db::{Database, Readable as _};
use crate::storage::fs::OsFs;
use crate::storage::records::{Family, RecordsBatch};

/// Each seal deleted the pending entries from the first id on. After 100,000 small seals, all of which the
/// log still held, opening needed more than 22 GB and was killed: RocksDB cuts the ranges into stretches
/// and keeps for each one all deletions that cover it. A seal deletes what the last one left.
#[test]
fn a_seal_deletes_the_pending_entries_since_the_last_one_and_no_others() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, options(Arc::new(OsFs))).unwrap();
    put(&db, 0).unwrap();
    db.seal().unwrap();
    // A mark below the bound, where nothing lies otherwise.
    let mut batch = RecordsBatch::default();
    batch.put(Family::Pending, encode_id(0), b"mark");
    db.engine().records().write(batch, false).unwrap();
    put(&db, 1).unwrap();
    db.seal().unwrap();
    let snapshot = db.engine().records().snapshot();
    assert!(snapshot.get(Family::Pending, &encode_id(0)).unwrap().is_some(), "all from 0 on");
    assert!(snapshot.get(Family::Pending, &encode_id(1)).unwrap().is_none());
}

/// A process that sealed fast and ended left many segments, and the next one did not merge them before it had written
/// a memtable full: each query looked into all of them.
#[test]
fn merges_that_were_left_undone_begin_with_the_opening() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, options(Arc::new(OsFs))).unwrap();
    for key in 0..60 {
        put(&db, key).unwrap();
        db.seal().unwrap();
    }
    assert_eq!(db.engine().view().segments.len(), 60);
    drop(db);
    let db = Database::open(&path, options(Arc::new(OsFs)).background(true)).unwrap();
    let begin = Instant::now();
    while db.engine().view().segments.len() > 8 && begin.elapsed() < Duration::from_secs(120) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(db.engine().view().segments.len() <= 8, "nothing was merged");
    assert_eq!(db.len(), 60);
    assert!(db.verify().unwrap().is_clean());
}

/// Who sealed faster than the background merged left more and more segments behind, 1,164 files among
/// 100,000 seals, and each query looks into all of them. From a bound on a seal waits for merges.
#[test]
fn seals_wait_for_merges_before_there_are_too_many_segments() {
    let directory = tempfile::tempdir().unwrap();
    let options = options(Arc::new(OsFs)).background(true);
    let db = Database::create(directory.path().join("db"), options).unwrap();
    let segments = || db.engine().view().segments.len();
    let merging = db.engine().merging.lock();
    std::thread::scope(|scope| {
        let sealer = scope.spawn(|| {
            for key in 0..2 * MOST_SEGMENTS as u64 {
                put(&db, key).unwrap();
                db.seal().unwrap();
            }
        });
        while segments() < MOST_SEGMENTS && !sealer.is_finished() {
            std::thread::yield_now();
        }
        // It cannot be shown that it never goes on; but without a bound it does at once.
        std::thread::sleep(Duration::from_millis(200));
        assert_eq!(segments(), MOST_SEGMENTS, "no merge was possible");
        drop(merging);
        sealer.join().unwrap();
    });
    assert!(segments() <= MOST_SEGMENTS);
    assert_eq!(db.len(), 2 * MOST_SEGMENTS as u64);
}
