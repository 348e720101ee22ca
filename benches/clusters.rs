//! Cluster lists against the scan: approximate neighbours at several recalls, exact ones, building.
//!
//! `cargo bench --features __internals --profile dev --bench clusters`
#![expect(
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "random bits are cut to size; recalls are what this bench is run for; it must stop if it cannot prepare its data"
)]

mod measure;

use std::hint::black_box;
use std::time::Instant;

use criterion::{Criterion, criterion_group, criterion_main};
use hashdb::Level;
use hashdb::internals::index::{
    Budget, ClusterColumns, Clusters, Counters, Neighbor, Rows, TopK, Within, scan,
};
use measure::{Race, Random};

const ROWS: u32 = 1_000_000;
const QUERIES: usize = 2_000;
const BYTES: usize = 32;

/// Features of an item before they become a code.
type Features = [f32; 64];

/// Where codes come from: signs of random sums of features.
struct Source {
    random: Random,
    sums: Vec<[f32; 8 * BYTES]>,
    kind: Kind,
}

enum Kind {
    /// Tight clusters, 200 rows each, themselves in groups of 25.
    Mixture(Vec<Features>),
    /// Twenty latent numbers and some noise, no clusters: the harder and the more honest one.
    Smooth(Vec<Features>),
}

impl Source {
    fn mixture() -> Self {
        let mut random = Random(11);
        let sums = (0..64).map(|_| std::array::from_fn(|_| normal(&mut random))).collect();
        let clusters = ROWS as usize / 200;
        let groups: Vec<Features> = features(&mut random, clusters / 25);
        let centre = |index: usize| {
            std::array::from_fn(|i| groups[index % groups.len()][i] + 0.6 * normal(&mut random))
        };
        let centres = (0..clusters).map(centre).collect();
        Self { random, sums, kind: Kind::Mixture(centres) }
    }

    fn smooth() -> Self {
        let mut random = Random(11);
        let sums = (0..64).map(|_| std::array::from_fn(|_| normal(&mut random))).collect();
        let latent = features(&mut random, 20);
        Self { random, sums, kind: Kind::Smooth(latent) }
    }

    fn features(&mut self) -> Features {
        let (mut features, noise) = match &self.kind {
            Kind::Mixture(centres) => (centres[self.random.next() as usize % centres.len()], 0.45),
            Kind::Smooth(latent) => {
                let mut features = [0.0; 64];
                for direction in latent {
                    let share = normal(&mut self.random);
                    features.iter_mut().zip(direction).for_each(|(f, d)| *f += share * d);
                }
                (features, 0.5)
            }
        };
        features.iter_mut().for_each(|feature| *feature += noise * normal(&mut self.random));
        features
    }

    fn codes(&mut self, count: usize) -> Vec<u8> {
        let mut codes = vec![0; count * BYTES];
        for code in codes.chunks_mut(BYTES) {
            let features = self.features();
            let mut values = [0.0; 8 * BYTES];
            for (feature, sums) in features.iter().zip(&self.sums) {
                values.iter_mut().zip(sums).for_each(|(value, sum)| *value += feature * sum);
            }
            for (unit, value) in values.iter().enumerate() {
                code[unit / 8] |= u8::from(*value > 0.0) << (7 - unit % 8);
            }
        }
        codes
    }
}

/// About a normal number: the sum of four uniform ones.
fn normal(random: &mut Random) -> f32 {
    let bits = random.next();
    let sum: u64 = (0..4).map(|part| bits >> (16 * part) & 0xffff).sum();
    (sum as f32 - 131_070.0) / 37_837.0
}

fn features(random: &mut Random, count: usize) -> Vec<Features> {
    (0..count).map(|_| std::array::from_fn(|_| normal(random))).collect()
}

/// A segment with its lists, and queries that are not in it.
struct Data<'a> {
    rows: Rows<'a>,
    clusters: Clusters<'a>,
    queries: &'a [u8],
    level: Level,
}

impl Data<'_> {
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
        for query in self.queries.chunks(BYTES).take(sample) {
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
        for query in self.queries.chunks(BYTES).take(50) {
            assert_eq!(self.rings(query, 10), self.scan(query, 10));
            let all = self.scan(query, 1000);
            let radius = all[20].distance;
            let near = all.partition_point(|n| n.distance <= radius);
            assert!(near == 1000 || self.within(query, radius) == all[..near]);
        }
        let mut fresh = self.queries.chunks(BYTES).cycle();
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
    for (name, mut source) in [("mixture", Source::mixture()), ("smooth", Source::smooth())] {
        let (codes, queries) = (source.codes(ROWS as usize), source.codes(QUERIES));
        let (level, start) = (Level::best(), Instant::now());
        let columns = ClusterColumns::build(level, &codes, BYTES).unwrap();
        println!("BUILD {ROWS} {name} codes: {:.1?}", start.elapsed());
        let ids = Random(12).bytes(8 * ROWS as usize);
        let addresses: Vec<u8> = (0..ROWS).flat_map(u32::to_le_bytes).collect();
        let start = Instant::now();
        let clusters = Clusters::open(columns.borrow(), ROWS, BYTES).unwrap();
        println!("OPEN {} lists: {:.1?}", clusters.lists(), start.elapsed());
        let rows = Rows::new(&ids, &addresses, &codes, BYTES).unwrap();
        assert!(clusters.matches(&rows));
        Data { rows, clusters, queries: &queries, level }.race(criterion, name);
    }
}

criterion_group!(benches, clusters);
criterion_main!(benches);
