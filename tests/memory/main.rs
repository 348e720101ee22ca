//! What a bulk load holds in memory, counted by an allocator: within what it was given, whatever the records
//! are. RocksDB's own memory is not in the count.
//!
//! One test in a program of its own, since the count is that of the whole process.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(unsafe_code, reason = "an allocator that counts")]

#[path = "../bombs/allocator.rs"]
mod allocator;

use hashdb::{
    Address, BulkOptions, BulkReport, Code, Database, Duplicates, IndexOptions, Options,
    Readable as _,
};

/// The least that a load works with.
const BUDGET: usize = 16 << 20;
/// What the whole process may take beside it: half as much again.
const MOST: usize = BUDGET + BUDGET / 2;

/// Loads so many records, the key of each chosen by its number; says what was done and held meanwhile.
fn load(db: &Database, count: u64, key: impl Fn(u64) -> u64, value: &[u8]) -> (BulkReport, usize) {
    let options = BulkOptions::new()
        .memory_budget(BUDGET)
        .threads(2)
        .index(IndexOptions::none())
        .duplicates(Duplicates::Replace);
    allocator::peak(|| {
        let mut loader = db.bulk_loader(options).unwrap();
        for number in 0..count {
            let code = Code::from_bytes(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
            let address = Address::new(u32::try_from(number % (1 << 20)).unwrap(), 20).unwrap();
            loader.put(&key(number).to_be_bytes(), address, &code.unwrap(), value).unwrap();
        }
        loader.finish().unwrap()
    })
}

/// A record of the database that a load replaced took 60 bytes of memory beyond the budget, and one of the load
/// that another of its key replaced took 8 to 24: a load that replaced every record of a large database
/// needed several times what it was given.
#[test]
fn a_load_that_replaces_every_record_stays_within_its_memory() {
    const RECORDS: u64 = 1_000_000;
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().code_bits(64).address_bits(20).background(false);
    let path = directory.path().join("db");
    let db = Database::create(&path, options).unwrap();
    let scattered = |number: u64| number.wrapping_mul(7_368_787) % RECORDS;

    let (report, held) = load(&db, RECORDS, scattered, b"");
    assert_eq!((report.inserted, report.replaced), (RECORDS, 0));
    assert!(held <= MOST, "{held} bytes for new records");

    let (report, held) = load(&db, RECORDS, scattered, b"");
    assert_eq!((report.inserted, report.replaced), (0, RECORDS));
    assert!(held <= MOST, "{held} bytes to replace every record");
    assert_eq!((db.len(), db.stats().deleted_rows), (RECORDS, RECORDS));

    // A million entries of one key, and a value each that nobody will read.
    let (report, held) = load(&db, RECORDS, |_| 7, b"x");
    assert_eq!((report.inserted, report.replaced, report.skipped), (0, 1, RECORDS - 1));
    assert!(held <= MOST, "{held} bytes for one key");

    // What is known of replaced records stays in memory until a compaction: a bit each, where they all are.
    drop(db);
    let db = Database::open(&path, Options::new().background(false)).unwrap();
    assert_eq!((db.len(), db.stats().deleted_rows), (RECORDS, RECORDS + 1));
    let record = db.get(&7_u64.to_be_bytes()).unwrap().unwrap();
    assert_eq!(db.value(&record).unwrap(), b"x");
    assert!(db.verify().unwrap().is_clean());
}
