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

#[test]
fn every_level_equals_the_definition_at_every_width_length_and_start() {
    let bytes = bytes(67 * 128 + 256);
    for width in (8..=128).step_by(8) {
        for start in [0, 1, 3, 7, 8, 31, 63] {
            let query = &bytes[bytes.len() - width - start..][..width];
            let all: Vec<_> = bytes[start..]
                .chunks_exact(width)
                .take(67)
                .map(|row| slow_distance(query, row))
                .collect();
            for (level, rows) in each_level_and(0..=67) {
                let mut out = vec![u32::MAX; rows];
                distances(level, query, &bytes[start..][..rows * width], &mut out);
                assert_eq!(out, all[..rows], "{level}, {rows} rows of {width} bytes at {start}");
            }
        }
    }
}

#[test]
fn extremes_do_not_overflow_a_lane() {
    for (level, width) in each_level_and((8..=128).step_by(8)) {
        let mut out = [0; 19];
        distances(level, &vec![0; width], &vec![u8::MAX; 19 * width], &mut out);
        assert_eq!(out, [u32::try_from(width * 8).unwrap(); 19], "{level}");
    }
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

#[test]
fn a_level_of_another_processor_answers_by_scalar_code() {
    for level in [Level::Scalar, Level::Avx2, Level::Avx512, Level::Neon] {
        let mut out = [0; 9];
        distances(level, &[0; 32], &[1; 9 * 32], &mut out);
        assert_eq!(out, [32; 9], "{level}");
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
        let (mut codes, mut addresses) = (vec![0; rows], vec![0; column.len() / 4]);
        for level in Level::available() {
            distances(level, first, &rest[..rows * width], &mut codes);
            for (row, found) in rest.chunks_exact(width).zip(&codes) {
                prop_assert_eq!(slow_distance(first, row), *found);
                prop_assert_eq!(distance(first, row), *found);
            }
            distances_u32(level, query, column, &mut addresses);
            for (row, found) in column.chunks_exact(4).zip(&addresses) {
                prop_assert_eq!(slow_distance(&query.to_le_bytes(), row), *found);
            }
            prop_assert_eq!(within(level, &runs), slow_within(&runs));
        }
    }
}
