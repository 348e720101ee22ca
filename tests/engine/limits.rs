//! Every documented limit from both sides: the last value that is allowed, and the first that is not.

use hashdb::{
    Address, Code, Database, Error, Filter, MAX_BATCH_BYTES, MAX_KEY_BYTES, MAX_VALUE_BYTES, Query,
    Readable as _, WriteBatch, WriteOptions,
};

use crate::{Random, filled, key, small};

fn address(value: u32) -> Address {
    Address::new(value, 8).unwrap()
}

fn code(byte: u8) -> Code {
    Code::from_bytes(&[byte; 8]).unwrap()
}

fn empty() -> (tempfile::TempDir, Database) {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    (directory, db)
}

/// The argument that an error complains about.
fn refused(error: &Error) -> &'static str {
    match error {
        Error::InvalidArgument { argument, .. } => argument,
        other => panic!("refused for another reason: {other}"),
    }
}

#[test]
fn keys_have_one_byte_to_the_limit() {
    let (_directory, db) = empty();
    for length in [1, MAX_KEY_BYTES] {
        db.put(&vec![0xff; length], address(1), code(1), b"").unwrap();
        assert!(db.get(&vec![0xff; length]).unwrap().is_some());
    }
    for length in [0, MAX_KEY_BYTES + 1] {
        let error = db.put(&vec![0xff; length], address(1), code(1), b"").unwrap_err();
        assert_eq!(refused(&error), "key");
    }
    for length in [0, MAX_KEY_BYTES + 1] {
        assert_eq!(refused(&db.get(&vec![0xff; length]).unwrap_err()), "key");
        assert_eq!(refused(&db.delete(&vec![0xff; length]).unwrap_err()), "key");
    }
    assert_eq!(db.len(), 2);
}

#[test]
fn values_have_no_byte_to_the_limit() {
    let (directory, db) = empty();
    let longest = vec![0xa5; MAX_VALUE_BYTES];
    db.put(b"none", address(1), code(1), b"").unwrap();
    db.put(b"longest", address(1), code(1), &longest).unwrap();
    let error = db.put(b"longer", address(1), code(1), &[&longest[..], b"x"].concat()).unwrap_err();
    assert_eq!(refused(&error), "value");
    drop(db);
    let db = Database::open(directory.path().join("db"), small()).unwrap();
    let record = db.get(b"longest").unwrap().unwrap();
    assert!(db.value(&record).unwrap() == longest);
    assert!(db.get(b"longer").unwrap().is_none());
    assert!(db.verify().unwrap().is_clean());
}

/// A batch holds a copy of its values, so this takes a gibibyte for a moment.
#[test]
fn batches_beyond_the_limit_write_nothing() {
    let (_directory, db) = empty();
    let value = vec![7; MAX_VALUE_BYTES];
    let mut batch = WriteBatch::new();
    for number in 0..=(MAX_BATCH_BYTES / MAX_VALUE_BYTES) as u64 {
        batch.put(&key(number), address(1), code(1), &value);
    }
    let error = db.write(batch, WriteOptions::default()).unwrap_err();
    assert_eq!(refused(&error), "write batch");
    assert!(db.is_empty());
    // The handle works on.
    db.put(b"k", address(1), code(1), b"v").unwrap();
    assert_eq!(db.len(), 1);
}

#[test]
fn an_empty_batch_is_no_change() {
    let (_directory, db) = empty();
    let written = db.write(WriteBatch::new(), WriteOptions::default()).unwrap();
    assert_eq!((written.inserted, written.replaced, written.deleted), (0, 0, 0));
    assert!(!db.seal().unwrap() && db.is_empty());
}

#[test]
fn addresses_fill_their_width() {
    for bits in [8, 31, 32] {
        let directory = tempfile::tempdir().unwrap();
        let db = Database::create(directory.path().join("db"), small().address_bits(bits)).unwrap();
        let last = u32::MAX >> (32 - bits);
        for value in [0, last] {
            db.put(&value.to_le_bytes(), Address::new(value, bits).unwrap(), code(3), b"").unwrap();
        }
        assert!(bits == 32 || Address::new(last + 1, bits).is_err(), "{bits} bits");
        db.seal().unwrap();
        let all = u32::from(bits);
        let centre = Address::new(0, bits).unwrap();
        for (radius, found) in [(0, 1), (all - 1, 1), (all, 2), (all + 1, 2), (u32::MAX, 2)] {
            assert_eq!(db.ball(centre, radius).unwrap().len(), found, "{bits} bits, {radius}");
        }
    }
}

#[test]
fn k_and_radius_go_from_nothing_to_everything() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"), small(), 300, 100);
    let mut random = Random(4);
    let (address, code) = (random.address(8, false), random.code(64, false));
    let everything = db.range_search(&code, 64).unwrap();
    assert_eq!(everything.len(), 300);
    for k in [0, 1, 299, 300, 301, usize::MAX] {
        assert_eq!(db.knn(&code, k).unwrap(), everything[..k.min(300)], "k = {k}");
        let ranked = Query::ball_then_code(address, 8, code.clone(), k);
        assert_eq!(db.search(&ranked).unwrap().neighbors, everything[..k.min(300)], "k = {k}");
    }
    for radius in [63, 64, 65, u32::MAX] {
        let expected: Vec<_> =
            everything.iter().filter(|near| near.distance <= radius).copied().collect();
        assert_eq!(db.range_search(&code, radius).unwrap(), expected, "radius {radius}");
    }
}

#[test]
fn ids_of_no_record_select_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"), small(), 30, 10);
    let code = Random(4).code(64, false);
    let filter = Filter::ids([29, 30, 1 << 32, 1 << 63, u64::MAX]);
    let found = db.search(&Query::knn(code, 30).filter(filter)).unwrap();
    assert_eq!(found.neighbors.iter().map(|near| near.id).collect::<Vec<_>>(), [29]);
}

/// So many seals of one record each leave a number of segments that grows with the logarithm.
#[test]
fn a_thousand_small_seals_leave_few_segments() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, small().background(true)).unwrap();
    let mut random = Random(8);
    for number in 0..1000 {
        let mut batch = WriteBatch::new();
        batch.put(&key(number), random.address(8, false), random.code(64, false), b"");
        db.write(batch, WriteOptions { sync: false }).unwrap();
        assert!(db.seal().unwrap());
    }
    // The background may be behind for a moment, but never stops.
    let start = std::time::Instant::now();
    while db.stats().segments.len() > 30 {
        assert!(start.elapsed().as_secs() < 60, "{} segments", db.stats().segments.len());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert!(db.verify().unwrap().is_clean());
    assert_eq!(db.knn(&code(0), 2000).unwrap().len(), 1000);
    drop(db);
    let files = std::fs::read_dir(path.join("segments")).unwrap().count();
    assert!(files <= 40, "{files} files for so few segments");
    assert_eq!(Database::open(&path, small()).unwrap().len(), 1000);
}
