//! Readers, writers, seals and compactions side by side: every answer is that of one published state,
//! whole and exact.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use hashdb::{Address, Code, Database, Neighbor, Readable, Snapshot, WriteBatch, WriteOptions};

use crate::{Random, small};

const WRITERS: u64 = 2;
const READERS: u64 = 8;
/// Batches of each writer.
const STATES: u64 = 120;
/// Records of each writer; each batch replaces a third of them.
const RECORDS: u64 = 24;

/// What a writer's record holds after its batch `state`: of the last batch that replaced it.
fn record(writer: u64, number: u64, state: u64) -> (Address, Code, u64) {
    let last = (0..=state).rev().find(|&of| of == 0 || of % 3 == number % 3).unwrap_or(0);
    let mut random = Random(writer << 40 | number << 20 | last);
    (random.address(8, true), random.code(64, true), last)
}

fn name(writer: u64, number: u64) -> Vec<u8> {
    format!("{writer}/{number}").into_bytes()
}

/// The change from the state before to `state`; its number goes with it.
fn batch(writer: u64, state: u64) -> WriteBatch {
    let mut batch = WriteBatch::new();
    for number in 0..RECORDS {
        let (address, code, of) = record(writer, number, state);
        if of == state {
            batch.put(&name(writer, number), address, code, &of.to_le_bytes());
        }
    }
    batch.put(
        format!("state/{writer}").as_bytes(),
        Address::new(0, 8).unwrap(),
        Code::from_bytes(&[0; 8]).unwrap(),
        &state.to_le_bytes(),
    );
    batch
}

/// The state of a writer that a snapshot shows.
fn state_of(snapshot: &Snapshot, writer: u64) -> Option<u64> {
    let record = snapshot.get(format!("state/{writer}").as_bytes()).unwrap()?;
    let value = snapshot.value(&record).unwrap();
    Some(u64::from_le_bytes(value.try_into().unwrap()))
}

/// Every search of a snapshot against the records of the states that it shows.
fn check(snapshot: &Snapshot, states: &BTreeMap<u64, u64>, random: &mut Random) {
    let mut rows =
        vec![(Address::new(0, 8).unwrap(), Code::from_bytes(&[0; 8]).unwrap()); states.len()];
    for (&writer, &state) in states {
        rows.extend((0..RECORDS).map(|number| {
            let (address, code, _) = record(writer, number, state);
            (address, code)
        }));
    }
    assert_eq!(snapshot.len(), rows.len() as u64);
    let (address, code) = (random.address(8, true), random.code(64, true));
    // Ids depend on how the writers took turns; distances and addresses do not.
    let pairs = |found: &[Neighbor]| {
        let mut pairs: Vec<_> = found.iter().map(|near| (near.distance, near.address)).collect();
        pairs.sort_unstable();
        pairs
    };
    let expected = |distance: &dyn Fn(&(Address, Code)) -> u32, most: u32| {
        let mut all: Vec<_> = rows.iter().map(|row| (distance(row), row.0.value())).collect();
        all.retain(|pair| pair.0 <= most);
        all.sort_unstable();
        all
    };
    let by_code = |row: &(Address, Code)| row.1.distance(&code);
    let by_address = |row: &(Address, Code)| row.0.distance(address);
    assert_eq!(pairs(&snapshot.range_search(&code, 24).unwrap()), expected(&by_code, 24));
    assert_eq!(pairs(&snapshot.ball(address, 2).unwrap()), expected(&by_address, 2));
    let nearest: Vec<_> =
        snapshot.knn(&code, 7).unwrap().iter().map(|near| near.distance).collect();
    let all = expected(&by_code, u32::MAX);
    assert_eq!(nearest, all.iter().take(7).map(|pair| pair.0).collect::<Vec<_>>());
    let listed = snapshot.iter().map(Result::unwrap).count();
    assert_eq!(listed, rows.len());
}

fn read(db: &Database, reader: u64, done: &AtomicBool) -> u64 {
    let (mut random, mut seen, mut checked) = (Random(reader), BTreeMap::new(), 0);
    // At least one look after the last write.
    loop {
        let last = done.load(Ordering::Acquire);
        let snapshot = db.snapshot();
        let states: BTreeMap<_, _> = (0..WRITERS)
            .filter_map(|writer| state_of(&snapshot, writer).map(|state| (writer, state)))
            .collect();
        for (writer, state) in &states {
            let before = seen.insert(*writer, *state).unwrap_or(0);
            assert!(before <= *state, "writer {writer} went back from {before} to {state}");
        }
        check(&snapshot, &states, &mut random);
        checked += 1;
        if last {
            assert!(states.values().all(|&state| state == STATES - 1), "{states:?}");
            return checked;
        }
    }
}

#[test]
fn every_answer_is_that_of_a_published_state() {
    let directory = tempfile::tempdir().unwrap();
    let options = small().background(true).memtable_records(60);
    let db = Database::create(directory.path().join("db"), options).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                let (db, done) = (&db, &done);
                scope.spawn(move || read(db, reader, done))
            })
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let db = &db;
                scope.spawn(move || {
                    for state in 0..STATES {
                        let options = WriteOptions { sync: state % 4 == 0 };
                        db.write(batch(writer, state), options).unwrap();
                        if state % 17 == 5 {
                            db.seal().unwrap();
                        }
                        if state % 40 == 20 {
                            db.compact().unwrap();
                        }
                    }
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        done.store(true, Ordering::Release);
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
    });
    assert!(db.verify().unwrap().is_clean());
}
