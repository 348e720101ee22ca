//! Entries of the record store that the engine never wrote, each found by the fuzz target
//! `entry_planted`. They can only be planted from inside, so these tests need the feature `__internals`.

use std::path::Path;

use hashdb::internals::db::{PlantedEntry, list_entries, plant_entries};
use hashdb::{Database, Error, Readable as _};

use crate::{filled, key, small};

const META: usize = 0;
const KEYS: usize = 2;
const TOMBSTONES: usize = 5;

/// A closed database of ten records, eight of them in a segment, and its entries.
fn closed(path: &Path) -> Vec<PlantedEntry> {
    drop(filled(path, small(), 10, 8));
    list_entries(path).unwrap()
}

fn value(entries: &[PlantedEntry], family: usize, key: &[u8]) -> Vec<u8> {
    let entry = entries.iter().find(|entry| entry.0 == family && entry.1 == key).unwrap();
    entry.2.clone().unwrap()
}

fn refused(path: &Path) {
    let error = Database::open(path, small()).unwrap_err();
    assert!(error.is_corruption(), "{error}");
}

/// The count of live records was taken as it stood. One that was as large as a number can be passed
/// the open, and the next insert overflowed: a panic in the middle of a commit. No database has more
/// records than it ever gave ids.
#[test]
fn a_record_count_beyond_the_ids_is_refused_at_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let entries = closed(&path);
    let mut state = value(&entries, META, b"state");
    state[24..].fill(0xff);
    plant_entries(&path, vec![(META, b"state".to_vec(), Some(state))]).unwrap();
    refused(&path);
}

/// A tombstone was believed whatever id it named. One of an id that was still to be given hid the record
/// that got it: acknowledged, found by its key, and missed by every search.
#[test]
fn a_tombstone_of_a_record_to_come_is_refused_at_open() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    closed(&path);
    let id = 10_u64.to_be_bytes().to_vec();
    plant_entries(&path, vec![(TOMBSTONES, id, Some(Vec::new()))]).unwrap();
    refused(&path);
}

/// The same by another way: a key whose entry names an id that is still to be given, and that is
/// deleted or replaced.
#[test]
fn a_key_that_names_an_id_to_come_is_not_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let entries = closed(&path);
    let mut entry = value(&entries, KEYS, &key(3));
    entry[4..12].copy_from_slice(&10_u64.to_be_bytes());
    plant_entries(&path, vec![(KEYS, key(3), Some(entry))]).unwrap();
    let db = Database::open(&path, small()).unwrap();
    let error = db.delete(&key(3)).unwrap_err();
    assert!(error.is_corruption(), "{error}");
    assert_eq!(db.len(), 10, "nothing was done");
}

/// A key was answered with whatever record its entry named. With the entry of another key in its place
/// that was a wrong record, given without a word.
#[test]
fn a_key_that_names_the_record_of_another_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let entries = closed(&path);
    let other = value(&entries, KEYS, &key(4));
    plant_entries(&path, vec![(KEYS, key(3), Some(other))]).unwrap();
    let db = Database::open(&path, small()).unwrap();
    let error = db.get(&key(3)).unwrap_err();
    assert!(matches!(error, Error::Records { .. }) && error.is_corruption(), "{error}");
    assert_eq!(db.get(&key(4)).unwrap().unwrap().key, key(4));
}
