//! Scans and the best k against sorting everything.

use proptest::prelude::*;

use super::*;
use crate::hamming::{self, Level};

/// The columns of some rows; few distinct codes and addresses, so that ties abound.
struct Columns {
    ids: Vec<u8>,
    addresses: Vec<u8>,
    codes: Vec<u8>,
    code_bytes: usize,
}

impl Columns {
    fn new(rows: usize, code_bytes: usize, seed: u64) -> Self {
        let mut state = seed | 1;
        let mut next = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        // Ids fall, so that the order of rows is not the order of ids.
        let ids = (0..rows as u64).rev().flat_map(|id| (id * 3).to_le_bytes()).collect();
        let addresses =
            (0..rows).flat_map(|_| (next() & 0x0000_00ff_0000_0f0f).to_le_bytes()[..4].to_vec());
        let addresses = addresses.collect();
        let codes =
            (0..rows * code_bytes / 8).flat_map(|_| (next() & next() & next()).to_le_bytes());
        Self { ids, addresses, codes: codes.collect(), code_bytes }
    }

    fn rows(&self) -> Rows<'_> {
        Rows::new(&self.ids, &self.addresses, &self.codes, self.code_bytes).unwrap()
    }
}

/// Every live row with a distance of one's own choice, in the order of answers.
fn sorted(rows: &Rows<'_>, distance: impl Fn(usize) -> u32) -> Vec<Neighbor> {
    let neighbor =
        |row| Neighbor { distance: distance(row), id: rows.id(row), address: rows.address(row) };
    let mut all: Vec<_> = (0..rows.len()).map(neighbor).filter(|n| live(n.id)).collect();
    all.sort_unstable();
    all
}

/// A third of the records was deleted.
fn live(id: u64) -> bool {
    !id.is_multiple_of(9)
}

/// Row counts around the sizes of blocks and groups.
const ROWS: [usize; 12] = [0, 1, 2, 31, 32, 33, 64, 1023, 1024, 1025, 2048, 3000];

#[test]
fn scans_equal_sorting_everything() {
    for (rows, code_bytes) in ROWS.into_iter().flat_map(|rows| [(rows, 8), (rows, 24), (rows, 32)])
    {
        let columns = Columns::new(rows, code_bytes, 7);
        let rows = columns.rows();
        let query = vec![0x11; code_bytes];
        let all = sorted(&rows, |row| hamming::distance(&query, rows.code(row)));
        for level in Level::available() {
            let mut counters = Counters::default();
            for k in [0, 1, 2, 10, 100, rows.len(), usize::MAX] {
                let mut top = TopK::new(k);
                scan(&rows, level, &query, &mut top, live, &mut counters);
                assert_eq!(top.into_sorted(), all[..k.min(all.len())], "{level}, k = {k}");
            }
            for radius in [0, 10, 20, 64, u32::MAX] {
                let mut within = Within::new(radius);
                scan(&rows, level, &query, &mut within, live, &mut counters);
                assert_eq!(
                    within.into_sorted(),
                    all[..all.partition_point(|n| n.distance <= radius)],
                    "{level}"
                );
            }
            assert_eq!(counters.distances, 11 * rows.len() as u64);
            assert_eq!((counters.probes, counters.candidates), (0, 0));
        }
    }
}

#[test]
fn a_batch_answers_what_scans_answer() {
    for (rows, code_bytes) in ROWS.into_iter().flat_map(|rows| [(rows, 8), (rows, 40)]) {
        let columns = Columns::new(rows, code_bytes, 12);
        let rows = columns.rows();
        for (level, count) in Level::available().into_iter().flat_map(|l| [(l, 0), (l, 3), (l, 21)])
        {
            let queries: Vec<_> =
                (0_u8..count).map(|query| vec![query.wrapping_mul(37); code_bytes]).collect();
            let queries: Vec<_> = queries.iter().map(Vec::as_slice).collect();
            // Every query asks for another number of neighbours, the first for none.
            let mut together: Vec<_> = (0..queries.len()).map(|k| TopK::new(k * k)).collect();
            let mut alone = together.clone();
            let (mut counters, mut expected) = (Counters::default(), Counters::default());
            scan_batch(&rows, level, &queries, &mut together, live, &mut counters);
            for (query, top) in queries.iter().zip(&mut alone) {
                scan(&rows, level, query, top, live, &mut expected);
            }
            let answers = |tops: Vec<TopK>| tops.into_iter().map(TopK::into_sorted);
            assert!(answers(together).eq(answers(alone)), "{level}, {count} queries");
            assert_eq!(counters, expected);

            let mut together = vec![Within::new(20); queries.len()];
            scan_batch(&rows, level, &queries, &mut together, live, &mut counters);
            for (query, within) in queries.iter().zip(together) {
                let mut alone = Within::new(20);
                scan(&rows, level, query, &mut alone, live, &mut expected);
                assert_eq!(within.into_sorted(), alone.into_sorted(), "{level}");
            }
        }
    }
}

#[test]
fn a_scan_behind_prefixes_answers_what_a_scan_answers() {
    for (rows, code_bytes) in ROWS.into_iter().flat_map(|r| [(r, 24), (r, 32), (r, 128)]) {
        let columns = Columns::new(rows, code_bytes, 13);
        let column = PrefixColumn::build(&columns.codes, code_bytes).unwrap();
        let prefixes = Prefixes::open(&column.bytes, rows, code_bytes).unwrap();
        let rows = columns.rows();
        let query: Vec<_> = (0..code_bytes).map(|i| [0x11, 0, 0x80][i % 3]).collect();
        for level in Level::available() {
            let mut counters = Counters::default();
            for k in [0, 1, 10, 500, usize::MAX] {
                let (mut found, mut expected) = (TopK::new(k), TopK::new(k));
                prefixes.scan(&rows, level, &query, &mut found, live, &mut counters);
                scan(&rows, level, &query, &mut expected, live, &mut Counters::default());
                assert_eq!(found.into_sorted(), expected.into_sorted(), "{level}, k = {k}");
            }
            for radius in [0, 20, 25, 30, 40, 200, u32::MAX] {
                let (mut found, mut expected) = (Within::new(radius), Within::new(radius));
                let mut counters = Counters::default();
                prefixes.scan(&rows, level, &query, &mut found, live, &mut counters);
                scan(&rows, level, &query, &mut expected, live, &mut Counters::default());
                assert_eq!(found.into_sorted(), expected.into_sorted(), "{level}, {radius}");
                let passes = |row: &[u8]| hamming::distance(&query[..16], &row[..16]) <= radius;
                let passed = rows.codes().chunks(code_bytes).filter(|row| passes(row)).count();
                assert_eq!(
                    (counters.candidates, counters.distances),
                    (passed as u64, passed as u64)
                );
                let rate = prefixes.pass_rate(level, &query, radius);
                let share = passed as f64 / rows.len().max(1) as f64;
                // A thousand rows tell a share within three standard deviations of 1.6 %.
                let error = if rows.len() <= 1024 { 1e-9 } else { 0.05 };
                assert!((rate - share).abs() <= error, "{rate} for {share}");
            }
        }
    }
}

#[test]
fn prefixes_are_for_wider_codes_and_match_their_rows() {
    for code_bytes in [8, 16] {
        assert_eq!(PrefixColumn::build(&[0; 160], code_bytes), None);
        let error = Prefixes::open(&[0; 160], 10, code_bytes).unwrap_err().to_string();
        assert_eq!(error, format!("code bytes is {code_bytes}, out of range"));
    }
    let error = Prefixes::open(&[0; 160], 10, 33).unwrap_err().to_string();
    assert_eq!(error, "code bytes is 33, out of range");
    let error = Prefixes::open(&[0; 159], 10, 32).unwrap_err().to_string();
    assert_eq!(error, "prefixes is 159, expected 160");
    let codes: Vec<_> = (0..48).collect();
    let expected: Vec<_> = (0..16).chain(24..40).collect();
    assert_eq!(PrefixColumn::build(&codes, 24).unwrap().bytes, expected);
}

#[test]
fn what_is_known_of_the_answer_bounds_the_search() {
    let columns = Columns::new(2000, 16, 11);
    let (rows, query) = (columns.rows(), [0x11; 16]);
    let all = sorted(&rows, |row| hamming::distance(&query, rows.code(row)));
    for k in [1, 10, 100] {
        for limit in [all[k - 1].distance, all[k - 1].distance + 1, 127, 128, u32::MAX] {
            let mut top = TopK::new(k);
            top.narrow(limit);
            assert_eq!(Collect::limit(&top), limit);
            scan(&rows, Level::best(), &query, &mut top, live, &mut Counters::default());
            assert_eq!(top.into_sorted(), all[..k], "k = {k}, limit {limit}");
        }
    }
    let mut short = TopK::new(10);
    short.narrow(all[0].distance - 1);
    scan(&rows, Level::best(), &query, &mut short, live, &mut Counters::default());
    assert!(short.into_sorted().is_empty());
}

#[test]
fn scans_of_addresses_equal_comparing_each() {
    for rows in ROWS {
        let columns = Columns::new(rows, 8, 8);
        let rows = columns.rows();
        for address in [0, u32::MAX, 0x0f0f] {
            for (level, radius) in
                Level::available().into_iter().flat_map(|l| (0..=33).map(move |r| (l, r)))
            {
                let (mut hits, mut counters) = (Vec::new(), Counters::default());
                ball_scan(&rows, level, address, radius, &mut hits, &mut counters);
                let distance = |row: u32| (address ^ rows.address(row as usize)).count_ones();
                let all =
                    (0_u32..).take(rows.len()).map(|row| Hit { row, distance: distance(row) });
                let expected: Vec<_> = all.filter(|hit| hit.distance <= radius).collect();
                assert_eq!(hits, expected, "{level}");
                assert_eq!(counters.distances, rows.len() as u64);
            }
        }
    }
}

#[test]
fn candidates_are_ranked_by_their_codes() {
    let columns = Columns::new(700, 40, 9);
    let (rows, query) = (columns.rows(), [0x24; 40]);
    for step in [1, 3, 10, 699, 700] {
        let positions = (0..800).step_by(step).chain([u32::MAX]);
        let all = sorted(&rows, |row| hamming::distance(&query, rows.code(row)));
        let chosen = |n: &&Neighbor| ((2097 - n.id) / 3).is_multiple_of(step as u64);
        let expected: Vec<_> = all.iter().filter(chosen).copied().collect();
        for (level, k) in Level::available().into_iter().flat_map(|l| [(l, 0), (l, 7), (l, 5000)]) {
            let (mut top, mut counters) = (TopK::new(k), Counters::default());
            rerank(&rows, level, &query, positions.clone(), &mut top, live, &mut counters);
            assert_eq!(
                top.into_sorted(),
                expected[..k.min(expected.len())],
                "{level}, step {step}"
            );
            assert_eq!(counters.distances, 700_u64.div_ceil(step as u64));
        }
    }
}

#[test]
fn liveness_is_asked_only_of_rows_that_would_enter() {
    let columns = Columns::new(3000, 8, 10);
    let asked = std::cell::Cell::new(0);
    let count = |_| {
        asked.set(asked.get() + 1);
        true
    };
    let (mut top, mut counters) = (TopK::new(1), Counters::default());
    scan(&columns.rows(), Level::Scalar, &[0; 8], &mut top, count, &mut counters);
    assert!(asked.get() < 300, "asked {} times", asked.get());
}

#[test]
fn columns_that_disagree_are_damage() {
    let (ids, addresses, codes) = (vec![0; 80], vec![0; 40], vec![0; 320]);
    assert_eq!(Rows::new(&ids, &addresses, &codes, 32).unwrap().len(), 10);
    assert!(Rows::new(&[], &[], &[], 32).unwrap().is_empty());
    let error = |ids: &[u8], addresses: &[u8], codes: &[u8], code_bytes| {
        Rows::new(ids, addresses, codes, code_bytes).unwrap_err().to_string()
    };
    assert_eq!(error(&ids[1..], &addresses, &codes, 32), "ids is 79, expected 72");
    assert_eq!(error(&ids, &addresses[1..], &codes, 32), "addresses is 39, expected 40");
    assert_eq!(error(&ids, &addresses, &codes[..319], 32), "codes is 319, expected 320");
    for code_bytes in [0, 4, 33, 136, usize::MAX] {
        assert_eq!(
            error(&ids, &addresses, &codes, code_bytes),
            format!("code bytes is {code_bytes}, out of range")
        );
    }
}

proptest! {
    #[test]
    fn every_scan_answers_the_same(
        words in 3_usize..=16,
        data in prop::collection::vec(any::<u8>(), 0..20_000),
        sparse in any::<bool>(),
        k in 0_usize..40,
        queries in 0_usize..20,
    ) {
        let code_bytes = words * 8;
        let data: Vec<_> = data.iter().map(|byte| if sparse { byte & 0x11 } else { *byte }).collect();
        let codes = &data[..data.len() / code_bytes * code_bytes];
        let count = codes.len() / code_bytes;
        let ids: Vec<_> = (0..count as u64).rev().flat_map(u64::to_le_bytes).collect();
        let addresses = vec![0; count * 4];
        let rows = Rows::new(&ids, &addresses, codes, code_bytes).unwrap();
        let queries: Vec<_> = rows.codes().chunks(code_bytes).take(queries).collect();
        let column = PrefixColumn::build(codes, code_bytes).unwrap();
        let prefixes = Prefixes::open(&column.bytes, count, code_bytes).unwrap();
        for level in Level::available() {
            let (mut counters, mut tops) = (Counters::default(), vec![TopK::new(k); queries.len()]);
            scan_batch(&rows, level, &queries, &mut tops, live, &mut counters);
            for (query, top) in queries.iter().zip(tops) {
                let mut expected = sorted(&rows, |row| hamming::distance(query, rows.code(row)));
                expected.truncate(k);
                let (mut alone, mut filtered) = (TopK::new(k), TopK::new(k));
                scan(&rows, level, query, &mut alone, live, &mut counters);
                prefixes.scan(&rows, level, query, &mut filtered, live, &mut counters);
                prop_assert_eq!(top.into_sorted(), &expected[..]);
                prop_assert_eq!(alone.into_sorted(), &expected[..]);
                prop_assert_eq!(filtered.into_sorted(), expected);
            }
        }
    }

    #[test]
    fn the_best_k_equal_sorting_everything(
        distances in prop_oneof![
            prop::collection::vec(0_u32..12, 0..600),
            prop::collection::vec(prop_oneof![0_u32..300, 1020_u32..1030, Just(u32::MAX)], 0..600),
        ],
        k in prop_oneof![0_usize..80, Just(usize::MAX)],
        multiplier in prop::sample::select(vec![1_u64, 7, 599, 601]),
        told in 0_usize..600,
    ) {
        let neighbor = |(index, distance): (u64, &u32)| Neighbor {
            distance: *distance,
            id: index * multiplier % 607,
            address: 5,
        };
        let stream: Vec<_> = (0..).zip(&distances).map(neighbor).collect();
        let mut expected = stream.clone();
        expected.sort_unstable();
        expected.truncate(k);
        let (mut all, mut within_limit, mut narrowed) = (TopK::new(k), TopK::new(k), TopK::new(k));
        for (index, neighbor) in stream.into_iter().enumerate() {
            // In the middle of the stream it is told what the k-th distance will be.
            if index == told && expected.len() == k && k > 0 {
                narrowed.narrow(expected[k - 1].distance);
            }
            narrowed.push(neighbor);
            all.push(neighbor);
            if within_limit.limit().is_none_or(|limit| neighbor.distance <= limit) {
                within_limit.push(neighbor);
            }
        }
        prop_assert_eq!(all.into_sorted(), &expected[..]);
        prop_assert_eq!(narrowed.into_sorted(), &expected[..]);
        prop_assert_eq!(within_limit.into_sorted(), expected);
    }
}
