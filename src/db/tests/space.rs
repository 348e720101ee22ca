//! BALLAST: made when it is due, given back, and made again.

use std::sync::Arc;

use super::faults::{options, put};
use crate::db::{Database, Readable as _};
use crate::storage::ballast;
use crate::storage::fs::{Fs as _, OsFs};
use crate::storage::layout::Layout;

#[test]
fn a_reserve_is_kept_once_the_database_is_as_large() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let file = Layout::new(&path).ballast();
    let options = || options(Arc::new(OsFs)).ballast_bytes(20_000);
    let db = Database::create(&path, options()).unwrap();
    put(&db, 0).unwrap();
    db.seal().unwrap();
    assert!(!file.exists() && db.stats().ballast_bytes == 0, "a small database has none");
    for number in 1..1000 {
        put(&db, number).unwrap();
    }
    db.seal().unwrap();
    assert_eq!((file.metadata().unwrap().len(), db.stats().ballast_bytes), (20_000, 20_000));
    drop(db);
    let report = Database::recover_space(&path, options()).unwrap();
    assert_eq!((report.released, report.not_compacted), (20_000, None));
    assert!(!file.exists() && report.free > 0);
    assert_eq!(Database::recover_space(&path, options()).unwrap().released, 0);
    let db = Database::open(&path, options()).unwrap();
    assert!(!file.exists() && db.len() == 1000);
    db.compact().unwrap();
    assert!(file.exists(), "made again by the next compaction");
    assert!(db.verify().unwrap().is_clean());
}

/// A program that died while it made the reserve left BALLAST.tmp, with all the room of the reserve in
/// it. Opening for writing removes it, but only after recovery, which takes room itself: on a full disk
/// `recover_space` gave nothing back and failed.
#[test]
fn half_a_reserve_is_given_back_before_anything_needs_room() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("BALLAST");
    let draft = file.with_extension("tmp");
    OsFs.create(&draft).unwrap().allocate(20_000).unwrap();
    assert_eq!(ballast::release(&OsFs, &file).unwrap(), 20_000);
    assert!(!draft.exists());
    for name in [&file, &draft] {
        OsFs.create(name).unwrap().allocate(10_000).unwrap();
    }
    assert_eq!(ballast::release(&OsFs, &file).unwrap(), 20_000);
    assert!(!file.exists() && !draft.exists());
    assert_eq!(ballast::release(&OsFs, &file).unwrap(), 0);
}

#[test]
fn no_reserve_is_made_of_the_last_free_space() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("BALLAST");
    let free = OsFs.free_bytes(directory.path()).unwrap();
    // Due by the size of the database, but more than a quarter of what is left.
    assert!(!ballast::keep(&OsFs, &file, free / 3, u64::MAX).unwrap() && !file.exists());
}
