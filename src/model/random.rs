//! Random numbers that a seed fixes for good: the stream cipher `ChaCha8` under a hash of the seed.
//!
//! Every step of a training draws from a stream of its own, found by number. So a training that
//! resumes needs to know only which step is next.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A generator for one purpose, `stream`, under one seed.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    /// The generator at the start of a stream.
    pub(super) fn new(seed: u64, stream: u64) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("hashdb model random numbers v1");
        hasher.update(&seed.to_le_bytes());
        let mut generator = ChaCha8Rng::from_seed(*hasher.finalize().as_bytes());
        generator.set_stream(stream);
        Self(generator)
    }

    /// A number in [0, 1), a multiple of 2^-24.
    #[expect(clippy::cast_precision_loss, reason = "24 bits are exact in an f32")]
    pub(super) fn unit(&mut self) -> f32 {
        (self.0.next_u32() >> 8) as f32 / (1_u32 << 24) as f32
    }

    /// `count` numbers in [0, 1).
    pub(super) fn units(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.unit()).collect()
    }

    /// `count` normal numbers with mean 0 and the given standard deviation (Box and Muller, 1958).
    pub(super) fn normals(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        let mut numbers = Vec::with_capacity(count + 1);
        while numbers.len() < count {
            let radius = deviation * (-2.0 * (1.0 - self.unit()).ln()).sqrt();
            let (sine, cosine) = (std::f32::consts::TAU * self.unit()).sin_cos();
            numbers.extend([radius * cosine, radius * sine]);
        }
        numbers.truncate(count);
        numbers
    }

    /// The numbers below `count` in random order (Fisher and Yates).
    pub(super) fn order(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last + 1));
        }
        order
    }

    /// A number below `bound`, which is at least 1. The bias of at most bound / 2^64 is not
    /// measurable.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let scaled = (u128::from(self.0.next_u64()) * bound as u128) >> 64;
        usize::try_from(scaled).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn streams_are_fixed_by_seed_and_number() {
        let draw = |seed, stream| Random::new(seed, stream).units(8);
        assert_eq!(draw(1, 2), draw(1, 2));
        assert_ne!(draw(1, 2), draw(1, 3));
        assert_ne!(draw(1, 2), draw(2, 2));
    }

    #[test]
    fn numbers_have_the_promised_distribution() {
        let mut random = Random::new(7, 0);
        let normals = random.normals(20_001, 2.0);
        let mean = normals.iter().sum::<f32>() / 20_001.0;
        let variance = normals.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / 20_001.0;
        assert!(mean.abs() < 0.05 && (variance - 4.0).abs() < 0.2, "{mean} {variance}");
        let mut order = random.order(100);
        assert_ne!(order, (0..100).collect::<Vec<_>>());
        order.sort_unstable();
        assert_eq!(order, (0..100).collect::<Vec<_>>());
    }
}
