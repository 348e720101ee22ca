//! What a newer release wrote is refused with the file and both versions named, by everything that
//! opens it, and nothing is changed.

use std::path::{Path, PathBuf};

use hashdb::{Backup, Database, Error, RepairOptions};

use crate::fixtures::files;
use crate::{filled, key, small};

/// A file that has a version, and how to make it newer.
struct Versioned {
    /// The end of the path that the error names.
    file: &'static str,
    raise: fn(&Path),
}

const PARTS: &[Versioned] = &[
    Versioned { file: "SUPERBLOCK", raise: both_slots },
    Versioned { file: "SUPERBLOCK", raise: one_slot },
    Versioned { file: "segments/000000000001.seg", raise: segment },
    #[cfg(feature = "__internals")]
    Versioned { file: "records", raise: schema },
];

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(file).unwrap();
    change(&mut bytes);
    std::fs::write(file, bytes).unwrap();
}

fn both_slots(path: &Path) {
    change(&path.join("SUPERBLOCK"), |bytes| {
        bytes[8] = 2;
        bytes[4096 + 8] = 2;
    });
}

/// As a newer release leaves it: the other slot is still of this version, and the checksum is right.
fn one_slot(path: &Path) {
    change(&path.join("SUPERBLOCK"), |bytes| {
        bytes[8] = 2;
        let checksum = crc32c::crc32c(&bytes[..68]);
        bytes[68..72].copy_from_slice(&checksum.to_le_bytes());
    });
}

fn segment(path: &Path) {
    change(&path.join("segments/000000000001.seg"), |bytes| bytes[8] = 2);
}

#[cfg(feature = "__internals")]
fn schema(path: &Path) {
    use hashdb::internals::db::{list_entries, plant_entries};
    let entries = list_entries(path).unwrap();
    let mut entry = entries.into_iter().find(|entry| entry.1 == b"schema").unwrap();
    entry.2.as_mut().unwrap()[0] = 3;
    plant_entries(path, vec![entry]).unwrap();
}

/// Whether an error names the file and both versions.
fn names(error: &Error, file: &str) {
    let said = error.to_string();
    let Error::UnsupportedFormat { path, found, oldest: 1, newest } = error else {
        panic!("{file}: {said}");
    };
    assert!(path.ends_with(file), "{file}: {said}");
    // Entries of a record store are of version 2 where records have patch addresses.
    let expected = if file == "records" { (3, 2) } else { (2, 1) };
    assert_eq!((*found, *newest), expected, "{file}");
    let says = format!("versions 1 to {newest}");
    assert!(said.contains(&format!("version {found}")) && said.contains(&says), "{said}");
}

/// All files but the locks, in which whoever has them leaves its process id.
fn content(path: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = files(path).unwrap();
    found.retain(|(file, _)| !file.ends_with("LOCK") && !file.ends_with("staging.lock"));
    found
}

/// A newer version was noticed in SUPERBLOCK only before anything was touched. A newer segment was refused
/// after the record store had been opened for writing, which begins a new manifest and a new log;
/// a newer schema passed for damage, which repair mends by writing the old one over it; and
/// `recover_space` gave the reserve away before it looked at anything.
#[test]
fn a_newer_version_of_any_part_is_refused_and_nothing_is_changed() {
    for part in PARTS {
        let directory = tempfile::tempdir().unwrap();
        let (path, folder) = (directory.path().join("db"), directory.path().join("backups"));
        drop(filled(&path, small().ballast_bytes(1000), 40, 30));
        assert!(path.join("BALLAST").is_file());
        (part.raise)(&path);
        let before = content(&path);
        let repair = RepairOptions::default().accept_loss(true);
        let refused = [
            Database::open(&path, small()).map(drop),
            Database::open_read_only(&path, small()).map(drop),
            Database::recover_space(&path, small()).map(drop),
            Database::repair(&path, RepairOptions::default()).map(drop),
            Database::repair(&path, repair).map(drop),
            Backup::at(&folder).create(&path).map(drop),
        ];
        for (way, outcome) in refused.into_iter().enumerate() {
            let Err(error) = outcome else { panic!("{} opens by way {way}", part.file) };
            names(&error, part.file);
        }
        let changed = content(&path).into_iter().filter(|file| !before.contains(file));
        let changed: Vec<_> = changed.map(|(file, bytes)| (file, bytes.len())).collect();
        assert!(changed.is_empty(), "{}: something was changed: {changed:?}", part.file);
        assert_eq!(content(&path).len(), before.len(), "{}: something is gone", part.file);
    }
}

#[test]
fn a_newer_generation_of_a_backup_is_refused_and_kept() {
    let directory = tempfile::tempdir().unwrap();
    let (path, folder) = (directory.path().join("db"), directory.path().join("backups"));
    let db = filled(&path, small(), 40, 30);
    let backup = Backup::at(&folder).keep(1);
    db.backup(&backup).unwrap();
    let file = "generations/000000000001.manifest";
    change(&folder.join(file), |bytes| {
        bytes[8] = 2;
        let end = bytes.len() - 4;
        let checksum = crc32c::crc32c(&bytes[..end]);
        bytes[end..].copy_from_slice(&checksum.to_le_bytes());
    });
    let before = content(&folder);
    let restored = directory.path().join("restored");
    let mut said: Vec<String> = [None, Some(1)]
        .into_iter()
        .map(|generation| backup.restore(generation, &restored).unwrap_err().to_string())
        .collect();
    said.extend(backup.verify().unwrap().damages.into_iter().map(|damage| damage.description));
    assert_eq!(said.len(), 3);
    for said in said {
        let names = said.contains("version 2") && said.contains("versions 1 to 1");
        assert!(names && said.contains(file), "{said}");
    }
    assert!(!restored.exists());
    assert!(content(&folder) == before, "something was changed");
    // This release's backups go on beside it, and prune nothing that it may need.
    for round in 0..3 {
        assert!(db.delete(&key(round)).unwrap());
        db.backup(&backup).unwrap();
    }
    let after = content(&folder);
    assert!(before.iter().all(|file| after.contains(file)), "something was removed");
    assert_eq!(backup.list().unwrap().len(), 1);
}

/// The mark has no version: one that cannot be read is no mark, as storage-format.md says.
#[test]
fn a_watermark_of_another_kind_is_named_and_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    drop(filled(&path, small(), 40, 30));
    let mark = path.join("records/WATERMARK");
    change(&mark, |bytes| bytes[7] = b'N');
    let db = Database::open_read_only(&path, small()).unwrap();
    let damages = db.verify().unwrap().damages;
    assert!(damages.len() == 1 && damages[0].path == mark, "{damages:?}");
    drop(db);
    let db = Database::open(&path, small()).unwrap();
    assert!(db.verify().unwrap().is_clean());
}
