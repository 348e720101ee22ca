//! The radius that is proposed for a collection, against its definition by brute force.

use hashdb::{Address, Database, Options, Readable as _, WriteBatch, WriteOptions};

use crate::{Random, key};

const BITS: u8 = 20;

/// For each address the least radius whose ball holds so many of all of them; the middle one of these.
fn by_hand(asked: &[Address], all: &[Address], candidates: usize) -> u32 {
    let apart = |one: Address, other: Address| (one.value() ^ other.value()).count_ones();
    let mut radii: Vec<_> = asked
        .iter()
        .map(|&address| {
            let holds =
                |radius| all.iter().filter(|&&other| apart(address, other) <= radius).count();
            (0..u32::from(BITS)).find(|&radius| holds(radius) >= candidates).unwrap_or(BITS.into())
        })
        .collect();
    radii.sort_unstable();
    radii[(radii.len() - 1) / 2]
}

/// Records in two segments and the memtable, and their addresses in the order of the rows.
fn filled(path: &std::path::Path, records: u64, skewed: bool) -> (Database, Vec<Address>) {
    let options = Options::new().code_bits(64).address_bits(BITS).background(false);
    let db = Database::create(path, options).unwrap();
    let mut random = Random(records);
    let mut addresses = Vec::new();
    for part in 0..3 {
        let mut batch = WriteBatch::new();
        for number in records * part / 3..records * (part + 1) / 3 {
            let (address, code) = (random.address(BITS, skewed), random.code(64, false));
            batch.put(&key(number), address, code, b"");
            addresses.push(address);
        }
        db.write(batch, WriteOptions::default()).unwrap();
        if part < 2 {
            db.seal().unwrap();
        }
    }
    (db, addresses)
}

#[test]
fn the_proposed_radius_holds_as_many_as_are_wanted_around_half_of_the_addresses() {
    let directory = tempfile::tempdir().unwrap();
    for (records, skewed) in [(1, false), (40, false), (60, true)] {
        let path = directory.path().join(format!("few {records}"));
        let (db, all) = filled(&path, records, skewed);
        // So few that each of them is asked around.
        for candidates in [0, 1, 2, 5, 20, 40, 60, 61] {
            let expected = by_hand(&all, &all, candidates);
            assert_eq!(
                db.proposed_radius(candidates).unwrap(),
                expected,
                "{records}: {candidates}"
            );
        }
    }
    for skewed in [false, true] {
        let (db, all) = filled(&directory.path().join(format!("many {skewed}")), 2000, skewed);
        for candidates in [1, 10, 100, 1000, 2000, 2001] {
            let (found, exact) =
                (db.proposed_radius(candidates).unwrap(), by_hand(&all, &all, candidates));
            assert!(found.abs_diff(exact) <= 1, "{skewed}, {candidates}: {found}, all say {exact}");
        }
        // What is deleted does not count.
        let mut batch = WriteBatch::new();
        for number in 0..1900 {
            batch.delete(&key(number));
        }
        db.write(batch, WriteOptions::default()).unwrap();
        let left = by_hand(&all[1900..], &all[1900..], 50);
        let found = db.proposed_radius(50).unwrap();
        assert!(found.abs_diff(left) <= 1, "{skewed}, deleted: {found}, what is left says {left}");
        assert_eq!(db.proposed_radius(101).unwrap(), u32::from(BITS));
    }
    let empty = Database::create(directory.path().join("empty"), Options::new()).unwrap();
    assert_eq!(empty.proposed_radius(1).unwrap(), 28);
}
