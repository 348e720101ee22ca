//! Many small seals.

use std::sync::Arc;

use super::faults::{options, put};
use crate::db::Database;
use crate::db::record::encode_id;
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
