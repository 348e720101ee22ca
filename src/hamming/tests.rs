//! Every level of this processor against a definition that looks at one bit after the other.

use proptest::prelude::*;

use super::*;

/// Bits that differ, counted as slowly and plainly as can be.
fn slow_distance(a: &[u8], b: &[u8]) -> u32 {
    assert_eq!(a.len(), b.len());
    let bit = |bytes: &[u8], i: usize| bytes[i / 8] >> (i % 8) & 1;
    (0..a.len() * 8).map(|i| u32::from(bit(a, i) != bit(b, i))).sum()
}

/// Bytes without a pattern, the same at every run; some stretches are all zeros or all ones.
fn bytes(count: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    (0..count)
        .map(|i| match i / 96 % 5 {
            3 => 0,
            4 => u8::MAX,
            _ => byte(),
        })
        .collect()
}

/// Every level of this processor with each of some numbers.
fn each_level_and(
    numbers: impl Iterator<Item = usize> + Clone,
) -> impl Iterator<Item = (Level, usize)> {
    Level::available().into_iter().flat_map(move |level| numbers.clone().map(move |n| (level, n)))
}

/// What the kernels for rows must report while `narrow` turns each hit's distance and the limit
/// into the next limit.
fn slow_rows(
    query: &[u8],
    rows: &[u8],
    mut limit: u32,
    narrow: fn(u32, u32) -> u32,
) -> Vec<(usize, u32)> {
    let mut hits = Vec::new();
    for (row, code) in rows.chunks_exact(query.len()).enumerate() {
        let distance = slow_distance(query, code);
        if distance <= limit {
            hits.push((row, distance));
            limit = narrow(distance, limit);
        }
    }
    hits
}

fn fast_rows(
    level: Level,
    query: &[u8],
    rows: &[u8],
    mut limit: u32,
    narrow: fn(u32, u32) -> u32,
) -> Vec<(usize, u32)> {
    let mut hits = Vec::new();
    rows_within(level, query, rows, limit, |row, distance| {
        hits.push((row, distance));
        limit = narrow(distance, limit);
        limit
    });
    hits
}

/// The hits of each query, and the limits at the end.
fn fast_batch(
    level: Level,
    width: usize,
    queries: &[u8],
    rows: &[u8],
    limit: u32,
    narrow: fn(u32, u32) -> u32,
) -> (Vec<Vec<(usize, u32)>>, Vec<u32>) {
    let count = queries.len() / width;
    let (mut hits, mut limits) = (vec![Vec::new(); count], vec![limit; count]);
    let mut now = limits.clone();
    batch_within(level, width, queries, rows, &mut limits, |query, row, distance| {
        hits[query].push((row, distance));
        now[query] = narrow(distance, now[query]);
        now[query]
    });
    assert_eq!(limits, now);
    (hits, limits)
}

/// Limits that stay, fall to what was found, and fall below it.
const NARROWINGS: [fn(u32, u32) -> u32; 3] =
    [|_, limit| limit, |distance, _| distance, |distance, _| distance.saturating_sub(1)];

/// Limits between the extremes of codes of a width.
fn limits(width: usize) -> [u32; 6] {
    let bits = u32::try_from(width * 8).unwrap();
    [0, bits / 2 - 4, bits / 2, bits - 1, bits, u32::MAX]
}

#[test]
fn every_level_equals_the_definition_at_every_width_length_and_start() {
    let bytes = bytes(70 * 128 + 256);
    for width in (8..=128).step_by(8) {
        for start in [0, 1, 7, 8, 63] {
            let query = &bytes[bytes.len() - width - start..][..width];
            let all = slow_rows(query, &bytes[start..][..70 * width], u32::MAX, NARROWINGS[0]);
            for (level, count) in each_level_and(0..=70) {
                let rows = &bytes[start..][..count * width];
                let found = fast_rows(level, query, rows, u32::MAX, NARROWINGS[0]);
                assert_eq!(
                    found,
                    all[..count],
                    "{level}, {count} rows of {width} bytes at {start}"
                );
                let mut written = vec![0; count];
                distances(level, query, rows, &mut written);
                assert!(written.iter().eq(found.iter().map(|(_, distance)| distance)), "{level}");
            }
        }
    }
}

#[test]
fn limits_are_inclusive_and_may_fall_at_every_hit() {
    let bytes = bytes(70 * 128 + 160);
    for (level, width) in each_level_and((8..=128).step_by(8)) {
        let (query, rows) = bytes.split_at(width);
        for count in [1, 8, 13, 70] {
            let rows = &rows[3..][..count * width];
            for (limit, narrow) in limits(width).into_iter().zip(NARROWINGS.into_iter().cycle()) {
                let expected = slow_rows(query, rows, limit, narrow);
                assert_eq!(fast_rows(level, query, rows, limit, narrow), expected, "{level}");
            }
        }
    }
}

#[test]
fn a_batch_equals_its_queries_one_by_one() {
    let bytes = bytes(150 * 128 + 128);
    for (level, width) in each_level_and((8..=128).step_by(8)) {
        let (queries, rows) = bytes[1..].split_at(3 * width);
        for count in [0, 1, 15, 16, 17, 31, 63, 64, 65, 80, 127, 128, 130] {
            let rows = &rows[..count * width];
            for (limit, narrow) in limits(width).into_iter().zip(NARROWINGS.into_iter().cycle()) {
                let (hits, _) = fast_batch(level, width, queries, rows, limit, narrow);
                for (query, hits) in queries.chunks_exact(width).zip(hits) {
                    let expected = slow_rows(query, rows, limit, narrow);
                    assert_eq!(hits, expected, "{level}, {count} rows of {width} bytes");
                }
            }
        }
    }
}

#[test]
fn the_nearest_keys_equal_the_definition_at_every_width_and_length() {
    let bytes = bytes(170 * 128 + 64);
    for (level, width) in each_level_and((8..=128).step_by(8)) {
        for (count, rows) in
            [(0, 5), (1, 0), (3, 1), (8, 7), (15, 8), (16, 64), (33, 65), (17, 130)]
        {
            let (queries, rows) = (&bytes[1..][..count * width], &bytes[64..][..rows * width]);
            let (mut one, mut eight) = (vec![7; count], vec![[7; EIGHT]; count]);
            nearest(level, width, queries, rows, &mut one);
            nearest_eight(level, width, queries, rows, &mut eight);
            for (query, found) in queries.chunks_exact(width).zip(one.into_iter().zip(eight)) {
                let keys = (0..).zip(rows.chunks_exact(width));
                let key = |(row, code): (u32, _)| slow_distance(query, code) << 16 | row;
                let mut keys: Vec<u32> = keys.map(key).collect();
                keys.sort_unstable();
                keys.resize(keys.len().max(EIGHT), u32::MAX);
                let expected = (keys[0], <[u32; EIGHT]>::try_from(&keys[..EIGHT]).unwrap());
                assert_eq!(found, expected, "{level}, {width} bytes");
            }
        }
    }
}

#[test]
fn the_last_row_that_a_key_can_name_is_found() {
    let mut rows = vec![0xff; MOST_KEYED * 8];
    rows[(MOST_KEYED - 1) * 8..].fill(0);
    for level in Level::available() {
        let mut keys = [0];
        nearest(level, 8, &[0; 8], &rows, &mut keys);
        assert_eq!(keys, [0xffff], "{level}");
    }
}

#[test]
#[should_panic(expected = "a row fits into its key")]
fn more_rows_than_a_key_can_name_are_refused() {
    nearest(Level::Scalar, 8, &[0; 8], &vec![0; (MOST_KEYED + 1) * 8], &mut [0]);
}

#[test]
fn a_limit_that_would_rise_stays() {
    for level in Level::available() {
        let mut rows = vec![0xff; 40 * 8];
        rows[8 * 20] = 0;
        let mut found = Vec::new();
        let mut note = |row, _| {
            found.push(row);
            if row == 0 { 60 } else { u32::MAX }
        };
        rows_within(level, &[0; 8], &rows, 64, &mut note);
        batch_within(level, 8, &[0; 8], &rows, &mut [64], |_, row, distance| note(row, distance));
        assert_eq!(found, [0, 20, 0, 20], "{level}");
    }
}

#[test]
fn no_queries_and_no_rows_are_no_hits() {
    for level in Level::available() {
        rows_within(level, &[0; 16], &[], u32::MAX, |_, _| unreachable!());
        batch_within(level, 16, &[], &[0; 64], &mut [], |_, _, _| unreachable!());
        batch_within(level, 16, &[0; 16], &[], &mut [9], |_, _, _| unreachable!());
    }
}

#[test]
fn extremes_do_not_overflow_a_lane() {
    for (level, width) in each_level_and((8..=128).step_by(8)) {
        let (query, rows) = (vec![0; width], vec![u8::MAX; 19 * width]);
        let bits = u32::try_from(width * 8).unwrap();
        let expected: Vec<_> = (0..19).map(|row| (row, bits)).collect();
        assert_eq!(fast_rows(level, &query, &rows, bits, NARROWINGS[0]), expected, "{level}");
        assert!(fast_rows(level, &query, &rows, bits - 1, NARROWINGS[0]).is_empty());
        let (hits, _) = fast_batch(level, width, &query, &rows, bits, NARROWINGS[0]);
        assert_eq!(hits, [expected], "{level}");
    }
}

#[test]
#[should_panic(expected = "no width of codes")]
fn codes_of_no_width_are_refused() {
    rows_within(Level::Scalar, &[0; 4], &[0; 8], 0, |_, limit| limit);
}

#[test]
#[should_panic(expected = "whole rows")]
fn rows_that_end_early_are_refused() {
    rows_within(Level::Scalar, &[0; 8], &[0; 12], 0, |_, limit| limit);
}

#[test]
#[should_panic(expected = "one limit for each query")]
fn queries_without_limits_are_refused() {
    batch_within(Level::Scalar, 8, &[0; 16], &[], &mut [0], |_, _, limit| limit);
}

#[test]
fn columns_of_addresses_equal_the_definition() {
    let bytes = bytes(67 * 4 + 64);
    for (level, rows) in each_level_and(0..=67) {
        for start in [0, 1, 2, 3, 17] {
            for query in [0, u32::MAX, 0x0123_4567, 0x8000_0001] {
                let column = &bytes[start..][..rows * 4];
                let expected: Vec<_> = column
                    .chunks_exact(4)
                    .map(|row| slow_distance(&query.to_le_bytes(), row))
                    .collect();
                let mut out = vec![u32::MAX; rows];
                distances_u32(level, query, column, &mut out);
                assert_eq!(out, expected, "{level}, {rows} rows at {start}");
            }
        }
    }
}

#[test]
fn the_distances_at_most_a_limit_are_found_in_order() {
    let mut distances: Vec<u32> = bytes(300).iter().map(|byte| u32::from(*byte) % 40).collect();
    distances.extend([0, u32::MAX, 1 << 31, (1 << 31) - 1, i32::MAX.cast_unsigned() + 7]);
    distances.reverse();
    for (level, length) in each_level_and(0..=distances.len()) {
        for limit in [0, 1, 3, 39, (1 << 31) - 1, 1 << 31, u32::MAX - 1, u32::MAX] {
            let (mut found, distances) = (Vec::new(), &distances[..length]);
            at_most(level, distances, limit, |position| found.push(position));
            let expected = (0..length).filter(|position| distances[*position] <= limit);
            assert!(expected.eq(found.iter().copied()), "{level}, {length}, limit {limit}");
        }
    }
}

/// What `within_u16` must report.
fn slow_within(runs: &[Run<'_>]) -> Vec<(usize, usize, u32)> {
    let mut hits = Vec::new();
    for (index, run) in runs.iter().enumerate() {
        for (position, value) in run.column.iter().enumerate() {
            let distance = slow_distance(&run.query.to_le_bytes(), value);
            if distance <= run.radius {
                hits.push((index, position, distance));
            }
        }
    }
    hits
}

fn within(level: Level, runs: &[Run<'_>]) -> Vec<(usize, usize, u32)> {
    let mut hits = Vec::new();
    within_u16(level, runs, |run, position, distance| {
        hits.push((run, position, distance));
    });
    hits
}

#[test]
fn short_runs_of_every_length_radius_and_start_equal_the_definition() {
    let bytes = bytes(1024);
    for start in [0, 1, 5] {
        let (column, _) = bytes[start..].as_chunks();
        for radius in (0..=17).chain([255, 32_767, 32_768, 65_535, 65_536, u32::MAX]) {
            let runs: Vec<_> = (0..=67)
                .map(|length| Run { column: &column[length..][..length], query: 0xa5c3, radius })
                .collect();
            for level in Level::available() {
                assert_eq!(within(level, &runs), slow_within(&runs), "{level}, radius {radius}");
            }
        }
    }
}

#[test]
fn no_runs_are_no_hits() {
    for level in Level::available() {
        assert!(within(level, &[]).is_empty());
        assert!(within(level, &[Run::default(); 3]).is_empty());
    }
}

/// What `collect_u16` must append.
fn slow_collect(bands: &[Band<'_>]) -> Vec<Hit> {
    let mut hits = Vec::new();
    for band in bands {
        for (row, value) in (band.first_row..).zip(band.column) {
            let distance = slow_distance(value, &band.query.to_le_bytes());
            if distance >= band.least && distance <= band.most {
                hits.push(Hit { row, distance: distance + band.beyond });
            }
        }
    }
    hits
}

#[test]
fn bands_of_every_length_start_and_width_equal_the_definition() {
    let bytes = bytes(1024);
    let edges = [0, 1, 7, 16, 17, 40, 65_536, 1 << 31, u32::MAX];
    for start in [0, 1, 5] {
        let (column, _) = bytes[start..].as_chunks();
        for (least, most) in edges.into_iter().flat_map(|a| edges.map(|b| (a, b))) {
            let band = |length: u32| Band {
                column: &column[length as usize..][..length as usize],
                query: 0xa5c3,
                least,
                most,
                first_row: length * 1_000_003,
                beyond: length % 17,
            };
            let bands: Vec<_> = (0..=67).map(band).collect();
            let expected = slow_collect(&bands);
            for level in Level::available() {
                let earlier = Hit { row: 9, distance: 9 };
                let mut hits = vec![earlier];
                collect_u16(level, &bands, &mut hits);
                assert_eq!(hits[0], earlier);
                assert_eq!(hits[1..], expected, "{level}, {least} to {most}");
            }
        }
    }
}

#[test]
fn a_level_of_another_processor_answers_by_scalar_code() {
    for level in [Level::Scalar, Level::Avx2, Level::Avx512, Level::Neon] {
        assert_eq!(fast_rows(level, &[0; 32], &[1; 64], 32, NARROWINGS[0]), [(0, 32), (1, 32)]);
        let (hits, _) = fast_batch(level, 32, &[0; 32], &[1; 64], 32, NARROWINGS[0]);
        assert_eq!(hits, [[(0, 32), (1, 32)]], "{level}");
        let (column, mut hits) = ([[0; 2]; 3], Vec::new());
        let band = Band { column: &column, query: 1, most: 1, ..Band::default() };
        collect_u16(level, &[band], &mut hits);
        assert_eq!(hits, [0, 1, 2].map(|row| Hit { row, distance: 1 }), "{level}");
        prefetch(level, &[0; 5000]);
    }
}

#[test]
fn names_are_read_back() {
    for level in [Level::Scalar, Level::Avx2, Level::Avx512, Level::Neon] {
        assert_eq!(level.to_string().parse::<Level>().unwrap(), level);
    }
    let error = "sse9".parse::<Level>().unwrap_err().to_string();
    assert_eq!(error, "level must be scalar, avx2, avx512 or neon, not \"sse9\"");
}

#[test]
fn scalar_is_always_available_and_the_best_is_the_last() {
    let available = Level::available();
    assert_eq!(available[0], Level::Scalar);
    assert_eq!(available.last(), Some(&Level::best()));
}

#[test]
fn the_environment_chooses_among_what_is_there() {
    assert_eq!(Level::chosen("auto".as_ref()).unwrap(), Level::best());
    assert_eq!(Level::chosen("scalar".as_ref()).unwrap(), Level::Scalar);
    for absent in ["", "AVX2", "sse9", if cfg!(target_arch = "x86_64") { "neon" } else { "avx2" }] {
        let error = Level::chosen(absent.as_ref()).unwrap_err().to_string();
        assert!(error.starts_with("HASHDB_SIMD must be auto or one of scalar"), "{error}");
        assert!(error.ends_with(&format!("not {absent:?}")), "{error}");
    }
}

proptest! {
    #[test]
    fn levels_agree_on_anything(
        width in 1_usize..=16,
        data in prop::collection::vec(any::<u8>(), 128..6000),
        limit in prop_oneof![0_u32..1100, Just(u32::MAX)],
        radius in 0_u32..=17,
        query in any::<u32>(),
    ) {
        let width = width * 8;
        let (first, rest) = data.split_at(width);
        let rows = rest.len() / width;
        let column = &rest[..rest.len() / 4 * 4];
        let runs: Vec<_> = rest.as_chunks().0.chunks(37)
            .map(|column| Run { column, query: u16::from_le_bytes([first[0], first[1]]), radius })
            .collect();
        let rest_rows = &rest[..rows * width];
        let mut addresses = vec![0; column.len() / 4];
        for level in Level::available() {
            for narrow in NARROWINGS {
                let expected = slow_rows(first, rest_rows, limit, narrow);
                prop_assert_eq!(&fast_rows(level, first, rest_rows, limit, narrow), &expected);
                let batch = fast_batch(level, width, &first.repeat(2), rest_rows, limit, narrow);
                prop_assert_eq!(batch.0, [expected.clone(), expected]);
            }
            distances_u32(level, query, column, &mut addresses);
            for (row, found) in column.chunks_exact(4).zip(&addresses) {
                prop_assert_eq!(slow_distance(&query.to_le_bytes(), row), *found);
            }
            prop_assert_eq!(within(level, &runs), slow_within(&runs));
        }
    }
}
