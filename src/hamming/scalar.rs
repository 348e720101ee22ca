//! The portable kernels: the answer where nothing better is there, and the oracle of the others.

use super::{BatchHit, EIGHT, RowHit, Run};

/// Rows that a batch compares with one query before the next.
const GROUP: usize = 64;

/// See [`super::distance`].
#[inline]
pub(super) fn distance(a: &[u8], b: &[u8]) -> u32 {
    let (a_words, a_rest) = a.as_chunks::<8>();
    let (b_words, b_rest) = b.as_chunks::<8>();
    let words = a_words.iter().zip(b_words);
    let rest = a_rest.iter().zip(b_rest);
    words.map(|(a, b)| (u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b)).count_ones()).sum::<u32>()
        + rest.map(|(a, b)| (a ^ b).count_ones()).sum::<u32>()
}

/// See [`super::rows_within`].
pub(super) fn rows_within(query: &[u8], rows: &[u8], limit: u32, hit: RowHit<'_>) {
    by_width!(query.len(), rows_within_from(query, rows, 0, limit, hit));
}

/// The hits among `rows`, the first of which is row `first`; answers the last limit.
#[inline]
pub(super) fn rows_within_from<const WORDS: usize>(
    query: &[u8],
    rows: &[u8],
    first: usize,
    mut limit: u32,
    hit: RowHit<'_>,
) -> u32 {
    let query: [u64; WORDS] = words(query.as_chunks().0);
    for (row, code) in (first..).zip(rows.chunks_exact(WORDS * 8)) {
        let distance = word_differences(&query, code);
        if distance <= limit {
            limit = limit.min(hit(row, distance));
        }
    }
    limit
}

/// See [`super::distances`].
pub(super) fn distances(query: &[u8], rows: &[u8], out: &mut [u32]) {
    by_width!(query.len(), distances_of(query, rows, out));
}

/// The distances of rows of a known width.
#[inline]
pub(super) fn distances_of<const WORDS: usize>(query: &[u8], rows: &[u8], out: &mut [u32]) {
    let query: [u64; WORDS] = words(query.as_chunks().0);
    for (code, out) in rows.chunks_exact(WORDS * 8).zip(out) {
        *out = word_differences(&query, code);
    }
}

/// The differing bits of one code.
#[inline]
fn word_differences<const WORDS: usize>(query: &[u64; WORDS], code: &[u8]) -> u32 {
    let pairs = query.iter().zip(code.as_chunks().0);
    pairs.map(|(word, bytes)| (word ^ u64::from_le_bytes(*bytes)).count_ones()).sum()
}

/// See [`super::batch_within`].
pub(super) fn batch_within(
    width: usize,
    queries: &[u8],
    rows: &[u8],
    limits: &mut [u32],
    hit: BatchHit<'_>,
) {
    by_width!(width, batch_within_of(queries, rows, limits, hit));
}

/// A group of rows stays in the nearest cache while all queries pass.
fn batch_within_of<const WORDS: usize>(
    queries: &[u8],
    rows: &[u8],
    limits: &mut [u32],
    hit: BatchHit<'_>,
) {
    for (group, rows) in rows.chunks(GROUP * WORDS * 8).enumerate() {
        let queries = queries.chunks_exact(WORDS * 8);
        for (index, (query, limit)) in queries.zip(limits.iter_mut()).enumerate() {
            let mut hit = |row, distance| hit(index, row, distance);
            let first = group * GROUP;
            *limit = rows_within_from::<WORDS>(query, rows, first, *limit, &mut hit);
        }
    }
}

/// See [`super::nearest`].
pub(super) fn nearest(width: usize, queries: &[u8], rows: &[u8], keys: &mut [u32]) {
    least_key(keys, |limits, hit| batch_within(width, queries, rows, limits, hit));
}

/// The least key of each query by a kernel that reports what lies within falling limits.
#[inline]
pub(super) fn least_key(keys: &mut [u32], batch_within: impl FnOnce(&mut [u32], BatchHit<'_>)) {
    let mut limits = vec![u32::MAX; keys.len()];
    keys.fill(u32::MAX);
    batch_within(&mut limits, &mut |query, row, distance| {
        // None is nearer than 0, where the limit cannot tell equals apart.
        keys[query] = keys[query].min(key(distance, row));
        distance.saturating_sub(1)
    });
}

/// See [`super::nearest_eight`].
pub(super) fn nearest_eight(width: usize, queries: &[u8], rows: &[u8], keys: &mut [[u32; EIGHT]]) {
    eight_keys(width, queries, rows, keys, distances);
}

/// The eight least keys by a kernel for distances.
pub(super) fn eight_keys(
    width: usize,
    queries: &[u8],
    rows: &[u8],
    keys: &mut [[u32; EIGHT]],
    distances: fn(&[u8], &[u8], &mut [u32]),
) {
    keys.fill([u32::MAX; EIGHT]);
    let mut found = [0; GROUP];
    for (group, rows) in rows.chunks(GROUP * width).enumerate() {
        let found = &mut found[..rows.len() / width];
        for (query, least) in queries.chunks_exact(width).zip(keys.iter_mut()) {
            distances(query, rows, found);
            for (row, distance) in (group * GROUP..).zip(found.iter()) {
                insert(least, key(*distance, row));
            }
        }
    }
}

/// A distance and a row below [`super::MOST_KEYED`] as one number.
#[inline]
fn key(distance: u32, row: usize) -> u32 {
    distance << 16 | u32::try_from(row).unwrap_or(u32::MAX)
}

/// Keeps the least keys, ascending.
#[inline]
fn insert(least: &mut [u32; EIGHT], mut key: u32) {
    if key >= least[EIGHT - 1] {
        return;
    }
    for slot in least {
        let larger = key.max(*slot);
        *slot = key.min(*slot);
        key = larger;
    }
}

/// The words of a code.
#[inline]
fn words<const WORDS: usize>(bytes: &[[u8; 8]]) -> [u64; WORDS] {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(bytes) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Reports the lanes whose bit is set in `near`, as long as they are within the falling limit, and
/// answers that limit.
#[inline]
pub(super) fn report(
    mut near: u32,
    distances: &[u32],
    first: usize,
    mut limit: u32,
    mut hit: impl FnMut(usize, u32) -> u32,
) -> u32 {
    while near != 0 {
        let lane = near.trailing_zeros() as usize;
        near &= near - 1;
        if distances[lane] <= limit {
            limit = limit.min(hit(first + lane, distances[lane]));
        }
    }
    limit
}

/// See [`super::distances_u32`].
#[inline]
pub(super) fn distances_u32(query: u32, column: &[u8], out: &mut [u32]) {
    for (bytes, out) in column.as_chunks().0.iter().zip(out) {
        *out = (query ^ u32::from_le_bytes(*bytes)).count_ones();
    }
}

/// See [`super::at_most`].
#[inline]
pub(super) fn at_most(distances: &[u32], limit: u32, hit: impl FnMut(usize)) {
    at_most_from(distances, 0, limit, hit);
}

/// The positions from `start` on.
#[inline]
pub(super) fn at_most_from(
    distances: &[u32],
    start: usize,
    limit: u32,
    mut hit: impl FnMut(usize),
) {
    let rest = distances.get(start..).unwrap_or_default();
    for (position, distance) in (start..).zip(rest) {
        if *distance <= limit {
            hit(position);
        }
    }
}

/// See [`super::within_u16`].
#[inline]
pub(super) fn within_u16(runs: &[Run<'_>], mut hit: impl FnMut(usize, usize, u32)) {
    for (index, run) in runs.iter().enumerate() {
        within_run(run, 0, |position, distance| hit(index, position, distance));
    }
}

/// The hits of one run from position `start` on.
#[inline]
pub(super) fn within_run(run: &Run<'_>, start: usize, mut hit: impl FnMut(usize, u32)) {
    let rest = run.column.get(start..).unwrap_or_default();
    for (position, value) in (start..).zip(rest) {
        let distance = (run.query ^ u16::from_le_bytes(*value)).count_ones();
        if distance <= run.radius {
            hit(position, distance);
        }
    }
}

/// See [`super::prefetch`]: nothing portable does that.
#[inline]
pub(super) fn prefetch(_bytes: &[u8]) {}

/// See [`super::prefetch_line`]: nothing portable does that.
#[inline]
pub(super) fn prefetch_line<T>(_value: &T) {}
