//! Kernels for NEON, which counts the bits of bytes in one instruction.
#![expect(unsafe_code, reason = "vector loads and stores; calls of code for detected features")]

use std::arch::aarch64::{
    uint8x16_t, uint32x4_t, vaddlvq_u8, vaddq_u8, vcleq_u16, vcleq_u32, vcnt_u8, vcntq_u8,
    vcombine_u8, vdup_n_u8, vdupq_n_u8, vdupq_n_u16, vdupq_n_u32, vdupq_n_u64, veor_u8, veorq_u8,
    vget_lane_u64, vld1_u8, vld1q_u8, vld1q_u32, vmovn_u32, vpaddlq_u8, vpaddlq_u16, vpaddq_u32,
    vreinterpret_u64_u8, vreinterpret_u64_u16, vreinterpretq_u8_u16, vreinterpretq_u8_u32,
    vreinterpretq_u8_u64, vshrn_n_u16, vst1q_u32,
};
use std::mem::transmute;

use super::block::{Block, LANES, first_lanes, for_each_block};
pub(super) use super::scalar::{prefetch, prefetch_line};
use super::{BatchHit, EIGHT, RowHit, Run, scalar};

/// Whether this processor has what the kernels of this file use.
pub(super) fn available() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}

/// See [`super::rows_within`].
pub(super) fn rows_within(query: &[u8], rows: &[u8], limit: u32, hit: RowHit<'_>) {
    if !available() {
        return scalar::rows_within(query, rows, limit, hit);
    }
    // SAFETY: `available` has just seen the feature that these functions are compiled for.
    unsafe { by_width!(query.len(), rows_within_detected(query, rows, limit, hit)) }
}

/// See [`super::batch_within`].
pub(super) fn batch_within(
    width: usize,
    queries: &[u8],
    rows: &[u8],
    limits: &mut [u32],
    hit: BatchHit<'_>,
) {
    if !available() {
        return scalar::batch_within(width, queries, rows, limits, hit);
    }
    // SAFETY: `available` has just seen the feature that these functions are compiled for.
    unsafe { by_width!(width, batch_within_detected(queries, rows, limits, hit)) }
}

/// See [`super::distances`].
pub(super) fn distances(query: &[u8], rows: &[u8], out: &mut [u32]) {
    if !available() {
        return scalar::distances(query, rows, out);
    }
    // SAFETY: `available` has just seen the feature that these functions are compiled for.
    unsafe { by_width!(query.len(), distances_detected(query, rows, out)) }
}

/// See [`super::nearest`].
pub(super) fn nearest(width: usize, queries: &[u8], rows: &[u8], keys: &mut [u32]) {
    scalar::least_key(keys, |limits, hit| batch_within(width, queries, rows, limits, hit));
}

/// See [`super::nearest_eight`].
pub(super) fn nearest_eight(width: usize, queries: &[u8], rows: &[u8], keys: &mut [[u32; EIGHT]]) {
    scalar::eight_keys(width, queries, rows, keys, distances);
}

/// See [`super::distances_u32`].
pub(super) fn distances_u32(query: u32, column: &[u8], out: &mut [u32]) {
    if !available() {
        return scalar::distances_u32(query, column, out);
    }
    // SAFETY: `available` has just seen the feature that the function is compiled for.
    unsafe { distances_u32_detected(query, column, out) }
}

/// See [`super::at_most`].
pub(super) fn at_most(distances: &[u32], limit: u32, hit: impl FnMut(usize)) {
    if !available() {
        return scalar::at_most(distances, limit, hit);
    }
    // SAFETY: `available` has just seen the feature that the function is compiled for.
    unsafe { at_most_detected(distances, limit, hit) }
}

/// See [`super::within_u16`].
pub(super) fn within_u16(runs: &[Run<'_>], hit: impl FnMut(usize, usize, u32)) {
    if !available() {
        return scalar::within_u16(runs, hit);
    }
    // SAFETY: `available` has just seen the feature that the function is compiled for.
    unsafe { within_u16_detected(runs, hit) }
}

/// A row a step: its distance crosses the vector in one instruction.
#[target_feature(enable = "neon")]
fn rows_within_detected<const WORDS: usize>(
    query: &[u8],
    rows: &[u8],
    mut limit: u32,
    hit: RowHit<'_>,
) {
    let query = &query[..WORDS * 8];
    for (row, code) in rows.chunks_exact(WORDS * 8).enumerate() {
        let distance = u32::from(vaddlvq_u8(row_counts(query, code)));
        if distance <= limit {
            limit = limit.min(hit(row, distance));
        }
    }
}

/// A row a step.
#[target_feature(enable = "neon")]
fn distances_detected<const WORDS: usize>(query: &[u8], rows: &[u8], out: &mut [u32]) {
    let query = &query[..WORDS * 8];
    for (code, out) in rows.chunks_exact(WORDS * 8).zip(out) {
        *out = u32::from(vaddlvq_u8(row_counts(query, code)));
    }
}

/// Sixteen codes at hand while all queries pass, two codes a vector.
#[target_feature(enable = "neon")]
fn batch_within_detected<const WORDS: usize>(
    queries: &[u8],
    rows: &[u8],
    limits: &mut [u32],
    hit: BatchHit<'_>,
) {
    for_each_block::<WORDS>(rows, |first, count, block| {
        let present = first_lanes(count);
        let queries = queries.as_chunks().0.as_chunks::<WORDS>().0;
        for (index, (query, limit)) in queries.iter().zip(limits.iter_mut()).enumerate() {
            let distances = lane_sums(block, query);
            let bound = *limit;
            if distances.iter().any(|distance| *distance <= bound) {
                *limit = scalar::report(present, &distances, first, bound, |row, distance| {
                    hit(index, row, distance)
                });
            }
        }
    });
}

/// The distances of sixteen codes to one query. A byte counts at most 8 bits for each of 16 words.
#[inline]
#[target_feature(enable = "neon")]
fn lane_sums<const WORDS: usize>(block: &Block<WORDS>, query: &[[u8; 8]; WORDS]) -> [u32; LANES] {
    let mut counts = [vdupq_n_u8(0); LANES / 2];
    for (codes, word) in block.words.iter().zip(query) {
        let word = vreinterpretq_u8_u64(vdupq_n_u64(u64::from_le_bytes(*word)));
        for (count, codes) in counts.iter_mut().zip(codes.as_flattened().as_chunks().0) {
            *count = vaddq_u8(*count, vcntq_u8(veorq_u8(load_lanes(codes), word)));
        }
    }
    let mut sums = [0; LANES];
    for (sums, counts) in sums.as_chunks_mut::<4>().0.iter_mut().zip(counts.as_chunks::<2>().0) {
        // Pairs of bytes twice, then neighbours across the two vectors: four codes, two sums each.
        let [low, high] = [vpaddlq_u16(vpaddlq_u8(counts[0])), vpaddlq_u16(vpaddlq_u8(counts[1]))];
        // SAFETY: four lanes of 32 bits are that many numbers.
        *sums = unsafe { transmute::<uint32x4_t, [u32; 4]>(vpaddq_u32(low, high)) };
    }
    sums
}

/// The differing bits of one row, spread over 16 byte-wide sums: at most 8 bits for each of the
/// eight vectors of the widest code.
#[inline]
#[target_feature(enable = "neon")]
fn row_counts(query: &[u8], row: &[u8]) -> uint8x16_t {
    let (query_blocks, query_rest) = query.as_chunks();
    let (row_blocks, row_rest) = row.as_chunks();
    let mut counts = vdupq_n_u8(0);
    for (query, row) in query_blocks.iter().zip(row_blocks) {
        counts = vaddq_u8(counts, vcntq_u8(veorq_u8(load(query), load(row))));
    }
    if let (Some(query), Some(row)) = (query_rest.first_chunk(), row_rest.first_chunk()) {
        counts = vaddq_u8(counts, half_counts(query, row));
    }
    counts
}

/// The differing bits of the odd word of a row.
#[inline]
#[target_feature(enable = "neon")]
fn half_counts(query: &[u8; 8], row: &[u8; 8]) -> uint8x16_t {
    // SAFETY: all 8 bytes are borrowed; the load asks for no alignment.
    let query = unsafe { vld1_u8(query.as_ptr()) };
    // SAFETY: as above.
    let row = unsafe { vld1_u8(row.as_ptr()) };
    vcombine_u8(vcnt_u8(veor_u8(query, row)), vdup_n_u8(0))
}

/// Four values a step.
#[target_feature(enable = "neon")]
fn distances_u32_detected(query: u32, column: &[u8], out: &mut [u32]) {
    let pattern = vreinterpretq_u8_u32(vdupq_n_u32(query));
    let (steps, column_left) = column.as_chunks::<16>();
    let (outs, rest) = out.as_chunks_mut::<4>();
    for (step, out) in steps.iter().zip(outs) {
        let sums = vpaddlq_u16(vpaddlq_u8(vcntq_u8(veorq_u8(load(step), pattern))));
        // SAFETY: `out` is 16 bytes that may be written.
        unsafe { vst1q_u32(out.as_mut_ptr(), sums) };
    }
    scalar::distances_u32(query, column_left, rest);
}

/// Four distances a step.
#[target_feature(enable = "neon")]
fn at_most_detected(distances: &[u32], limit: u32, mut hit: impl FnMut(usize)) {
    let bound = vdupq_n_u32(limit);
    let (steps, _) = distances.as_chunks::<4>();
    for (step, distances) in steps.iter().enumerate() {
        // SAFETY: all four numbers are borrowed.
        let distances = unsafe { vld1q_u32(distances.as_ptr()) };
        // Two bytes a distance, all ones for a hit, of which one bit is kept.
        let near = vreinterpret_u64_u16(vmovn_u32(vcleq_u32(distances, bound)));
        let mut hits = vget_lane_u64::<0>(near) & 0x0001_0001_0001_0001;
        while hits != 0 {
            hit(step * 4 + hits.trailing_zeros() as usize / 16);
            hits &= hits - 1;
        }
    }
    scalar::at_most_from(distances, steps.len() * 4, limit, hit);
}

/// Hits are rare: the few distances are counted again, rather than stored for every value.
#[target_feature(enable = "neon")]
fn within_u16_detected(runs: &[Run<'_>], mut hit: impl FnMut(usize, usize, u32)) {
    for (index, run) in runs.iter().enumerate() {
        let pattern = vreinterpretq_u8_u16(vdupq_n_u16(run.query));
        let radius = vdupq_n_u16(u16::try_from(run.radius).unwrap_or(16));
        let (steps, _) = run.column.as_chunks::<8>();
        for (step, values) in steps.iter().enumerate() {
            let counts = vpaddlq_u8(vcntq_u8(veorq_u8(load_values(values), pattern)));
            // One byte a value, all ones for a hit, of which one bit is kept.
            let within = vshrn_n_u16::<4>(vcleq_u16(counts, radius));
            let mut hits = vget_lane_u64::<0>(vreinterpret_u64_u8(within)) & 0x0101_0101_0101_0101;
            while hits != 0 {
                let lane = hits.trailing_zeros() as usize / 8;
                hits &= hits - 1;
                let distance = (u16::from_le_bytes(values[lane]) ^ run.query).count_ones();
                hit(index, step * 8 + lane, distance);
            }
        }
        scalar::within_run(run, steps.len() * 8, |position, distance| {
            hit(index, position, distance);
        });
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(bytes: &[u8; 16]) -> uint8x16_t {
    // SAFETY: all 16 bytes are borrowed; the load asks for no alignment.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_values(values: &[[u8; 2]; 8]) -> uint8x16_t {
    // SAFETY: all 16 bytes are borrowed; the load asks for no alignment.
    unsafe { vld1q_u8(values.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_lanes(lanes: &[u64; 2]) -> uint8x16_t {
    // SAFETY: the same bytes as a vector; every pattern of bits is one.
    unsafe { transmute::<[u64; 2], uint8x16_t>(*lanes) }
}
