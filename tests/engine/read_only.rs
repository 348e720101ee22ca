//! A reader beside a writer, in the same process and in another one.

use std::process::Command;

use hashdb::{Database, Error, Options, Readable as _, WriteBatch, WriteOptions};

use crate::{Random, filled, key, small};

const READER: &str = "HASHDB_READER_CHILD";

fn options() -> Options {
    small().background(true).memtable_records(100)
}

/// Not a test of its own: opens and checks the database, again and again, beside the writer.
#[test]
fn child_reads_while_another_process_writes() {
    let Ok(path) = std::env::var(READER) else {
        return;
    };
    for _ in 0..30 {
        let db = Database::open_read_only(&path, options()).unwrap();
        let code = Random(1).code(64, false);
        assert_eq!(db.range_search(&code, 64).unwrap().len() as u64, db.len());
        assert_eq!(db.iter().map(Result::unwrap).count() as u64, db.len());
        assert!(db.len() >= 100);
    }
}

#[test]
fn another_process_reads_while_this_one_writes() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = filled(&path, options(), 100, 50);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "read_only::child_reads_while_another_process_writes", "--nocapture"])
        .env(READER, &path)
        .spawn()
        .unwrap();
    let mut random = Random(3);
    let mut number = 100;
    let status = loop {
        let mut batch = WriteBatch::new();
        for _ in 0..20 {
            batch.put(&key(number), random.address(8, true), random.code(64, true), b"value");
            number += 1;
        }
        db.write(batch, WriteOptions { sync: false }).unwrap();
        if number % 1000 == 0 {
            db.compact().unwrap();
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success(), "the reader failed: {status}");
    assert!(number > 200, "the writer wrote only {number} records meanwhile");
}

#[test]
fn a_read_only_handle_refuses_every_write() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let writer = filled(&path, small(), 60, 50);
    let db = Database::open_read_only(&path, small()).unwrap();
    assert_eq!(db.len(), 60);
    let (address, code) = (Random(1).address(8, false), Random(1).code(64, false));
    assert!(matches!(db.put(b"k", address, code, b""), Err(Error::ReadOnly)));
    assert!(matches!(db.delete(b"k"), Err(Error::ReadOnly)));
    assert!(matches!(db.seal(), Err(Error::ReadOnly)));
    assert!(matches!(db.compact(), Err(Error::ReadOnly)));
    assert!(matches!(db.sync(), Err(Error::ReadOnly)));
    assert!(db.verify().unwrap().is_clean());
    drop(writer);
    assert_eq!(db.len(), 60);
}
