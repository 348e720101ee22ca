//! Kernels for AVX-512 with VPOPCNTDQ, BITALG and VBMI2.
#![expect(unsafe_code, reason = "vector loads and stores; calls of code for detected features")]

use std::arch::x86_64::{
    __m256i, __m512i, __mmask8, __mmask32, _mm512_add_epi16, _mm512_add_epi32, _mm512_add_epi64,
    _mm512_and_si512, _mm512_cmple_epu16_mask, _mm512_cmple_epu32_mask, _mm512_cmple_epu64_mask,
    _mm512_cvtepi64_epi32, _mm512_cvtepu16_epi64, _mm512_extracti32x4_epi32,
    _mm512_mask_cmple_epu32_mask, _mm512_maskz_compress_epi16, _mm512_maskz_loadu_epi16,
    _mm512_maskz_loadu_epi64, _mm512_maskz_permutexvar_epi64, _mm512_max_epu32, _mm512_min_epu32,
    _mm512_or_si512, _mm512_permutexvar_epi64, _mm512_popcnt_epi16, _mm512_popcnt_epi32,
    _mm512_popcnt_epi64, _mm512_set_epi16, _mm512_set_epi64, _mm512_set1_epi16, _mm512_set1_epi32,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shldi_epi32, _mm512_shuffle_i64x2,
    _mm512_slli_epi16, _mm512_slli_epi64, _mm512_srli_epi64, _mm512_storeu_si512, _mm512_sub_epi16,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};
use std::mem::transmute;

pub(super) use super::avx2::{prefetch, prefetch_line};
use super::block::{Block, first_lanes, for_each_block};
use super::{Band, BatchHit, EIGHT, Hit, Level, RowHit, Run, scalar};

/// Whether this processor has what the kernels of this file use.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vpopcntdq")
        && is_x86_feature_detected!("avx512bitalg")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("popcnt")
}

/// See [`super::rows_within`].
pub(super) fn rows_within(query: &[u8], rows: &[u8], limit: u32, hit: RowHit<'_>) {
    if !available() {
        return scalar::rows_within(query, rows, limit, hit);
    }
    // SAFETY: `available` has just seen every feature that these functions are compiled for.
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
    // SAFETY: `available` has just seen every feature that these functions are compiled for.
    unsafe { by_width!(width, batch_within_detected(queries, rows, limits, hit)) }
}

/// See [`super::distances`].
pub(super) fn distances(query: &[u8], rows: &[u8], out: &mut [u32]) {
    if !available() {
        return scalar::distances(query, rows, out);
    }
    // SAFETY: `available` has just seen every feature that these functions are compiled for.
    unsafe { by_width!(query.len(), distances_detected(query, rows, out)) }
}

/// See [`super::nearest`].
pub(super) fn nearest(width: usize, queries: &[u8], rows: &[u8], keys: &mut [u32]) {
    if !available() {
        return scalar::nearest(width, queries, rows, keys);
    }
    // SAFETY: `available` has just seen every feature that these functions are compiled for.
    unsafe { by_width!(width, nearest_detected(queries, rows, keys.as_chunks_mut().0)) }
}

/// See [`super::nearest_eight`].
pub(super) fn nearest_eight(width: usize, queries: &[u8], rows: &[u8], keys: &mut [[u32; EIGHT]]) {
    if !available() {
        return scalar::nearest_eight(width, queries, rows, keys);
    }
    // SAFETY: `available` has just seen every feature that these functions are compiled for.
    unsafe { by_width!(width, nearest_eight_detected(queries, rows, keys)) }
}

/// See [`super::distances_u32`].
pub(super) fn distances_u32(query: u32, column: &[u8], out: &mut [u32]) {
    if !available() {
        return scalar::distances_u32(query, column, out);
    }
    // SAFETY: `available` has just seen every feature that the function is compiled for.
    unsafe { distances_u32_detected(query, column, out) }
}

/// See [`super::at_most`].
pub(super) fn at_most(distances: &[u32], limit: u32, hit: impl FnMut(usize)) {
    if !available() {
        return scalar::at_most(distances, limit, hit);
    }
    // SAFETY: `available` has just seen every feature that the function is compiled for.
    unsafe { at_most_detected(distances, limit, hit) }
}

/// See [`super::collect_u16`].
pub(super) fn collect_u16(bands: &[Band<'_>], hits: &mut Vec<Hit>) {
    if !available() {
        return super::collect_u16(Level::Scalar, bands, hits);
    }
    // SAFETY: `available` has just seen every feature that the function is compiled for.
    unsafe { collect_u16_detected(bands, hits) }
}

/// See [`super::within_u16`].
pub(super) fn within_u16(runs: &[Run<'_>], hit: impl FnMut(usize, usize, u32)) {
    if !available() {
        return scalar::within_u16(runs, hit);
    }
    // SAFETY: `available` has just seen every feature that the function is compiled for.
    unsafe { within_u16_detected(runs, hit) }
}

/// Eight rows a step, one distance a lane.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn rows_within_detected<const WORDS: usize>(
    query: &[u8],
    rows: &[u8],
    mut limit: u32,
    hit: RowHit<'_>,
) {
    let pattern = pattern::<WORDS>(query);
    let mut bound = _mm512_set1_epi64(i64::from(limit));
    let steps = rows.chunks_exact(64 * WORDS);
    let (rows_left, first_left) = (steps.remainder(), steps.len() * 8);
    for (step, codes) in steps.enumerate() {
        let sums = row_sums::<WORDS>(codes, pattern);
        let near = _mm512_cmple_epu64_mask(sums, bound);
        if near != 0 {
            let mut distances = [0; 8];
            store_narrowed(&mut distances, sums);
            limit = scalar::report(near.into(), &distances, step * 8, limit, &mut *hit);
            bound = _mm512_set1_epi64(i64::from(limit));
        }
    }
    scalar::rows_within_from::<WORDS>(query, rows_left, first_left, limit, hit);
}

/// Eight rows a step.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn distances_detected<const WORDS: usize>(query: &[u8], rows: &[u8], out: &mut [u32]) {
    let pattern = pattern::<WORDS>(query);
    let (outs, rest) = out.as_chunks_mut::<8>();
    let steps = rows.chunks_exact(64 * WORDS);
    let rows_left = steps.remainder();
    for (codes, out) in steps.zip(outs) {
        store_narrowed(out, row_sums::<WORDS>(codes, pattern));
    }
    scalar::distances_of::<WORDS>(query, rows_left, rest);
}

/// The query as [`differences`] compares it: as often as it fits into a vector, or over two.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn pattern<const WORDS: usize>(query: &[u8]) -> [__m512i; 2] {
    let place = match WORDS {
        1 | 2 => WORDS * 8,
        3 | 4 => 32,
        _ => 128,
    };
    let mut bytes = [[0; 64]; 2];
    for copy in bytes.as_flattened_mut().chunks_exact_mut(place) {
        copy[..WORDS * 8].copy_from_slice(query);
    }
    [load(&bytes[0]), load(&bytes[1])]
}

/// The distances of eight rows, in their order.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn row_sums<const WORDS: usize>(codes: &[u8], pattern: [__m512i; 2]) -> __m512i {
    let pair = |index: usize| {
        let first = differences::<WORDS>(codes, index, pattern);
        add_words(first, differences::<WORDS>(codes, index + 1, pattern))
    };
    match WORDS {
        1 => differences::<WORDS>(codes, 0, pattern),
        2 => {
            let order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
            _mm512_permutexvar_epi64(order, pair(0))
        }
        3 | 4 => {
            let order = _mm512_set_epi64(7, 5, 6, 4, 3, 1, 2, 0);
            _mm512_permutexvar_epi64(order, add_lanes(pair(0), pair(2)))
        }
        _ => add_lanes(add_lanes(pair(0), pair(2)), add_lanes(pair(4), pair(6))),
    }
}

/// The differing bits in the words of vector `index` of eight rows: of 8, 4 or 2 rows where so many
/// fit, else of one row, whose words from the ninth on are added to the first ones.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn differences<const WORDS: usize>(codes: &[u8], index: usize, pattern: [__m512i; 2]) -> __m512i {
    let count = |codes, pattern| _mm512_popcnt_epi64(_mm512_xor_si512(codes, pattern));
    let row = index * WORDS * 8;
    match WORDS {
        1 | 2 | 4 => count(load_words(&codes[index * 64..], 8), pattern[0]),
        3 => {
            let places = _mm512_set_epi64(0, 5, 4, 3, 0, 2, 1, 0);
            let codes = load_words(&codes[index * 48..], 6);
            count(_mm512_maskz_permutexvar_epi64(0b0111_0111, places, codes), pattern[0])
        }
        5..=8 => count(load_words(&codes[row..], WORDS), pattern[0]),
        _ => {
            let first = count(load_words(&codes[row..], 8), pattern[0]);
            let rest = count(load_words(&codes[row + 64..], WORDS - 8), pattern[1]);
            _mm512_add_epi64(first, rest)
        }
    }
}

/// Sixteen codes a step, for all queries.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn batch_within_detected<const WORDS: usize>(
    queries: &[u8],
    rows: &[u8],
    limits: &mut [u32],
    hit: BatchHit<'_>,
) {
    let queries = queries.as_chunks().0.as_chunks().0;
    for_each_block::<WORDS>(rows, |first, count, block| {
        let mut next = 0;
        while let Some(index) = first_near(block, queries, limits, next) {
            let [low, high] = lane_sums(&load_block(block), &queries[index]);
            let mut distances = [[0; 8]; 2];
            store_narrowed(&mut distances[0], low);
            store_narrowed(&mut distances[1], high);
            let (distances, lanes) = (distances.as_flattened(), first_lanes(count));
            let report_to = |row, distance| hit(index, row, distance);
            limits[index] = scalar::report(lanes, distances, first, limits[index], report_to);
            next = index + 1;
        }
    });
}

/// The first query from `start` on that a code of the block is near to. Nothing is called here, so
/// that the codes stay in registers while the queries pass.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn first_near<const WORDS: usize>(
    block: &Block<WORDS>,
    queries: &[[[u8; 8]; WORDS]],
    limits: &[u32],
    start: usize,
) -> Option<usize> {
    let codes = load_block(block);
    for index in start..queries.len().min(limits.len()) {
        let [low, high] = lane_sums(&codes, &queries[index]);
        // The upper halves of the sums are zeros, the lower halves tell the smaller one.
        let least = _mm512_min_epu32(low, high);
        let bound = _mm512_set1_epi32(limits[index].cast_signed());
        if _mm512_mask_cmple_epu32_mask(0x5555, least, bound) != 0 {
            return Some(index);
        }
    }
    None
}

/// The least key.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn nearest_detected<const WORDS: usize>(queries: &[u8], rows: &[u8], keys: &mut [[u32; 1]]) {
    for_each_block::<WORDS>(queries, |first, count, block| {
        least_keys(block, rows, &mut keys[first..first + count]);
    });
}

/// The eight least keys.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn nearest_eight_detected<const WORDS: usize>(
    queries: &[u8],
    rows: &[u8],
    keys: &mut [[u32; EIGHT]],
) {
    for_each_block::<WORDS>(queries, |first, count, block| {
        least_keys(block, rows, &mut keys[first..first + count]);
    });
}

/// Sixteen queries, one a lane, while all rows pass. There is no branch to miss: a key sinks through those
/// that are kept, by a minimum and a maximum each.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn least_keys<const WORDS: usize, const COUNT: usize>(
    queries: &Block<WORDS>,
    rows: &[u8],
    keys: &mut [[u32; COUNT]],
) {
    let codes = load_block(queries);
    let mut least = [_mm512_set1_epi32(-1); COUNT];
    let (mut number, next) = (_mm512_setzero_si512(), _mm512_set1_epi32(1 << 16));
    for row in rows.as_chunks().0.as_chunks().0 {
        let [low, high] = lane_sums(&codes, row);
        // Lane 2 i is query i, lane 2 i + 1 query 8 + i.
        let sums = _mm512_or_si512(low, _mm512_slli_epi64::<32>(high));
        let mut key = _mm512_shldi_epi32::<16>(sums, number);
        number = _mm512_add_epi32(number, next);
        for kept in &mut least {
            let larger = _mm512_max_epu32(*kept, key);
            *kept = _mm512_min_epu32(*kept, key);
            key = larger;
        }
    }
    for (place, least) in least.into_iter().enumerate() {
        // SAFETY: sixteen lanes of 32 bits are that many numbers.
        let lanes = unsafe { transmute::<__m512i, [u32; 16]>(least) };
        for (query, keys) in keys.iter_mut().enumerate() {
            keys[place] = lanes[query % 8 * 2 + query / 8];
        }
    }
}

/// The words of sixteen codes, eight codes a vector.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn load_block<const WORDS: usize>(block: &Block<WORDS>) -> [[__m512i; 2]; WORDS] {
    let mut codes = [[_mm512_setzero_si512(); 2]; WORDS];
    for (codes, [low, high]) in codes.iter_mut().zip(&block.words) {
        *codes = [load_lanes(low), load_lanes(high)];
    }
    codes
}

/// The distances of sixteen codes to one query.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn lane_sums<const WORDS: usize>(
    codes: &[[__m512i; 2]; WORDS],
    query: &[[u8; 8]; WORDS],
) -> [__m512i; 2] {
    let [mut low, mut high] = [_mm512_setzero_si512(); 2];
    for (codes, word) in codes.iter().zip(query) {
        let word = _mm512_set1_epi64(i64::from_le_bytes(*word));
        let count = |codes| _mm512_popcnt_epi64(_mm512_xor_si512(codes, word));
        low = _mm512_add_epi64(low, count(codes[0]));
        high = _mm512_add_epi64(high, count(codes[1]));
    }
    [low, high]
}

/// Sixteen values a step.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn distances_u32_detected(query: u32, column: &[u8], out: &mut [u32]) {
    let pattern = _mm512_set1_epi32(query.cast_signed());
    let (steps, column_left) = column.as_chunks::<64>();
    let (outs, rest) = out.as_chunks_mut::<16>();
    for (step, out) in steps.iter().zip(outs) {
        let counts = _mm512_popcnt_epi32(_mm512_xor_si512(load(step), pattern));
        // SAFETY: sixteen lanes of 32 bits are that many numbers.
        *out = unsafe { transmute::<__m512i, [u32; 16]>(counts) };
    }
    scalar::distances_u32(query, column_left, rest);
}

/// Sixteen distances a step, four steps together: mostly none of them is near.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn at_most_detected(distances: &[u32], limit: u32, mut hit: impl FnMut(usize)) {
    let bound = _mm512_set1_epi32(limit.cast_signed());
    let (blocks, _) = distances.as_chunks::<64>();
    for (index, block) in blocks.iter().enumerate() {
        let mut hits = 0;
        for (step, distances) in block.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: sixteen numbers are that many lanes of 32 bits.
            let distances = unsafe { transmute::<[u32; 16], __m512i>(*distances) };
            hits |= u64::from(_mm512_cmple_epu32_mask(distances, bound)) << (16 * step);
        }
        while hits != 0 {
            hit(index * 64 + hits.trailing_zeros() as usize);
            hits &= hits - 1;
        }
    }
    scalar::at_most_from(distances, blocks.len() * 64, limit, hit);
}

/// Hits are rare: the few distances are counted again, rather than stored for every value.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn within_u16_detected(runs: &[Run<'_>], mut hit: impl FnMut(usize, usize, u32)) {
    for (index, run) in runs.iter().enumerate() {
        let pattern = _mm512_set1_epi16(run.query.cast_signed());
        let radius = _mm512_set1_epi16(i16::try_from(run.radius).unwrap_or(16));
        for (step, values) in run.column.chunks(32).enumerate() {
            let (vector, present) = load_values(values);
            let counts = _mm512_popcnt_epi16(_mm512_xor_si512(vector, pattern));
            let mut hits = _mm512_cmple_epu16_mask(counts, radius) & present;
            while hits != 0 {
                let lane = hits.trailing_zeros() as usize;
                hits &= hits - 1;
                let distance = (u16::from_le_bytes(values[lane]) ^ run.query).count_ones();
                hit(index, step * 32 + lane, distance);
            }
        }
    }
}

/// Every value of a vector is turned into a hit, and those that are none are squeezed out.
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn collect_u16_detected(bands: &[Band<'_>], hits: &mut Vec<Hit>) {
    for band in bands {
        // 17 is more than any distance.
        let small = |distance: u32| i16::try_from(distance).unwrap_or(17).min(17);
        if band.most < band.least {
            continue;
        }
        let pattern = _mm512_set1_epi16(band.query.cast_signed());
        let least = _mm512_set1_epi16(small(band.least));
        let span = _mm512_set1_epi16(small(band.most - band.least));
        let beyond = _mm512_set1_epi16(small(band.beyond));
        let mut row = band.first_row;
        for values in band.column.chunks(32) {
            let (vector, present) = load_values(values);
            let counts = _mm512_popcnt_epi16(_mm512_xor_si512(vector, pattern));
            let near = _mm512_cmple_epu16_mask(_mm512_sub_epi16(counts, least), span) & present;
            if near != 0 {
                push_hits(near, row, _mm512_add_epi16(counts, beyond), hits);
            }
            row = row.wrapping_add(32);
        }
    }
}

/// Appends a hit for each set bit of `near`; the first lane is row `row`.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn push_hits(near: __mmask32, row: u32, distances: __m512i, hits: &mut Vec<Hit>) {
    const LANES: usize = 32;
    hits.reserve(LANES + 8);
    // A lane's distance, at most 33, and its number share its 16 bits; the hits are moved to the front.
    let lanes = _mm512_or_si512(_mm512_slli_epi16::<8>(distances), lane_numbers());
    let squeezed = _mm512_maskz_compress_epi16(near, lanes);
    let (begin, count) = (hits.len(), near.count_ones() as usize);
    let first = _mm512_set1_epi64(row.into());
    for (part, lanes) in parts(squeezed).into_iter().enumerate() {
        if part * 8 >= count {
            break;
        }
        // A hit as one number: the row in the lower half, the distance in the upper one.
        let rows = _mm512_add_epi64(_mm512_and_si512(lanes, _mm512_set1_epi64(0xff)), first);
        let pairs = _mm512_or_si512(_mm512_slli_epi64::<32>(_mm512_srli_epi64::<8>(lanes)), rows);
        // SAFETY: there is room for the 32 hits behind `begin`: 40 were reserved. A hit is two
        // numbers of 32 bits in this order.
        unsafe { _mm512_storeu_si512(hits.as_mut_ptr().add(begin + part * 8).cast(), pairs) };
    }
    // SAFETY: as many hits were written, and the room for them was reserved.
    unsafe { hits.set_len(begin + count) };
}

/// The numbers of the 32 lanes of 16 bits.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn lane_numbers() -> __m512i {
    _mm512_set_epi16(
        31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, 9,
        8, 7, 6, 5, 4, 3, 2, 1, 0,
    )
}

/// The lanes of 16 bits, eight at a time, as 64-bit numbers.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn parts(lanes: __m512i) -> [__m512i; 4] {
    [
        _mm512_cvtepu16_epi64(_mm512_extracti32x4_epi32::<0>(lanes)),
        _mm512_cvtepu16_epi64(_mm512_extracti32x4_epi32::<1>(lanes)),
        _mm512_cvtepu16_epi64(_mm512_extracti32x4_epi32::<2>(lanes)),
        _mm512_cvtepu16_epi64(_mm512_extracti32x4_epi32::<3>(lanes)),
    ]
}

/// Adds neighbouring words of two vectors: `a` in the even words of the result, `b` in the odd ones.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn add_words(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
}

/// Adds neighbouring lanes of 128 bits: `a` in the lower half of the result, `b` in the upper one.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn add_lanes(a: __m512i, b: __m512i) -> __m512i {
    let even = _mm512_shuffle_i64x2::<0b10_00_10_00>(a, b);
    let odd = _mm512_shuffle_i64x2::<0b11_01_11_01>(a, b);
    _mm512_add_epi64(even, odd)
}

#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: the same bytes as a vector; every pattern of bits is one.
    unsafe { transmute::<[u8; 64], __m512i>(*bytes) }
}

/// The first `count` words, at most eight, and zeros.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn load_words(bytes: &[u8], count: usize) -> __m512i {
    let bytes = &bytes[..count * 8];
    let present = first_lanes(count) & 0xff;
    // SAFETY: the mask has a bit for each word of `bytes`, and nothing else is read.
    unsafe { _mm512_maskz_loadu_epi64(present as __mmask8, bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn load_lanes(lanes: &[u64; 8]) -> __m512i {
    // SAFETY: the same bytes as a vector; every pattern of bits is one.
    unsafe { transmute::<[u64; 8], __m512i>(*lanes) }
}

/// Up to 32 values, zeros beyond them, and the mask of those that are there.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn load_values(values: &[[u8; 2]]) -> (__m512i, __mmask32) {
    let present = first_lanes(values.len());
    // SAFETY: the mask has a bit for each of `values`, and nothing else is read.
    (unsafe { _mm512_maskz_loadu_epi16(present, values.as_ptr().cast()) }, present)
}

/// Stores eight 64-bit numbers as 32-bit ones.
#[inline]
#[target_feature(
    enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,avx512vbmi2,popcnt"
)]
fn store_narrowed(out: &mut [u32; 8], sums: __m512i) {
    // SAFETY: eight lanes of 32 bits are that many numbers.
    *out = unsafe { transmute::<__m256i, [u32; 8]>(_mm512_cvtepi64_epi32(sums)) };
}
