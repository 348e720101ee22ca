//! Kernels for AVX2: bits are counted by looking up nibbles with `pshufb`.
#![expect(unsafe_code, reason = "vector loads and stores; calls of code for detected features")]

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _mm_prefetch, _mm256_add_epi8, _mm256_add_epi16,
    _mm256_add_epi64, _mm256_and_si256, _mm256_castsi256_pd, _mm256_castsi256_ps,
    _mm256_castsi256_si128, _mm256_cmpeq_epi32, _mm256_cmpgt_epi16, _mm256_cmpgt_epi64,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_maskload_epi64, _mm256_min_epu32,
    _mm256_movemask_epi8, _mm256_movemask_pd, _mm256_movemask_ps, _mm256_permute2x128_si256,
    _mm256_permute4x64_epi64, _mm256_permutevar8x32_epi32, _mm256_sad_epu8, _mm256_set_epi32,
    _mm256_set_epi64x, _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x,
    _mm256_setr_epi8, _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi64, _mm256_xor_si256,
};
use std::mem::transmute;

use super::block::{Block, first_lanes, for_each_block};
use super::{BatchHit, EIGHT, RowHit, Run, scalar};

/// Whether this processor has what the kernels of this file use.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
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

/// See [`super::within_u16`].
pub(super) fn within_u16(runs: &[Run<'_>], hit: impl FnMut(usize, usize, u32)) {
    if !available() {
        return scalar::within_u16(runs, hit);
    }
    // SAFETY: `available` has just seen every feature that the function is compiled for.
    unsafe { within_u16_detected(runs, hit) }
}

/// See [`super::prefetch`].
#[inline]
pub(super) fn prefetch(bytes: &[u8]) {
    // The last byte too: bytes that begin inside a line may end in one more.
    for byte in bytes.iter().step_by(64).chain(bytes.last()) {
        // SAFETY: the address is borrowed, and a prefetch of any address is harmless. Every x86-64
        // has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) };
    }
}

/// See [`super::prefetch_line`].
#[inline]
pub(super) fn prefetch_line<T>(value: &T) {
    // SAFETY: the address is borrowed, and a prefetch of any address is harmless. Every x86-64 has
    // the instruction.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(value).cast()) };
}

/// Four rows a step, one distance a lane.
#[target_feature(enable = "avx2,popcnt")]
fn rows_within_detected<const WORDS: usize>(
    query: &[u8],
    rows: &[u8],
    mut limit: u32,
    hit: RowHit<'_>,
) {
    let pattern = pattern::<WORDS>(query);
    let mut bound = _mm256_set1_epi64x(i64::from(limit));
    let steps = rows.chunks_exact(32 * WORDS);
    let (rows_left, first_left) = (steps.remainder(), steps.len() * 4);
    for (step, codes) in steps.enumerate() {
        let sums = row_sums::<WORDS>(codes, pattern);
        let far = lanes_set(_mm256_cmpgt_epi64(sums, bound));
        if far != 0b1111 {
            let mut distances = [0; 4];
            store_words(&mut distances, sums);
            limit = scalar::report(!far & 0b1111, &distances, step * 4, limit, &mut *hit);
            bound = _mm256_set1_epi64x(i64::from(limit));
        }
    }
    scalar::rows_within_from::<WORDS>(query, rows_left, first_left, limit, hit);
}

/// Four rows a step.
#[target_feature(enable = "avx2,popcnt")]
fn distances_detected<const WORDS: usize>(query: &[u8], rows: &[u8], out: &mut [u32]) {
    let pattern = pattern::<WORDS>(query);
    let (outs, rest) = out.as_chunks_mut::<4>();
    let steps = rows.chunks_exact(32 * WORDS);
    let rows_left = steps.remainder();
    for (codes, out) in steps.zip(outs) {
        store_words(out, row_sums::<WORDS>(codes, pattern));
    }
    scalar::distances_of::<WORDS>(query, rows_left, rest);
}

/// The query as [`byte_differences`] compares it: as often as it fits into a vector, or over four.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn pattern<const WORDS: usize>(query: &[u8]) -> [__m256i; 4] {
    let place = if WORDS <= 2 { WORDS * 8 } else { 128 };
    let mut bytes = [[0; 32]; 4];
    for copy in bytes.as_flattened_mut().chunks_exact_mut(place) {
        copy[..WORDS * 8].copy_from_slice(query);
    }
    [load(&bytes[0]), load(&bytes[1]), load(&bytes[2]), load(&bytes[3])]
}

/// The distances of four rows, in their order.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn row_sums<const WORDS: usize>(codes: &[u8], pattern: [__m256i; 4]) -> __m256i {
    let sums = |index| word_sums(byte_differences::<WORDS>(codes, index, pattern));
    match WORDS {
        1 => sums(0),
        2 => _mm256_permute4x64_epi64::<0b11_01_10_00>(add_words(sums(0), sums(1))),
        _ => add_lanes(add_words(sums(0), sums(1)), add_words(sums(2), sums(3))),
    }
}

/// The differing bits in the bytes of vector `index` of four rows: of 4 or 2 rows where so many
/// fit, else of one row, folded to 32 bytes: at most 8 bits for each of four vectors.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn byte_differences<const WORDS: usize>(
    codes: &[u8],
    index: usize,
    pattern: [__m256i; 4],
) -> __m256i {
    let bytes = if WORDS <= 2 { 32 } else { WORDS * 8 };
    let mut counts = _mm256_setzero_si256();
    for (part, pattern) in codes[index * bytes..][..bytes].chunks(32).zip(pattern) {
        let codes = part.first_chunk().map_or_else(|| load_words(part), |whole| load(whole));
        counts = _mm256_add_epi8(counts, byte_counts(_mm256_xor_si256(codes, pattern)));
    }
    counts
}

/// Sixteen codes at hand while all queries pass.
#[target_feature(enable = "avx2,popcnt")]
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
            let sums = lane_sums(block, query);
            let bound = _mm256_set1_epi64x(i64::from(*limit));
            let mut far = [_mm256_setzero_si256(); 4];
            for (far, sums) in far.iter_mut().zip(sums) {
                *far = _mm256_cmpgt_epi64(sums, bound);
            }
            let [a, b, c, d] = far;
            let all_far = _mm256_and_si256(_mm256_and_si256(a, b), _mm256_and_si256(c, d));
            if _mm256_movemask_epi8(all_far) != -1 {
                let (mut distances, mut near) = ([[0; 4]; 4], 0);
                for (lanes, (distances, sums)) in distances.iter_mut().zip(sums).enumerate() {
                    store_words(distances, sums);
                    near |= (!lanes_set(far[lanes]) & 0b1111) << (4 * lanes);
                }
                let distances = distances.as_flattened();
                *limit =
                    scalar::report(near & present, distances, first, *limit, |row, distance| {
                        hit(index, row, distance)
                    });
            }
        }
    });
}

/// The distances of sixteen codes to one query. A byte counts at most 8 bits for each of 16 words.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn lane_sums<const WORDS: usize>(block: &Block<WORDS>, query: &[[u8; 8]; WORDS]) -> [__m256i; 4] {
    let mut counts = [_mm256_setzero_si256(); 4];
    for (codes, word) in block.words.iter().zip(query) {
        let word = _mm256_set1_epi64x(i64::from_le_bytes(*word));
        for (count, codes) in counts.iter_mut().zip(codes.as_flattened().as_chunks().0) {
            let difference = _mm256_xor_si256(load_lanes(codes), word);
            *count = _mm256_add_epi8(*count, byte_counts(difference));
        }
    }
    let [a, b, c, d] = counts;
    [word_sums(a), word_sums(b), word_sums(c), word_sums(d)]
}

/// Eight values a step.
#[target_feature(enable = "avx2,popcnt")]
fn distances_u32_detected(query: u32, column: &[u8], out: &mut [u32]) {
    let pattern = _mm256_set1_epi32(query.cast_signed());
    let (steps, column_left) = column.as_chunks::<32>();
    let (outs, rest) = out.as_chunks_mut::<8>();
    for (step, out) in steps.iter().zip(outs) {
        let counts = byte_counts(_mm256_xor_si256(load(step), pattern));
        let pairs = _mm256_maddubs_epi16(counts, _mm256_set1_epi8(1));
        let sums = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
        // SAFETY: eight lanes of 32 bits are that many numbers.
        *out = unsafe { transmute::<__m256i, [u32; 8]>(sums) };
    }
    scalar::distances_u32(query, column_left, rest);
}

/// Eight distances a step, four steps together: mostly none of them is near.
#[target_feature(enable = "avx2,popcnt")]
fn at_most_detected(distances: &[u32], limit: u32, mut hit: impl FnMut(usize)) {
    let bound = _mm256_set1_epi32(limit.cast_signed());
    let (blocks, _) = distances.as_chunks::<32>();
    for (index, block) in blocks.iter().enumerate() {
        let mut hits = 0;
        for (step, distances) in block.as_chunks::<8>().0.iter().enumerate() {
            // SAFETY: eight numbers are that many lanes of 32 bits.
            let distances = unsafe { transmute::<[u32; 8], __m256i>(*distances) };
            // Unsigned numbers are not compared, but the smaller of two is found.
            let near = _mm256_cmpeq_epi32(_mm256_min_epu32(distances, bound), distances);
            let lanes = _mm256_movemask_ps(_mm256_castsi256_ps(near)).cast_unsigned();
            hits |= lanes << (8 * step);
        }
        while hits != 0 {
            hit(index * 32 + hits.trailing_zeros() as usize);
            hits &= hits - 1;
        }
    }
    scalar::at_most_from(distances, blocks.len() * 32, limit, hit);
}

/// Hits are rare: the few distances are counted again, rather than stored for every value.
#[target_feature(enable = "avx2,popcnt")]
fn within_u16_detected(runs: &[Run<'_>], mut hit: impl FnMut(usize, usize, u32)) {
    for (index, run) in runs.iter().enumerate() {
        let pattern = _mm256_set1_epi16(run.query.cast_signed());
        let bound = _mm256_set1_epi16(i16::try_from(run.radius).unwrap_or(16).min(16) + 1);
        let (steps, _) = run.column.as_chunks::<16>();
        for (step, values) in steps.iter().enumerate() {
            let difference = _mm256_xor_si256(load_values(values), pattern);
            let counts = byte_counts(difference);
            let high = _mm256_srli_epi16::<8>(counts);
            let low = _mm256_and_si256(counts, _mm256_set1_epi16(0xff));
            let within = _mm256_cmpgt_epi16(bound, _mm256_add_epi16(high, low));
            // Two equal bits a value, of which one is kept.
            let mut hits = _mm256_movemask_epi8(within).cast_unsigned() & 0x5555_5555;
            while hits != 0 {
                let lane = hits.trailing_zeros() as usize / 2;
                hits &= hits - 1;
                let distance = (u16::from_le_bytes(values[lane]) ^ run.query).count_ones();
                hit(index, step * 16 + lane, distance);
            }
        }
        scalar::within_run(run, steps.len() * 16, |position, distance| {
            hit(index, position, distance);
        });
    }
}

/// The set bits of each byte.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn byte_counts(bytes: __m256i) -> __m256i {
    let counts = _mm256_setr_epi8(
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, //
        0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,
    );
    let nibble = _mm256_set1_epi8(15);
    let low = _mm256_and_si256(bytes, nibble);
    let high = _mm256_and_si256(_mm256_srli_epi16::<4>(bytes), nibble);
    _mm256_add_epi8(_mm256_shuffle_epi8(counts, low), _mm256_shuffle_epi8(counts, high))
}

/// The sum of the bytes of each word.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn word_sums(bytes: __m256i) -> __m256i {
    _mm256_sad_epu8(bytes, _mm256_setzero_si256())
}

/// Adds neighbouring words of two vectors: `a` in the even words of the result, `b` in the odd ones.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn add_words(a: __m256i, b: __m256i) -> __m256i {
    _mm256_add_epi64(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b))
}

/// Adds the two lanes of each vector: `a` in the lower half of the result, `b` in the upper one.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn add_lanes(a: __m256i, b: __m256i) -> __m256i {
    let low = _mm256_permute2x128_si256::<0x20>(a, b);
    let high = _mm256_permute2x128_si256::<0x31>(a, b);
    _mm256_add_epi64(low, high)
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load(bytes: &[u8; 32]) -> __m256i {
    // SAFETY: the same bytes as a vector; every pattern of bits is one.
    unsafe { transmute::<[u8; 32], __m256i>(*bytes) }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load_values(values: &[[u8; 2]; 16]) -> __m256i {
    // SAFETY: the same bytes as a vector; every pattern of bits is one.
    unsafe { transmute::<[[u8; 2]; 16], __m256i>(*values) }
}

/// Up to four whole words, zeros beyond them.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load_words(bytes: &[u8]) -> __m256i {
    let count = _mm256_set1_epi64x(i64::try_from(bytes.len() / 8).unwrap_or(0));
    let present = _mm256_cmpgt_epi64(count, _mm256_set_epi64x(3, 2, 1, 0));
    // SAFETY: the mask is set for each whole word of `bytes`, and nothing else is read.
    unsafe { _mm256_maskload_epi64(bytes.as_ptr().cast(), present) }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load_lanes(lanes: &[u64; 4]) -> __m256i {
    // SAFETY: the same bytes as a vector; every pattern of bits is one.
    unsafe { transmute::<[u64; 4], __m256i>(*lanes) }
}

/// A bit for each word that is all ones; the others are all zeros.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn lanes_set(words: __m256i) -> u32 {
    _mm256_movemask_pd(_mm256_castsi256_pd(words)).cast_unsigned()
}

/// Stores the words as 32-bit numbers.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn store_words(out: &mut [u32; 4], words: __m256i) {
    let order = _mm256_set_epi32(0, 0, 0, 0, 6, 4, 2, 0);
    let sums = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(words, order));
    // SAFETY: four lanes of 32 bits are that many numbers.
    *out = unsafe { transmute::<__m128i, [u32; 4]>(sums) };
}
