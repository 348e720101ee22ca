//! Backup folders: generations that share files, survive every mishap, and restore exactly.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use hashdb::{Backup, Database, Error, Readable as _, WriteBatch, WriteOptions};

use crate::checkpoint::{ROUNDS, assert_sound, while_writers_work};
use crate::{Random, filled, key, low_byte, small};

/// What a database holds, values included.
type Content = BTreeMap<Vec<u8>, (u64, Vec<u8>, Vec<u8>)>;

fn content(db: &Database) -> Content {
    let records = db.iter().map(Result::unwrap);
    let entry = |record: hashdb::Record| {
        let value = db.value(&record).unwrap();
        (record.key, (record.id, record.code.as_bytes().to_vec(), value))
    };
    records.map(entry).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder.join("files")).unwrap();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn change(db: &Database, seed: u64) {
    let mut random = Random(seed);
    let mut batch = WriteBatch::new();
    for number in 0..40 {
        let value = vec![low_byte(seed); if number % 5 == 0 { 6000 } else { 10 }];
        let name = key(random.below(300));
        batch.put(&name, random.address(8, true), random.code(64, true), &value);
        batch.delete(&key(random.below(300)));
    }
    db.write(batch, WriteOptions::default()).unwrap();
}

#[test]
fn every_generation_restores_to_its_own_state() {
    let directory = tempfile::tempdir().unwrap();
    let (path, folder) = (directory.path().join("db"), directory.path().join("backups"));
    let db = filled(&path, small(), 200, 60);
    let backup = Backup::at(&folder).keep(5);
    let mut states = Vec::new();
    for round in 1..=7 {
        change(&db, round);
        match round % 3 {
            0 => db.compact().unwrap(),
            1 => drop(db.seal().unwrap()),
            _ => {}
        }
        // In turn by the handle and, as another process would, by the directory.
        let created =
            if round % 2 == 0 { db.backup(&backup) } else { backup.create(&path) }.unwrap();
        assert_eq!(created.generation.number, round);
        assert_eq!(created.generation.records, db.len());
        assert_eq!(created.pruned, if round > 5 { vec![round - 5] } else { vec![] });
        states.push(content(&db));
    }
    let listed: Vec<_> = backup.list().unwrap().iter().map(|g| g.number).collect();
    assert_eq!(listed, [3, 4, 5, 6, 7]);
    let report = backup.verify().unwrap();
    assert!(report.is_clean() && report.whole == listed, "{report:?}");
    assert_eq!(
        report.files,
        files(&folder).len() as u64,
        "files that no generation needs are gone"
    );
    for number in listed {
        let target = directory.path().join(format!("copy {number}"));
        assert_eq!(backup.restore(Some(number), &target).unwrap().number, number);
        let copy = Database::open(&target, small()).unwrap();
        let state = &states[usize::try_from(number).unwrap() - 1];
        assert_eq!(&content(&copy), state, "generation {number}");
        assert_sound(&copy);
    }
    for number in [2, 8] {
        let error = backup.restore(Some(number), directory.path().join("no")).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    }
    assert!(!directory.path().join("no").exists());
}

#[test]
fn a_generation_copies_only_what_is_new() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"), small(), 400, 100);
    let mut random = Random(9);
    for number in 0..50 {
        let value = random.bytes(9000);
        db.put(&key(1000 + number), random.address(8, false), random.code(64, false), &value)
            .unwrap();
    }
    db.compact().unwrap();
    let backup = Backup::at(directory.path().join("backups"));
    let first = db.backup(&backup).unwrap();
    assert_eq!(
        (first.new_files, first.new_bytes),
        (first.generation.files, first.generation.bytes)
    );
    assert!(first.new_bytes > 50 * 9000);
    db.put(&key(5000), random.address(8, false), random.code(64, false), b"small").unwrap();
    let second = db.backup(&backup).unwrap();
    assert!(second.generation.bytes > 50 * 9000, "{second:?}");
    assert!(second.new_bytes < 50_000, "one record more copied {} bytes", second.new_bytes);
    // Nothing new: at most what RocksDB tidies up in small tables.
    let third = db.backup(&backup).unwrap();
    assert!(third.new_bytes < 50_000, "{third:?}");
    let report = backup.verify().unwrap();
    let stored: u64 = first.new_bytes + second.new_bytes + third.new_bytes;
    assert_eq!((report.whole.len(), report.bytes), (3, stored));
}

#[test]
fn a_backup_beside_writers_is_a_published_state() {
    let directory = tempfile::tempdir().unwrap();
    let backup = Backup::at(directory.path().join("backups")).keep(3);
    while_writers_work(&directory, 60, ROUNDS, |db, target, round| {
        let created = if round % 2 == 0 {
            db.backup(&backup).unwrap()
        } else {
            backup.create(db.stats().path).unwrap()
        };
        let restored = backup.restore(None, target).unwrap();
        assert_eq!(restored, created.generation);
        let copy = Database::open_read_only(target, small()).unwrap();
        assert_eq!((copy.len(), copy.stats().sequence), (restored.records, restored.sequence));
    });
    assert!(backup.verify().unwrap().is_clean());
}

/// Beside a writer in another process a state is put together from files that come and go: tables of a
/// flush, logs that it ends, segments of a merge.
#[test]
fn a_backup_beside_a_writer_that_flushes_all_the_time_is_a_published_state() {
    let directory = in_memory();
    let backup = Backup::at(directory.path().join("backups")).keep(1);
    while_writers_work(&directory, 2, 30, |db, target, _| {
        backup.create(db.stats().path).unwrap();
        backup.restore(None, target).unwrap();
    });
}

#[test]
fn a_restored_database_backs_up_into_the_same_folder() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"), small(), 100, 50);
    let backup = Backup::at(directory.path().join("backups"));
    db.backup(&backup).unwrap();
    backup.restore(None, directory.path().join("copy")).unwrap();
    let copy = Database::open(directory.path().join("copy"), small()).unwrap();
    // The two now give the same numbers to different files.
    for (database, seed) in [(&db, 1), (&copy, 2)] {
        change(database, seed);
        database.compact().unwrap();
    }
    let states = [content(&db), content(&copy)];
    let generations = [&db, &copy].map(|db| db.backup(&backup).unwrap().generation.number);
    for (number, state) in generations.into_iter().zip(states) {
        let target = directory.path().join(format!("again {number}"));
        backup.restore(Some(number), &target).unwrap();
        assert!(content(&Database::open(&target, small()).unwrap()) == state);
    }
}

#[test]
fn a_folder_of_another_database_or_of_something_else_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (directory.path().join("one"), directory.path().join("two"));
    let first = filled(&one, small(), 10, 10);
    let second = filled(&two, small(), 10, 10);
    let folder = directory.path().join("backups");
    let backup = Backup::at(&folder);
    assert!(matches!(backup.list(), Err(Error::NotABackup { .. })));
    assert!(matches!(backup.verify(), Err(Error::NotABackup { .. })));
    first.backup(&backup).unwrap();
    let error = second.backup(&backup).unwrap_err();
    assert!(error.to_string().contains(&second.stats().database_id), "{error}");
    assert_eq!(backup.list().unwrap().len(), 1);
    assert!(matches!(first.backup(&Backup::at(&two)), Err(Error::NotABackup { .. })));
    assert!(matches!(Backup::at(&two).restore(None, &one), Err(Error::NotABackup { .. })));
    assert!(matches!(backup.restore(None, &one), Err(Error::AlreadyExists { .. })));
    let nowhere = directory.path().join("nowhere");
    assert!(matches!(backup.create(&nowhere), Err(Error::NotADatabase { .. })));
    assert!(!nowhere.exists());
    assert_eq!(first.len(), 10);
}

/// A folder whose only entry was called `files` was taken for a backup that had been interrupted, and swept.
#[test]
fn files_that_are_not_of_a_backup_stay() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"), small(), 10, 10);
    let folder = directory.path().join("backups");
    let backup = Backup::at(&folder).keep(1);
    let mine = folder.join("files/holiday.jpg");
    std::fs::create_dir_all(mine.parent().unwrap()).unwrap();
    std::fs::write(&mine, b"mine").unwrap();
    for error in [db.backup(&backup).unwrap_err(), backup.create(db.stats().path).unwrap_err()] {
        assert!(matches!(&error, Error::NotABackup { path } if *path == folder), "{error}");
    }
    assert!(!folder.join("generations").exists());
    // What was killed before its first generation leaves an empty folder.
    std::fs::remove_file(&mine).unwrap();
    db.backup(&backup).unwrap();
    std::fs::write(&mine, b"mine").unwrap();
    change(&db, 1);
    assert_eq!(db.backup(&backup).unwrap().pruned, [1]);
    assert_eq!(std::fs::read(&mine).unwrap(), b"mine");
}

/// A blob file that the writer had begun was stored, or, where it grew while it was copied, taken for one that a
/// lying disk gives two contents.
#[test]
fn a_blob_file_that_is_being_written_is_no_part_of_a_backup() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = filled(&path, small(), 10, 10);
    let mut batch = WriteBatch::new();
    for number in 0..20 {
        let record = db.get(&key(number % 10)).unwrap().unwrap();
        batch.put(format!("large {number}").as_bytes(), record.address, record.code, &[7; 5000]);
    }
    db.write(batch, WriteOptions::default()).unwrap();
    db.compact().unwrap();
    drop(db);
    let blobs = |folder: &Path| -> Vec<_> {
        let entries = std::fs::read_dir(folder.join("records")).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut blobs: Vec<_> = names.filter(|name| name.ends_with(".blob")).collect();
        blobs.sort();
        blobs
    };
    let live = blobs(&path);
    assert!(!live.is_empty());
    std::fs::write(path.join("records/999999.blob"), b"begun").unwrap();
    let backup = Backup::at(directory.path().join("backups"));
    backup.create(&path).unwrap();
    let target = directory.path().join("target");
    backup.restore(None, &target).unwrap();
    assert_eq!(blobs(&target), live);
    let copy = Database::open(&target, small()).unwrap();
    let record = copy.get(b"large 19").unwrap().unwrap();
    assert_eq!(copy.value(&record).unwrap(), [7; 5000]);
}

#[test]
fn two_backups_at_once_are_told_apart() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"), small(), 10, 10);
    let folder = directory.path().join("backups");
    let other = Backup::at(&folder);
    let refused = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = std::sync::Arc::clone(&refused);
    let path = directory.path().join("db");
    let backup = Backup::at(&folder).progress(move |_| {
        seen.lock().unwrap().push(other.create(&path).unwrap_err());
        seen.lock().unwrap().push(other.restore(None, path.join("no")).unwrap_err());
    });
    db.backup(&backup).unwrap();
    let refused = refused.lock().unwrap();
    assert!(!refused.is_empty());
    for error in refused.iter() {
        let owner = std::process::id();
        assert!(
            matches!(error, Error::Locked { owner: Some(pid), .. } if *pid == owner),
            "{error}"
        );
    }
    assert!(Backup::at(&folder).verify().unwrap().is_clean());
}

/// A folder with two generations that share files but not all.
fn two_generations(directory: &Path) -> Backup {
    let db = filled(&directory.join("db"), small(), 60, 30);
    let backup = Backup::at(directory.join("backups"));
    db.backup(&backup).unwrap();
    change(&db, 1);
    db.seal().unwrap();
    db.backup(&backup).unwrap();
    backup
}

/// A folder in memory where that can be: hundreds of restores sync thousands of times.
fn in_memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Verify must name the file; each generation restores or is refused with the whole ones named.
fn assert_noticed(directory: &Path, backup: &Backup, file: &Path, what: &str) {
    let report = backup.verify().unwrap();
    assert!(!report.is_clean(), "{what} was not noticed");
    for damage in &report.damages {
        assert_eq!(damage.path, file, "{what}: {}", damage.description);
        assert!(damage.description.contains(file.to_str().unwrap()), "{}", damage.description);
    }
    assert_eq!(report.whole.len() + report.damaged.len(), 2, "{what}: {report:?}");
    let target = directory.join("target");
    for generation in report.whole {
        backup.restore(Some(generation), &target).unwrap();
        std::fs::remove_dir_all(&target).unwrap();
    }
    for generation in report.damaged {
        let error = backup.restore(Some(generation), &target).unwrap_err();
        assert!(error.is_corruption(), "{what}: {error}");
        let expected = backup.verify().unwrap().whole;
        let names_the_file = |error: &Error| error.to_string().contains(file.to_str().unwrap());
        assert!(
            matches!(&error, Error::DamagedBackup { generation: number, whole, source }
                if *number == generation && *whole == expected && names_the_file(source)),
            "{what}: {error}, {expected:?} are whole"
        );
        assert!(!target.exists(), "{what}: {} was left", target.display());
    }
}

#[test]
fn any_byte_of_a_backup_may_lie() {
    let directory = in_memory();
    let backup = two_generations(directory.path());
    let folder = directory.path().join("backups");
    let mut all = files(&folder);
    for number in 1..=2 {
        all.push(folder.join(format!("generations/{number:012}.manifest")));
    }
    let mut random = Random(5);
    for file in all {
        let bytes = std::fs::read(&file).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1, random.index(bytes.len())] {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << random.below(8);
            std::fs::write(&file, flipped).unwrap();
            let what = format!("byte {at} of {}", file.display());
            assert_noticed(directory.path(), &backup, &file, &what);
        }
        std::fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        assert_noticed(directory.path(), &backup, &file, "a cut");
        std::fs::write(&file, [&bytes[..], b"x"].concat()).unwrap();
        assert_noticed(directory.path(), &backup, &file, "a byte more");
        if file.extension().is_none() {
            std::fs::remove_file(&file).unwrap();
            assert_noticed(directory.path(), &backup, &file, "a missing file");
        }
        std::fs::write(&file, &bytes).unwrap();
    }
    assert!(backup.verify().unwrap().is_clean());
}

#[test]
fn every_flipped_byte_and_every_cut_of_a_manifest_is_noticed() {
    let directory = in_memory();
    let backup = two_generations(directory.path());
    let manifest = directory.path().join("backups/generations/000000000002.manifest");
    let bytes = std::fs::read(&manifest).unwrap();
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&manifest, &flipped).unwrap();
        let list = backup.list().unwrap();
        assert_eq!(list.iter().map(|g| g.number).collect::<Vec<_>>(), [1], "byte {at}");
        std::fs::write(&manifest, &bytes[..at]).unwrap();
        assert_eq!(backup.list().unwrap().len(), 1, "cut at {at}");
    }
    // The manifest of one generation under the name of another.
    std::fs::write(&manifest, &bytes).unwrap();
    let third = directory.path().join("backups/generations/000000000003.manifest");
    std::fs::write(&third, &bytes).unwrap();
    let report = backup.verify().unwrap();
    assert_eq!((report.whole, report.damaged), (vec![1, 2], vec![3]));
}

#[test]
fn files_of_a_damaged_manifest_are_kept_and_damaged_files_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let backup = two_generations(directory.path()).keep(1);
    let folder = directory.path().join("backups");
    let manifest = folder.join("generations/000000000002.manifest");
    let bytes = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, b"HASHDBBK").unwrap();
    let created = backup.create(directory.path().join("db")).unwrap();
    assert_eq!((created.generation.number, created.damaged), (3, vec![2]));
    assert_eq!(created.pruned, [1]);
    // Repaired by hand, it is whole again.
    std::fs::write(&manifest, bytes).unwrap();
    let report = backup.verify().unwrap();
    assert_eq!((report.is_clean(), report.whole), (true, vec![2, 3]), "{:?}", report.damages);
    // A file that was cut is written again by the next backup that needs it.
    let largest = |path: &PathBuf| path.metadata().unwrap().len();
    let file = files(&folder).into_iter().max_by_key(largest).unwrap();
    std::fs::write(&file, b"cut").unwrap();
    assert!(!backup.verify().unwrap().is_clean());
    backup.create(directory.path().join("db")).unwrap();
    assert!(backup.verify().unwrap().is_clean());
    // One of the right length is believed, unless it is to be read again; then all generations are mended.
    let backup = backup.keep(9);
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[7] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    backup.create(directory.path().join("db")).unwrap();
    let report = backup.verify().unwrap();
    assert_eq!((report.whole.len(), report.damaged.len()), (0, 2), "{:?}", report.damages);
    let created = backup.clone().recheck(true).create(directory.path().join("db")).unwrap();
    assert_eq!(created.new_files, 1);
    let report = backup.verify().unwrap();
    assert!(report.is_clean() && report.whole.len() == 3, "{:?}", report.damages);
}

#[test]
fn what_a_killed_backup_left_is_swept() {
    let directory = tempfile::tempdir().unwrap();
    let backup = two_generations(directory.path());
    let folder = directory.path().join("backups");
    let before = files(&folder);
    for name in ["files/new.tmp", "generations/000000000003.tmp"] {
        std::fs::write(folder.join(name), b"half").unwrap();
    }
    std::fs::write(folder.join("files").join("0".repeat(64)), b"orphan").unwrap();
    assert!(backup.verify().unwrap().is_clean());
    backup.create(directory.path().join("db")).unwrap();
    let after = files(&folder);
    assert!(before.iter().all(|file| after.contains(file)));
    assert_eq!(after.len() as u64, backup.verify().unwrap().files);
    assert!(!folder.join("generations/000000000003.tmp").exists());
}
