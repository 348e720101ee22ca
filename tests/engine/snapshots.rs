//! A snapshot shows the moment it was taken, whatever is written, sealed or compacted after it.

use hashdb::{Database, Error, Readable as _};

use crate::{Random, filled, key, small};

#[test]
fn a_snapshot_is_frozen_over_records_segments_and_memtable() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"), small(), 150, 50);
    let mut random = Random(7);
    let (address, code) = (random.address(8, false), random.code(64, false));
    let snapshot = db.snapshot();
    let records: Vec<_> = snapshot.iter().map(Result::unwrap).collect();
    let (ball, knn) = (snapshot.ball(address, 3).unwrap(), snapshot.knn(&code, 20).unwrap());
    let iter = db.iter();

    for number in 0..75 {
        db.delete(&key(number)).unwrap();
        db.put(&key(number + 75), random.address(8, true), code.clone(), b"new").unwrap();
    }
    db.seal().unwrap();
    db.put(b"later", address, code.clone(), b"").unwrap();
    db.compact().unwrap();

    assert_eq!(snapshot.len(), 150);
    assert_eq!(snapshot.iter().map(Result::unwrap).collect::<Vec<_>>(), records);
    assert_eq!(iter.map(Result::unwrap).collect::<Vec<_>>(), records);
    assert_eq!(snapshot.ball(address, 3).unwrap(), ball);
    assert_eq!(snapshot.knn(&code, 20).unwrap(), knn);
    assert!(snapshot.get(b"later").unwrap().is_none());
    for record in &records {
        assert_eq!(snapshot.get(&record.key).unwrap().as_ref(), Some(record));
        snapshot.value(record).unwrap();
    }
    assert_eq!(db.len(), 76);
    assert_ne!(db.knn(&code, 20).unwrap(), knn);
}

#[test]
fn a_snapshot_outlives_its_database_and_its_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = filled(&path, small(), 100, 50);
    let snapshot = db.snapshot();
    let code = Random(1).code(64, false);
    let expected = db.knn(&code, 10).unwrap();
    db.compact().unwrap();
    drop(db);
    assert_eq!(snapshot.knn(&code, 10).unwrap(), expected);
    drop(snapshot);
    let db = Database::open(&path, small()).unwrap();
    assert_eq!(db.knn(&code, 10).unwrap(), expected);
    assert_eq!(std::fs::read_dir(path.join("segments")).unwrap().count(), 1);
}

#[test]
fn a_neighbor_of_an_older_state_is_told_apart_from_damage() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"), small(), 10, 5);
    let code = Random(1).code(64, false);
    let snapshot = db.snapshot();
    let nearest = db.knn(&code, 1).unwrap()[0];
    let record = db.record(&nearest).unwrap();
    db.delete(&record.key).unwrap();
    let error = db.record(&nearest).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { argument: "neighbor", .. }), "{error}");
    assert_eq!(snapshot.record(&nearest).unwrap(), record);
    // The value of key 8 has eight bytes.
    let valued = snapshot.get(&key(8)).unwrap().unwrap();
    assert_eq!(snapshot.value(&valued).unwrap().len(), 8);
    db.delete(&valued.key).unwrap();
    assert!(matches!(db.value(&valued), Err(Error::InvalidArgument { argument: "record", .. })));
    snapshot.value(&valued).unwrap();
}
