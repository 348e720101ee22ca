//! Kernels for AVX2: bits are counted by looking up nibbles with `pshufb`.
#![expect(unsafe_code, reason = "vector loads and stores; calls of code for detected features")]

use std::arch::x86_64::{
    __m256i, _MM_HINT_T0, _mm_prefetch, _mm_storeu_si128, _mm256_add_epi8, _mm256_add_epi16,
    _mm256_add_epi64, _mm256_and_si256, _mm256_castsi256_ps, _mm256_castsi256_si128,
    _mm256_cmpeq_epi32, _mm256_cmpgt_epi16, _mm256_cmpgt_epi64, _mm256_loadu_si256,
    _mm256_madd_epi16, _mm256_maddubs_epi16, _mm256_maskload_epi64, _mm256_min_epu32,
    _mm256_movemask_epi8, _mm256_movemask_ps, _mm256_permute2x128_si256,
    _mm256_permutevar8x32_epi32, _mm256_sad_epu8, _mm256_set_epi32, _mm256_set_epi64x,
    _mm256_set1_epi8, _mm256_set1_epi16, _mm256_set1_epi32, _mm256_set1_epi64x, _mm256_setr_epi8,
    _mm256_setzero_si256, _mm256_shuffle_epi8, _mm256_srli_epi16, _mm256_storeu_si256,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::{Run, scalar};

/// A width in words that the compiler does not know.
const ANY: usize = 0;

/// Whether this processor has what the kernels of this file use.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
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
            32 => distances_wide::<4>(query, rows, out),
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
    for line in bytes.chunks(64) {
        // SAFETY: the address is borrowed, and a prefetch of any address is harmless. Every x86-64
        // has the instruction.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
}

/// Four rows of 1 or 2 words a step: each vector holds several rows.
#[target_feature(enable = "avx2,popcnt")]
fn distances_narrow<const WORDS: usize>(query: &[u8], rows: &[u8], out: &mut [u32]) {
    let mut repeated = [0; 32];
    for copy in repeated.chunks_exact_mut(WORDS * 8) {
        copy.copy_from_slice(query);
    }
    let pattern = load(&repeated);
    let (outs, rest) = out.as_chunks_mut::<4>();
    let steps = rows.chunks_exact(32 * WORDS);
    let rows_left = steps.remainder();
    for (step, out) in steps.zip(outs) {
        let mut sums = [_mm256_setzero_si256(); WORDS];
        for (sum, bytes) in sums.iter_mut().zip(step.as_chunks().0) {
            *sum = word_sums(byte_counts(_mm256_xor_si256(load(bytes), pattern)));
        }
        match sums.as_slice() {
            [a, b] => store_words::<0, 2, 1, 3>(out, add_words(*a, *b)),
            _ => store_words::<0, 1, 2, 3>(out, sums[0]), // four rows of one word each
        }
    }
    scalar::distances(query, rows_left, rest);
}

/// Four rows of any width a step, each counted in a vector of its own. `WORDS` is the width, or
/// [`ANY`].
#[target_feature(enable = "avx2,popcnt")]
fn distances_wide<const WORDS: usize>(query: &[u8], rows: &[u8], out: &mut [u32]) {
    let width = if WORDS == ANY { query.len() } else { WORDS * 8 };
    let query = &query[..width];
    let (outs, rest) = out.as_chunks_mut::<4>();
    let steps = rows.chunks_exact(width * 4);
    let rows_left = steps.remainder();
    for (step, out) in steps.zip(outs) {
        let mut sums = [_mm256_setzero_si256(); 4];
        for (sum, row) in sums.iter_mut().zip(step.chunks_exact(width)) {
            *sum = word_sums(row_counts(query, row));
        }
        let [a, b, c, d] = sums;
        store_words::<0, 1, 2, 3>(out, add_lanes(add_words(a, b), add_words(c, d)));
    }
    scalar::distances(query, rows_left, rest);
}

/// The differing bits of one row, spread over 32 byte-wide sums: at most 8 bits for each of the
/// four vectors of the widest code.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn row_counts(query: &[u8], row: &[u8]) -> __m256i {
    let (query_blocks, query_rest) = query.as_chunks();
    let (row_blocks, row_rest) = row.as_chunks();
    let mut counts = _mm256_setzero_si256();
    for (query, row) in query_blocks.iter().zip(row_blocks) {
        let difference = _mm256_xor_si256(load(query), load(row));
        counts = _mm256_add_epi8(counts, byte_counts(difference));
    }
    if !row_rest.is_empty() {
        let difference = _mm256_xor_si256(load_words(query_rest), load_words(row_rest));
        counts = _mm256_add_epi8(counts, byte_counts(difference));
    }
    counts
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
        // SAFETY: `out` is 32 bytes that may be written; the store asks for no alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), sums) };
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
            // SAFETY: all 32 bytes are borrowed; the load asks for no alignment.
            let distances = unsafe { _mm256_loadu_si256(distances.as_ptr().cast()) };
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
    // SAFETY: all 32 bytes are borrowed; the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn load_values(values: &[[u8; 2]; 16]) -> __m256i {
    // SAFETY: all 32 bytes are borrowed; the load asks for no alignment.
    unsafe { _mm256_loadu_si256(values.as_ptr().cast()) }
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

/// Stores the words at the given places as 32-bit numbers.
#[inline]
#[target_feature(enable = "avx2,popcnt")]
fn store_words<const A: i32, const B: i32, const C: i32, const D: i32>(
    out: &mut [u32; 4],
    words: __m256i,
) {
    let order = _mm256_set_epi32(0, 0, 0, 0, 2 * D, 2 * C, 2 * B, 2 * A);
    let sums = _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(words, order));
    // SAFETY: `out` is 16 bytes that may be written; the store asks for no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), sums) };
}
