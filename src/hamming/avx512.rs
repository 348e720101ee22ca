//! Kernels for AVX-512 with VPOPCNTDQ and BITALG.
#![expect(unsafe_code, reason = "vector loads and stores; calls of code for detected features")]

use std::arch::x86_64::{
    __m512i, __mmask8, __mmask32, _mm256_storeu_si256, _mm512_add_epi16, _mm512_add_epi64,
    _mm512_cmple_epu16_mask, _mm512_cmple_epu32_mask, _mm512_cvtepi64_epi32, _mm512_cvtepu16_epi64,
    _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi64,
    _mm512_maskz_loadu_epi16, _mm512_maskz_loadu_epi64, _mm512_or_si512, _mm512_permutexvar_epi64,
    _mm512_popcnt_epi16, _mm512_popcnt_epi32, _mm512_popcnt_epi64, _mm512_set_epi64,
    _mm512_set1_epi16, _mm512_set1_epi32, _mm512_set1_epi64, _mm512_setzero_si512,
    _mm512_shuffle_i64x2, _mm512_slli_epi64, _mm512_storeu_si512, _mm512_sub_epi16,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

pub(super) use super::avx2::prefetch;
use super::{Band, Hit, Level, Run, scalar};

/// A width in words that the compiler does not know.
const ANY: usize = 0;

/// Whether this processor has what the kernels of this file use.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vpopcntdq")
        && is_x86_feature_detected!("avx512bitalg")
        && is_x86_feature_detected!("popcnt")
}

/// See [`super::distances`].
pub(super) fn distances(query: &[u8], rows: &[u8], out: &mut [u32]) {
    if !available() {
        return scalar::distances(query, rows, out);
    }
    // SAFETY: `available` has just seen every feature that these functions are compiled for.
    unsafe {
        match query.len() {
            8 => distances_narrow::<1>(query, rows, out),
            16 => distances_narrow::<2>(query, rows, out),
            32 => distances_narrow::<4>(query, rows, out),
            64 => distances_wide::<8>(query, rows, out),
            128 => distances_wide::<16>(query, rows, out),
            _ => distances_wide::<ANY>(query, rows, out),
        }
    }
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

/// Eight rows of 1, 2 or 4 words a step: each vector holds several rows.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn distances_narrow<const WORDS: usize>(query: &[u8], rows: &[u8], out: &mut [u32]) {
    let mut repeated = [0; 64];
    for copy in repeated.chunks_exact_mut(WORDS * 8) {
        copy.copy_from_slice(query);
    }
    let pattern = load(&repeated);
    let (outs, rest) = out.as_chunks_mut::<8>();
    let steps = rows.chunks_exact(64 * WORDS);
    let rows_left = steps.remainder();
    for (step, out) in steps.zip(outs) {
        let mut counts = [_mm512_setzero_si512(); WORDS];
        for (count, bytes) in counts.iter_mut().zip(step.as_chunks().0) {
            *count = _mm512_popcnt_epi64(_mm512_xor_si512(load(bytes), pattern));
        }
        let sums = match counts.as_slice() {
            [a, b] => {
                let order = _mm512_set_epi64(7, 5, 3, 1, 6, 4, 2, 0);
                _mm512_permutexvar_epi64(order, add_words(*a, *b))
            }
            [a, b, c, d] => {
                let order = _mm512_set_epi64(7, 5, 6, 4, 3, 1, 2, 0);
                let sums = add_lanes(add_words(*a, *b), add_words(*c, *d));
                _mm512_permutexvar_epi64(order, sums)
            }
            _ => counts[0], // eight rows of one word each
        };
        store_narrowed(out, sums);
    }
    scalar::distances(query, rows_left, rest);
}

/// Eight rows of any width a step, each summed in a vector of its own. `WORDS` is the width, or
/// [`ANY`].
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn distances_wide<const WORDS: usize>(query: &[u8], rows: &[u8], out: &mut [u32]) {
    let width = if WORDS == ANY { query.len() } else { WORDS * 8 };
    let query = &query[..width];
    let (outs, rest) = out.as_chunks_mut::<8>();
    let steps = rows.chunks_exact(width * 8);
    let rows_left = steps.remainder();
    for (step, out) in steps.zip(outs) {
        let mut sums = [_mm512_setzero_si512(); 8];
        for (sum, row) in sums.iter_mut().zip(step.chunks_exact(width)) {
            *sum = row_counts(query, row);
        }
        let [a, b, c, d, e, f, g, h] = sums;
        let low = add_lanes(add_words(a, b), add_words(c, d));
        let high = add_lanes(add_words(e, f), add_words(g, h));
        store_narrowed(out, add_lanes(low, high));
    }
    scalar::distances(query, rows_left, rest);
}

/// The differing bits of one row, spread over eight sums.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn row_counts(query: &[u8], row: &[u8]) -> __m512i {
    let (query_blocks, query_rest) = query.as_chunks();
    let (row_blocks, row_rest) = row.as_chunks();
    let mut sum = _mm512_setzero_si512();
    for (query, row) in query_blocks.iter().zip(row_blocks) {
        let count = _mm512_popcnt_epi64(_mm512_xor_si512(load(query), load(row)));
        sum = _mm512_add_epi64(sum, count);
    }
    if !row_rest.is_empty() {
        let difference = _mm512_xor_si512(load_words(query_rest), load_words(row_rest));
        sum = _mm512_add_epi64(sum, _mm512_popcnt_epi64(difference));
    }
    sum
}

/// Sixteen values a step.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn distances_u32_detected(query: u32, column: &[u8], out: &mut [u32]) {
    let pattern = _mm512_set1_epi32(query.cast_signed());
    let (steps, column_left) = column.as_chunks::<64>();
    let (outs, rest) = out.as_chunks_mut::<16>();
    for (step, out) in steps.iter().zip(outs) {
        let counts = _mm512_popcnt_epi32(_mm512_xor_si512(load(step), pattern));
        // SAFETY: `out` is 64 bytes that may be written; the store asks for no alignment.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), counts) };
    }
    scalar::distances_u32(query, column_left, rest);
}

/// Sixteen distances a step, four steps together: mostly none of them is near.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn at_most_detected(distances: &[u32], limit: u32, mut hit: impl FnMut(usize)) {
    let bound = _mm512_set1_epi32(limit.cast_signed());
    let (blocks, _) = distances.as_chunks::<64>();
    for (index, block) in blocks.iter().enumerate() {
        let mut hits = 0;
        for (step, distances) in block.as_chunks::<16>().0.iter().enumerate() {
            // SAFETY: all 64 bytes are borrowed; the load asks for no alignment.
            let distances = unsafe { _mm512_loadu_si512(distances.as_ptr().cast()) };
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn push_hits(near: __mmask32, row: u32, distances: __m512i, hits: &mut Vec<Hit>) {
    const LANES: usize = 32;
    hits.reserve(LANES + 8);
    let (lengths, parts) = (near.to_le_bytes(), parts(distances));
    let mut count = hits.len();
    for (part, (near, distances)) in (0_u32..).zip(lengths.into_iter().zip(parts)) {
        let first = i64::from(row.wrapping_add(part * 8));
        let rows =
            _mm512_add_epi64(_mm512_set1_epi64(first), _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0));
        // A hit as one number: the row in the lower half, the distance in the upper one.
        let pairs = _mm512_or_si512(_mm512_slli_epi64::<32>(distances), rows);
        let pairs = _mm512_maskz_compress_epi64(near, pairs);
        // SAFETY: there is room for 8 hits behind `count`: 40 were reserved, and each of the parts
        // before has added 8 at most. A hit is two numbers of 32 bits in this order.
        unsafe { _mm512_storeu_si512(hits.as_mut_ptr().add(count).cast(), pairs) };
        count += near.count_ones() as usize;
    }
    // SAFETY: as many hits were written, and the room for them was reserved.
    unsafe { hits.set_len(count) };
}

/// The lanes of 16 bits, eight at a time, as 64-bit numbers.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
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
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn add_words(a: __m512i, b: __m512i) -> __m512i {
    _mm512_add_epi64(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
}

/// Adds neighbouring lanes of 128 bits: `a` in the lower half of the result, `b` in the upper one.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn add_lanes(a: __m512i, b: __m512i) -> __m512i {
    let even = _mm512_shuffle_i64x2::<0b10_00_10_00>(a, b);
    let odd = _mm512_shuffle_i64x2::<0b11_01_11_01>(a, b);
    _mm512_add_epi64(even, odd)
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn load(bytes: &[u8; 64]) -> __m512i {
    // SAFETY: all 64 bytes are borrowed; the load asks for no alignment.
    unsafe { _mm512_loadu_si512(bytes.as_ptr().cast()) }
}

/// Up to eight whole words, zeros beyond them.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn load_words(bytes: &[u8]) -> __m512i {
    let present = first_lanes(bytes.len() / 8) & 0xff;
    // SAFETY: the mask has a bit for each whole word of `bytes`, and nothing else is read.
    unsafe { _mm512_maskz_loadu_epi64(present as __mmask8, bytes.as_ptr().cast()) }
}

/// Up to 32 values, zeros beyond them, and the mask of those that are there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn load_values(values: &[[u8; 2]]) -> (__m512i, __mmask32) {
    let present = first_lanes(values.len());
    // SAFETY: the mask has a bit for each of `values`, and nothing else is read.
    (unsafe { _mm512_maskz_loadu_epi16(present, values.as_ptr().cast()) }, present)
}

/// A mask of the first `count` lanes, of at most 32.
#[inline]
fn first_lanes(count: usize) -> u32 {
    u32::MAX.unbounded_shr(u32::try_from(32_usize.saturating_sub(count)).unwrap_or(32))
}

/// Stores eight 64-bit numbers as 32-bit ones.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vpopcntdq,avx512bitalg,popcnt")]
fn store_narrowed(out: &mut [u32; 8], sums: __m512i) {
    // SAFETY: `out` is 32 bytes that may be written; the store asks for no alignment.
    unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), _mm512_cvtepi64_epi32(sums)) };
}
