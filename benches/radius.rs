//! The multi-index against scans: everything within a radius of a code.
//!
//! `cargo bench --features __internals --bench radius`
#![expect(
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "figures are printed; without data a bench must stop"
)]

#[expect(dead_code, reason = "one kind of codes is enough here")]
#[path = "measure/data.rs"]
mod data;
mod measure;

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use data::{Data, Kind, WIDTH};
use hashdb::internals::index::{
    Counters, MultiCost, MultiIndex, MultiIndexColumns, Rows, TopK, Within, scan,
};
use hashdb::{Level, Neighbor};
use measure::{Race, Random};

/// Queries of a race: so many that none comes twice while its cache lines are at hand.
const QUERIES: usize = 4096;

/// Codes with ids, and queries.
struct Table {
    ids: Vec<u8>,
    addresses: Vec<u8>,
    codes: Vec<u8>,
    queries: Vec<Vec<u8>>,
}

impl Table {
    fn new(Data { codes, queries }: Data) -> Self {
        let rows = codes.len() / WIDTH;
        let ids = (0..rows as u64).flat_map(u64::to_le_bytes).collect();
        Self { ids, addresses: vec![0; rows * 4], codes, queries }
    }

    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.ids, &self.addresses, &self.codes, WIDTH).unwrap()
    }
}

/// Both plans over one data set.
struct Plans<'a> {
    rows: Rows<'a>,
    index: MultiIndex<'a>,
    level: Level,
}

impl<'a> Plans<'a> {
    fn new(data: &'a Table, columns: &'a MultiIndexColumns) -> Self {
        let rows = data.rows();
        let MultiIndexColumns { order, offsets, partners, rows: postings, selectivity } = columns;
        let height = u32::try_from(rows.len()).unwrap();
        let index =
            MultiIndex::open(order, offsets, partners, postings, selectivity, height, WIDTH);
        Self { rows, index: index.unwrap(), level: Level::best() }
    }

    fn scan(&self, query: &[u8], radius: u32) -> Vec<Neighbor> {
        let mut within = Within::new(radius);
        scan(&self.rows, self.level, query, &mut within, |_| true, &mut Counters::default());
        within.into_sorted()
    }

    fn probe(&self, query: &[u8], radius: u32, counters: &mut Counters) -> Vec<Neighbor> {
        let mut within = Within::new(radius);
        let prepared = self.index.prepare(self.level, query, radius).unwrap();
        prepared.search(&self.rows, &mut within, |_| true, counters);
        within.into_sorted()
    }

    fn nearest(&self, query: &[u8], radius: u32, k: usize) -> Vec<Neighbor> {
        let mut top = TopK::new(k);
        let prepared = self.index.prepare(self.level, query, radius).unwrap();
        prepared.search(&self.rows, &mut top, |_| true, &mut Counters::default());
        top.into_sorted()
    }

    /// Both plans must find the same; prints what the index reads a query.
    fn check<'q>(&self, name: &str, radius: u32, queries: impl Iterator<Item = &'q Vec<u8>>) {
        let (mut counters, mut cost, mut count, mut hits) =
            (Counters::default(), MultiCost::default(), 0, 0);
        for query in queries {
            let found = self.probe(query, radius, &mut counters);
            assert_eq!(found, self.scan(query, radius), "{name}, radius {radius}");
            let told = self.index.prepare(self.level, query, radius).unwrap().cost();
            cost.candidates += told.candidates;
            (count, hits) = (count + 1, hits + found.len() as u64);
        }
        let Counters { probes, candidates, distances } = counters;
        let [probes, postings, codes, hits, told] =
            [probes, candidates, distances, hits, cost.candidates].map(|sum| sum / count);
        println!(
            "COST {name}, radius {radius}: {probes} probes, {postings} postings, {codes} codes \
             (told {told}), {hits} hits a query; without a query {:?}",
            self.index.expected(radius).unwrap()
        );
    }
}

/// Radius search among random codes.
fn planted(criterion: &mut Criterion) {
    for rows in [1_000_000, 10_000_000] {
        let data = Table::new(Data::new(Kind::Planted, rows, QUERIES));
        let start = Instant::now();
        let columns = MultiIndexColumns::build(&data.codes, WIDTH).unwrap();
        println!("TIME {rows} codes: built in {:.2?}", start.elapsed());
        let start = Instant::now();
        let plans = Plans::new(&data, &columns);
        println!("TIME {rows} codes: opened in {:.2?}", start.elapsed());
        for radius in [15, 31, 47, 63] {
            let name = format!("{rows} random codes and planted ones");
            plans.check(&name, radius, data.queries.iter().step_by(QUERIES / 16));
            let mut race = Race::new(format!("{name}, radius {radius}"));
            let mut queries = data.queries.iter().cycle();
            let mut next = move || queries.next().unwrap();
            race.run(criterion, "scan", || drop(black_box(plans.scan(next(), radius))));
            race.run(criterion, "multi-index", || {
                drop(black_box(plans.probe(next(), radius, &mut Counters::default())));
            });
            race.run(criterion, "multi-index, best 1", || {
                drop(black_box(plans.nearest(next(), radius, 1)));
            });
            race.run(criterion, "look-up of buckets alone", || {
                drop(black_box(plans.index.prepare(plans.level, next(), radius)));
            });
        }
    }
}

/// Real codes: hashes of photographs, many of them variants of others.
fn photographs(_: &mut Criterion) {
    let default = || concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data").into();
    let folder =
        std::env::var_os("HASHDB_TEST_DATA").map_or_else(default, std::path::PathBuf::from);
    let hashes = |name: &str| -> Option<Vec<Vec<u8>>> {
        let text = std::fs::read_to_string(folder.join("pdq/hashes").join(name)).ok()?;
        let bytes = |hex: &str| {
            (0..WIDTH).map(|at| u8::from_str_radix(&hex[at * 2..][..2], 16).unwrap()).collect()
        };
        Some(text.lines().map(bytes).collect())
    };
    let (Some(haystack), Some(needles)) = (hashes("haystack.txt"), hashes("needles.txt")) else {
        eprintln!("SKIPPED photographs: no pdq/hashes in {}", folder.display());
        return;
    };
    let data = Table::new(Data { codes: haystack.concat(), queries: needles });
    let columns = MultiIndexColumns::build(&data.codes, WIDTH).unwrap();
    let plans = Plans::new(&data, &columns);
    for radius in 0..=plans.index.max_radius() {
        let name = format!("{} hashes of photographs", plans.rows.len());
        plans.check(&name, radius, data.queries.iter().chain(&haystack));
    }
}

criterion_group!(benches, photographs, planted);
criterion_main!(benches);
