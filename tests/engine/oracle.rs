//! Random operations with seals, compactions and reopens against a map and brute force: every read
//! and every search agrees bit for bit, ties included.

use std::collections::BTreeMap;

use hashdb::{
    Address, BulkOptions, Code, Database, Duplicates, Error, Neighbor, Options, Query, Readable,
    WriteBatch, WriteOptions,
};
use proptest::prelude::*;

use crate::{Random, key};

#[derive(Debug, Clone)]
enum Step {
    Write { puts: Vec<u64>, deletes: Vec<u64>, sync: bool },
    Load { puts: Vec<u64>, duplicates: Duplicates },
    Seal,
    Compact,
    Reopen,
    Check { seed: u64 },
}

#[derive(Debug, Clone)]
struct Modelled {
    id: u64,
    address: Address,
    code: Code,
    value: Vec<u8>,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let number = 0..60_u64;
    let write = (
        prop::collection::vec(number.clone(), 0..25),
        prop::collection::vec(number, 0..6),
        any::<bool>(),
    )
        .prop_map(|(puts, deletes, sync)| Step::Write { puts, deletes, sync });
    let policy =
        prop_oneof![Just(Duplicates::Error), Just(Duplicates::Skip), Just(Duplicates::Replace)];
    let load = (prop::collection::vec(0..60_u64, 0..40), policy)
        .prop_map(|(puts, duplicates)| Step::Load { puts, duplicates });
    let step = prop_oneof![
        6 => write,
        3 => load,
        2 => Just(Step::Seal),
        1 => Just(Step::Compact),
        1 => Just(Step::Reopen),
        3 => any::<u64>().prop_map(|seed| Step::Check { seed }),
    ];
    prop::collection::vec(step, 1..25)
}

struct Model {
    records: BTreeMap<Vec<u8>, Modelled>,
    next_id: u64,
    random: Random,
    skewed: bool,
    code_bits: u16,
    address_bits: u8,
}

impl Model {
    fn batch(&mut self, puts: &[u64], deletes: &[u64]) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for number in puts {
            let address = self.random.address(self.address_bits, self.skewed);
            let code = self.random.code(self.code_bits, self.skewed);
            let value = vec![7; usize::try_from(number % 5).unwrap()];
            batch.put(&key(*number), address, code.clone(), &value);
            let record = Modelled { id: self.next_id, address, code, value };
            self.records.insert(key(*number), record);
            self.next_id += 1;
        }
        for number in deletes {
            batch.delete(&key(*number));
            self.records.remove(&key(*number));
        }
        batch
    }

    /// Loads records, and holds the report against what the model did.
    fn load(&mut self, db: &Database, puts: &[u64], duplicates: Duplicates) {
        let options = BulkOptions::new().duplicates(duplicates).threads(1 + puts.len() % 3);
        let mut loader = db.bulk_loader(options).unwrap();
        let mut after = self.records.clone();
        let (mut inserted, mut replaced, mut skipped) = (0, Vec::new(), 0);
        for (id, number) in (self.next_id..).zip(puts) {
            let address = self.random.address(self.address_bits, self.skewed);
            let code = self.random.code(self.code_bits, self.skewed);
            let value = vec![8; usize::try_from(number % 4).unwrap()];
            loader.put(&key(*number), address, &code, &value).unwrap();
            let record = Modelled { id, address, code, value };
            match after.get(&key(*number)) {
                Some(_) if duplicates == Duplicates::Skip => skipped += 1,
                Some(old) => {
                    // One of the same load gives way; one of the database is replaced once.
                    if old.id < self.next_id {
                        replaced.push(*number);
                    } else {
                        skipped += 1;
                    }
                    after.insert(key(*number), record);
                }
                None => {
                    inserted += 1;
                    after.insert(key(*number), record);
                }
            }
        }
        let collision = !replaced.is_empty() || skipped > 0;
        match loader.finish() {
            Err(Error::DuplicateKey { key, .. }) if duplicates == Duplicates::Error => {
                let twice = puts.iter().filter(|number| crate::key(**number) == key).count() > 1;
                assert!(collision && (twice || self.records.contains_key(&key)));
            }
            finished => {
                let report = finished.unwrap();
                assert!(!collision || duplicates != Duplicates::Error);
                let counts = (report.inserted, report.replaced, report.skipped);
                assert_eq!(counts, (inserted, replaced.len() as u64, skipped));
                self.records = after;
                self.next_id += puts.len() as u64;
            }
        }
    }

    fn neighbors(&self, distance: impl Fn(&Modelled) -> u32) -> Vec<Neighbor> {
        let neighbor = |record: &Modelled| Neighbor {
            distance: distance(record),
            id: record.id,
            address: record.address.value(),
        };
        let mut all: Vec<_> = self.records.values().map(neighbor).collect();
        all.sort_unstable();
        all
    }
}

/// Every read of `db` against the model.
fn check(db: &impl Readable, model: &Model, random: &mut Random) {
    assert_eq!(db.len(), model.records.len() as u64);
    for number in 0..60 {
        let found = db.get(&key(number)).unwrap();
        let expected = model.records.get(&key(number));
        assert_eq!(found.is_some(), expected.is_some(), "key {number}");
        if let (Some(found), Some(expected)) = (found, expected) {
            assert_eq!((found.id, found.address), (expected.id, expected.address));
            assert_eq!(found.code, expected.code);
            assert_eq!(db.value(&found).unwrap(), expected.value);
        }
    }
    let listed: Vec<_> = db.iter().map(|record| record.unwrap()).collect();
    let order: Vec<_> = listed.iter().map(|record| (record.address.value(), record.id)).collect();
    assert!(order.is_sorted(), "iteration follows addresses");
    assert_eq!(listed.len(), model.records.len());

    let code = random.code(model.code_bits, model.skewed);
    let address = random.address(model.address_bits, model.skewed);
    let from: Vec<_> = db.iter_from(address).unwrap().map(|r| r.unwrap()).collect();
    assert_eq!(from, listed.iter().filter(|r| r.address >= address).cloned().collect::<Vec<_>>());
    let bucket = db.bucket(address).unwrap();
    assert_eq!(bucket, listed.iter().filter(|r| r.address == address).cloned().collect::<Vec<_>>());

    let by_code = model.neighbors(|record| record.code.distance(&code));
    for k in [0, 1, 3, 1000] {
        assert_eq!(db.knn(&code, k).unwrap(), by_code[..k.min(by_code.len())]);
    }
    for radius in [0, 1, 5, 20, 40, 2000] {
        let expected: Vec<_> = by_code.iter().filter(|n| n.distance <= radius).copied().collect();
        assert_eq!(db.range_search(&code, radius).unwrap(), expected);
    }
    let by_address = model.neighbors(|record| record.address.distance(address));
    for radius in 0..=u32::from(model.address_bits) {
        let ball: Vec<_> = by_address.iter().filter(|n| n.distance <= radius).copied().collect();
        assert_eq!(db.ball(address, radius).unwrap(), ball, "radius {radius}");
        let inside = |id| ball.iter().any(|n| n.id == id);
        let nearest: Vec<_> = by_code.iter().filter(|n| inside(n.id)).take(4).copied().collect();
        let query = Query::ball_then_code(address, radius, code.clone(), 4);
        assert_eq!(db.search(&query).unwrap().neighbors, nearest, "radius {radius}");
    }
}

fn run(steps: Vec<Step>, skewed: bool, code_bits: u16, address_bits: u8) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let options = || {
        let widths = Options::new().code_bits(code_bits).address_bits(address_bits);
        widths.background(false).mmap(!skewed)
    };
    let mut db = Some(Database::create(&path, options()).unwrap());
    let (records, random) = (BTreeMap::new(), Random(1));
    let mut model = Model { records, next_id: 0, random, skewed, code_bits, address_bits };
    for step in steps {
        let open = db.as_ref().unwrap();
        match step {
            Step::Write { puts, deletes, sync } => {
                let batch = model.batch(&puts, &deletes);
                open.write(batch, WriteOptions { sync }).unwrap();
            }
            Step::Load { puts, duplicates } => model.load(open, &puts, duplicates),
            Step::Seal => assert!(open.seal().unwrap() || open.stats().memtable_rows == 0),
            Step::Compact => open.compact().unwrap(),
            Step::Reopen => {
                drop(db.take());
                db = Some(Database::open(&path, options()).unwrap());
            }
            Step::Check { seed } => check(open, &model, &mut Random(seed)),
        }
    }
    let db = db.unwrap();
    check(&db, &model, &mut Random(99));
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{report:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_read_agrees_with_the_model(steps in steps()) {
        run(steps, false, 64, 8);
    }

    #[test]
    fn every_read_agrees_with_the_model_on_skewed_codes(steps in steps()) {
        run(steps, true, 128, 9);
    }
}

#[test]
fn segments_with_pair_tables_agree_with_brute_force_at_28_bits() {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().background(false);
    let db = Database::create(directory.path().join("db"), options).unwrap();
    let (records, random) = (BTreeMap::new(), Random(5));
    let mut model =
        Model { records, next_id: 0, random, skewed: true, code_bits: 256, address_bits: 28 };
    for round in 0..4_u64 {
        for chunk in 0..6 {
            let first = 60 + round * 6000 + chunk * 1000;
            let puts: Vec<_> = (first..first + 1000).collect();
            let batch = model.batch(&puts, &[first - 30]);
            db.write(batch, WriteOptions { sync: false }).unwrap();
        }
        if round < 3 {
            db.seal().unwrap();
        }
        model.skewed = !model.skewed;
    }
    let mut used_ball = false;
    let mut random = Random(3);
    for query in 0..60 {
        let address = random.address(28, query % 2 == 0);
        let code = random.code(256, query % 3 == 0);
        let radius = query % 9;
        let ball = model.neighbors(|record| record.address.distance(address));
        let ball: Vec<_> = ball.into_iter().filter(|n| n.distance <= radius).collect();
        let answer = db.search(&Query::ball(address, radius)).unwrap();
        assert_eq!(answer.neighbors, ball, "radius {radius}");
        used_ball |= answer.stats.probes > 0;
        let near = model.neighbors(|record| record.code.distance(&code));
        assert_eq!(db.knn(&code, 25).unwrap(), near[..25]);
    }
    assert!(used_ball, "no query went through a pair table");
    assert!(db.verify().unwrap().is_clean());
}
