//! Scans and the pair table against the plans that they replace.
//!
//! `cargo bench --features __internals --bench index`
#![expect(
    clippy::cast_possible_truncation,
    clippy::unwrap_used,
    reason = "random bits are cut to size; a bench that cannot prepare its data must stop"
)]

mod measure;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hashdb::Level;
use hashdb::internals::code::BallMasks;
use hashdb::internals::hamming::{distance, rows_within};
use hashdb::internals::index::{
    Counters, HalfBalls, Hit, Neighbor, PairTable, PairTableColumns, PrefixColumn, Prefixes, Rows,
    TopK, Within, ball_scan, rerank, scan, scan_batch,
};
use measure::{Race, Random};

const BITS: u8 = 28;

/// Columns of a segment: half of the addresses uniform, half in clusters, as learned codes are.
struct Columns {
    ids: Vec<u8>,
    addresses: Vec<u32>,
    address_bytes: Vec<u8>,
    codes: Vec<u8>,
}

impl Columns {
    fn new(rows: usize, clustered: bool, code_bytes: usize) -> Self {
        let mut random = Random(4);
        let centres: Vec<u32> = (0..rows / 200).map(|_| random.next() as u32).collect();
        let mut addresses: Vec<u32> = (0..rows)
            .map(|_| {
                let uniform = random.next() as u32;
                let noise = uniform & random.next() as u32 & random.next() as u32;
                let centre = centres[random.next() as usize % centres.len()];
                (if clustered { centre ^ noise } else { uniform }) >> (32 - BITS)
            })
            .collect();
        addresses.sort_unstable();
        Self {
            ids: (0..rows as u64).flat_map(u64::to_le_bytes).collect(),
            address_bytes: addresses.iter().flat_map(|address| address.to_le_bytes()).collect(),
            codes: random.bytes(rows * code_bytes),
            addresses,
        }
    }
}

/// The nearest codes against reading their bytes once, and against the kernel that finds nothing.
fn nearest(criterion: &mut Criterion) {
    for rows in [100_000, 1_000_000, 10_000_000] {
        let columns = Columns::new(rows, false, 32);
        let rows = Rows::new(&columns.ids, &columns.address_bytes, &columns.codes, 32).unwrap();
        let (level, mut random) = (Level::best(), Random(5));
        check_nearest(&rows, &random.bytes(32));

        let mut race = Race::new(format!("nearest of {} codes of 256 bits", rows.len()));
        race.run(criterion, "sequential read", || {
            black_box(sum_of_words(black_box(rows.codes())));
        });
        race.run(criterion, "kernel alone", || {
            rows_within(level, &random.bytes(32), rows.codes(), 1, |_, _| 1);
        });
        for k in [10, 1000] {
            race.run(criterion, &format!("k = {k}"), || {
                black_box(nearest_alone(&rows, &random.bytes(32), k));
            });
        }
    }
}

/// Queries together against one after the other.
fn batches(criterion: &mut Criterion) {
    let columns = Columns::new(1_000_000, false, 32);
    let rows = Rows::new(&columns.ids, &columns.address_bytes, &columns.codes, 32).unwrap();
    let mut random = Random(9);
    let mut draw = move |count| (0..count).map(|_| random.bytes(32)).collect::<Vec<_>>();
    for (count, k) in [(8, 10), (16, 10), (64, 10), (256, 10), (64, 1000)] {
        let queries = draw(count);
        let alone = queries.iter().map(|query| nearest_alone(&rows, query, k));
        assert!(alone.eq(nearest_together(&rows, &queries, k)));

        let mut race = Race::new(format!("{count} queries of 1000000 codes, k = {k}"));
        race.run(criterion, "one by one", || {
            for query in draw(count) {
                black_box(nearest_alone(&rows, &query, k));
            }
        });
        race.run(criterion, "together", || {
            black_box(nearest_together(&rows, &draw(count), k));
        });
    }
}

/// Everything within a radius of uniform codes, by prefixes first.
fn prefixes(criterion: &mut Criterion) {
    let columns = Columns::new(1_000_000, false, 32);
    let rows = Rows::new(&columns.ids, &columns.address_bytes, &columns.codes, 32).unwrap();
    let column = PrefixColumn::build(&columns.codes, 32).unwrap();
    let prefixes = Prefixes::open(&column.bytes, rows.len(), 32).unwrap();
    let (level, mut random, mut counters) = (Level::best(), Random(10), Counters::default());
    for radius in [8, 16, 24, 32, 40, 44, 46, 48, 50] {
        let whole = |query: &[u8], counters: &mut Counters| {
            let mut within = Within::new(radius);
            scan(&rows, level, query, &mut within, |_| true, counters);
            within.into_sorted()
        };
        let filtered = |query: &[u8], counters: &mut Counters| {
            let mut within = Within::new(radius);
            prefixes.scan(&rows, level, query, &mut within, |_| true, counters);
            within.into_sorted()
        };
        // A known code with a few bits flipped has at least one neighbour.
        let mut near = rows.code(random.next() as usize % rows.len()).to_vec();
        near[17] ^= 0x5a;
        assert_eq!(whole(&near, &mut counters), filtered(&near, &mut counters));

        let mut race = Race::new(format!("1000000 codes of 256 bits within {radius}"));
        race.run(criterion, "scan", || {
            black_box(whole(&random.bytes(32), &mut counters));
        });
        race.run(criterion, "prefixes", || {
            black_box(filtered(&random.bytes(32), &mut counters));
        });
        race.run(criterion, "sample of the pass rate", || {
            black_box(prefixes.pass_rate(level, &random.bytes(32), radius));
        });
    }
}

fn nearest_alone(rows: &Rows<'_>, query: &[u8], k: usize) -> Vec<Neighbor> {
    let (mut top, mut counters) = (TopK::new(k), Counters::default());
    scan(rows, Level::best(), query, &mut top, |_| true, &mut counters);
    top.into_sorted()
}

fn nearest_together(rows: &Rows<'_>, queries: &[Vec<u8>], k: usize) -> Vec<Vec<Neighbor>> {
    let queries: Vec<_> = queries.iter().map(Vec::as_slice).collect();
    let (mut tops, mut counters) = (vec![TopK::new(k); queries.len()], Counters::default());
    scan_batch(rows, Level::best(), &queries, &mut tops, |_| true, &mut counters);
    tops.into_iter().map(TopK::into_sorted).collect()
}

/// A scan must equal sorting everything.
fn check_nearest(rows: &Rows<'_>, query: &[u8]) {
    let codes = rows.codes().chunks_exact(rows.code_bytes());
    let mut best: Vec<_> = codes.map(|code| distance(query, code)).zip(0_u64..).collect();
    best.sort_unstable();
    for k in [10, 1000] {
        let found = nearest_alone(rows, query, k).into_iter().map(|n| (n.distance, n.id));
        assert!(found.eq(best[..k].iter().copied()));
    }
}

/// The floor of every scan: each word is read and added.
fn sum_of_words(bytes: &[u8]) -> u64 {
    let words = bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
    words.fold(0, u64::wrapping_add)
}

/// Balls of addresses; queries are drawn afresh, since repeated ones find their lines in the cache.
fn balls(criterion: &mut Criterion) {
    for (rows, clustered) in [(1_600_000, false), (1_600_000, true), (10_000_000, false)] {
        let columns = Columns::new(rows, clustered, 8);
        let table = PairTableColumns::build(&columns.address_bytes, BITS).unwrap();
        let plans = Plans {
            rows: Rows::new(&columns.ids, &columns.address_bytes, &columns.codes, 8).unwrap(),
            addresses: &columns.addresses,
            directory: Directory::new(&columns.addresses),
            masks: BallMasks::new(BITS, 5),
            pairs: open(&table, rows),
            balls: HalfBalls::new(BITS),
            level: Level::best(),
        };
        let kind = if clustered { "clustered" } else { "uniform" };
        for radius in [2, 3, 4, 5, 7] {
            plans.race(criterion, &format!("{rows} {kind} addresses, ball {radius}"), radius);
        }
    }
}

/// Three ways to find a ball.
struct Plans<'a> {
    rows: Rows<'a>,
    addresses: &'a [u32],
    directory: Directory,
    masks: BallMasks,
    pairs: PairTable<'a>,
    balls: HalfBalls,
    level: Level,
}

impl Plans<'_> {
    fn scan(&self, address: u32, radius: u32, out: &mut Vec<Hit>) {
        out.clear();
        ball_scan(&self.rows, self.level, address, radius, out, &mut Counters::default());
    }

    fn probe_each_mask(&self, address: u32, radius: u32, hits: &mut Vec<Hit>) {
        hits.clear();
        self.directory.ball(self.addresses, address, self.masks.within(radius), hits);
    }

    fn pair_table(&self, address: u32, radius: u32, hits: &mut Vec<Hit>) {
        hits.clear();
        self.pairs
            .ball(self.level, &self.balls, address, radius, hits, &mut Counters::default())
            .unwrap();
    }

    /// All plans must find the same before they are measured.
    fn check(&self, address: u32, radius: u32) {
        let (mut scanned, mut probed, mut paired) = (Vec::new(), Vec::new(), Vec::new());
        self.scan(address, radius, &mut scanned);
        self.pair_table(address, radius, &mut paired);
        paired.sort_unstable();
        assert_eq!(scanned, paired);
        if radius <= 5 {
            self.probe_each_mask(address, radius, &mut probed);
            probed.sort_unstable();
            assert_eq!(probed, paired);
        }
    }

    fn race(&self, criterion: &mut Criterion, name: &str, radius: u32) {
        let mut random = Random(6);
        let near = |row: u64| self.addresses[row as usize % self.addresses.len()] ^ 0x0010_0001;
        let mut next = move || near(random.next());
        (0..20).for_each(|_| self.check(next(), radius));

        let (mut race, mut hits) = (Race::new(name), Vec::new());
        race.run(criterion, "scan", || {
            self.scan(next(), radius, &mut hits);
        });
        if radius <= 5 {
            race.run(criterion, "one probe a mask", || {
                self.probe_each_mask(next(), radius, &mut hits);
            });
        }
        race.run(criterion, "pair table", || {
            self.pair_table(next(), radius, &mut hits);
        });
    }
}

fn open(table: &PairTableColumns, rows: usize) -> PairTable<'_> {
    PairTable::open(
        &table.high_offsets,
        &table.low_suffixes,
        &table.low_offsets,
        &table.high_suffixes,
        &table.positions,
        u32::try_from(rows).unwrap(),
        BITS,
    )
    .unwrap()
}

/// The baseline: the first row of each value of the upper 22 bits, and one look-up for every address
/// of the ball.
struct Directory {
    first: Vec<u32>,
}

impl Directory {
    const SHIFT: u32 = BITS as u32 - 22;

    fn new(addresses: &[u32]) -> Self {
        let mut first = vec![0; (1 << 22) + 1];
        for address in addresses {
            first[(address >> Self::SHIFT) as usize + 1] += 1;
        }
        for bucket in 1..first.len() {
            first[bucket] += first[bucket - 1];
        }
        Self { first }
    }

    fn ball(&self, addresses: &[u32], query: u32, masks: &[u32], hits: &mut Vec<Hit>) {
        for mask in masks {
            let address = query ^ mask;
            let bucket = (address >> Self::SHIFT) as usize;
            for row in self.first[bucket]..self.first[bucket + 1] {
                if addresses[row as usize] == address {
                    hits.push(Hit { row, distance: mask.count_ones() });
                }
            }
        }
    }
}

/// The second stage: codes of rows in a ball.
fn candidates(criterion: &mut Criterion) {
    let columns = Columns::new(1_000_000, false, 32);
    let rows = Rows::new(&columns.ids, &columns.address_bytes, &columns.codes, 32).unwrap();
    let (level, query, mut random) = (Level::best(), Random(7).bytes(32), Random(8));
    let mut counters = Counters::default();
    let mut lists: Vec<Vec<u32>> =
        (0..64).map(|_| (0..2_000).map(|_| (random.next() % 1_000_000) as u32).collect()).collect();
    lists.iter_mut().for_each(|list| list.sort_unstable());
    let mut race = Race::new("2000 candidates of 1000000 codes");
    let mut next = lists.iter().cycle();
    race.run(criterion, "one by one", || {
        let mut top = TopK::new(10);
        for &row in next.next().unwrap() {
            rerank(&rows, level, &query, [row], &mut top, |_| true, &mut counters);
        }
        black_box(top.into_sorted());
    });
    race.run(criterion, "together", || {
        let mut top = TopK::new(10);
        let list = next.next().unwrap().iter().copied();
        rerank(&rows, level, &query, list, &mut top, |_| true, &mut counters);
        black_box(top.into_sorted());
    });
}

criterion_group!(benches, nearest, batches, prefixes, balls, candidates);
criterion_main!(benches);
