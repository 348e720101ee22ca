//! Cluster lists against the scan: approximate neighbours at several recalls, exact ones, building.
//!
//! `cargo bench --features __internals --profile dev --bench clusters`
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "recalls are what this bench is run for; it must stop if it cannot prepare its data"
)]

#[expect(dead_code, reason = "planted codes have no clusters")]
#[path = "measure/data.rs"]
mod data;
mod measure;

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use data::{Data, Kind, WIDTH};
use hashdb::Level;
use hashdb::internals::index::{
    Budget, ClusterColumns, Clusters, Counters, Neighbor, Rows, TopK, Within, scan,
};
use measure::{Race, Random};

const ROWS: u32 = 1_000_000;
const QUERIES: usize = 2_000;

/// A segment with its lists, and queries that are not in it.
struct Lists<'a> {
    rows: Rows<'a>,
    clusters: Clusters<'a>,
    queries: &'a [Vec<u8>],
    level: Level,
}

impl Lists<'_> {
    fn scan(&self, query: &[u8], k: usize) -> Vec<Neighbor> {
        let mut top = TopK::new(k);
        scan(&self.rows, self.level, query, &mut top, |_| true, &mut Counters::default());
        top.into_sorted()
    }

    fn lists(&self, query: &[u8], k: usize, budget: Budget, counters: &mut Counters) -> TopK {
        let (mut top, probe) = (TopK::new(k), self.clusters.probe(self.level, query));
        self.clusters.scan_lists(&probe, budget, &self.rows, &mut top, |_| true, counters);
        top
    }

    fn rings(&self, query: &[u8], k: usize) -> Vec<Neighbor> {
        let (mut top, probe) = (TopK::new(k), self.clusters.probe(self.level, query));
        let mut counters = Counters::default();
        self.clusters.scan_rings(&probe, &self.rows, &mut top, |_| true, &mut counters);
        top.into_sorted()
    }

    fn within(&self, query: &[u8], radius: u32) -> Vec<Neighbor> {
        let (mut within, probe) = (Within::new(radius), self.clusters.probe(self.level, query));
        let mut counters = Counters::default();
        self.clusters.scan_rings(&probe, &self.rows, &mut within, |_| true, &mut counters);
        within.into_sorted()
    }

    /// Prints what the lists find of the 1, 10 and 100 nearest, by distance, and how much they read.
    fn print_recall(&self, name: &str, k: usize, target: f64, budget: Budget) {
        let (mut found, mut counters, sample) = (0, Counters::default(), 300);
        for query in self.queries.iter().take(sample) {
            let farthest = self.scan(query, k)[k - 1].distance;
            let answer = self.lists(query, k, budget, &mut counters).into_sorted();
            found += answer.iter().filter(|n| n.distance <= farthest).count();
        }
        let recall = found as f64 / (k * sample) as f64;
        let (lists, rows) = (budget.lists(), counters.distances / sample as u64);
        println!("RECALL {name}, k = {k}: {recall:.4} for {target}, {lists} lists, {rows} rows");
        assert!(recall > target - 0.01, "the calibration promises too much");
    }

    fn race(&self, criterion: &mut Criterion, name: &str) {
        for query in self.queries.iter().take(50) {
            assert_eq!(self.rings(query, 10), self.scan(query, 10));
            let all = self.scan(query, 1000);
            let radius = all[20].distance;
            let near = all.partition_point(|n| n.distance <= radius);
            assert!(near == 1000 || self.within(query, radius) == all[..near]);
        }
        let mut fresh = self.queries.iter().cycle();
        let mut next = move || black_box(fresh.next().unwrap());
        let mut race = Race::new(format!("10 of {ROWS} {name} codes"));
        race.run(criterion, "scan", || drop(black_box(self.scan(next(), 10))));
        race.run(criterion, "rings, exact", || drop(black_box(self.rings(next(), 10))));
        race.run(criterion, "probe", || drop(black_box(self.clusters.probe(self.level, next()))));
        race.run(criterion, "probe and ring rows", || {
            let probe = self.clusters.probe(self.level, next());
            black_box(self.clusters.ring_rows(&probe, 40));
        });
        for (k, target) in [(10, 0.9), (10, 0.95), (10, 0.99), (1, 0.95), (100, 0.95)] {
            let Some(budget) = self.clusters.budget(k, target) else {
                println!("RECALL {name}, k = {k}: {target} is not promised");
                continue;
            };
            self.print_recall(name, k, target, budget);
            race.run(criterion, &format!("k = {k} at {target}"), || {
                let top = self.lists(next(), k, budget, &mut Counters::default());
                drop(black_box(top.into_sorted()));
            });
        }
    }
}

fn clusters(criterion: &mut Criterion) {
    for (name, kind) in [("mixture", Kind::Mixture), ("smooth", Kind::Smooth)] {
        let Data { codes, queries } = Data::new(kind, ROWS as usize, QUERIES);
        let (level, start) = (Level::best(), Instant::now());
        let columns = ClusterColumns::build(level, &codes, WIDTH).unwrap();
        println!("BUILD {ROWS} {name} codes: {:.1?}", start.elapsed());
        let ids = Random(12).bytes(8 * ROWS as usize);
        let addresses: Vec<u8> = (0..ROWS).flat_map(u32::to_le_bytes).collect();
        let start = Instant::now();
        let clusters = Clusters::open(columns.borrow(), ROWS, WIDTH).unwrap();
        println!("OPEN {} lists: {:.1?}", clusters.lists(), start.elapsed());
        let rows = Rows::new(&ids, &addresses, &codes, WIDTH).unwrap();
        assert!(clusters.matches(&rows));
        Lists { rows, clusters, queries: &queries, level }.race(criterion, name);
    }
}

criterion_group!(benches, clusters);
criterion_main!(benches);
