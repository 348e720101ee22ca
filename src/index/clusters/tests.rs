//! Searches in lists against the scan, the promise of the calibration, and damaged columns.

use std::ops::Range;

use proptest::prelude::*;

use super::*;
use crate::hamming::Level;
use crate::index::random::{Both, Impatient, Lazy, Random};
use crate::index::{Alone, Collect, Counters, Neighbor, TopK, Within, Workers, scan};

/// How a word of a code is drawn. Learned codes are anything but uniform.
type Spread = fn(&mut Random) -> u64;

const UNIFORM: Spread = Random::next;
const CLUSTERED: Spread = |random| {
    let centre = [0, u64::MAX, 0x0f0f_0f0f_3333_5555][(random.next() % 3) as usize];
    centre ^ (random.next() & random.next() & random.next())
};
const SKEWED: Spread = |random| random.next() & random.next() & random.next() & 0xffff_0000_00ff;
const ALL_EQUAL: Spread = |_| 0xa5a5_a5a5_a5a5_a5a5;

const SPREADS: [Spread; 4] = [UNIFORM, CLUSTERED, SKEWED, ALL_EQUAL];
const WIDTHS: [usize; 6] = [8, 16, 24, 32, 64, 128];

/// The columns of some rows and of their lists. Ids fall, so that rows are not in their order.
struct Columns {
    ids: Vec<u8>,
    addresses: Vec<u8>,
    codes: Vec<u8>,
    code_bytes: usize,
    lists: ClusterColumns,
}

impl Columns {
    fn new(rows: usize, code_bytes: usize, spread: Spread, seed: u64) -> Self {
        let mut random = Random(seed);
        let words = (0..rows * code_bytes / 8).flat_map(|_| spread(&mut random).to_le_bytes());
        Self::of_codes(words.collect(), code_bytes)
    }

    fn of_codes(codes: Vec<u8>, code_bytes: usize) -> Self {
        let rows = codes.len() / code_bytes;
        let lists = ClusterColumns::build(Level::best(), &codes, code_bytes).unwrap();
        let ids = (0..rows as u64).rev().flat_map(|id| (id * 3).to_le_bytes()).collect();
        let addresses = (0..u32::try_from(rows).unwrap()).flat_map(u32::to_le_bytes).collect();
        Self { ids, addresses, codes, code_bytes, lists }
    }

    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.ids, &self.addresses, &self.codes, self.code_bytes).unwrap()
    }

    fn clusters(&self) -> Clusters<'_> {
        let rows = u32::try_from(self.rows().len()).unwrap();
        Clusters::open(self.lists.borrow(), rows, self.code_bytes).unwrap()
    }

    /// A code of a row, somewhat changed.
    fn query(&self, random: &mut Random) -> Vec<u8> {
        let rows = self.codes.len() / self.code_bytes;
        let mut query = vec![0; self.code_bytes];
        if rows > 0 {
            let row = usize::try_from(random.next()).unwrap() % rows;
            query.copy_from_slice(self.rows().code(row));
        }
        for _ in 0..random.next() % 20 {
            let unit = usize::try_from(random.next()).unwrap() % (self.code_bytes * 8);
            query[unit / 8] ^= 1 << (unit % 8);
        }
        query
    }
}

/// A third of the records was deleted.
fn live(id: u64) -> bool {
    !id.is_multiple_of(9)
}

/// What the scan and the rings find, in order.
fn both<C: Collect + Clone>(columns: &Columns, level: Level, query: &[u8], into: &C) -> [C; 2] {
    let (mut scanned, mut ringed) = (into.clone(), into.clone());
    let (rows, clusters, mut counters) = (columns.rows(), columns.clusters(), Counters::default());
    scan(&rows, level, query, &mut scanned, live, &mut counters);
    clusters.scan_rings(&clusters.probe(level, query), &rows, &mut ringed, live, &mut counters);
    assert!(counters.distances <= 2 * rows.len() as u64);
    [scanned, ringed]
}

fn assert_exact(columns: &Columns, queries: usize) {
    let (mut random, rows) = (Random(3), columns.rows().len());
    for level in Level::available() {
        for _ in 0..queries {
            let query = columns.query(&mut random);
            for k in [0, 1, 2, 10, 100, rows, usize::MAX] {
                let [expected, found] = both(columns, level, &query, &TopK::new(k));
                assert_eq!(found.into_sorted(), expected.into_sorted(), "{level}, k = {k}");
            }
            for radius in [0, 5, 20, 31, 90, 1024, u32::MAX] {
                let [expected, found] = both(columns, level, &query, &Within::new(radius));
                assert_eq!(found.into_sorted(), expected.into_sorted(), "{level}, {radius}");
            }
        }
    }
}

#[test]
fn rings_equal_the_scan() {
    for (code_bytes, spread) in WIDTHS.into_iter().flat_map(|w| SPREADS.map(|s| (w, s))) {
        for rows in [0, 1, 2, 3, 40, 1500] {
            assert_exact(&Columns::new(rows, code_bytes, spread, 7), 2);
        }
    }
}

#[test]
fn rings_equal_the_scan_over_many_lists() {
    for spread in SPREADS {
        assert_exact(&Columns::new(20_000, 32, spread, 8), 2);
    }
}

/// All entries that are as near as the last of the nearest were once kept, however many: the lists of a segment
/// of equal codes took memory with the square of its rows when they were calibrated.
#[test]
fn equal_codes_are_counted_rather_than_kept() {
    let codes = vec![0x5a; 20_000 * 8];
    let lists = ClusterColumns::build(Level::best(), &codes, 8).unwrap();
    let calibration = &lists.calibration;
    assert_eq!(calibration[..4], 1_u32.to_le_bytes());
    // The nearest list has them all.
    assert_eq!(calibration[4..6], u16::MAX.to_le_bytes());
}

#[test]
fn two_distinct_codes_make_two_lists() {
    let codes: Vec<u8> = (0..3000).flat_map(|row| [[0x11; 32], [0xee; 32]][row % 3 / 2]).collect();
    let columns = Columns::of_codes(codes, 32);
    assert_eq!(columns.clusters().lists(), 2);
    assert_exact(&columns, 3);
}

#[test]
fn a_lower_limit_reads_fewer_rows() {
    let columns = Columns::new(20_000, 32, CLUSTERED, 8);
    let (rows, clusters) = (columns.rows(), columns.clusters());
    let probe_query = columns.query(&mut Random(1));
    let probe = clusters.probe(Level::best(), &probe_query);
    assert!(clusters.ring_rows(&probe, 5) < 10_000);
    assert_eq!(clusters.ring_rows(&probe, 1024), 20_000);
    for radius in [0, 5, 40, 256] {
        let mut counters = Counters::default();
        clusters.scan_rings(&probe, &rows, &mut Within::new(radius), live, &mut counters);
        assert_eq!(counters.distances, clusters.ring_rows(&probe, radius));
    }
}

#[test]
fn lists_give_true_distances_of_living_rows() {
    for spread in SPREADS {
        let columns = Columns::new(5000, 32, spread, 9);
        let (rows, clusters, mut random) = (columns.rows(), columns.clusters(), Random(2));
        for lists in [0, 1, 3, 20, u32::MAX] {
            let query = columns.query(&mut random);
            let [all, _] = both(&columns, Level::best(), &query, &TopK::new(usize::MAX));
            let all = all.into_sorted();
            for level in Level::available() {
                let (mut top, mut counters) = (TopK::new(50), Counters::default());
                let (probe, budget) = (clusters.probe(level, &query), Budget::of_lists(lists));
                let scanned =
                    clusters.scan_lists(&probe, budget, &rows, &mut top, live, &mut counters);
                let found = top.into_sorted();
                assert_eq!(scanned, clusters.lists().min(budget.lists()));
                assert_eq!(counters.probes, scanned as u64);
                assert!(found.is_sorted() && found.iter().all(|n| all.binary_search(n).is_ok()));
                if lists == u32::MAX {
                    assert_eq!(found, all[..50]);
                    assert_eq!(counters.distances, 5000);
                }
            }
        }
    }
}

/// The sign of random sums of a few latent numbers: near rows everywhere, and no clusters.
fn smooth(rows: usize, random: &mut Random, sums: &[[f64; 8]]) -> Vec<u8> {
    #[expect(clippy::cast_precision_loss, reason = "any number near will do")]
    let mut number = || (0..4).map(|_| (random.next() >> 40) as f64 / 8e6 - 1.0).sum::<f64>();
    let mut codes = vec![0; rows * sums.len() / 8];
    for code in codes.chunks_mut(sums.len() / 8) {
        let latent: [f64; 8] = std::array::from_fn(|_| number());
        for (unit, sum) in sums.iter().enumerate() {
            let value: f64 = sum.iter().zip(latent).map(|(a, b)| a * b).sum();
            code[unit / 8] |= u8::from(value > 0.0) << (7 - unit % 8);
        }
    }
    codes
}

#[test]
fn the_promised_recall_is_kept_on_new_queries() {
    let mut random = Random(5);
    #[expect(clippy::cast_precision_loss, reason = "any number near will do")]
    let mut weight = || (random.next() >> 32) as f64 - f64::from(1 << 31);
    let sums: Vec<[f64; 8]> = (0..256).map(|_| std::array::from_fn(|_| weight())).collect();
    let columns = Columns::of_codes(smooth(30_000, &mut Random(6), &sums), 32);
    let (rows, clusters, level) = (columns.rows(), columns.clusters(), Level::best());
    let queries = smooth(300, &mut Random(7), &sums);
    for (k, target) in [(1_u16, 0.9), (10, 0.8), (10, 0.95), (7, 0.9), (100, 0.9)] {
        let (all, k) = (f64::from(300 * k), usize::from(k));
        let budget = clusters.budget(k, target).unwrap();
        assert!(budget.lists() < clusters.lists() / 4);
        let (mut found, mut counters) = (0, Counters::default());
        for query in queries.chunks(32) {
            let (mut exact, mut top) = (TopK::new(k), TopK::new(k));
            scan(&rows, level, query, &mut exact, |_| true, &mut counters);
            let limit = exact.into_sorted()[k - 1].distance;
            let probe = clusters.probe(level, query);
            clusters.scan_lists(&probe, budget, &rows, &mut top, |_| true, &mut counters);
            found += top.into_sorted().iter().filter(|n| n.distance <= limit).count();
        }
        let recall = f64::from(u32::try_from(found).unwrap()) / all;
        assert!(recall >= target, "{recall} for k = {k}, {target} promised by {budget:?}");
    }
}

#[test]
fn a_budget_grows_with_what_is_asked_and_ends_where_nothing_was_measured() {
    let columns = Columns::new(20_000, 32, CLUSTERED, 8);
    let clusters = columns.clusters();
    for k in [1, 10, 100] {
        let budgets = [0.0, 0.1, 0.3].map(|recall| clusters.budget(k, recall));
        assert!(budgets.is_sorted() && budgets[0] == Some(Budget::of_lists(1)));
    }
    assert_eq!(clusters.budget(2, 0.3), clusters.budget(10, 0.3));
    for (k, recall) in [(0, 0.5), (101, 0.5), (10, 1.1), (10, f64::NAN), (10, f64::INFINITY)] {
        assert_eq!(clusters.budget(k, recall), None);
    }
    let mut lists = columns.lists.borrow();
    lists.calibration = &[];
    assert_eq!(Clusters::open(lists, 20_000, 32).unwrap().budget(1, 0.1), None);
}

#[test]
fn every_level_builds_the_same_columns() {
    let columns = Columns::new(3000, 24, CLUSTERED, 4);
    for level in Level::available() {
        let built = ClusterColumns::build(level, &columns.codes, 24).unwrap();
        assert_eq!(built, columns.lists, "{level}");
    }
}

#[test]
fn the_columns_are_the_same_whoever_works_and_in_whatever_order() {
    for (rows, code_bytes, kind) in [(0, 32, UNIFORM), (1, 8, UNIFORM), (30_000, 32, CLUSTERED)] {
        let columns = Columns::new(rows, code_bytes, kind, 4);
        for workers in [&Both as &dyn Workers, &Lazy] {
            let level = Level::best();
            let built = ClusterColumns::build_by(workers, level, &columns.codes, code_bytes);
            assert_eq!(built.unwrap().unwrap(), columns.lists);
        }
    }
}

/// Whenever it is, and no half of a column is given away.
#[test]
fn a_builder_that_is_stopped_gives_nothing() {
    let columns = Columns::new(3000, 24, CLUSTERED, 4);
    let mut stopped = 0;
    for patience in (0..).map(|step| step * step) {
        let workers = Impatient(patience.into());
        match ClusterColumns::build_by(&workers, Level::best(), &columns.codes, 24).unwrap() {
            None => stopped += 1,
            Some(built) => {
                assert_eq!(built, columns.lists);
                break;
            }
        }
    }
    assert!(stopped > 3, "it was stopped {stopped} times");
}

/// Centroids that are all alike fall into one group, and the key of a comparison has 16 bits for the member:
/// the batched assignment would have stopped with a panic on a segment of many equal codes.
#[test]
fn more_equal_centroids_than_a_key_can_name_are_still_searched() {
    let count = crate::hamming::MOST_KEYED + 300;
    let mut centroids = vec![0; count * 8];
    centroids[(count - 1) * 8..].fill(0xff);
    let nearest = super::nearest::Nearest::new(&Both, Level::best(), &centroids, 8).unwrap();
    let found = nearest.find(&Alone, &[[0; 8], [0xff; 8]].concat()).unwrap();
    assert_eq!(found.iter().map(|(_, distance)| *distance).collect::<Vec<_>>(), [0, 0]);
    assert_eq!(found[1].0, u32::try_from(count - 1).unwrap());
}

#[test]
fn only_whole_codes_are_built() {
    let cut = Corruption::Mismatch { field: "codes", expected: 64, found: 65 };
    assert_eq!(ClusterColumns::build(Level::best(), &[0; 65], 32), Err(cut));
    for code_bytes in [0, 4, 33, 136] {
        let width = Corruption::OutOfRange { field: "code bytes", value: code_bytes as u64 };
        assert_eq!(ClusterColumns::build(Level::best(), &[], code_bytes), Err(width));
    }
}

#[test]
fn lists_are_worthwhile_over_many_rows() {
    assert!(!Clusters::worthwhile(0) && !Clusters::worthwhile(16_383));
    assert!(Clusters::worthwhile(16_384) && Clusters::worthwhile(u32::MAX));
}

#[test]
fn damaged_columns_are_named() {
    let columns = Columns::new(600, 16, CLUSTERED, 6);
    let lists = columns.clusters().lists();
    let error = |damage: &dyn Fn(&mut ClusterColumns)| {
        let mut columns = columns.lists.clone();
        damage(&mut columns);
        Clusters::open(columns.borrow(), 600, 16).unwrap_err().to_string()
    };
    let cut = |field, found: usize, expected: usize| {
        format!("cluster {field} is {found}, expected {expected}")
    };
    assert_eq!(error(&|c| c.centroids.push(0)), cut("centroids", lists * 16 + 1, lists * 16));
    assert_eq!(error(&|c| c.centroids.clear()), cut("offsets", lists * 4 + 4, 4));
    assert_eq!(error(&|c| c.offsets.clear()), cut("offsets", 0, lists * 4 + 4));
    assert_eq!(error(&|c| c.rows.truncate(2396)), cut("rows", 2396, 2400));
    assert_eq!(error(&|c| c.distances.push(0)), cut("distances", 1201, 1200));
    assert_eq!(error(&|c| c.codes.truncate(1)), cut("codes", 1, 9600));
    assert_eq!(error(&|c| c.offsets[7] = 255), "cluster offsets is not sorted");
    assert_eq!(error(&|c| c.offsets.fill(0)), "cluster offsets is 0, expected 600");
    assert_eq!(error(&|c| c.offsets[0] = 1), "cluster offsets is 1, expected 0");
    assert_eq!(
        error(&|c| c.rows[..4].copy_from_slice(&600_u32.to_le_bytes())),
        "cluster rows is 600, out of range"
    );
    let second = columns.lists.rows.as_chunks::<4>().0[1];
    let twice = format!("cluster rows is {}, out of range", u32::from_le_bytes(second));
    assert_eq!(error(&|c| c.rows.copy_within(4..8, 0)), twice);
    let wide = |c: &mut ClusterColumns| c.distances.fill(0xff);
    assert_eq!(error(&wide), "cluster distances is 65535, out of range");
    let longest = columns.clusters();
    let longest = (0..lists).map(|list| longest.entries(list)).max_by_key(Range::len).unwrap();
    let first = longest.start * 2;
    assert_eq!(error(&|c| c.distances[first] = 129), "cluster distances is not sorted");
    assert_eq!(error(&|c| c.calibration.truncate(17)), "3 bytes are missing");
    assert_eq!(error(&|c| c.calibration[0] = 0), "cluster calibration is 0, out of range");
    assert_eq!(error(&|c| c.calibration[2] = 1), "cluster calibration is 65537, out of range");
    assert!(Clusters::open(columns.lists.borrow(), 599, 16).is_err());
    assert!(Clusters::open(columns.lists.borrow(), 600, 8).is_err());
}

#[test]
fn copies_that_differ_from_the_rows_are_noticed() {
    let columns = Columns::new(600, 16, CLUSTERED, 6);
    let matches = |damage: fn(&mut ClusterColumns)| {
        let mut lists = columns.lists.clone();
        damage(&mut lists);
        Clusters::open(lists.borrow(), 600, 16).unwrap().matches(&columns.rows())
    };
    assert!(matches(|_| {}));
    assert!(!matches(|c| c.codes[5000] ^= 1));
    assert!(!matches(|c| c.centroids[17] ^= 1));
    assert!(!matches(|c| {
        let (first, second) = c.rows.split_at_mut(1200);
        first.swap_with_slice(second);
    }));
    let (other, shorter) =
        (Columns::new(600, 16, CLUSTERED, 7), Columns::new(599, 16, CLUSTERED, 6));
    assert!(!columns.clusters().matches(&other.rows()));
    assert!(!columns.clusters().matches(&shorter.rows()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flipped_bytes_never_panic(
        damage in prop::collection::vec((0_usize..6, any::<prop::sample::Index>(), any::<u8>()), 1..8),
        seed: u64,
        k in 0_usize..50,
        radius in 0_u32..200,
    ) {
        let columns = Columns::new(200, 16, CLUSTERED, 11);
        let mut lists = columns.lists.clone();
        for (column, at, byte) in damage {
            let ClusterColumns { centroids, offsets, rows, distances, codes, calibration } = &mut lists;
            let column = [centroids, codes, calibration, distances, rows, offsets][column].as_mut_slice();
            column[at.index(column.len())] = byte;
        }
        if let Ok(clusters) = Clusters::open(lists.borrow(), 200, 16) {
            search_everything(&clusters, &columns, &columns.query(&mut Random(seed)), k, radius);
        }
    }

    #[test]
    fn random_bytes_of_the_right_lengths_never_panic(
        (rows, lists) in (1_u32..6).prop_flat_map(|rows| (Just(rows), 1..=rows)),
        bytes in prop::collection::vec(any::<u8>(), 256),
        order in Just(vec![0_u32, 1, 2, 3, 4]).prop_shuffle(),
        near: bool,
    ) {
        let mut ends: Vec<u32> = (0..lists).collect();
        ends.push(rows);
        let take = |count: usize| bytes[..count].to_vec();
        let height = rows as usize;
        // Half of the time the distances are what they must be at least: in order.
        let distances: Vec<u8> = (0..rows).flat_map(|_| if near { [3, 0] } else { [bytes[0], bytes[1] & 1] }).collect();
        let order = order.into_iter().filter(|row| *row < rows);
        let columns = ClusterColumns {
            centroids: take(lists as usize * 8),
            offsets: ends.into_iter().flat_map(u32::to_le_bytes).collect(),
            rows: order.flat_map(u32::to_le_bytes).collect(),
            distances,
            codes: take(height * 8),
            calibration: Vec::new(),
        };
        let opened = Clusters::open(columns.borrow(), rows, 8);
        prop_assert!(opened.is_ok() || !near, "{:?}", opened.err());
        if let Ok(clusters) = opened {
            let data = Columns::of_codes(bytes[..height * 8].to_vec(), 8);
            search_everything(&clusters, &data, &bytes[200..208], 3, 20);
        }
    }
}

/// Every search; the answers may be wrong, but name living rows.
fn search_everything(
    clusters: &Clusters<'_>,
    columns: &Columns,
    query: &[u8],
    k: usize,
    radius: u32,
) {
    let (rows, mut counters) = (columns.rows(), Counters::default());
    let is_row = |n: &Neighbor| live(n.id) && n.id < 600;
    for level in Level::available() {
        let probe = clusters.probe(level, query);
        let (mut top, mut within) = (TopK::new(k), Within::new(radius));
        clusters.scan_lists(&probe, Budget::of_lists(9), &rows, &mut top, live, &mut counters);
        clusters.scan_rings(&probe, &rows, &mut within, live, &mut counters);
        assert!(top.into_sorted().iter().chain(&within.into_sorted()).all(is_row));
    }
    assert!(clusters.ring_rows(&clusters.probe(Level::Scalar, query), radius) <= 200);
    let _either = (clusters.budget(k, 0.9), clusters.matches(&rows));
}
