//! Filters against brute force over the state that is queried: what a filter remembers of one state
//! or of one database must not show in another.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use hashdb::{
    Code, Database, Filter, Neighbor, Plan, Query, Readable, Record, Snapshot, WriteBatch,
    WriteOptions,
};

use crate::{Random, key, small};

type Accepts = fn(&[u8]) -> bool;

/// Few, few, many and those without a value, many, none.
const PREDICATES: [Accepts; 5] = [
    |value| value.first() == Some(&3),
    |value| value.first().is_some_and(|byte| byte % 64 == 5),
    |value| value.first().is_none_or(|byte| byte % 16 == 1),
    |value| value.first().is_some_and(|byte| byte % 2 == 0),
    |_| false,
];

/// A filter, and how often its predicate was asked.
fn counted(accepts: Accepts) -> (Filter, Arc<AtomicU64>) {
    let asked = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&asked);
    let filter = Filter::values(move |value| {
        counter.fetch_add(1, Ordering::Relaxed);
        accepts(value)
    });
    (filter, asked)
}

/// The records of a state, with whether they are admitted.
struct Truth {
    records: Vec<(Record, bool)>,
}

impl Truth {
    fn new(state: &Snapshot, admits: impl Fn(&Record, &[u8]) -> bool) -> Self {
        let admitted = |record: Record| {
            let admitted = admits(&record, &state.value(&record).unwrap());
            (record, admitted)
        };
        Self { records: state.iter().map(|record| admitted(record.unwrap())).collect() }
    }

    fn answer(&self, distance: impl Fn(&Record) -> Option<u32>, k: usize) -> Vec<Neighbor> {
        let neighbor = |record: &Record| {
            let (id, address) = (record.id, record.address.value());
            distance(record).map(|distance| Neighbor { distance, id, address })
        };
        let admitted = self.records.iter().filter(|(_, admitted)| *admitted);
        let mut all: Vec<_> = admitted.filter_map(|(record, _)| neighbor(record)).collect();
        all.sort_unstable_by_key(|near| (near.distance, near.id));
        all.truncate(k);
        all
    }

    /// Searches in several ways; returns the plans over codes.
    fn check(&self, state: &Snapshot, filter: &Filter, random: &mut Random) -> Vec<Plan> {
        let mut plans = Vec::new();
        let code = random.code(64, false);
        for k in [1, 10] {
            let query = Query::knn(code.clone(), k).filter(filter.clone());
            let answer = state.explain(&query).unwrap();
            let expected = self.answer(|record| Some(code.distance(&record.code)), k);
            assert_eq!(answer.answer.neighbors, expected);
            plans.extend(answer.sources.iter().map(|source| source.chosen));
        }
        let query = Query::range(code.clone(), 24).filter(filter.clone());
        let near = |record: &Record| Some(code.distance(&record.code)).filter(|d| *d <= 24);
        assert_eq!(state.search(&query).unwrap().neighbors, self.answer(near, usize::MAX));
        let address = random.address(8, false);
        let query = Query::ball(address, 1).filter(filter.clone());
        let near = |record: &Record| {
            let distance = (record.address.value() ^ address.value()).count_ones();
            Some(distance).filter(|distance| *distance <= 1)
        };
        assert_eq!(state.search(&query).unwrap().neighbors, self.answer(near, usize::MAX));
        let query = Query::ball_then_code(address, 1, code.clone(), 5).filter(filter.clone());
        let near = |record: &Record| near(record).map(|_| code.distance(&record.code));
        assert_eq!(state.search(&query).unwrap().neighbors, self.answer(near, 5));
        plans
    }
}

/// Puts records under the keys of these numbers; one in five has no value.
fn put(db: &Database, numbers: impl Iterator<Item = u64>, random: &mut Random) {
    let mut batch = WriteBatch::new();
    for number in numbers {
        let value = [random.next().to_le_bytes()[0], 7];
        let value: &[u8] = if random.below(5) == 0 { &[] } else { &value };
        batch.put(&key(number), random.address(8, false), random.code(64, false), value);
    }
    db.write(batch, WriteOptions { sync: false }).unwrap();
}

fn delete(db: &Database, numbers: impl Iterator<Item = u64>) {
    let mut batch = WriteBatch::new();
    numbers.for_each(|number| batch.delete(&key(number)));
    db.write(batch, WriteOptions { sync: false }).unwrap();
}

/// Four states of one database: segments and a memtable; records deleted, others replaced and
/// merged; more records.
fn states(db: &Database, random: &mut Random) -> Vec<Snapshot> {
    let mut states = Vec::new();
    for part in 0..3 {
        put(db, part * 500..(part + 1) * 500, random);
        db.seal().unwrap();
    }
    put(db, 1_500..1_600, random);
    states.push(db.snapshot());
    delete(db, (0..1_600).step_by(3));
    states.push(db.snapshot());
    put(db, (1..1_600).step_by(4), random);
    db.compact().unwrap();
    states.push(db.snapshot());
    delete(db, (2..1_600).step_by(5));
    put(db, 2_000..2_300, random);
    db.seal().unwrap();
    put(db, 2_300..2_350, random);
    states.push(db.snapshot());
    states
}

/// Queries a state until the predicate is no longer asked; returns the plans that were seen since.
fn settle(
    truth: &Truth,
    state: &Snapshot,
    (filter, asked): &(Filter, Arc<AtomicU64>),
    random: &mut Random,
) -> Vec<Plan> {
    for round in 0.. {
        assert!(round < 400, "the predicate is asked for ever");
        let before = asked.load(Ordering::Relaxed);
        let mut plans = Vec::new();
        for _ in 0..3 {
            plans.extend(truth.check(state, filter, random));
        }
        if asked.load(Ordering::Relaxed) == before {
            return plans;
        }
    }
    Vec::new()
}

#[test]
fn a_value_filter_is_exact_in_every_state_whichever_is_queried_first() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut random = Random(3);
    let states = states(&db, &mut random);
    for accepts in PREDICATES {
        let truths: Vec<_> =
            states.iter().map(|state| Truth::new(state, |_, value| accepts(value))).collect();
        for driver in 0..states.len() {
            let counted = counted(accepts);
            // What was asked of another state before must not matter, nor that nothing was.
            if driver % 2 == 0 {
                for (truth, state) in truths.iter().zip(&states) {
                    truth.check(state, &counted.0, &mut random);
                }
            }
            let plans = settle(&truths[driver], &states[driver], &counted, &mut random);
            let few = truths[driver].records.iter().filter(|(_, admitted)| *admitted).count() < 200;
            assert!(!few || plans.contains(&Plan::Selection), "{plans:?}");
            for other in (0..states.len()).chain((0..states.len()).rev()) {
                for _ in 0..3 {
                    truths[other].check(&states[other], &counted.0, &mut random);
                }
            }
            for other in (0..states.len()).rev() {
                settle(&truths[other], &states[other], &counted, &mut random);
            }
            for (truth, state) in truths.iter().zip(&states) {
                truth.check(state, &counted.0, &mut random);
            }
            let asked = counted.1.load(Ordering::Relaxed);
            // Every id at most once or so, and what was not remembered when values were read.
            assert!(asked < 3 * 2_350, "{asked}");
        }
    }
}

#[test]
fn a_value_filter_learns_of_new_records_and_keeps_what_it_knows_of_old_states() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut random = Random(4);
    let mut states = states(&db, &mut random);
    let accepts = PREDICATES[2];
    let counted = counted(accepts);
    // More readings than are noted.
    for round in 0..24 {
        put(&db, 3_000 + round * 40..3_040 + round * 40, &mut random);
        delete(&db, (round..2_000).step_by(31));
        if round % 7 == 3 {
            db.seal().unwrap();
        }
        let state = db.snapshot();
        let truth = Truth::new(&state, |_, value| accepts(value));
        truth.check(&state, &counted.0, &mut random);
        settle(&truth, &state, &counted, &mut random);
        if round % 6 == 0 {
            states.push(state);
            for state in &states {
                let truth = Truth::new(state, |_, value| accepts(value));
                truth.check(state, &counted.0, &mut random);
            }
        }
    }
}

#[test]
fn one_value_filter_serves_two_databases_and_one_that_was_reopened() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| directory.path().join(name));
    let accepts = PREDICATES[0];
    let counted = counted(accepts);
    let mut random = Random(5);
    let mut dbs = paths.each_ref().map(|path| Database::create(path, small()).unwrap());
    for db in &dbs {
        // The same ids, other values.
        put(db, 0..2_000, &mut random);
        db.seal().unwrap();
        put(db, 2_000..2_100, &mut random);
    }
    for round in 0..3 {
        for db in &dbs {
            let state = db.snapshot();
            let truth = Truth::new(&state, |_, value| accepts(value));
            truth.check(&state, &counted.0, &mut random);
        }
        for db in &dbs {
            let state = db.snapshot();
            let truth = Truth::new(&state, |_, value| accepts(value));
            let plans = settle(&truth, &state, &counted, &mut random);
            assert!(plans.contains(&Plan::Selection));
        }
        if round == 0 {
            let [a, b] = dbs;
            drop((a, b));
            // Each in the other's place, one of them read-only.
            dbs = [
                Database::open_read_only(&paths[1], small()).unwrap(),
                Database::open(&paths[0], small()).unwrap(),
            ];
        }
    }
}

#[test]
fn threads_share_a_value_filter_while_records_come_and_go() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut random = Random(6);
    put(&db, 0..3_000, &mut random);
    db.seal().unwrap();
    let filters = PREDICATES.map(|accepts| (accepts, Filter::values(accepts)));
    let searched = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (db, filters, searched) = (&db, &filters, &searched);
            scope.spawn(move || {
                let mut random = Random(60 + thread);
                for _ in 0..40 {
                    let state = db.snapshot();
                    for (accepts, filter) in filters {
                        let truth = Truth::new(&state, |_, value| accepts(value));
                        truth.check(&state, filter, &mut random);
                    }
                    searched.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for round in 0.. {
            if searched.load(Ordering::Relaxed) == 160 {
                break;
            }
            put(&db, (round * 13..4_000).step_by(401), &mut random);
            delete(&db, (round * 17..4_000).step_by(397));
            if round % 20 == 0 {
                db.seal().unwrap();
            }
            if round % 50 == 0 {
                db.compact().unwrap();
            }
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
    });
    // Batches too: the queries of a chunk begin before any of them has asked.
    let state = db.snapshot();
    for accepts in PREDICATES {
        let (filter, truth) =
            (Filter::values(accepts), Truth::new(&state, |_, value| accepts(value)));
        let codes: Vec<_> = (0..100).map(|_| random.code(64, false)).collect();
        let queries: Vec<_> =
            codes.iter().map(|code| Query::knn(code.clone(), 9).filter(filter.clone())).collect();
        let answers = state.search_batch(&queries, 3).unwrap();
        for (code, answer) in codes.iter().zip(answers) {
            let expected = truth.answer(|record| Some(code.distance(&record.code)), 9);
            assert_eq!(answer.neighbors, expected);
        }
    }
}

/// The rows of a segment that were found in a state in which no record of it lacks a value are not
/// those of an earlier state in which some did.
#[test]
fn records_without_a_value_are_found_again_in_the_state_that_has_them() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut random = Random(11);
    let mut batch = WriteBatch::new();
    for number in 0..2_000_u64 {
        let value: &[u8] = if number % 500 == 7 { b"" } else { b"some" };
        batch.put(&key(number), random.address(8, false), random.code(64, false), value);
    }
    db.write(batch, WriteOptions::default()).unwrap();
    db.seal().unwrap();
    let earlier = db.snapshot();
    delete(&db, (7..2_000).step_by(500));
    let later = db.snapshot();
    let filter = Filter::values(<[u8]>::is_empty);
    // A few balls, after which all values of the earlier state are read; they leave the rows of the
    // segment, and most records without a value, to the k-NN queries.
    for address in [0, 85, 170, 255] {
        let address = hashdb::Address::new(address, 8).unwrap();
        earlier.search(&Query::ball(address, 1).filter(filter.clone())).unwrap();
    }
    for (state, count) in [(&later, 0), (&earlier, 4), (&later, 0), (&earlier, 4)] {
        let query = Query::knn(random.code(64, false), 10).filter(filter.clone());
        let answer = state.search(&query).unwrap();
        assert_eq!(answer.stats.plan, Plan::Selection);
        assert_eq!(answer.neighbors.len(), count);
    }
}

/// Reading all values asked the predicate of an empty value to know what to say of records without
/// one, though there were none: a predicate that takes the first byte of a value panicked.
#[test]
fn a_predicate_is_asked_of_an_empty_value_only_if_a_record_has_none() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut random = Random(7);
    let mut batch = WriteBatch::new();
    for number in 0..2_000_u64 {
        let value = number.to_le_bytes();
        batch.put(&key(number), random.address(8, false), random.code(64, false), &value);
    }
    db.write(batch, WriteOptions::default()).unwrap();
    db.seal().unwrap();
    // Rows of deleted records have no value either.
    delete(&db, (0..2_000).step_by(9));
    let (filter, asked) = counted(|value| value[0] < 3);
    let (state, counted) = (db.snapshot(), (filter, asked));
    let truth = Truth::new(&state, |_, value| value[0] < 3);
    let plans = settle(&truth, &state, &counted, &mut random);
    assert!(plans.contains(&Plan::Selection));
}

/// A lock held while the predicate is asked would wait for itself here.
#[test]
fn a_predicate_may_search_with_its_own_filter() {
    thread_local! {
        static INSIDE: Cell<bool> = const { Cell::new(false) };
    }
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut random = Random(8);
    put(&db, 0..1_000, &mut random);
    db.seal().unwrap();
    let own: Arc<OnceLock<(Snapshot, Filter)>> = Arc::default();
    let seen = Arc::clone(&own);
    let filter = Filter::values(move |value| {
        if !INSIDE.replace(true) {
            let (state, filter) = seen.get().unwrap();
            let query = Query::knn(Code::from_bytes(&[0; 8]).unwrap(), 3).filter(filter.clone());
            assert_eq!(state.search(&query).unwrap().neighbors.len(), 3);
            INSIDE.set(false);
        }
        value.first().is_some_and(|byte| byte % 8 == 1)
    });
    own.set((db.snapshot(), filter.clone())).unwrap();
    let state = db.snapshot();
    let truth = Truth::new(&state, |_, value| value.first().is_some_and(|byte| byte % 8 == 1));
    for _ in 0..10 {
        truth.check(&state, &filter, &mut random);
    }
}

#[test]
fn ids_up_to_the_last_one_may_be_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut random = Random(9);
    let state = states(&db, &mut random).pop().unwrap();
    let far = [u64::MAX, u64::MAX - 1, u64::MAX - 63, u64::MAX - 64, 1 << 63, 1 << 32];
    for near in [vec![], vec![0, 1, 700, 1_999], (0..3_000).collect()] {
        let filter = Filter::ids(near.iter().copied().chain(far));
        Truth::new(&state, |record, _| near.contains(&record.id)).check(
            &state,
            &filter,
            &mut random,
        );
    }
}

#[test]
fn key_prefixes_of_few_and_of_many_find_their_rows() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut random = Random(10);
    for state in states(&db, &mut random) {
        for prefix in ["key 7", "key 70", "key 700", "key 2", "key ", "key 9999", ""] {
            let filter = Filter::key_prefix(prefix);
            let truth = Truth::new(&state, |record, _| record.key.starts_with(prefix.as_bytes()));
            for _ in 0..2 {
                truth.check(&state, &filter, &mut random);
            }
        }
    }
}
