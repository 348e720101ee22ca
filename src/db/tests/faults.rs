//! The n-th file operation fails, once or for ever, for every n: the error is returned, nothing
//! panics, and after reopening every record that was acknowledged is there and nothing is damaged.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::code::{Address, Code};
use crate::db::{BulkOptions, Database, Duplicates, Options, Readable as _};
use crate::error::{Error, Result};
use crate::storage::fs::{Fs, FsFile, OsFs};
use crate::storage::records::WriteFault;

/// Counts operations down to the one that fails, or before which something happens.
pub(super) struct Countdown {
    pub(super) left: AtomicI64,
    pub(super) for_ever: bool,
    /// What happens instead of a failure.
    pub(super) meddle: Option<Box<dyn Fn() + Send + Sync>>,
}

impl std::fmt::Debug for Countdown {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Countdown").field("left", &self.left).finish_non_exhaustive()
    }
}

impl Countdown {
    fn tick(&self, path: &Path) -> Result<()> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if let Some(meddle) = &self.meddle {
            if left == 0 {
                meddle();
            }
            return Ok(());
        }
        if left == 0 || (left < 0 && self.for_ever) {
            let source = io::Error::other("injected");
            return Err(Error::Io { path: path.to_path_buf(), op: "touch", source });
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(super) struct FaultFs(pub(super) Arc<Countdown>);

#[derive(Debug)]
struct FaultFile(Arc<Countdown>, PathBuf, Box<dyn FsFile>);

impl Fs for FaultFs {
    fn create_dir(&self, path: &Path) -> Result<()> {
        self.0.tick(path)?;
        OsFs.create_dir(path)
    }

    fn create(&self, path: &Path) -> Result<Box<dyn FsFile>> {
        self.0.tick(path)?;
        let file = OsFs.create(path)?;
        Ok(Box::new(FaultFile(Arc::clone(&self.0), path.to_path_buf(), file)))
    }

    fn open_write(&self, path: &Path) -> Result<Box<dyn FsFile>> {
        self.0.tick(path)?;
        let file = OsFs.open_write(path)?;
        Ok(Box::new(FaultFile(Arc::clone(&self.0), path.to_path_buf(), file)))
    }

    fn open_read(&self, path: &Path) -> Result<File> {
        self.0.tick(path)?;
        OsFs.open_read(path)
    }

    fn read(&self, path: &Path, limit: u64) -> Result<Vec<u8>> {
        self.0.tick(path)?;
        OsFs.read(path, limit)
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.tick(from)?;
        OsFs.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> Result<()> {
        self.0.tick(to)?;
        OsFs.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> Result<()> {
        self.0.tick(path)?;
        OsFs.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.0.tick(path)?;
        OsFs.remove_dir(path)
    }

    fn free_bytes(&self, path: &Path) -> Result<u64> {
        self.0.tick(path)?;
        OsFs.free_bytes(path)
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.0.tick(path)?;
        OsFs.sync_dir(path)
    }

    fn list(&self, path: &Path) -> Result<Vec<PathBuf>> {
        self.0.tick(path)?;
        OsFs.list(path)
    }
}

impl FsFile for FaultFile {
    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        // A write that fails may have written a part.
        if let Err(error) = self.0.tick(&self.1) {
            self.2.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.2.write_all(bytes)
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        if let Err(error) = self.0.tick(&self.1) {
            self.2.write_all_at(&bytes[..bytes.len().min(40)], offset)?;
            return Err(error);
        }
        self.2.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> Result<()> {
        self.0.tick(&self.1)?;
        self.2.sync()
    }

    fn allocate(&mut self, bytes: u64) -> Result<()> {
        self.0.tick(&self.1)?;
        self.2.allocate(bytes)
    }
}

pub(super) fn options(fs: Arc<dyn Fs>) -> Options {
    let mut options = Options::new().code_bits(64).address_bits(8).background(false);
    // Small enough to be made, so that its operations fail too.
    options = options.ballast_bytes(1000);
    options.fs = fs;
    options
}

pub(super) fn put(db: &Database, number: u64) -> Result<()> {
    let code = Code::from_bytes(&number.to_le_bytes())?;
    let address = Address::new(u32::try_from(number % 256).unwrap(), 8)?;
    db.put(format!("key {number}").as_bytes(), address, code, b"value")
}

/// Records that a load brings: those from 0 on replace others.
const LOADED: std::ops::Range<u64> = 1000..1040;

/// Loads some records, with so little memory that they are sorted in parts.
fn load(db: &Database) -> Result<()> {
    let options = BulkOptions::new().duplicates(Duplicates::Replace).threads(1).tiny_budget();
    let mut loader = db.bulk_loader(options)?;
    for number in LOADED.chain(0..5) {
        let code = Code::from_bytes(&number.to_le_bytes())?;
        let key = format!("key {number}");
        loader.put(key.as_bytes(), Address::new(9, 8)?, &code, b"value")?;
    }
    assert!(loader.finish()?.runs > 1);
    Ok(())
}

/// What a workload was told.
#[derive(Default)]
struct Told {
    /// Records whose put was acknowledged, and no delete.
    put: Vec<u64>,
    /// Whether the delete of record 7 was acknowledged.
    deleted: bool,
    /// Whether the load was acknowledged.
    loaded: bool,
    /// The first error, if there was one; the workload goes on after it.
    failure: Option<Error>,
}

impl Told {
    fn note<T>(&mut self, outcome: Result<T>) -> Option<T> {
        outcome.map_err(|error| self.failure.get_or_insert(error).to_string()).ok()
    }
}

/// Writes, seals, deletes, compacts, and goes on with the handle after an error.
fn workload(path: &Path, fs: Arc<dyn Fs>) -> Told {
    let mut told = Told::default();
    let Some(db) = told.note(Database::open(path, options(fs))) else { return told };
    for round in 0..3_u64 {
        for number in round * 20..round * 20 + 20 {
            if told.note(put(&db, number)).is_some() {
                told.put.push(number);
            }
        }
        told.note(db.seal());
    }
    if told.note(db.delete(b"key 7")) == Some(true) {
        told.put.retain(|number| *number != 7);
        told.deleted = true;
    }
    told.note(db.compact());
    if told.note(put(&db, 100)).is_some() {
        told.put.push(100);
    }
    told.note(db.seal());
    told
}

/// Writes a little, loads, and goes on with the handle after an error.
fn loading(path: &Path, fs: Arc<dyn Fs>) -> Told {
    let mut told = Told::default();
    let Some(db) = told.note(Database::open(path, options(fs))) else { return told };
    for number in 0..8 {
        if told.note(put(&db, number)).is_some() {
            told.put.push(number);
        }
    }
    told.loaded = told.note(load(&db)).is_some();
    told.note(db.seal());
    told
}

fn check(path: &Path, told: &Told, n: i64) {
    let db = Database::open(path, options(Arc::new(OsFs))).unwrap_or_else(|e| panic!("{n}: {e}"));
    for number in &told.put {
        let key = format!("key {number}");
        let record = db.get(key.as_bytes()).unwrap();
        let record = record.unwrap_or_else(|| panic!("fault {n}: {key} is lost"));
        assert_eq!(db.value(&record).unwrap(), b"value");
    }
    assert!(!told.deleted || db.get(b"key 7").unwrap().is_none(), "fault {n}: key 7 is back");
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "fault {n}: {report:?}");
    let there = |number: &u64| db.get(format!("key {number}").as_bytes()).unwrap().is_some();
    let loaded = LOADED.filter(there).count();
    let all = LOADED.count();
    assert!(loaded == all || loaded == 0 && !told.loaded, "fault {n}: {loaded} of a load");
    for leftover in ["load", "staging"] {
        assert!(!path.join(leftover).exists(), "fault {n}: {leftover} is left");
    }
    let all = db.range_search(&Code::from_bytes(&[0; 8]).unwrap(), 64).unwrap();
    assert_eq!(all.len() as u64, db.len(), "fault {n}");
    assert_eq!(db.iter().count() as u64, db.len(), "fault {n}");
}

fn fail_every_operation(for_ever: bool, workload: fn(&Path, Arc<dyn Fs>) -> Told) {
    for n in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        drop(Database::create(&path, options(Arc::new(OsFs))).unwrap());
        let countdown = Arc::new(Countdown { left: AtomicI64::new(n), for_ever, meddle: None });
        let told = workload(&path, Arc::new(FaultFs(Arc::clone(&countdown))));
        let reached = countdown.left.load(Ordering::SeqCst) < 0;
        check(&path, &told, n);
        if !reached {
            assert!(told.failure.is_none(), "{:?}", told.failure);
            assert!(told.deleted && told.put.len() == 60 || told.loaded && told.put.len() == 8);
            assert!(n > 30, "the workload has only {n} operations: it tests little");
            return;
        }
    }
}

#[test]
fn every_file_operation_may_fail_once() {
    fail_every_operation(false, workload);
}

#[test]
fn every_file_operation_may_fail_and_all_after_it() {
    fail_every_operation(true, workload);
}

#[test]
fn every_file_operation_of_a_load_may_fail() {
    fail_every_operation(false, loading);
    fail_every_operation(true, loading);
}

/// Fails the batch of one step, tries everything else on the poisoned handle, and reopens.
fn poison(fault: WriteFault, step: fn(&Database) -> Result<()>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, options(Arc::new(OsFs))).unwrap();
    for number in 0..10 {
        put(&db, number).unwrap();
    }
    db.seal().unwrap();
    db.delete(b"key 3").unwrap();
    for number in 10..15 {
        put(&db, number).unwrap();
    }
    *db.shared.engine.records().fault.lock() = Some(fault);
    assert!(matches!(step(&db), Err(Error::Records { .. })), "the injected error is returned");
    // Readers go on; nothing that writes may touch a file any more.
    assert_eq!(db.len(), 14);
    assert!(matches!(put(&db, 99), Err(Error::Poisoned)));
    assert!(matches!(db.seal(), Err(Error::Poisoned)));
    assert!(matches!(db.compact(), Err(Error::Poisoned)));
    assert!(matches!(db.sync(), Err(Error::Poisoned)));
    drop(db);
    let db = Database::open(&path, options(Arc::new(OsFs))).unwrap();
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
    for number in (0..15).filter(|number| *number != 3) {
        assert!(db.get(format!("key {number}").as_bytes()).unwrap().is_some(), "key {number}");
    }
    assert!(db.get(b"key 3").unwrap().is_none() && db.get(b"key 99").unwrap().is_none());
    put(&db, 99).unwrap();
}

#[test]
fn a_write_that_fails_poisons_the_handle_and_reopening_recovers() {
    for fault in [WriteFault::BeforeTheDisk, WriteFault::AfterTheDisk] {
        poison(fault, |db| put(db, 50));
        poison(fault, |db| db.seal().map(|_| ()));
        poison(fault, |db| db.compact());
        poison(fault, load);
    }
}

#[test]
fn creation_that_fails_leaves_no_database() {
    for n in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let countdown =
            Arc::new(Countdown { left: AtomicI64::new(n), for_ever: true, meddle: None });
        let created = Database::create(&path, options(Arc::new(FaultFs(countdown))));
        if created.is_ok() {
            assert!(n > 3, "creation has only {n} operations");
            return;
        }
        // Either creation stopped before its last step, or only the last sync failed.
        match Database::open(&path, options(Arc::new(OsFs))) {
            Ok(db) => assert!(db.is_empty() && db.verify().unwrap().is_clean()),
            Err(error) => assert!(matches!(error, Error::NotADatabase { .. }), "{n}: {error}"),
        }
    }
}
