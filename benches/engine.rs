//! The engine through its public API: what it adds to a bare kernel, whether the planner chooses
//! well, what a filter costs, and how reads and writes fare while segments are merged.
//!
//! `HASHDB_BENCH_ROWS` sets the number of records, default 1,000,000. Answers of batches, of
//! filters and of the planner's plans are checked before they are timed; no query is a record.
#![expect(clippy::print_stdout, reason = "ratios are what a bench is run for")]
#![expect(clippy::unwrap_used, reason = "a bench ends at the first surprise")]
#![expect(clippy::cast_possible_truncation, reason = "counts of a bench are small")]
#![expect(unsafe_code, reason = "the bare kernel reads a mapped file")]
#![expect(clippy::disallowed_methods, reason = "a bench writes that file itself")]

#[path = "measure/data.rs"]
mod data;
#[path = "measure/random.rs"]
mod random;

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use data::{Data, Kind, WIDTH};
use hashdb::internals::index::{Counters, Rows, TopK, scan};
use hashdb::{
    Address, Code, Database, Filter, IndexOptions, Level, Options, Query, Readable, WriteBatch,
    WriteOptions,
};
use random::Random;

/// Queries of one measurement.
const QUERIES: usize = 60;

/// Queries that meet a filter for the first time.
const FRESH: usize = 200;

fn main() {
    let rows = std::env::var("HASHDB_BENCH_ROWS").ok().and_then(|text| text.parse().ok());
    let rows = rows.unwrap_or(1_000_000);
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with("--"));
    let wanted = |name: &str| only.as_ref().is_none_or(|only| name.contains(only.as_str()));
    if wanted("overhead") {
        overhead(rows);
    }
    if wanted("planner") {
        [Kind::Planted, Kind::Mixture, Kind::Smooth]
            .into_iter()
            .for_each(|kind| planner(kind, rows));
    }
    if wanted("filters") {
        filters(rows);
    }
    if wanted("compaction") {
        compaction(rows);
    }
}

/// A database in a folder of its own.
struct Filled {
    directory: tempfile::TempDir,
    db: Database,
}

impl Filled {
    fn new(data: &Data, index: IndexOptions) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options::new().index(index).background(false);
        let db = Database::create(directory.path().join("db"), options).unwrap();
        let unsynced = WriteOptions { sync: false };
        for (part, codes) in data.codes.chunks(WIDTH * 20_000).enumerate() {
            let mut batch = WriteBatch::new();
            for (row, code) in codes.chunks_exact(WIDTH).enumerate() {
                let number = (part * 20_000 + row) as u64;
                batch.put(&number.to_be_bytes(), address(code), bits(code), &number.to_le_bytes());
            }
            db.write(batch, unsynced).unwrap();
        }
        db.compact().unwrap();
        Self { directory, db }
    }
}

fn bits(code: &[u8]) -> Code {
    Code::from_bytes(code).unwrap()
}

fn address(code: &[u8]) -> Address {
    let value = u32::from_be_bytes([code[0], code[1], code[2], code[3]]) >> 4;
    Address::new(value, 28).unwrap()
}

/// The mean time of a query over all queries, the best of three rounds in turn: other work on the
/// machine only ever adds.
fn mean(queries: &[Vec<u8>], mut search: impl FnMut(&[u8])) -> Duration {
    let round = |search: &mut dyn FnMut(&[u8])| {
        let start = Instant::now();
        queries.iter().for_each(|query| search(query));
        start.elapsed() / queries.len() as u32
    };
    (0..3).map(|_| round(&mut search)).min().unwrap()
}

fn ratio(name: &str, time: Duration, baseline: &str, base: Duration) {
    let ratio = base.as_secs_f64() / time.as_secs_f64();
    println!("RATIO {name} {time:.1?}, {ratio:.2} times {baseline} ({base:.1?})");
}

/// The mean times of two ways to search, by turns: what slows the machine down slows both.
fn by_turns(
    queries: &[Vec<u8>],
    mut first: impl FnMut(&[u8]),
    mut second: impl FnMut(&[u8]),
) -> (Duration, Duration) {
    let timed = |search: &mut dyn FnMut(&[u8]), query: &[u8]| {
        let start = Instant::now();
        search(query);
        start.elapsed()
    };
    let round = |_| {
        queries.iter().fold((Duration::ZERO, Duration::ZERO), |(a, b), query| {
            (a + timed(&mut first, query), b + timed(&mut second, query))
        })
    };
    let rounds: Vec<_> = (0..3).map(round).collect();
    let best =
        |times: &mut dyn Iterator<Item = Duration>| times.min().unwrap() / queries.len() as u32;
    (best(&mut rounds.iter().map(|round| round.0)), best(&mut rounds.iter().map(|round| round.1)))
}

/// The same k-NN scan by the bare kernel over a mapped file of codes, and through the API over a
/// segment, a memtable and deleted records.
fn overhead(rows: usize) {
    let data = Data::new(Kind::Planted, rows, QUERIES);
    let Filled { db, directory } = &Filled::new(&data, IndexOptions::none());
    // A file like a segment's: memory of another kind is read at another speed.
    let path = directory.path().join("bare codes");
    std::fs::write(&path, &data.codes).unwrap();
    let file = std::fs::File::open(path).unwrap();
    // SAFETY: nobody writes to the file from here on.
    let codes = unsafe { memmap2::Mmap::map(&file) }.unwrap();
    let mut random = Random(5);
    let mut batch = WriteBatch::new();
    for number in 0..20_000_u64 {
        let code = random.bytes(WIDTH);
        batch.put(format!("new {number}").as_bytes(), address(&code), bits(&code), b"value");
        batch.delete(&(number * 37 % rows as u64).to_be_bytes());
    }
    db.write(batch, WriteOptions::default()).unwrap();
    let ids: Vec<u8> = (0..rows as u64).flat_map(u64::to_le_bytes).collect();
    let addresses = vec![0; rows * 4];
    let bare = Rows::new(&ids, &addresses, &codes, WIDTH).unwrap();
    let level = Level::best();
    for k in [10, 1000] {
        let kernel = |query: &[u8]| {
            let mut top = TopK::new(k);
            scan(&bare, level, query, &mut top, |_| true, &mut Counters::default());
            black_box(top.into_sorted());
        };
        let api = |query: &[u8]| {
            black_box(db.search(&Query::knn(bits(query), k)).unwrap());
        };
        let (base, time) = by_turns(&data.queries, kernel, api);
        ratio(&format!("overhead {rows} rows, k = {k}: API"), time, "bare scan", base);
    }
    let codes: Vec<_> = data.queries.iter().map(|query| bits(query)).collect();
    for (code, answer) in codes.iter().zip(db.knn_batch(&codes, 10, 1).unwrap()) {
        assert_eq!(answer, db.knn(code, 10).unwrap());
    }
    let single = mean(&data.queries, |query| {
        black_box(db.search(&Query::knn(bits(query), 10)).unwrap());
    });
    let start = Instant::now();
    black_box(db.knn_batch(&codes, 10, 1).unwrap());
    let batched = start.elapsed() / codes.len() as u32;
    ratio(
        &format!("overhead {rows} rows, batch of {}", codes.len()),
        batched,
        "one by one",
        single,
    );
}

/// Makes a query of a code.
type Shape = Box<dyn Fn(Code) -> Query>;

/// For each query type, the planner with all indexes against the best of the databases that have
/// only one: prints the grid, and how much slower the planner's choice is.
fn planner(kind: Kind, rows: usize) {
    let data = Data::new(kind, rows, QUERIES);
    let none = IndexOptions::none();
    let choices = [
        none,
        none.multi_index(true),
        none.clusters(true),
        none.prefix(true),
        IndexOptions::default().prefix(true),
    ];
    let filled = choices.map(|index| Filled::new(&data, index));
    let mut shapes: Vec<(String, Shape)> = Vec::new();
    for radius in [0, 8, 16, 24, 31, 40, 56, 72, 96] {
        shapes.push((format!("range {radius}"), Box::new(move |code| Query::range(code, radius))));
    }
    for k in [1, 10, 100, 1000] {
        shapes.push((format!("knn {k}"), Box::new(move |code| Query::knn(code, k))));
    }
    println!("\nplanner on {kind:?}, {rows} rows: microseconds a query with each index alone");
    println!(
        "{:<10} {:>9} {:>9} {:>9} {:>9} {:>9}  slower than the best; plan, what it was thought to cost",
        "query", "scan", "multi", "clusters", "prefix", "all"
    );
    let mut worst = 0.0_f64;
    for (name, query) in &shapes {
        for code in &data.queries {
            let answers = |filled: &Filled| filled.db.search(&query(bits(code))).unwrap().neighbors;
            let scanned = answers(&filled[0]);
            assert!(filled[1..].iter().all(|filled| answers(filled) == scanned), "{name}");
        }
        // In turn, so that what else the machine does meets all of them.
        let mut micros = [f64::MAX; 5];
        for _ in 0..5 {
            for (micros, filled) in micros.iter_mut().zip(&filled) {
                let start = Instant::now();
                for code in &data.queries {
                    black_box(filled.db.search(&query(bits(code))).unwrap());
                }
                let time = start.elapsed() / data.queries.len() as u32;
                *micros = micros.min(time.as_secs_f64() * 1e6);
            }
        }
        let best = micros[..4].iter().copied().fold(f64::MAX, f64::min);
        let slower = micros[4] / best;
        worst = worst.max(slower);
        let cells: String = micros.iter().map(|micros| format!(" {micros:>9.1}")).collect();
        let explained = filled[4].db.explain(&query(bits(&data.queries[1]))).unwrap();
        let plans = explained.sources.iter().map(|source| {
            let cost = source.considered.iter().filter(|(plan, _)| *plan == source.chosen);
            let micros = cost.map(|(_, nanos)| nanos / 1e3).sum::<f64>();
            format!("{} {micros:.1} us, took {:.1?}", source.chosen, source.took)
        });
        println!("{name:<10}{cells}  {slower:.2} {}", plans.collect::<Vec<_>>().join(", "));
    }
    println!("RATIO planner {kind:?}: at worst {worst:.2} times the best single index");
}

/// A filter's name, how it is made, and what it admits by id.
type Rule = (&'static str, Box<dyn Fn() -> Filter>, fn(u64) -> bool);

/// What a filter costs against the query without it: the first query, which has to find what is
/// admitted, a stream of fresh queries from the first one on, and queries from then on.
fn filters(rows: usize) {
    let data = Data::new(Kind::Smooth, rows, QUERIES + FRESH);
    let (queries, fresh) = data.queries.split_at(QUERIES);
    let Filled { db, directory: _kept } = &Filled::new(&data, IndexOptions::none());
    let base = mean(queries, |query| {
        black_box(db.search(&Query::knn(bits(query), 10)).unwrap());
    });
    let (snapshot, all) = (db.snapshot(), rows as u64);
    // Ids rise from 0 as keys and values do.
    let rules: [Rule; 6] = [
        ("1 % of the ids", Box::new(move || Filter::ids((0..all).step_by(100))), |id| {
            id % 100 == 0
        }),
        ("50 % of the ids", Box::new(move || Filter::ids((0..all).step_by(2))), |id| id % 2 == 0),
        ("a key prefix of 65,536", Box::new(|| Filter::key_prefix([0, 0, 0, 0, 0, 1])), |id| {
            id >> 16 == 1
        }),
        ("a key prefix of 256", Box::new(|| Filter::key_prefix([0, 0, 0, 0, 0, 0, 7])), |id| {
            id >> 8 == 7
        }),
        ("1 % of the values", Box::new(|| Filter::values(|value| value[0] < 3)), |id| id % 256 < 3),
        ("50 % of the values", Box::new(|| Filter::values(|value| value[0] < 128)), |id| {
            id % 256 < 128
        }),
    ];
    for (name, make, admits) in rules {
        let search = |query: &[u8], filter: &Filter| {
            snapshot.search(&Query::knn(bits(query), 10).filter(filter.clone())).unwrap().neighbors
        };
        let check = |filter: &Filter| {
            for query in &queries[..5] {
                let mut expected = snapshot.knn(&bits(query), rows).unwrap();
                expected.retain(|near| admits(near.id));
                assert!(expected.len() >= 10, "{name}");
                assert_eq!(search(query, filter), expected[..10], "{name}");
            }
        };
        check(&make());
        let filter = make();
        let (start, mut slowest) = (Instant::now(), Duration::ZERO);
        let mut first = None;
        for query in fresh {
            let start = Instant::now();
            black_box(search(query, &filter));
            first = first.or(Some(start.elapsed()));
            slowest = slowest.max(start.elapsed());
        }
        let (first, each) = (first.unwrap(), start.elapsed() / FRESH as u32);
        // A predicate's answers come another way by now.
        check(&filter);
        let time = mean(queries, |query| {
            black_box(search(query, &filter));
        });
        ratio(&format!("filter of {name}"), time, "no filter", base);
        println!(
            "  from the first query on: {first:.1?}, {FRESH} fresh ones {each:.1?} each, the slowest {slowest:.1?}"
        );
    }
}

/// The tail of reads and of synced writes, at rest and while the background merges.
fn compaction(rows: usize) {
    let directory = tempfile::tempdir().unwrap();
    let options = Options::new().memtable_records((rows / 40).max(1_000));
    let db = Database::create(directory.path().join("db"), options).unwrap();
    let mut random = Random(6);
    let mut batch = |count: usize, first: usize| {
        let mut batch = WriteBatch::new();
        for number in first..first + count {
            let code = random.bytes(WIDTH);
            batch.put(&(number as u64).to_be_bytes(), address(&code), bits(&code), b"value");
        }
        batch
    };
    let filling = AtomicBool::new(true);
    let (mut reads, mut writes, mut most) = (Vec::new(), Vec::new(), 0);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut random, mut times, mut most) = (Random(7), Vec::new(), 0);
            while filling.load(Ordering::Relaxed) {
                let query = Query::ball(address(&random.bytes(WIDTH)), 3);
                let start = Instant::now();
                black_box(db.search(&query).unwrap());
                times.push(start.elapsed());
                most = most.max(db.stats().segments.len());
                std::thread::sleep(Duration::from_micros(500));
            }
            (times, most)
        });
        for first in (0..rows).step_by(200) {
            let batch = batch(200, first);
            let start = Instant::now();
            db.write(batch, WriteOptions::default()).unwrap();
            writes.push(start.elapsed());
        }
        filling.store(false, Ordering::Relaxed);
        (reads, most) = reader.join().unwrap();
    });
    println!(
        "\ncompaction: {rows} records in synced batches of 200, a ball every 0.5 ms beside them"
    );
    let segments = db.stats().segments.len();
    println!("segments: {most} at most, {segments} at the end");
    for (name, times) in [("write", &mut writes), ("read", &mut reads)] {
        times.sort_unstable();
        let at = |per_mille: usize| times[(times.len() - 1) * per_mille / 1000];
        println!(
            "{name:<6} {:>8} calls  p50 {:>9.1?}  p99 {:>9.1?}  p99.9 {:>9.1?}  max {:>9.1?}",
            times.len(),
            at(500),
            at(990),
            at(999),
            at(1000)
        );
    }
}
