//! Multiple semantic hashing against its definition over the records, ties included, whatever happens to the
//! database meanwhile; what breaks a rule is one clear error; what is damaged is refused.

use std::collections::BTreeMap;
use std::path::Path;

use hashdb::{
    Address, Backup, BulkOptions, Code, Database, Duplicates, Error, Filter, MAX_PATCH_RADIUS,
    MAX_PATCHES, Options, PatchCounting, PatchMatch, PatchQuery, Query, Readable, Record,
    RepairOptions, WriteBatch, WriteOptions,
};

use crate::{Random, copy_folder, key, small};

/// The patches of a record, or of a query: none at times, few at others, the same ones more than once.
fn patches(random: &mut Random, bits: u8, skewed: bool) -> Vec<Address> {
    let count = match random.below(6) {
        0 => 0,
        1 => 1,
        _ => random.below(24),
    };
    let mut patches: Vec<_> = (0..count).map(|_| random.address(bits, skewed)).collect();
    if let Some(first) = patches.first().copied().filter(|_| random.below(2) == 0) {
        patches.push(first);
    }
    patches
}

fn distance(left: Address, right: Address) -> u32 {
    (left.value() ^ right.value()).count_ones()
}

/// The definition of a score.
fn score(query: &[Address], radius: u32, counting: PatchCounting, record: &Record) -> u32 {
    let of_patch = |patch: &Address| {
        let near = record.patches.iter().map(|own| distance(*patch, *own));
        let near = near.filter(|distance| *distance <= radius);
        let worth = |distance: u32| 1 << (radius - distance);
        match counting {
            PatchCounting::Closest => near.min().map_or(0, worth),
            PatchCounting::Every => near.map(worth).sum(),
        }
    };
    query.iter().map(of_patch).sum()
}

/// What is asked, in words of the definition.
struct Asked {
    patches: Vec<Address>,
    radius: u32,
    counting: PatchCounting,
    k: usize,
    joined: Option<(Code, f64, f64)>,
}

impl Asked {
    fn new(random: &mut Random, (code_bits, address_bits): (u16, u8), skewed: bool) -> Self {
        let mut asked = Vec::new();
        while asked.is_empty() {
            asked = patches(random, address_bits, skewed);
        }
        let weights = [(1.0, 1.0), (2.5, 0.3), (0.0, 1.0), (1.0, 0.0)][random.index(4)];
        let joined =
            (random.below(2) == 0).then(|| (random.code(code_bits, skewed), weights.0, weights.1));
        Self {
            patches: asked,
            radius: u32::try_from(random.below(u64::from(MAX_PATCH_RADIUS) + 1)).unwrap(),
            counting: [PatchCounting::Closest, PatchCounting::Every][random.index(2)],
            k: [0, 1, 5, 1000][random.index(4)],
            joined,
        }
    }

    fn query(&self) -> PatchQuery {
        let query = Query::patches(self.patches.clone())
            .radius(self.radius)
            .counting(self.counting)
            .k(self.k);
        match self.joined.clone() {
            Some((code, patch_weight, code_weight)) => {
                query.joined_with(code, patch_weight, code_weight)
            }
            None => query,
        }
    }

    /// The answer by its definition.
    #[expect(clippy::cast_precision_loss, reason = "few records")]
    fn by_definition(&self, records: &[Record]) -> Vec<PatchMatch> {
        let score = |record: &Record| score(&self.patches, self.radius, self.counting, record);
        let matched = |record: &Record| PatchMatch {
            id: record.id,
            address: record.address.value(),
            score: score(record),
            joined: None,
        };
        let mut found: Vec<_> = records.iter().map(matched).collect();
        if let Some((code, patch_weight, code_weight)) = &self.joined {
            let apart = |record: &Record| {
                let pairs = record.code.as_bytes().iter().zip(code.as_bytes());
                pairs.map(|(left, right)| (left ^ right).count_ones()).sum::<u32>()
            };
            let scores: Vec<u32> = records.iter().map(score).collect();
            let distances: Vec<u32> = records.iter().map(apart).collect();
            for (place, found) in found.iter_mut().enumerate() {
                let better = scores.iter().filter(|score| **score > scores[place]).count() + 1;
                let nearer =
                    distances.iter().filter(|other| **other < distances[place]).count() + 1;
                let sum = patch_weight * better as f64 + code_weight * nearer as f64;
                found.joined = Some((distances[place], sum));
            }
            found.sort_by(|left, right| {
                let sum = |found: &PatchMatch| found.joined.map_or(0.0, |(_, sum)| sum);
                sum(left).total_cmp(&sum(right)).then(left.id.cmp(&right.id))
            });
        } else {
            found.retain(|found| found.score > 0);
            found.sort_by_key(|found| (std::cmp::Reverse(found.score), found.id));
        }
        found.truncate(self.k);
        found
    }
}

/// Some queries against the definition over the records that the database reads out.
fn check(db: &impl Readable, widths: (u16, u8), random: &mut Random, skewed: bool, what: &str) {
    let snapshot = db.snapshot();
    let records: Vec<Record> = snapshot.iter().map(Result::unwrap).collect();
    let patched = records.iter().filter(|record| !record.patches.is_empty()).count() as u64;
    assert_eq!(snapshot.patched_records().unwrap(), patched, "{what}");
    for _ in 0..6 {
        let asked = Asked::new(random, widths, skewed);
        let answer = snapshot.search_patches(&asked.query()).unwrap();
        assert_eq!(answer.matches, asked.by_definition(&records), "{what}");
        assert!(answer.stats.exact);
        let explained = snapshot.explain_patches(&asked.query()).unwrap();
        assert_eq!(explained.answer, answer, "{what}, explained");
        assert!(explained.sources.iter().all(|source| source.considered.is_empty()));
        for found in answer.matches.iter().take(2) {
            assert_eq!(snapshot.record(&found.neighbor()).unwrap().id, found.id);
        }
        let admitted: Vec<_> =
            records.iter().filter(|record| record.id % 3 == 0).cloned().collect();
        let filter = Filter::ids(admitted.iter().map(|record| record.id));
        let answer = snapshot.search_patches(&asked.query().filter(filter)).unwrap();
        assert_eq!(answer.matches, asked.by_definition(&admitted), "{what}, filtered");
    }
}

type Put = (Address, Code, Vec<Address>);

/// What was put, against what the database has.
fn check_records(db: &Database, model: &BTreeMap<Vec<u8>, Put>) {
    assert_eq!(db.len(), model.len() as u64);
    for (key, (address, code, patches)) in model {
        let record = db.get(key).unwrap().unwrap();
        assert_eq!((&record.address, &record.code, &record.patches), (address, code, patches));
    }
}

/// Random writes, loads, seals, compactions and reopens.
fn live(path: &Path, widths: (u16, u8), seed: u64, skewed: bool) {
    let options = || Options::new().code_bits(widths.0).address_bits(widths.1).background(false);
    let mut db = Database::create(path, options()).unwrap();
    let (mut random, mut model) = (Random(seed), BTreeMap::new());
    let mut kept = None;
    for step in 0..40 {
        let put = |random: &mut Random| {
            let key = key(random.below(80));
            let (address, code) = (random.address(widths.1, skewed), random.code(widths.0, skewed));
            (key, (address, code, patches(random, widths.1, skewed)))
        };
        match random.below(9) {
            0..=3 => {
                let mut batch = WriteBatch::new();
                for _ in 0..random.below(20) {
                    let (key, (address, code, patches)) = put(&mut random);
                    batch.put_with_patches(&key, address, code.clone(), b"v", &patches);
                    model.insert(key, (address, code, patches));
                }
                for _ in 0..random.below(5) {
                    let key = key(random.below(80));
                    batch.delete(&key);
                    model.remove(&key);
                }
                db.write(batch, WriteOptions { sync: false }).unwrap();
            }
            4 => {
                let options = BulkOptions::new().duplicates(Duplicates::Replace);
                let mut loader = db.bulk_loader(options).unwrap();
                for _ in 0..random.below(40) {
                    let (key, (address, code, patches)) = put(&mut random);
                    loader.put_with_patches(&key, address, &code, b"", &patches).unwrap();
                    model.insert(key, (address, code, patches));
                }
                loader.finish().unwrap();
            }
            5 => drop(db.seal().unwrap()),
            6 => db.compact().unwrap(),
            7 => {
                kept = None;
                drop(db);
                db = Database::open(path, options()).unwrap();
            }
            _ => {
                let records: Vec<Record> = db.iter().map(Result::unwrap).collect();
                kept = Some((db.snapshot(), records));
            }
        }
        let what = format!("seed {seed}, step {step}");
        check(&db, widths, &mut random, skewed, &what);
        if let Some((snapshot, records)) = &kept {
            let read: Vec<Record> = snapshot.iter().map(Result::unwrap).collect();
            assert_eq!(&read, records, "{what}: the snapshot");
            check(snapshot, widths, &mut random, skewed, &what);
        }
    }
    check_records(&db, &model);
    db.seal().unwrap();
    db.compact().unwrap();
    let (stats, patches) = (db.stats(), model.values().map(|(.., patches)| patches.len() as u64));
    let patches: u64 = patches.sum();
    assert_eq!(stats.patches, patches, "seed {seed}: no deleted rows are left");
    assert!(stats.patch_bytes >= 8 * patches, "seed {seed}: {}", stats.patch_bytes);
    let report = db.verify().unwrap();
    assert!(report.is_clean(), "{:?}", report.damages);
}

#[test]
fn scores_and_ranks_are_those_of_the_definition_through_every_change() {
    let directory = tempfile::tempdir().unwrap();
    for (seed, (widths, skewed)) in (1..).zip([
        ((64, 8), false),
        ((64, 8), true),
        ((128, 13), true),
        ((256, 28), true),
        ((64, 32), false),
    ]) {
        live(&directory.path().join(seed.to_string()), widths, seed, skewed);
    }
}

/// Some records with patches, in a segment, and some in the memtable.
fn filled(path: &Path) -> Database {
    let db = Database::create(path, small()).unwrap();
    let mut random = Random(7);
    for number in 0..60 {
        let mut own = patches(&mut random, 8, true);
        own.truncate(5);
        let (address, code) = (random.address(8, true), random.code(64, true));
        db.put_with_patches(&key(number), address, code, b"value", &own).unwrap();
        if number == 49 {
            db.seal().unwrap();
        }
    }
    db
}

fn answers(db: &impl Readable) -> hashdb::Result<Vec<Vec<PatchMatch>>> {
    let mut random = Random(3);
    let ask = |_| {
        let asked = Asked::new(&mut random, (64, 8), true);
        Ok(db.search_patches(&asked.query().k(1000))?.matches)
    };
    (0..8).map(ask).collect()
}

#[test]
fn a_backup_a_checkpoint_and_a_repair_keep_patches() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let db = filled(&at("db"));
    let (expected, digest) = (answers(&db).unwrap(), db.digest(1, &mut |_| ()).unwrap());
    db.checkpoint(at("checkpoint")).unwrap();
    let backup = Backup::at(at("backup"));
    db.backup(&backup).unwrap();
    drop(db);
    backup.restore(None, at("restored")).unwrap();
    // A segment that is gone is made anew from the records.
    copy_folder(&at("db"), &at("repaired"));
    let segments = std::fs::read_dir(at("repaired").join("segments")).unwrap();
    segments.for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
    let report = Database::repair(at("repaired"), RepairOptions::default()).unwrap();
    assert!(report.remaining.is_empty(), "{:?}", report.remaining);
    for name in ["db", "checkpoint", "restored", "repaired"] {
        let db = Database::open(at(name), small()).unwrap();
        assert_eq!(answers(&db).unwrap(), expected, "{name}");
        assert_eq!(db.digest(1, &mut |_| ()).unwrap(), digest, "{name}");
        assert!(db.verify().unwrap().is_clean(), "{name}");
    }
}

#[test]
fn patches_are_part_of_the_digest_and_an_upsert_takes_them_away() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"));
    let with = db.digest(1, &mut |_| ()).unwrap();
    let record = db.iter().map(Result::unwrap).find(|record| !record.patches.is_empty()).unwrap();
    let Record { key, address, code, .. } = record;
    db.put(&key, address, code, b"value").unwrap();
    assert!(db.get(&key).unwrap().unwrap().patches.is_empty());
    assert_ne!(db.digest(1, &mut |_| ()).unwrap(), with);
    assert!(db.verify().unwrap().is_clean());
}

#[test]
fn what_breaks_a_rule_is_one_clear_error() {
    let directory = tempfile::tempdir().unwrap();
    let db = filled(&directory.path().join("db"));
    let address = |value| Address::new(value, 8).unwrap();
    let wide = Address::new(1, 9).unwrap();
    let code = Code::from_bytes(&[0; 8]).unwrap();
    let refused = |query: PatchQuery, says: &str| {
        let error = db.search_patches(&query).unwrap_err().to_string();
        assert_eq!(error, says);
    };
    let query = |patches: Vec<Address>| Query::patches(patches);
    refused(query(vec![]), "patch addresses must be at least 1 in a query, not 0");
    refused(query(vec![address(1); 257]), "patch addresses must be at most 256, not 257");
    refused(query(vec![address(1), wide]), "the address has 9 bits, expected 8");
    refused(query(vec![address(1)]).radius(9), "patch radius must be 0 to 8, not 9");
    let long = Code::from_bytes(&[0; 16]).unwrap();
    refused(
        query(vec![address(1)]).joined_with(long, 1.0, 1.0),
        "the code has 128 bits, expected 64",
    );
    for (patch, whole) in [(0.0, 0.0), (-1.0, 2.0), (f64::NAN, 1.0), (1.0, f64::INFINITY)] {
        let query = query(vec![address(1)]).joined_with(code.clone(), patch, whole);
        let says =
            format!("weights must be finite, not negative and not both 0, not {patch} and {whole}");
        refused(query, &says);
    }

    let before = db.digest(1, &mut |_| ()).unwrap();
    let put =
        |patches: &[Address]| db.put_with_patches(b"new", address(1), code.clone(), b"", patches);
    let error = put(&[wide]).unwrap_err();
    assert!(matches!(error, Error::AddressWidth { expected: 8, found: 9 }), "{error}");
    let error = put(&vec![address(1); MAX_PATCHES + 1]).unwrap_err();
    assert_eq!(error.to_string(), "patch addresses must be at most 256, not 257");
    let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
    let error = loader.put_with_patches(b"new", address(1), &code, b"", &[wide]).unwrap_err();
    assert!(matches!(error, Error::AddressWidth { expected: 8, found: 9 }), "{error}");
    drop(loader);
    assert_eq!(db.digest(1, &mut |_| ()).unwrap(), before);

    put(&vec![address(1); MAX_PATCHES]).unwrap();
    let answer = db.search_patches(
        &query(vec![address(1); MAX_PATCHES]).radius(8).counting(PatchCounting::Every),
    );
    let first = answer.unwrap().matches[0];
    assert_eq!(first.score, 256 * 256 * 256, "the largest score there is");
}

#[test]
fn every_flipped_byte_of_a_patch_section_is_refused_or_answers_right() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, small()).unwrap();
    let mut random = Random(9);
    for number in 0..12 {
        let own: Vec<_> = (0..number % 4).map(|_| random.address(8, true)).collect();
        let (address, code) = (random.address(8, true), random.code(64, true));
        db.put_with_patches(&key(number), address, code, b"", &own).unwrap();
    }
    db.seal().unwrap();
    let expected = answers(&db).unwrap();
    drop(db);
    let mut files = std::fs::read_dir(path.join("segments")).unwrap();
    let segment = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    let bytes = std::fs::read(&segment).unwrap();
    // The others are flipped in `corruption`.
    let entries: Vec<_> = (64..bytes.len() - 8)
        .step_by(32)
        .take_while(|at| *at < 64 + 32 * usize::from(bytes[10]))
        .filter(|at| bytes[*at..].starts_with(b"PATCH."))
        .collect();
    assert_eq!(entries.len(), 6);
    let (first, last) = (entries[0], entries[5] + 32);
    let start: [u8; 8] = bytes[first + 8..first + 16].try_into().unwrap();
    let sections = usize::try_from(u64::from_le_bytes(start)).unwrap()..bytes.len();
    let mut noticed = 0;
    for at in (first..last).chain(sections) {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (at % 8);
        std::fs::write(&segment, &flipped).unwrap();
        let Ok(db) = Database::open_read_only(&path, small()) else {
            noticed += 1;
            continue;
        };
        match answers(&db) {
            Ok(found) => {
                assert_eq!(found, expected, "byte {at}");
                assert!(!db.verify().unwrap().is_clean(), "byte {at}");
            }
            Err(error) => {
                assert!(error.is_corruption(), "byte {at}: {error}");
                noticed += 1;
            }
        }
    }
    assert!(noticed > 0);
}

/// A database becomes version 2 with the first patch, and not before.
#[test]
#[cfg(feature = "__internals")]
fn only_a_database_with_patches_asks_for_a_release_that_knows_them() {
    use hashdb::internals::db::list_entries;
    let directory = tempfile::tempdir().unwrap();
    let version = |path: &Path| {
        let entries = list_entries(path).unwrap();
        entries.into_iter().find(|entry| entry.1 == b"schema").unwrap().2.unwrap()[0]
    };
    for (name, loads) in [("written", false), ("loaded", true)] {
        let path = directory.path().join(name);
        for (patches, expected) in [(0, 1), (1, 2)] {
            let address = Address::new(5, 8).unwrap();
            let own = vec![address; patches];
            let db = Database::create(&path, small())
                .or_else(|_| Database::open(&path, small()))
                .unwrap();
            let (key, code) = (key(patches as u64), Code::from_bytes(&[0; 8]).unwrap());
            if loads {
                let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
                loader.put_with_patches(&key, address, &code, b"", &own).unwrap();
                loader.finish().unwrap();
            } else {
                db.put_with_patches(&key, address, code, b"", &own).unwrap();
            }
            drop(db);
            assert_eq!(version(&path), expected, "{name}");
        }
    }
}
