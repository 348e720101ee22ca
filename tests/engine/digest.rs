//! The digest against its definition in storage-format.md, and what it does not depend on.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use hashdb::{
    Address, BulkOptions, Code, Database, Options, Readable as _, WriteBatch, WriteOptions,
};

use crate::Random;

/// A record's address, code and value by its key.
type Model = BTreeMap<Vec<u8>, (u32, Vec<u8>, Vec<u8>)>;

/// The definition, written down a second time.
fn defined(model: &Model, code_bits: u16, address_bits: u8) -> String {
    let mut bytes = b"hashdb digest 1\0".to_vec();
    bytes.extend(code_bits.to_le_bytes());
    bytes.extend([address_bits, 0]);
    for (key, (address, code, value)) in model {
        bytes.extend(u32::try_from(key.len()).unwrap().to_le_bytes());
        bytes.extend(key);
        bytes.extend(address.to_le_bytes());
        bytes.extend(code);
        bytes.extend(u64::try_from(value.len()).unwrap().to_le_bytes());
        bytes.extend(value);
    }
    bytes.extend((model.len() as u64).to_le_bytes());
    blake3::hash(&bytes).to_hex().to_string()
}

fn model(count: usize) -> Model {
    let mut random = Random(8);
    let record = |number: usize| {
        let length = [0, 0, 1, 100, 5000][number % 5];
        let mut key = number.to_string().into_bytes();
        // Some keys begin others, some are no text.
        key.extend(random.bytes(number % 3));
        let address = u32::try_from(random.below(1 << 12)).unwrap();
        (key, (address, random.bytes(16), random.bytes(length)))
    };
    (0..count).map(record).collect()
}

fn put(batch: &mut WriteBatch, key: &[u8], (address, code, value): &(u32, Vec<u8>, Vec<u8>)) {
    let address = Address::new(*address, 12).unwrap();
    batch.put(key, address, Code::from_bytes(code).unwrap(), value);
}

fn options() -> Options {
    Options::new().code_bits(128).address_bits(12).background(false)
}

fn digest(db: &Database) -> String {
    let digests = [1, 2, 7, 0].map(|threads| {
        let mut told = 0;
        let digest = db.digest(threads, &mut |records| told = records).unwrap();
        assert_eq!((digest.records, told), (db.len(), db.len()));
        digest.to_string()
    });
    assert!(digests.iter().all(|digest| *digest == digests[0]), "threads: {digests:?}");
    digests[0].clone()
}

#[test]
fn the_digest_is_as_defined_whatever_the_history() {
    let (folder, model) = (tempfile::tempdir().unwrap(), model(9000));
    let expected = defined(&model, 128, 12);
    let one = Database::create(folder.path().join("one"), options()).unwrap();
    let mut batch = WriteBatch::new();
    model.iter().for_each(|(key, record)| put(&mut batch, key, record));
    one.write(batch, WriteOptions::default()).unwrap();
    assert_eq!(digest(&one), expected);

    // The same records backwards, after others, some of them replaced, over segments.
    let other = Database::create(folder.path().join("other"), options()).unwrap();
    for (number, chunk) in model.iter().rev().collect::<Vec<_>>().chunks(1300).enumerate() {
        let mut batch = WriteBatch::new();
        for (index, (key, record)) in chunk.iter().enumerate() {
            if index % 4 == 0 {
                put(&mut batch, key, &(1, vec![7; 16], b"old".to_vec()));
                put(&mut batch, &[b"gone", &key[..]].concat(), record);
            }
        }
        other.write(batch, WriteOptions::default()).unwrap();
        let mut batch = WriteBatch::new();
        for (key, record) in chunk {
            batch.delete(&[b"gone", &key[..]].concat());
            put(&mut batch, key, record);
        }
        other.write(batch, WriteOptions::default()).unwrap();
        if number % 2 == 0 {
            other.seal().unwrap();
        }
    }
    assert_eq!(digest(&other), expected);
    other.compact().unwrap();
    assert_eq!(digest(&other), expected);
    drop(other);
    let read_only = Database::open_read_only(folder.path().join("other"), options()).unwrap();
    assert_eq!(digest(&read_only), expected);
}

#[test]
fn more_records_and_larger_values_than_are_looked_up_at_once_have_a_digest() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::create(folder.path().join("db"), options()).unwrap();
    let mut random = Random(9);
    let mut model = Model::new();
    let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
    for number in 0..140_000_u32 {
        let length = if number % 25_000 == 0 { 9 << 20 } else { number as usize % 3 };
        let address = u32::try_from(random.below(1 << 12)).unwrap();
        let (key, code, value) = (number.to_string(), random.bytes(16), random.bytes(length));
        let own = (Address::new(address, 12).unwrap(), Code::from_bytes(&code).unwrap());
        loader.put(key.as_bytes(), own.0, &own.1, &value).unwrap();
        model.insert(key.into_bytes(), (address, code, value));
    }
    loader.finish().unwrap();
    assert_eq!(digest(&db), defined(&model, 128, 12));
    let records: Vec<_> = db.iter().collect::<Result<_, _>>().unwrap();
    assert_eq!(records.len(), model.len());
    let mut seen = 0;
    db.for_each_value(&records, |place, value| {
        assert_eq!(value, model[&records[place].key].2);
        seen += 1;
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    assert_eq!(seen, model.values().filter(|(_, _, value)| !value.is_empty()).count());
}

#[test]
fn values_of_many_records_come_in_any_order_until_it_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::create(folder.path().join("db"), options()).unwrap();
    let model = model(1000);
    let mut batch = WriteBatch::new();
    model.iter().for_each(|(key, record)| put(&mut batch, key, record));
    db.write(batch, WriteOptions::default()).unwrap();
    let mut records: Vec<_> = db.iter().collect::<Result<_, _>>().unwrap();
    records.reverse();
    // The same record twice has its value twice.
    records.extend_from_within(0..7);
    let mut found = vec![Vec::new(); records.len()];
    let mut visits = 0;
    db.for_each_value(&records, |place, value| {
        found[place] = value.to_vec();
        visits += 1;
        Ok(if visits == 300 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
    .unwrap();
    assert_eq!((visits, found.iter().filter(|value| !value.is_empty()).count()), (300, 300));
    for (record, value) in records.iter().zip(&found) {
        assert!(value.is_empty() || *value == model[&record.key].2);
    }
    // One that was replaced since is named as `value` names it.
    let snapshot = db.snapshot();
    let (key, other) = model.iter().find(|(_, (_, _, value))| !value.is_empty()).unwrap();
    let old = db.get(key).unwrap().unwrap();
    let mut batch = WriteBatch::new();
    put(&mut batch, key, other);
    db.write(batch, WriteOptions::default()).unwrap();
    let ask = |all: &dyn Fn() -> hashdb::Result<()>| all().map_err(|error| error.to_string());
    let visit = |_: usize, _: &[u8]| Ok(ControlFlow::Continue(()));
    let now = ask(&|| db.for_each_value(std::slice::from_ref(&old), visit)).unwrap_err();
    assert_eq!(now, db.value(&old).unwrap_err().to_string());
    ask(&|| snapshot.for_each_value(std::slice::from_ref(&old), visit)).unwrap();
}

#[test]
fn any_other_record_is_another_digest() {
    let folder = tempfile::tempdir().unwrap();
    let db = Database::create(folder.path().join("db"), options()).unwrap();
    let empty = digest(&db);
    assert_eq!(empty, defined(&Model::new(), 128, 12));
    let mut seen = vec![empty];
    let mut changed = |key: &[u8], address, code: [u8; 16], value: &[u8]| {
        let mut batch = WriteBatch::new();
        put(&mut batch, key, &(address, code.to_vec(), value.to_vec()));
        db.write(batch, WriteOptions::default()).unwrap();
        let now = digest(&db);
        assert!(!seen.contains(&now));
        seen.push(now);
    };
    changed(b"a", 1, [0; 16], b"");
    changed(b"a", 2, [0; 16], b"");
    changed(b"a", 2, [1; 16], b"");
    changed(b"a", 2, [1; 16], b"\0");
    changed(b"a", 2, [1; 16], b"\0\0");
    changed(b"b", 2, [1; 16], b"\0\0");
    db.delete(b"b").unwrap();
    assert_eq!(digest(&db), seen[5], "as before b");
    let narrow = Database::create(folder.path().join("n"), options().address_bits(8)).unwrap();
    assert_ne!(digest(&narrow), seen[0], "the widths are in it");
}
