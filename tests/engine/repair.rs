//! Every kind of damage, repaired: what can be derived comes back, what is lost is told and needs
//! leave, and a repair that is refused has changed nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use hashdb::{
    Code, Database, Error, Readable as _, RepairOptions, RepairReport, WriteBatch, WriteOptions,
};
use tempfile::TempDir;

use crate::{Random, copy_folder, key, small};

/// Records that were compacted, that a seal of their own holds, and that the log alone holds.
const COMPACTED: u64 = 60;
const SEALED: u64 = 90;
const ALL: u64 = 110;

/// A database to damage, and what was in it.
struct Patient {
    folder: TempDir,
    records: BTreeMap<Vec<u8>, (Code, Vec<u8>)>,
    /// Everything that was ever written: what was deleted may come back where deletes are lost.
    ever: BTreeMap<Vec<u8>, (Code, Vec<u8>)>,
    /// The keys after each write.
    states: Vec<BTreeSet<Vec<u8>>>,
}

/// Every tenth value is large enough for a blob file.
fn value(number: u64) -> Vec<u8> {
    let length = if number.is_multiple_of(10) { 5000 } else { number % 7 };
    let mut random = Random(number);
    (0..length).map(|_| random.next().to_le_bytes()[0]).collect()
}

impl Patient {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let db = Database::create(folder.path().join("db"), small()).unwrap();
        let (mut records, mut ever) = (BTreeMap::new(), BTreeMap::new());
        let mut states = vec![BTreeSet::new()];
        let mut random = Random(7);
        for number in 0..ALL {
            let (address, code) = (random.address(8, false), random.code(64, number % 3 == 0));
            let mut batch = WriteBatch::new();
            batch.put(&key(number), address, code.clone(), &value(number));
            db.write(batch, WriteOptions::default()).unwrap();
            records.insert(key(number), (code.clone(), value(number)));
            ever.insert(key(number), (code, value(number)));
            states.push(records.keys().cloned().collect());
            if number % 11 == 10 {
                db.delete(&key(number - 5)).unwrap();
                records.remove(&key(number - 5));
                states.push(records.keys().cloned().collect());
            }
            if number + 1 == COMPACTED {
                db.compact().unwrap();
            }
            if number + 1 == SEALED {
                db.seal().unwrap();
            }
        }
        drop(db);
        Self { folder, records, ever, states }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("db")
    }

    /// The files of the record store with an extension, or that begin with a name.
    fn files(&self, wanted: &str) -> Vec<PathBuf> {
        files_in(&self.path().join("records"))
            .into_iter()
            .filter(|file| {
                let name = file.file_name().unwrap().to_str().unwrap();
                name.ends_with(wanted) || name.starts_with(wanted)
            })
            .collect()
    }

    fn log(&self) -> PathBuf {
        let logs = self.files(".log");
        logs.into_iter().max_by_key(|file| file.metadata().unwrap().len()).unwrap()
    }

    fn repair(&self, accept_loss: bool) -> Result<RepairReport, Error> {
        Database::repair(self.path(), RepairOptions::new().accept_loss(accept_loss))
    }

    /// Refused without leave, and not a byte is different afterwards; nor is it by a dry run.
    fn refuses(&self, what: &str) {
        let before = content(&self.path());
        let error = self.repair(false).unwrap_err();
        assert!(matches!(error, Error::WouldLose { .. }), "{what}: {error}");
        assert!(before == content(&self.path()), "{what}: a refused repair changed something");
        let dry = Database::repair(self.path(), RepairOptions::new().dry_run(true)).unwrap();
        assert!(dry.dry_run && dry.is_lossy() && !dry.damages.is_empty(), "{what}: {dry:?}");
        assert!(before == content(&self.path()), "{what}: a dry run changed something");
    }

    /// Sound, and every record in it is as it was written, but for so many values; returns how many
    /// records there are.
    fn is_sound(&self, report: &RepairReport, what: &str) -> u64 {
        assert!(report.remaining.is_empty(), "{what}: {report:?}");
        let db = Database::open(self.path(), small()).unwrap_or_else(|e| panic!("{what}: {e}"));
        let verified = db.verify().unwrap();
        assert!(verified.is_clean(), "{what}: {verified:?}");
        let mut without = 0;
        let mut found = 0;
        for record in db.iter() {
            let record = record.unwrap();
            let (code, value) = self.ever.get(&record.key).unwrap_or_else(|| {
                panic!("{what}: {} was never there", String::from_utf8_lossy(&record.key))
            });
            assert_eq!(&record.code, code, "{what}");
            let kept = db.value(&record).unwrap();
            if &kept != value {
                assert!(kept.is_empty(), "{what}: a wrong value");
                without += 1;
            }
            assert_eq!(db.get(&record.key).unwrap().unwrap(), record, "{what}");
            found += 1;
        }
        assert_eq!((found, without), (db.len(), report.lost_values), "{what}: {report:?}");
        assert_eq!(found, report.records_after, "{what}");
        let centre = Code::from_bytes(&[0x5a; 8]).unwrap();
        let mut expected: Vec<_> = db
            .iter()
            .map(|record| record.map(|r| (r.code.distance(&centre), r.id)).unwrap())
            .collect();
        expected.sort_unstable();
        let answered = db.range_search(&centre, 64).unwrap();
        let answered: Vec<_> = answered.iter().map(|near| (near.distance, near.id)).collect();
        assert_eq!(answered, expected, "{what}: answers differ from the records");
        // It can be written to, and ids go on.
        let newest = answered.iter().map(|(_, id)| *id).max();
        let record = db.iter().next();
        if let Some(record) = record {
            let record = record.unwrap();
            db.put(b"after", record.address, record.code, b"").unwrap();
            assert!(Some(db.get(b"after").unwrap().unwrap().id) > newest, "{what}");
            db.delete(b"after").unwrap();
            db.compact().unwrap();
            assert!(db.verify().unwrap().is_clean(), "{what}");
        }
        found
    }

    /// Repaired with leave to lose; the loss that is told is the loss there is.
    fn loses(&self, what: &str) -> RepairReport {
        let report = self.repair(true).unwrap_or_else(|error| panic!("{what}: {error}"));
        let left = self.is_sound(&report, what);
        let before = self.records.len() as u64;
        assert_eq!(report.records_before, Some(before), "{what}: {report:?}");
        assert_eq!(report.lost_records, before.saturating_sub(left), "{what}: {report:?}");
        assert!(report.kept.is_some(), "{what}: {report:?}");
        report
    }

    /// What is there is what was there after some write: nothing from the middle is missing.
    fn is_a_prefix(&self, what: &str) {
        let db = Database::open_read_only(self.path(), small()).unwrap();
        let keys: BTreeSet<_> = db.iter().map(|record| record.unwrap().key).collect();
        let near = self.states.iter().min_by_key(|state| state.symmetric_difference(&keys).count());
        let wrong: Vec<_> = near.unwrap().symmetric_difference(&keys).collect();
        let wrong: Vec<_> = wrong.into_iter().map(|key| String::from_utf8_lossy(key)).collect();
        assert!(wrong.is_empty(), "{what}: {} records, but for {wrong:?}", keys.len());
    }

    /// Repaired without leave: nothing is lost.
    fn heals(&self, what: &str) -> RepairReport {
        let report = self.repair(false).unwrap_or_else(|error| panic!("{what}: {error}"));
        let left = self.is_sound(&report, what);
        assert_eq!(left, self.records.len() as u64, "{what}: {report:?}");
        assert_eq!((report.lost_records, report.lost_values), (0, 0), "{what}: {report:?}");
        report
    }
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Every file and its bytes, without LOCK, which names whoever came last.
fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut all = BTreeMap::new();
    for file in files_in(folder) {
        if file.is_dir() {
            all.insert(file.clone(), Vec::new());
            all.extend(content(&file));
        } else if file.file_name().unwrap() != "LOCK" {
            let bytes = std::fs::read(&file).unwrap();
            all.insert(file, bytes);
        }
    }
    all
}

fn flip(file: &Path, at: usize) {
    flip_bits(file, at, 0x10);
}

fn flip_bits(file: &Path, at: usize, bits: u8) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= bits;
    std::fs::write(file, bytes).unwrap();
}

fn cut(file: &Path, length: usize) {
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..length]).unwrap();
}

fn length(file: &Path) -> usize {
    usize::try_from(file.metadata().unwrap().len()).unwrap()
}

/// Lends patients out of one template, each in a folder of its own.
struct Ward(Patient);

impl Ward {
    fn new() -> Self {
        Self(Patient::new())
    }

    fn patient(&self) -> Patient {
        let folder = tempfile::tempdir().unwrap();
        copy_folder(&self.0.path(), &folder.path().join("db"));
        let Patient { records, ever, states, .. } = &self.0;
        let (records, ever, states) = (records.clone(), ever.clone(), states.clone());
        Patient { folder, records, ever, states }
    }
}

#[test]
fn a_sound_database_is_left_alone() {
    let patient = Patient::new();
    let before = content(&patient.path());
    let report = patient.repair(false).unwrap();
    assert!(report.was_sound() && report.kept.is_none(), "{report:?}");
    assert_eq!(report.records_after, patient.records.len() as u64);
    // Opening it afterwards starts a new log; what it holds stays as it was.
    drop(before);
    patient.is_sound(&report, "sound");
}

#[test]
fn damaged_segments_are_made_anew_from_the_records() {
    let ward = Ward::new();
    let segments = files_in(&ward.0.path().join("segments"));
    assert_eq!(segments.len(), 2, "one compacted, one sealed");
    for (which, segment) in segments.iter().enumerate() {
        let name = segment.file_name().unwrap();
        for kind in ["deleted", "flipped head", "flipped body", "cut", "empty"] {
            let patient = ward.patient();
            let file = patient.path().join("segments").join(name);
            match kind {
                "deleted" => std::fs::remove_file(&file).unwrap(),
                "flipped head" => flip(&file, 20),
                "flipped body" => flip(&file, length(&file) - 200),
                "cut" => cut(&file, length(&file) / 2),
                _ => cut(&file, 0),
            }
            let what = format!("segment {which} {kind}");
            let report = patient.heals(&what);
            assert_eq!(report.segments_replaced, 1, "{what}: {report:?}");
            let kept = report.kept.map(|kept| kept.join("segments").join(name));
            assert_eq!(kept.is_some_and(|file| file.exists()), kind != "deleted", "{what}");
        }
    }
}

#[test]
fn a_superblock_is_made_anew_from_the_record_store() {
    let ward = Ward::new();
    for kind in ["one slot", "both slots", "empty", "gone"] {
        let patient = ward.patient();
        let file = patient.path().join("SUPERBLOCK");
        match kind {
            "one slot" => flip(&file, 40),
            "both slots" => {
                flip(&file, 40);
                flip(&file, 4096 + 40);
            }
            "empty" => cut(&file, 0),
            _ => std::fs::remove_file(&file).unwrap(),
        }
        let report = patient.heals(kind);
        assert!(report.superblock_rebuilt, "{kind}: {report:?}");
        assert!(report.damages[0].path.ends_with("SUPERBLOCK"), "{kind}: {report:?}");
    }
}

/// With RocksDB's paranoid checks off, point-in-time recovery reads on behind a damaged block of the log:
/// the last two records came back while 43 before them were gone. What is salvaged must be a prefix.
#[test]
fn a_flipped_bit_in_the_log_is_refused_by_name_and_repaired_with_leave() {
    let ward = Ward::new();
    let bytes = length(&ward.0.log());
    let mut lost = Vec::new();
    for at in (600..bytes - 200).step_by(bytes / 5) {
        let patient = ward.patient();
        let log = patient.log();
        flip(&log, at);
        let what = format!("log flipped at {at}");
        let error = Database::open(patient.path(), small()).unwrap_err();
        let name = log.file_name().unwrap().to_str().unwrap();
        assert!(error.is_corruption() && error.to_string().contains(name), "{what}: {error}");
        patient.refuses(&what);
        lost.push(patient.loses(&what).lost_records);
        patient.is_a_prefix(&what);
    }
    assert!(lost.iter().any(|lost| *lost > 0), "the damage cost nothing: {lost:?}");
    assert!(lost.is_sorted_by(|a, b| a >= b), "later damage costs less: {lost:?}");
}

/// RocksDB took such a record for one that was never written to its end, and passed over all that followed, though it
/// was synced; the next writable open then removed the log.
#[test]
fn a_flipped_bit_in_a_length_of_the_log_is_refused_and_repaired_with_leave() {
    const BLOCK: usize = 32 << 10;
    let ward = Ward::new();
    let bytes = std::fs::read(ward.0.log()).unwrap();
    let mut records = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let left = BLOCK - at % BLOCK;
        if left < 7 {
            at += left;
            continue;
        }
        records.push(at);
        at += 7 + usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
    }
    assert_eq!(at, bytes.len());
    let last_block = bytes.len() / BLOCK * BLOCK;
    let in_it: Vec<_> = records.into_iter().filter(|at| *at >= last_block).collect();
    assert!(in_it.len() > 3, "{in_it:?}");
    let mut lost = Vec::new();
    for &at in in_it[..in_it.len() - 1].iter().step_by(in_it.len() / 4) {
        let patient = ward.patient();
        let log = patient.log();
        flip_bits(&log, at + 5, 0x40);
        let what = format!("length of the record at {at} flipped");
        for error in [
            Database::open(patient.path(), small()).unwrap_err(),
            Database::open_read_only(patient.path(), small()).unwrap_err(),
        ] {
            let Error::Corruption { path, offset, .. } = &error else { panic!("{what}: {error}") };
            assert_eq!((path, *offset), (&log, at as u64), "{what}");
        }
        patient.refuses(&what);
        lost.push(patient.loses(&what).lost_records);
        patient.is_a_prefix(&what);
        // What was lost may have been a bulk load: none of its ids is given to another record.
        assert!(Database::open(patient.path(), small()).unwrap().stats().next_id > 1 << 40);
    }
    assert!(lost.iter().any(|lost| *lost > 0), "the damage cost nothing: {lost:?}");
}

#[test]
fn a_shorter_log_is_refused_and_repaired_with_leave() {
    let ward = Ward::new();
    let bytes = length(&ward.0.log());
    for keep in [bytes - 1, bytes - 300, bytes / 2, 0] {
        let patient = ward.patient();
        cut(&patient.log(), keep);
        let what = format!("log cut to {keep} of {bytes}");
        let error = Database::open(patient.path(), small()).unwrap_err();
        assert!(error.is_corruption(), "{what}: {error}");
        patient.refuses(&what);
        patient.loses(&what);
        patient.is_a_prefix(&what);
    }
    let patient = ward.patient();
    std::fs::remove_file(patient.log()).unwrap();
    assert!(Database::open(patient.path(), small()).unwrap_err().is_corruption());
    patient.refuses("no log");
    patient.loses("no log");
}

#[test]
fn a_shorter_manifest_is_refused_and_repaired_with_leave() {
    let ward = Ward::new();
    let manifest = ward.0.files("MANIFEST").pop().unwrap();
    let bytes = length(&manifest);
    let mut refused = 0;
    for keep in (0..bytes).step_by(bytes / 7) {
        let patient = ward.patient();
        cut(&patient.files("MANIFEST").pop().unwrap(), keep);
        let what = format!("manifest cut to {keep} of {bytes}");
        let Err(error) = Database::open(patient.path(), small()) else {
            // What the end of the manifest said does not matter any more.
            let db = Database::open_read_only(patient.path(), small()).unwrap();
            assert_eq!(db.len(), patient.records.len() as u64, "{what}");
            continue;
        };
        refused += 1;
        assert!(error.is_corruption(), "{what}: {error}");
        patient.refuses(&what);
        patient.loses(&what);
    }
    assert!(refused > 3, "only {refused} cuts did anything");
}

#[test]
fn without_current_or_manifest_the_tables_speak_for_themselves() {
    let ward = Ward::new();
    for name in ["CURRENT", "MANIFEST"] {
        let patient = ward.patient();
        std::fs::remove_file(patient.files(name).pop().unwrap()).unwrap();
        let error = Database::open(patient.path(), small()).unwrap_err();
        assert!(error.is_corruption(), "{name}: {error}");
        patient.refuses(name);
        let report = patient.loses(name);
        assert_eq!(report.lost_records, 0, "{name}: {report:?}");
    }
}

#[test]
fn tables_and_blob_files_that_are_damaged_or_gone_cost_what_they_held_and_no_more() {
    let ward = Ward::new();
    let mut files = ward.0.files(".sst");
    files.extend(ward.0.files(".blob"));
    assert!(files.len() > 4, "{files:?}");
    for file in &files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        for kind in ["deleted", "flipped middle", "flipped end"] {
            let patient = ward.patient();
            let file = patient.path().join("records").join(&name);
            let bytes = length(&file);
            match kind {
                "deleted" => std::fs::remove_file(&file).unwrap(),
                "flipped middle" => flip(&file, bytes / 2),
                _ => flip(&file, bytes - 20),
            }
            let what = format!("{name} {kind}");
            let before = content(&patient.path());
            let report = match patient.repair(false) {
                Ok(report) => report,
                Err(error) => {
                    assert!(matches!(error, Error::WouldLose { .. }), "{what}: {error}");
                    assert!(before == content(&patient.path()), "{what}: something was changed");
                    patient.repair(true).unwrap_or_else(|error| panic!("{what}: {error}"))
                }
            };
            let left = patient.is_sound(&report, &what);
            let lost = patient.records.len() as u64 - left;
            assert_eq!(report.lost_records, lost, "{what}: {report:?}");
            // What the log alone held has nothing to do with a table.
            assert!(left >= ALL - COMPACTED - 10, "{what}: {report:?}");
            eprintln!("{what}: {lost} records, {} values lost", report.lost_values);
        }
    }
}

#[test]
fn what_is_no_database_or_is_open_is_not_repaired() {
    let folder = tempfile::tempdir().unwrap();
    let error = Database::repair(folder.path(), RepairOptions::new()).unwrap_err();
    assert!(matches!(error, Error::NotADatabase { .. }), "{error}");
    assert!(files_in(folder.path()).is_empty());
    let patient = Patient::new();
    let db = Database::open(patient.path(), small()).unwrap();
    let error = patient.repair(true).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    drop(db);
}
