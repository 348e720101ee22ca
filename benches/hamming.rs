//! The distance kernels of every level that this processor has, against the scalar one.
//!
//! `cargo bench --features __internals --bench hamming`
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "limits are small positive numbers"
)]

mod measure;

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use hashdb::Level;
use hashdb::internals::hamming::{Run, batch_within, distances_u32, rows_within, within_u16};
use measure::{Race, Random};

/// Codes in the second-level cache and beyond the last one, of common and odd widths: one query, and
/// sixty-four together.
fn codes(criterion: &mut Criterion) {
    for (width, rows) in [
        (8, 16_384),
        (16, 16_384),
        (24, 16_384),
        (32, 16_384),
        (40, 12_288),
        (64, 8_192),
        (128, 4_096),
        (32, 4_000_000),
    ] {
        let mut random = Random(1);
        let codes = random.bytes(width * rows);
        // About one code in a thousand is near, as in a search.
        let bits = width as f64 * 8.0;
        let limit = (bits / 2.0 - 1.5 * bits.sqrt()) as u32;
        let near = |level, query: &[u8]| {
            let mut found = Vec::new();
            rows_within(level, query, &codes, limit, |row, distance| {
                found.push((row, distance));
                limit
            });
            found
        };
        let mut race = Race::new(format!("{rows} codes of {} bits", width * 8));
        for level in Level::available() {
            let query = random.bytes(width);
            assert_eq!(near(level, &query), near(Level::Scalar, &query), "{level}");
            race.run(criterion, level.name(), || {
                let mut sum = 0;
                rows_within(level, &random.bytes(width), &codes, limit, |row, _| {
                    sum += row;
                    limit
                });
                black_box(sum);
            });
        }
        if rows > 16_384 {
            continue;
        }
        let mut race = Race::new(format!("64 queries, {rows} codes of {} bits", width * 8));
        for level in Level::available() {
            let queries = random.bytes(64 * width);
            let mut found = vec![Vec::new(); 64];
            batch_within(
                level,
                width,
                &queries,
                &codes,
                &mut [limit; 64],
                |query, row, distance| {
                    found[query].push((row, distance));
                    limit
                },
            );
            let alone = queries.chunks_exact(width).map(|query| near(Level::Scalar, query));
            assert!(alone.eq(found), "{level}");
            race.run(criterion, level.name(), || {
                let (queries, mut sum) = (random.bytes(64 * width), 0);
                batch_within(level, width, &queries, &codes, &mut [limit; 64], |_, row, _| {
                    sum += row;
                    limit
                });
                black_box(sum);
            });
        }
    }
}

/// A column of addresses.
fn addresses(criterion: &mut Criterion) {
    let rows = 16_384;
    let column = Random(2).bytes(4 * rows);
    let mut expected = vec![0; rows];
    distances_u32(Level::Scalar, 77, &column, &mut expected);
    let mut race = Race::new(format!("{rows} addresses"));
    let mut out = vec![0; rows];
    for level in Level::available() {
        distances_u32(level, 77, &column, &mut out);
        assert_eq!(out, expected, "{level}");
        race.run(criterion, level.name(), || {
            distances_u32(level, black_box(77), &column, &mut out);
            black_box(&out);
        });
    }
}

/// Thirty short buckets, as a look-up in a pair table scans them.
fn buckets(criterion: &mut Criterion) {
    for length in [5, 20, 100, 600] {
        let bytes = Random(3).bytes(30 * length * 2);
        let (column, _) = bytes.as_chunks();
        let runs: Vec<_> =
            column.chunks(length).map(|column| Run { column, query: 0x1234, radius: 2 }).collect();
        let hits = |level| {
            let mut hits = Vec::new();
            within_u16(level, &runs, |run, position, distance| {
                hits.push((run, position, distance));
            });
            hits
        };
        let mut race = Race::new(format!("30 buckets of {length}"));
        for level in Level::available() {
            assert_eq!(hits(level), hits(Level::Scalar), "{level}");
            race.run(criterion, level.name(), || {
                let mut sum = 0;
                within_u16(level, black_box(&runs), |_, position, _| sum += position);
                black_box(sum);
            });
        }
    }
}

criterion_group!(benches, codes, addresses, buckets);
criterion_main!(benches);
