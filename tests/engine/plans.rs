//! Every plan over codes against brute force: segments with all indexes, a memtable, deleted and
//! replaced records, filters, batches; uniform, clustered and skewed codes, ties included.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashdb::{
    Code, Database, Filter, IndexOptions, Neighbor, Options, Plan, Query, Readable, WriteBatch,
    WriteOptions,
};

use crate::{Random, key};

/// Whether a filter should admit a record, by its id and its number.
type Admit<'a> = &'a dyn Fn(u64, u64) -> bool;

/// Rows of the large segment: beyond the size from which every index is built.
const LARGE: u64 = 140_000;
/// Rows of the small segment.
const SMALL: u64 = 17_000;
/// Rows of the memtable.
const PENDING: u64 = 500;

/// What the codes are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Uniform,
    Clustered,
    Skewed,
}

struct Filled {
    _directory: tempfile::TempDir,
    db: Database,
    /// The live records by id.
    live: BTreeMap<u64, (u64, Code)>,
    kind: Kind,
    random: Random,
}

impl Filled {
    /// A database of two segments and a memtable in which records were deleted and replaced.
    fn new(kind: Kind, index: IndexOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new().code_bits(256).address_bits(16).background(false).index(index);
        let db = Database::create(directory.path().join("db"), options).unwrap();
        let (live, random) = (BTreeMap::new(), Random(17));
        let mut filled = Self { _directory: directory, db, live, kind, random };
        // A segment with indexes, one that was only sealed, and the memtable.
        filled.put(0..LARGE, 0);
        filled.db.compact().unwrap();
        filled.put(LARGE..LARGE + SMALL, LARGE);
        filled.db.seal().unwrap();
        let mut next_id = LARGE + SMALL + PENDING;
        filled.put(LARGE + SMALL..next_id, LARGE + SMALL);
        let doomed: Vec<_> = filled.live.iter().map(|(id, (number, _))| (*id, *number)).collect();
        let mut batch = WriteBatch::new();
        for (id, number) in doomed.iter().step_by(9) {
            batch.delete(&key(*number));
            filled.live.remove(id);
        }
        filled.db.write(batch, WriteOptions::default()).unwrap();
        let replaced: Vec<_> = doomed.iter().skip(4).step_by(999).copied().collect();
        for (id, number) in replaced {
            if filled.live.remove(&id).is_some() {
                filled.put(number..number + 1, next_id);
                next_id += 1;
            }
        }
        filled
    }

    /// Puts records under the keys of these numbers; the first gets the id `id`.
    fn put(&mut self, numbers: std::ops::Range<u64>, mut id: u64) {
        let mut batch = WriteBatch::new();
        for number in numbers {
            let code = self.code();
            let address = self.random.address(16, false);
            batch.put(&key(number), address, code.clone(), &number.to_le_bytes());
            self.live.insert(id, (number, code));
            id += 1;
        }
        self.db.write(batch, WriteOptions::default()).unwrap();
    }

    fn code(&mut self) -> Code {
        match self.kind {
            Kind::Uniform => self.random.code(256, false),
            Kind::Skewed => self.random.code(256, true),
            Kind::Clustered => {
                let mut centre = Random(self.random.below(300));
                let mut code = centre.code(256, false).as_bytes().to_vec();
                for _ in 0..self.random.below(20) {
                    let bit = usize::try_from(self.random.below(256)).unwrap();
                    code[bit / 8] ^= 1 << (bit % 8);
                }
                Code::from_bytes(&code).unwrap()
            }
        }
    }

    /// The code of a live record with a few bits flipped.
    fn near(&mut self) -> Code {
        let ids: Vec<_> = self.live.keys().copied().collect();
        let id = ids[usize::try_from(self.random.below(ids.len() as u64)).unwrap()];
        let mut code = self.live[&id].1.as_bytes().to_vec();
        for _ in 0..self.random.below(8) {
            let bit = usize::try_from(self.random.below(256)).unwrap();
            code[bit / 8] ^= 1 << (bit % 8);
        }
        Code::from_bytes(&code).unwrap()
    }

    /// The admitted live records by distance, then id: distance and id of each.
    fn sorted(&self, code: &Code, admit: impl Fn(u64, u64) -> bool) -> Vec<(u32, u64)> {
        let admitted = self.live.iter().filter(|(id, (number, _))| admit(**id, *number));
        let mut all: Vec<_> =
            admitted.map(|(id, (_, other))| (code.distance(other), *id)).collect();
        all.sort_unstable();
        all
    }
}

fn pairs(neighbors: &[Neighbor]) -> Vec<(u32, u64)> {
    neighbors.iter().map(|neighbor| (neighbor.distance, neighbor.id)).collect()
}

fn within(sorted: &[(u32, u64)], radius: u32) -> &[(u32, u64)] {
    &sorted[..sorted.partition_point(|(distance, _)| *distance <= radius)]
}

fn first(sorted: &[(u32, u64)], k: usize) -> &[(u32, u64)] {
    &sorted[..k.min(sorted.len())]
}

/// Searches in every way; returns the plans that were seen.
fn check(filled: &mut Filled) -> Vec<Plan> {
    let mut plans = Vec::new();
    for round in 0..12 {
        let code = if round % 3 == 0 { filled.code() } else { filled.near() };
        let sorted = filled.sorted(&code, |_, _| true);
        for k in [0, 1, 10, 300, 200_000] {
            let answer = filled.db.search(&Query::knn(code.clone(), k)).unwrap();
            assert_eq!(pairs(&answer.neighbors), first(&sorted, k), "{:?} k {k}", filled.kind);
            assert!(answer.stats.exact);
            plans.push(answer.stats.plan);
        }
        for radius in [0, 3, 7, 15, 31, 44, 60, 128, u32::MAX] {
            let explained = filled.db.explain(&Query::range(code.clone(), radius)).unwrap();
            let answer = &explained.answer;
            assert_eq!(pairs(&answer.neighbors), within(&sorted, radius), "{radius}");
            plans.extend(explained.sources.iter().map(|source| source.chosen));
        }
    }
    plans.sort_unstable();
    plans.dedup();
    plans
}

#[test]
fn every_plan_over_codes_equals_brute_force() {
    let all = IndexOptions::default().prefix(true);
    let mut seen = Vec::new();
    for kind in [Kind::Uniform, Kind::Clustered, Kind::Skewed] {
        let mut filled = Filled::new(kind, all);
        seen.extend(check(&mut filled));
        filled.db.compact().unwrap();
        seen.extend(check(&mut filled));
        assert!(filled.db.verify().unwrap().is_clean());
    }
    for plan in [Plan::Scan, Plan::MultiIndex, Plan::Rings, Plan::PrefixScan] {
        assert!(seen.contains(&plan), "{plan} was never taken: {seen:?}");
    }
}

#[test]
fn indexes_can_be_left_out_and_changed() {
    let mut filled = Filled::new(Kind::Clustered, IndexOptions::none());
    assert_eq!(check(&mut filled), [Plan::Scan]);
    let bytes = |db: &Database| -> u64 { db.stats().segments.iter().map(|s| s.bytes).sum() };
    let before = bytes(&filled.db);
    // Without cluster lists an approximate query is answered in full.
    let code = filled.near();
    let answer = filled.db.search(&Query::approximate(code.clone(), 10)).unwrap();
    assert!(answer.stats.exact);
    assert_eq!(pairs(&answer.neighbors), first(&filled.sorted(&code, |_, _| true), 10));

    filled.db.set_index(IndexOptions::none().clusters(true)).unwrap();
    filled.db.compact().unwrap();
    assert!(bytes(&filled.db) > before);
    assert!(check(&mut filled).contains(&Plan::Rings));
    // The choice outlives the handle.
    let path = filled.db.stats().path;
    let other = Options::new().background(false);
    drop(std::mem::replace(&mut filled.db, {
        let directory = tempfile::tempdir().unwrap();
        Database::create(directory.path().join("db"), other.clone()).unwrap()
    }));
    filled.db = Database::open(path, other).unwrap();
    assert_eq!(filled.db.stats().index, IndexOptions::none().clusters(true));
}

#[test]
fn an_approximate_search_keeps_its_recall_and_tells_what_it_probed() {
    let mut filled = Filled::new(Kind::Clustered, IndexOptions::default());
    for wanted in [0.8, 0.95] {
        let (mut found, mut queries) = (0.0, 0.0);
        for _ in 0..60 {
            let code = filled.code();
            let query = Query::approximate(code.clone(), 10).recall(wanted);
            let answer = filled.db.search(&query).unwrap();
            let sorted = filled.sorted(&code, |_, _| true);
            let bound = sorted[9].0;
            let near = answer.neighbors.iter().filter(|n| n.distance <= bound).count();
            found += near as f64 / 10.0;
            queries += 1.0;
            assert_eq!(answer.neighbors.len(), 10);
            for neighbor in &answer.neighbors {
                assert!(sorted.contains(&(neighbor.distance, neighbor.id)));
            }
            assert!(!answer.stats.exact);
            assert!(answer.stats.probes > 0);
        }
        assert!(found / queries >= wanted - 0.05, "{} of {wanted}", found / queries);
    }
    // Far more than the nearest list holds, and all that lies near it deleted.
    let code = filled.code();
    let hundred = Query::approximate(code.clone(), 1_000).probes(1);
    assert_eq!(filled.db.search(&hundred).unwrap().neighbors.len(), 1_000);
    let near = filled.db.knn(&code, 2_000).unwrap();
    let mut batch = WriteBatch::new();
    for neighbor in &near {
        batch.delete(&filled.db.record(neighbor).unwrap().key);
        filled.live.remove(&neighbor.id);
    }
    filled.db.write(batch, WriteOptions::default()).unwrap();
    let answer = filled.db.search(&Query::approximate(code, 10)).unwrap();
    assert_eq!(answer.neighbors.len(), 10);

    let code = filled.code();
    let one = filled.db.search(&Query::approximate(code.clone(), 10).probes(1)).unwrap();
    let many = filled.db.search(&Query::approximate(code.clone(), 10).probes(usize::MAX)).unwrap();
    assert!(one.stats.distances < many.stats.distances);
    assert!(many.stats.exact);
    assert_eq!(pairs(&many.neighbors), first(&filled.sorted(&code, |_, _| true), 10));
}

#[test]
fn filters_restrict_every_search() {
    let mut filled = Filled::new(Kind::Clustered, IndexOptions::default().prefix(true));
    let code = filled.near();
    let rules: [(Filter, Admit<'_>); 7] = [
        (Filter::ids([]), &|_, _| false),
        (Filter::ids((0..200_000).step_by(100)), &|id, _| id.is_multiple_of(100)),
        (Filter::ids(0..150_000), &|id, _| id < 150_000),
        (Filter::key_prefix("key 12"), &|_, number| number.to_string().starts_with("12")),
        (Filter::key_prefix("nobody"), &|_, _| false),
        (Filter::key_prefix(""), &|_, _| true),
        (Filter::values(|value| value.first().is_some_and(|byte| byte % 50 == 3)), &|_, number| {
            number.to_le_bytes()[0] % 50 == 3
        }),
    ];
    for (filter, admit) in rules {
        let sorted = filled.sorted(&code, admit);
        for k in [1, 10, 200_000] {
            let query = Query::knn(code.clone(), k).filter(filter.clone());
            let answer = filled.db.search(&query).unwrap();
            assert_eq!(pairs(&answer.neighbors), first(&sorted, k), "{filter:?} k {k}");
        }
        for radius in [5, 31, 256] {
            let query = Query::range(code.clone(), radius).filter(filter.clone());
            let answer = filled.db.search(&query).unwrap();
            assert_eq!(pairs(&answer.neighbors), within(&sorted, radius), "{filter:?} {radius}");
        }
        let query = Query::approximate(code.clone(), 10).filter(filter.clone());
        let answer = filled.db.search(&query).unwrap();
        assert_eq!(pairs(&answer.neighbors), first(&sorted, 10), "{filter:?}");
        balls(&filled, &filter, admit);
    }
}

#[test]
fn a_value_filter_is_exact_under_every_plan_before_and_after_it_reads_all_values() {
    type Accepts = fn(u64) -> bool;
    let mut filled = Filled::new(Kind::Clustered, IndexOptions::default().prefix(true));
    let (mut before, mut after) = (Vec::new(), Vec::new());
    // Few pass, and so many that a selection of rows is no cheaper than another plan.
    let accepts: [Accepts; 2] = [|number| number % 64 == 3, |number| number % 8 != 3];
    for accepts in accepts {
        let asked = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&asked);
        let filter = Filter::values(move |value| {
            counter.fetch_add(1, Ordering::Relaxed);
            accepts(u64::from_le_bytes(value.try_into().unwrap()))
        });
        let mut quiet = 0;
        for round in 0..100 {
            let code = if round % 3 == 0 { filled.code() } else { filled.near() };
            let sorted = filled.sorted(&code, |_, number| accepts(number));
            let asked_before = asked.load(Ordering::Relaxed);
            let plans = if quiet == 0 { &mut before } else { &mut after };
            let mut search = |query: Query, expected: &[(u32, u64)]| {
                let explained = filled.db.explain(&query.filter(filter.clone())).unwrap();
                assert_eq!(pairs(&explained.answer.neighbors), expected, "round {round}");
                plans.extend(explained.sources.iter().map(|source| source.chosen));
            };
            for k in [1, 10, 300] {
                search(Query::knn(code.clone(), k), first(&sorted, k));
            }
            for radius in [5, 20, 31, 60] {
                search(Query::range(code.clone(), radius), within(&sorted, radius));
            }
            search(Query::approximate(code.clone(), 10), first(&sorted, 10));
            if round > 40 {
                search(Query::range(code, 110), within(&sorted, 110));
            }
            let count = asked.load(Ordering::Relaxed);
            quiet = if count == asked_before { quiet + 1 } else { 0 };
            if quiet == 8 {
                break;
            }
        }
        assert_eq!(quiet, 8, "the predicate was asked for ever");
        let asked = asked.load(Ordering::Relaxed);
        assert!(asked <= filled.live.len() as u64, "asked {asked} times");
        for code in [filled.code(), filled.near()] {
            let sorted = filled.sorted(&code, |_, number| accepts(number));
            let queries = vec![Query::knn(code, 7).filter(filter.clone()); 70];
            for answer in filled.db.search_batch(&queries, 2).unwrap() {
                assert_eq!(pairs(&answer.neighbors), first(&sorted, 7));
            }
        }
    }
    for plan in [Plan::Scan, Plan::MultiIndex, Plan::Rings] {
        assert!(before.contains(&plan), "{plan} was never taken before");
        assert!(after.contains(&plan), "{plan} was never taken after");
    }
    assert!(after.contains(&Plan::Selection));
}

/// Balls with a filter are the balls without it, less what it does not admit.
fn balls(filled: &Filled, filter: &Filter, admit: Admit<'_>) {
    let address = hashdb::Address::new(0x1234, 16).unwrap();
    for radius in [0, 2, 5] {
        let all = filled.db.ball(address, radius).unwrap();
        let query = Query::ball(address, radius).filter(filter.clone());
        let answer = filled.db.search(&query).unwrap();
        let expected: Vec<_> =
            all.iter().filter(|n| admit(n.id, filled.live[&n.id].0)).copied().collect();
        assert_eq!(answer.neighbors, expected, "{filter:?} radius {radius}");
    }
}

#[test]
fn a_prefix_filter_sees_the_state_that_is_queried() {
    let directory = tempfile::tempdir().unwrap();
    let db = crate::filled(&directory.path().join("db"), crate::small(), 30, 10);
    let filter = Filter::key_prefix("key 2");
    let code = Code::from_bytes(&[0; 8]).unwrap();
    let query = Query::knn(code.clone(), 100).filter(filter);
    assert_eq!(db.search(&query).unwrap().neighbors.len(), 11);
    let snapshot = db.snapshot();
    db.delete(b"key 20").unwrap();
    db.put(b"key 2x", hashdb::Address::new(1, 8).unwrap(), code.clone(), b"").unwrap();
    db.put(b"key 2y", hashdb::Address::new(1, 8).unwrap(), code, b"").unwrap();
    assert_eq!(db.search(&query).unwrap().neighbors.len(), 12);
    assert_eq!(snapshot.search(&query).unwrap().neighbors.len(), 11);
}

#[test]
fn batches_equal_single_queries_for_any_number_of_threads() {
    let mut filled = Filled::new(Kind::Clustered, IndexOptions::default());
    let mut queries = Vec::new();
    for number in 0..150_u32 {
        let code = if number % 2 == 0 { filled.code() } else { filled.near() };
        let address = hashdb::Address::new(number * 77, 16).unwrap();
        queries.push(match number % 5 {
            0 => Query::range(code, 40),
            1 => Query::ball(address, 2),
            2 => Query::ball_then_code(address, 3, code, 5),
            3 => Query::knn(code, 7).filter(Filter::ids(0..5_000)),
            _ => Query::knn(code, 10),
        });
    }
    let single: Vec<_> =
        queries.iter().map(|query| filled.db.search(query).unwrap().neighbors).collect();
    for threads in [0, 1, 2, 3, 8] {
        let answers = filled.db.search_batch(&queries, threads).unwrap();
        let batched: Vec<_> = answers.into_iter().map(|answer| answer.neighbors).collect();
        assert!(batched == single, "{threads} threads");
    }
    let codes: Vec<_> = (0..20).map(|_| filled.near()).collect();
    let expected: Vec<_> = codes.iter().map(|code| filled.db.knn(code, 10).unwrap()).collect();
    assert_eq!(filled.db.knn_batch(&codes, 10, 2).unwrap(), expected);
    assert!(filled.db.search_batch(&[], 2).unwrap().is_empty());
}

#[test]
fn bad_arguments_are_refused_or_answered_in_full() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), crate::small()).unwrap();
    let code = Code::from_bytes(&[7; 8]).unwrap();
    let wide = Code::from_bytes(&[7; 16]).unwrap();
    // An empty database.
    for query in [
        Query::knn(code.clone(), 10),
        Query::range(code.clone(), u32::MAX),
        Query::approximate(code.clone(), 10),
        Query::knn(code.clone(), usize::MAX).filter(Filter::key_prefix("a")),
    ] {
        assert!(db.search(&query).unwrap().neighbors.is_empty());
        assert!(db.explain(&query).unwrap().answer.neighbors.is_empty());
    }
    let refused = |query: Query| db.search(&query).unwrap_err().to_string();
    assert_eq!(refused(Query::knn(wide, 1)), "the code has 128 bits, expected 64");
    assert_eq!(
        refused(Query::approximate(code.clone(), 1).recall(1.5)),
        "recall must be above 0 and at most 1, not 1.5"
    );
    assert_eq!(
        refused(Query::approximate(code.clone(), 1).recall(f64::NAN)),
        "recall must be above 0 and at most 1, not NaN"
    );
    assert_eq!(refused(Query::approximate(code.clone(), 1).probes(0)), "probes must be at least 1");
    assert_eq!(
        refused(Query::knn(code.clone(), 1).recall(0.5)),
        "recall or probes belongs to an approximate query"
    );
    // A batch far larger than the work.
    let many = vec![Query::knn(code, 3); 1 << 20];
    let answers = db.search_batch(&many, 0).unwrap();
    assert_eq!(answers.len(), 1 << 20);
}

#[test]
fn a_flipped_byte_in_an_index_is_an_error_or_changes_nothing() {
    let mut filled = Filled::new(Kind::Clustered, IndexOptions::default().prefix(true));
    filled.db.compact().unwrap();
    let stats = filled.db.stats();
    let file = stats.path.join(format!("segments/{:012}.seg", stats.segments[0].number));
    let queries = [
        Query::knn(filled.near(), 10),
        Query::range(filled.near(), 6),
        Query::range(filled.near(), 30),
        Query::approximate(filled.near(), 10),
    ];
    let answers = |db: &Database| -> hashdb::Result<Vec<Vec<Neighbor>>> {
        queries.iter().map(|query| db.search(query).map(|answer| answer.neighbors)).collect()
    };
    let expected = answers(&filled.db).unwrap();
    let path = stats.path;
    let options = Options::new().background(false);
    let elsewhere = tempfile::tempdir().unwrap();
    let spare = Database::create(elsewhere.path().join("db"), options.clone()).unwrap();
    drop(std::mem::replace(&mut filled.db, spare));
    let whole = std::fs::read(&file).unwrap();
    let mut refused = 0;
    for _ in 0..25 {
        let mut bytes = whole.clone();
        let at = usize::try_from(filled.random.below(bytes.len() as u64)).unwrap();
        bytes[at] ^= 1 << filled.random.below(8);
        std::fs::write(&file, &bytes).unwrap();
        let read = Database::open(&path, options.clone()).and_then(|db| {
            let read = answers(&db)?;
            assert!(!db.verify().unwrap().is_clean(), "byte {at} was not missed");
            Ok(read)
        });
        match read {
            Ok(read) => assert!(read == expected, "byte {at}"),
            Err(error) => {
                refused += 1;
                assert!(matches!(error, hashdb::Error::Corruption { .. }), "{error}");
            }
        }
    }
    assert!(refused > 10, "{refused} of 25");
    std::fs::write(&file, &whole).unwrap();
    assert_eq!(answers(&Database::open(&path, options).unwrap()).unwrap(), expected);
}
