//! The portable kernels: the answer where nothing better is there, and the oracle of the others.

use super::Run;

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

/// See [`super::distances`].
#[inline]
pub(super) fn distances(query: &[u8], rows: &[u8], out: &mut [u32]) {
    match query.len() {
        8 => distances_of::<1>(query, rows, out),
        16 => distances_of::<2>(query, rows, out),
        32 => distances_of::<4>(query, rows, out),
        64 => distances_of::<8>(query, rows, out),
        128 => distances_of::<16>(query, rows, out),
        width => {
            for (row, out) in rows.chunks_exact(width).zip(out) {
                *out = distance(query, row);
            }
        }
    }
}

/// Distances of rows of a width that is known to the compiler.
#[inline]
fn distances_of<const WORDS: usize>(query: &[u8], rows: &[u8], out: &mut [u32]) {
    let mut words = [0; WORDS];
    for (word, bytes) in words.iter_mut().zip(query.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    for (row, out) in rows.chunks_exact(WORDS * 8).zip(out) {
        let pairs = words.iter().zip(row.as_chunks().0);
        *out = pairs.map(|(word, bytes)| (word ^ u64::from_le_bytes(*bytes)).count_ones()).sum();
    }
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
