//! The nearest of many pictures by their codes of 256 bits, against the nearest by the Euclidean distance of their
//! pixels, on one core and in one run: the claim of Krizhevsky & Hinton 2011 that codes are some thousand times as
//! fast. Pixels are 3,072 floats a picture, 12,288 bytes; the same as bytes; codes 32 bytes.
//!
//! `HASHDB_BENCH_PICTURES` sets the number of pictures (default 20,000, whose floats take 234 MiB: beyond any
//! cache). Codes are searched among as many, and among 4,000,000, whose bytes are beyond any cache too.
//! All times are processor time of the one thread, best and median of the rounds; every search is checked against
//! a plain one in integers first.
//!
//! `cargo bench --profile dev --features __internals --bench pixels`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints and stops at the first surprise"
)]
#![expect(dead_code, reason = "of what the benches share this one needs random bytes alone")]

mod measure;

use std::hint::black_box;
use std::time::Duration;

use hashdb::Level;
use hashdb::internals::hamming::rows_within;
use measure::Random;

const PIXELS: usize = 3072;
const CODE: usize = 32;
const MANY: usize = 4_000_000;
const QUERIES: usize = 5;
const ROUNDS: usize = 4;

/// Processor time of this thread so far, which other work on the machine does not lengthen by waiting.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

/// Sums in lanes, so that the compiler can keep them in a register of any width.
#[inline(always)]
fn squares_of_floats(a: &[f32], b: &[f32]) -> f32 {
    let mut lanes = [0.0_f32; 64];
    let (a, b) = (a.as_chunks::<64>().0, b.as_chunks::<64>().0);
    for (a, b) in a.iter().zip(b) {
        for ((lane, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *lane = (a - b).mul_add(a - b, *lane);
        }
    }
    lanes.iter().sum()
}

/// The same of bytes, exactly.
#[inline(always)]
fn squares_of_bytes(a: &[u8], b: &[u8]) -> u32 {
    let mut sum = 0_i32;
    for (a, b) in a.iter().zip(b) {
        let apart = i32::from(i16::from(*a) - i16::from(*b));
        // 3,072 squares of at most 255 fit; a check for each would keep the loop from being vectorised.
        sum = sum.wrapping_add(apart * apart);
    }
    sum.cast_unsigned()
}

#[inline(always)]
fn nearest_floats(query: &[f32], pictures: &[f32]) -> usize {
    let mut best = (f32::INFINITY, 0);
    for (number, picture) in pictures.chunks_exact(PIXELS).enumerate() {
        let apart = squares_of_floats(query, picture);
        if apart < best.0 {
            best = (apart, number);
        }
    }
    best.1
}

#[inline(always)]
fn nearest_bytes(query: &[u8], pictures: &[u8]) -> usize {
    let mut best = (u32::MAX, 0);
    for (number, picture) in pictures.chunks_exact(PIXELS).enumerate() {
        let apart = squares_of_bytes(query, picture);
        if apart < best.0 {
            best = (apart, number);
        }
    }
    best.1
}

/// The loops over pixels, compiled for what this processor has, as the kernels for codes are.
#[cfg(target_arch = "x86_64")]
mod compiled {
    /// Which instructions the loops are compiled for.
    pub(super) fn level() -> &'static str {
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512bw") {
            "AVX-512"
        } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
            "AVX2"
        } else {
            "SSE2"
        }
    }

    macro_rules! compiled {
        ($name:ident, $element:ty, $avx512:ident, $avx2:ident) => {
            #[target_feature(enable = "avx512f,avx512bw,fma")]
            fn $avx512(query: &[$element], pictures: &[$element]) -> usize {
                super::$name(query, pictures)
            }

            #[target_feature(enable = "avx2,fma")]
            fn $avx2(query: &[$element], pictures: &[$element]) -> usize {
                super::$name(query, pictures)
            }

            #[expect(unsafe_code, reason = "the processor was asked")]
            pub(super) fn $name(query: &[$element], pictures: &[$element]) -> usize {
                match level() {
                    // SAFETY: `level` has found these features.
                    "AVX-512" => unsafe { $avx512(query, pictures) },
                    // SAFETY: `level` has found these features.
                    "AVX2" => unsafe { $avx2(query, pictures) },
                    _ => super::$name(query, pictures),
                }
            }
        };
    }

    compiled!(nearest_floats, f32, floats_avx512, floats_avx2);
    compiled!(nearest_bytes, u8, bytes_avx512, bytes_avx2);
}

#[cfg(not(target_arch = "x86_64"))]
mod compiled {
    pub(super) use super::{nearest_bytes, nearest_floats};

    /// Which instructions the loops are compiled for.
    pub(super) fn level() -> &'static str {
        "the compiler's defaults"
    }
}

/// The first of the nearest codes.
fn nearest_code(level: Level, query: &[u8], codes: &[u8]) -> usize {
    let mut best = (u32::MAX, 0);
    rows_within(level, query, codes, 8 * 32, |row, distance| {
        if distance < best.0 {
            best = (distance, row);
        }
        // Only what is nearer is of interest.
        best.0.saturating_sub(1)
    });
    best.1
}

/// Nanoseconds of one picture, best and median over rounds, of searches with all queries. A round is `repeats`
/// searches, a tenth of a second or so: processor time is told in steps of some milliseconds.
fn time(pictures: usize, repeats: usize, mut search: impl FnMut(usize)) -> (f64, f64) {
    let mut times: Vec<Duration> = (0..ROUNDS * QUERIES)
        .map(|round| {
            let start = processor();
            for _ in 0..repeats {
                search(round % QUERIES);
            }
            processor() - start
        })
        .collect();
    times.sort_unstable();
    let seen = (pictures * repeats) as f64;
    let each = |time: Duration| time.as_secs_f64() * 1e9 / seen;
    (each(times[0]), each(times[times.len() / 2]))
}

fn tell(what: &str, (best, median): (f64, f64), floats: (f64, f64)) {
    let (by_best, by_median) = (floats.0 / best, floats.1 / median);
    println!(
        "{what}: best {best:.3} ns a picture, median {median:.3} ns; {by_median:.0} times floats by medians, \
        {by_best:.0} by the best"
    );
}

fn main() {
    let given = std::env::var("HASHDB_BENCH_PICTURES").ok();
    let count = given.map_or(20_000, |count| count.parse().unwrap());
    let mut random = Random(1);
    let bytes = random.bytes(count * PIXELS);
    let floats: Vec<f32> = bytes.iter().copied().map(f32::from).collect();
    let asked: Vec<_> = (0..QUERIES).map(|_| random.bytes(PIXELS)).collect();
    let as_floats =
        |query: &Vec<u8>| -> Vec<f32> { query.iter().copied().map(f32::from).collect() };
    let asked_floats: Vec<_> = asked.iter().map(as_floats).collect();
    let codes = random.bytes(MANY.max(count) * CODE);
    let few = &codes[..count * CODE];
    let asked_codes: Vec<_> = (0..QUERIES).map(|_| random.bytes(CODE)).collect();
    let level = Level::best();

    for ((query, query_floats), code) in asked.iter().zip(&asked_floats).zip(&asked_codes) {
        let apart = |(a, b): (&u8, &u8)| u64::from(a.abs_diff(*b)).pow(2);
        let to = |picture: &[u8]| picture.iter().zip(query).map(apart).sum::<u64>();
        let expected = bytes.chunks(PIXELS).map(to).enumerate().min_by_key(|(_, apart)| *apart);
        let expected = expected.unwrap();
        assert_eq!(compiled::nearest_bytes(query, &bytes), expected.0);
        // Rounding may prefer another that is as near to the sixth digit.
        let found = compiled::nearest_floats(query_floats, &floats);
        let found = to(&bytes[found * PIXELS..][..PIXELS]);
        assert!(found as f64 <= expected.1 as f64 * 1.000_01, "{found} {}", expected.1);
        for codes in [few, &codes] {
            let apart = |row: &[u8]| row.iter().zip(code).map(|(a, b)| (a ^ b).count_ones()).sum();
            let expected = codes.chunks(CODE).map(apart).enumerate().min_by_key(|(_, d)| *d);
            let expected: (usize, u32) = expected.unwrap();
            assert_eq!(nearest_code(level, code, codes), expected.0);
        }
    }

    println!("{count} pictures; pixels by {}, codes by {level}", compiled::level());
    let by_floats = time(count, 10, |query| {
        black_box(compiled::nearest_floats(&asked_floats[query], black_box(&floats)));
    });
    let by_bytes = time(count, 30, |query| {
        black_box(compiled::nearest_bytes(&asked[query], black_box(&bytes)));
    });
    let by_few = time(count, 20_000, |query| {
        black_box(nearest_code(level, &asked_codes[query], black_box(few)));
    });
    let by_many = time(MANY.max(count), 20, |query| {
        black_box(nearest_code(level, &asked_codes[query], black_box(&codes)));
    });
    tell("pixels as floats", by_floats, by_floats);
    tell("pixels as bytes", by_bytes, by_floats);
    tell(&format!("codes, {count} of them"), by_few, by_floats);
    tell(&format!("codes, {} of them", MANY.max(count)), by_many, by_floats);
}
