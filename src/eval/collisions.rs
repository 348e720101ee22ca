//! How well a set of codes uses its bits, without any label: codes that collide, buckets that overflow, bits
//! that say little or the same as others; beside each what codes drawn uniformly would give.

use std::collections::HashMap;

use super::ranking::real;

/// What a set of codes looks like.
#[derive(Debug, Clone, PartialEq)]
pub struct CodeStatistics {
    /// How many codes.
    pub codes: u64,
    /// Bits of each.
    pub bits: u32,
    /// How many different ones.
    pub distinct: u64,
    /// How many different ones are expected of uniform codes.
    pub uniform_distinct: f64,
    /// Codes that are shared with another one, as a share of all.
    pub shared: f64,
    /// Codes beyond the first of each kind, as a share of all: what collides on arrival.
    pub surplus: f64,
    /// The surplus that is expected of uniform codes.
    pub uniform_surplus: f64,
    /// The most codes that are the same.
    pub largest_bucket: u64,
    /// The mean number of codes in the bucket of a code, itself among them: what a look-up returns.
    pub mean_bucket: f64,
    /// The mean of that for uniform codes.
    pub uniform_mean_bucket: f64,
    /// The entropy of each bit, 0 to 1, over all bits: mean and least.
    pub entropy_mean: f64,
    /// The least of them.
    pub entropy_least: f64,
    /// The mean absolute correlation of two different bits, 0 to 1; a constant bit correlates with none.
    pub correlation_mean: f64,
    /// The largest.
    pub correlation_most: f64,
}

/// Looks at codes of so many bits, one after the other, each of `bits / 8` bytes rounded up; bits beyond
/// are passed over. Bit i is the bit i % 8 of byte i / 8, the lowest first.
#[must_use]
pub fn code_statistics(codes: &[u8], bits: u32) -> CodeStatistics {
    let width = (bits as usize).div_ceil(8).max(1);
    let rows = codes.chunks_exact(width);
    let count = rows.len() as u64;
    let mut buckets: HashMap<&[u8], u64> = HashMap::new();
    for row in rows.clone() {
        *buckets.entry(row).or_default() += 1;
    }
    let distinct = buckets.len() as u64;
    let shared: u64 = buckets.values().filter(|&&count| count > 1).sum();
    let squares: f64 = buckets.values().map(|&count| real(count) * real(count)).sum();
    let share = |part: f64| if count > 0 { part / real(count) } else { 0.0 };
    let uniform_distinct = uniform_distinct(count, bits);
    let places = f64::from(bits).exp2();
    let columns: Vec<Vec<u64>> = (0..bits as usize).map(|bit| column(rows.clone(), bit)).collect();
    let ones: Vec<f64> = columns.iter().map(|column| ones(column)).collect();
    let entropies: Vec<f64> = ones.iter().map(|&ones| entropy(share(ones))).collect();
    let correlations = correlations(&columns, &ones, real(count));
    let pairs = correlations.len().max(1) as u64;
    CodeStatistics {
        codes: count,
        bits,
        distinct,
        uniform_distinct,
        shared: share(real(shared)),
        surplus: share(real(count - distinct)),
        uniform_surplus: share(real(count) - uniform_distinct),
        largest_bucket: buckets.values().copied().max().unwrap_or(0),
        mean_bucket: share(squares),
        uniform_mean_bucket: if count > 0 { 1.0 + real(count - 1) / places } else { 0.0 },
        entropy_mean: entropies.iter().sum::<f64>() / f64::from(bits.max(1)),
        entropy_least: entropies.iter().copied().fold(1.0, f64::min),
        correlation_mean: correlations.iter().sum::<f64>() / real(pairs),
        correlation_most: correlations.iter().copied().fold(0.0, f64::max),
    }
}

/// Places taken by `count` codes that are drawn uniformly: 2^b (1 - (1 - 2^-b)^n).
fn uniform_distinct(count: u64, bits: u32) -> f64 {
    let places = f64::from(bits).exp2();
    // By logarithms of one plus, since 1 - 2^-b is 1 from 53 bits on.
    let missed = (real(count) * (-1.0 / places).ln_1p()).exp_m1();
    if places.is_finite() { -places * missed } else { real(count) }
}

/// One bit of every code, packed.
fn column<'a>(rows: impl Iterator<Item = &'a [u8]>, bit: usize) -> Vec<u64> {
    let mut packed = Vec::new();
    for (at, row) in rows.enumerate() {
        if at % 64 == 0 {
            packed.push(0);
        }
        let set = u64::from(row[bit / 8] >> (bit % 8) & 1);
        if let Some(last) = packed.last_mut() {
            *last |= set << (at % 64);
        }
    }
    packed
}

fn ones(column: &[u64]) -> f64 {
    column.iter().map(|word| f64::from(word.count_ones())).sum()
}

/// The entropy of a bit that is set in such a share of codes, in bits.
fn entropy(share: f64) -> f64 {
    let part = |share: f64| if share > 0.0 { -share * share.log2() } else { 0.0 };
    part(share) + part(1.0 - share)
}

/// The absolute correlation of every pair of bits.
fn correlations(columns: &[Vec<u64>], ones: &[f64], count: f64) -> Vec<f64> {
    let mut found = Vec::new();
    for (at, (first, a)) in columns.iter().zip(ones).enumerate() {
        for (second, b) in columns.iter().zip(ones).skip(at + 1) {
            let both = first.iter().zip(second).map(|(x, y)| f64::from((x & y).count_ones()));
            let both: f64 = both.sum();
            let spread = (a * (count - a) * b * (count - b)).sqrt();
            found.push(if spread > 0.0 { ((count * both - a * b) / spread).abs() } else { 0.0 });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_codes_by_hand() {
        // Bits from the lowest: 00, 10, 10, 11.
        let found = code_statistics(&[0b00, 0b01, 0b01, 0b11], 2);
        assert_eq!((found.codes, found.distinct, found.largest_bucket), (4, 3, 2));
        assert_eq!((found.shared, found.surplus, found.mean_bucket), (0.5, 0.25, 1.5));
        let three_quarters = entropy(0.75);
        assert!((found.entropy_mean - three_quarters).abs() < 1e-12);
        assert!((found.entropy_least - 0.811_278_124_459_132_8).abs() < 1e-12);
        // One is set in three codes, the other in one of them: (4 * 1 - 3 * 1) / sqrt(3 * 1 * 1 * 3).
        assert!((found.correlation_mean - 1.0 / 3.0).abs() < 1e-12);
        // 4 (1 - (3/4)^4)
        assert!((found.uniform_distinct - 4.0 * (1.0 - 0.75_f64.powi(4))).abs() < 1e-9);
        assert_eq!(found.uniform_mean_bucket, 1.75);
    }

    /// 10,000 images in 65,536 buckets: 7.3 % surplus codes, as papers that report fewer should know.
    #[test]
    fn uniform_codes_of_16_bits_collide_already() {
        assert!(((10_000.0 - uniform_distinct(10_000, 16)) / 10_000.0 - 0.0726).abs() < 0.0005);
        assert!((uniform_distinct(50_000, 256) - 50_000.0).abs() < 1e-6);
        assert!((uniform_distinct(50_000, 2000) - 50_000.0).abs() < 1e-6);
        let none = code_statistics(&[], 16);
        assert_eq!((none.codes, none.distinct, none.surplus), (0, 0, 0.0));
    }

    #[test]
    fn bits_that_never_change_and_bits_that_repeat_are_seen() {
        let codes: Vec<u8> =
            (0..200_u8).map(|at| if at % 2 == 0 { 0b101 } else { 0b100 }).collect();
        let found = code_statistics(&codes, 3);
        assert_eq!(found.entropy_least, 0.0);
        assert!((found.entropy_mean - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(found.correlation_most, 0.0);
        let twice: Vec<u8> = (0..200_u8).map(|at| if at % 3 == 0 { 0b11 } else { 0b00 }).collect();
        assert!((code_statistics(&twice, 2).correlation_most - 1.0).abs() < 1e-12);
    }
}
