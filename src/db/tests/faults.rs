//! The n-th file operation fails, once or for ever, for every n: the error is returned, nothing
//! panics, and after reopening every record that was acknowledged is there and nothing is damaged.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use crate::code::{Address, Code};
use crate::db::{Database, Options, Readable as _};
use crate::error::{Error, Result};
use crate::storage::fs::{Fs, FsFile, OsFs};

/// Counts operations down to the one that fails.
#[derive(Debug)]
struct Countdown {
    left: AtomicI64,
    for_ever: bool,
}

impl Countdown {
    fn tick(&self, path: &Path) -> Result<()> {
        let left = self.left.fetch_sub(1, Ordering::SeqCst);
        if left == 0 || (left < 0 && self.for_ever) {
            let source = io::Error::other("injected");
            return Err(Error::Io { path: path.to_path_buf(), op: "touch", source });
        }
        Ok(())
    }
}

#[derive(Debug)]
struct FaultFs(Arc<Countdown>);

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

    fn remove(&self, path: &Path) -> Result<()> {
        self.0.tick(path)?;
        OsFs.remove(path)
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
            self.2.write_all_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        self.2.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> Result<()> {
        self.0.tick(&self.1)?;
        self.2.sync()
    }
}

fn options(fs: Arc<dyn Fs>) -> Options {
    let mut options = Options::new().code_bits(64).address_bits(8).background(false);
    options.fs = fs;
    options
}

fn put(db: &Database, number: u64) -> Result<()> {
    let code = Code::from_bytes(&number.to_le_bytes())?;
    let address = Address::new(u32::try_from(number % 256).unwrap(), 8)?;
    db.put(format!("key {number}").as_bytes(), address, code, b"value")
}

/// Writes, seals, deletes, compacts; returns what was acknowledged: records put and deleted.
fn workload(path: &Path, fs: Arc<dyn Fs>, acknowledged: &mut Vec<u64>) -> Result<()> {
    let db = Database::open(path, options(fs))?;
    for round in 0..3_u64 {
        for number in round * 20..round * 20 + 20 {
            put(&db, number)?;
            acknowledged.push(number);
        }
        db.seal()?;
    }
    if db.delete(b"key 7")? {
        acknowledged.retain(|number| *number != 7);
    }
    db.compact()?;
    put(&db, 100)?;
    acknowledged.push(100);
    Ok(())
}

fn check(path: &Path, acknowledged: &[u64], n: i64) {
    let db = Database::open(path, options(Arc::new(OsFs))).unwrap_or_else(|e| panic!("{n}: {e}"));
    for number in acknowledged {
        let key = format!("key {number}");
        assert!(db.get(key.as_bytes()).unwrap().is_some(), "fault {n}: {key} is lost");
    }
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "fault {n}: {report:?}");
    let all = db.range_search(&Code::from_bytes(&[0; 8]).unwrap(), 64).unwrap();
    assert_eq!(all.len() as u64, db.len(), "fault {n}");
    assert_eq!(db.iter().count() as u64, db.len(), "fault {n}");
}

fn fail_every_operation(for_ever: bool) {
    for n in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        drop(Database::create(&path, options(Arc::new(OsFs))).unwrap());
        let countdown = Arc::new(Countdown { left: AtomicI64::new(n), for_ever });
        let mut acknowledged = Vec::new();
        let fs = Arc::new(FaultFs(Arc::clone(&countdown)));
        let outcome = workload(&path, fs, &mut acknowledged);
        let reached = countdown.left.load(Ordering::SeqCst) < 0;
        check(&path, &acknowledged, n);
        if !reached {
            outcome.unwrap();
            assert!(n > 30, "the workload has only {n} operations: it tests little");
            return;
        }
    }
}

#[test]
fn every_file_operation_may_fail_once() {
    fail_every_operation(false);
}

#[test]
fn every_file_operation_may_fail_and_all_after_it() {
    fail_every_operation(true);
}

#[test]
fn creation_that_fails_leaves_no_database() {
    for n in 0.. {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        let countdown = Arc::new(Countdown { left: AtomicI64::new(n), for_ever: true });
        let created = Database::create(&path, options(Arc::new(FaultFs(countdown))));
        if created.is_ok() {
            assert!(n > 3, "creation has only {n} operations");
            return;
        }
        let opened = Database::open(&path, options(Arc::new(OsFs)));
        // Either creation stopped before its last step, or only the last sync failed.
        if let Ok(db) = opened {
            assert!(db.is_empty());
            assert!(db.verify().unwrap().is_clean());
        }
    }
}
