//! Opening what another release wrote, sealing and compacting it is an upgrade. Every file operation of
//! it fails once and from then on; nothing is lost, and the next open finishes it. The same with a kill
//! at every named place: `tools/torture --row upgrade`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::faults::{Countdown, FaultFs};
use crate::code::Code;
use crate::db::{Database, Options, Readable as _};
use crate::error::Result;
use crate::index::Neighbor;
use crate::storage::fs::{Fs, OsFs};

/// Every record as it is read, and the answers of a search over addresses and one over codes, which
/// tests/engine/format.rs has held against brute force.
type Content = (Vec<(u64, u32, Vec<u8>, Vec<u8>, Vec<u8>)>, Vec<Neighbor>, Vec<Neighbor>);

fn options(fs: Arc<dyn Fs>) -> Options {
    let mut options = Options::new().background(false).ballast_bytes(1000);
    options.fs = fs;
    options
}

fn fixtures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let all = OsFs.list(&folder).unwrap().into_iter();
    let found: Vec<_> = all.filter(|path| path.is_dir()).collect();
    assert!(found.len() >= 3, "fixtures are missing");
    found
}

fn copy(from: &Path, to: &Path) {
    OsFs.create_dir(to).unwrap();
    for path in OsFs.list(from).unwrap() {
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            let bytes = OsFs.read(&path, 1 << 30).unwrap();
            OsFs.create(&target).unwrap().write_all(&bytes).unwrap();
        }
    }
}

fn content(db: &Database) -> Content {
    let mut records = Vec::new();
    for record in db.iter() {
        let record = record.unwrap();
        let (value, code) = (db.value(&record).unwrap(), record.code.as_bytes().to_vec());
        records.push((record.id, record.address.value(), code, record.key, value));
    }
    let stats = db.stats();
    let middle = Code::from_bytes(&vec![0x5a; usize::from(stats.code_bits / 8)]).unwrap();
    let address = crate::code::Address::new(77, stats.address_bits).unwrap();
    let ball = db.ball(address, u32::from(stats.address_bits) / 2).unwrap();
    (records, ball, db.knn(&middle, 1 << 20).unwrap())
}

/// Opens for writing, seals and compacts; the handle is used on after an error.
fn upgrade(path: &Path, fs: Arc<dyn Fs>) -> Result<Database> {
    let db = Database::open(path, options(fs))?;
    let outcomes = [db.seal().map(drop), db.compact(), db.sync()];
    outcomes.into_iter().collect::<Result<()>>().map(|()| db)
}

/// Every operation of the oldest fixture, which is small; of the others, whose operations are of the same
/// kinds, every `stride`-th.
fn fail_every_operation(for_ever: bool, stride: usize) {
    for (number, fixture) in fixtures().into_iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("whole");
        copy(&fixture, &path);
        let before = content(&Database::open_read_only(&path, options(Arc::new(OsFs))).unwrap());
        assert!(before.0.len() >= 5 && before.2.len() == before.0.len());
        for n in (0..).step_by(if number == 0 { 1 } else { stride }) {
            let path = directory.path().join(n.to_string());
            copy(&fixture, &path);
            let countdown = Arc::new(Countdown { left: AtomicI64::new(n), for_ever, meddle: None });
            let outcome = upgrade(&path, Arc::new(FaultFs(Arc::clone(&countdown)))).map(drop);
            let reached = countdown.left.load(Ordering::SeqCst) < 0;
            let place = format!("{} after {n} operations", fixture.display());
            // A reader first: it has to do with what the failure left.
            let db = Database::open_read_only(&path, options(Arc::new(OsFs)));
            let db = db.unwrap_or_else(|error| panic!("{place}: {error}"));
            assert!(content(&db) == before, "{place}: something else is there");
            drop(db);
            let db = upgrade(&path, Arc::new(OsFs));
            let db = db.unwrap_or_else(|error| panic!("{place}: {error}"));
            assert!(content(&db) == before, "{place}: something else is there in the end");
            assert_eq!(db.stats().segments.len(), 1, "{place}");
            let report = db.verify().unwrap();
            assert!(report.is_clean(), "{place}: {report:?}");
            drop(db);
            crate::storage::tree::remove_tree(&OsFs, &path).unwrap();
            if !reached {
                outcome.unwrap();
                assert!(n > 30, "an upgrade has only {n} operations: this tests little");
                break;
            }
        }
    }
}

#[test]
fn every_file_operation_of_an_upgrade_may_fail_once() {
    fail_every_operation(false, 4);
}

#[test]
fn every_file_operation_of_an_upgrade_may_fail_and_all_after_it() {
    fail_every_operation(true, 5);
}
