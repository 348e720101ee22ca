//! Pixels to network inputs: the mean picture is subtracted and one standard deviation divides all,
//! as in the paper, so that the linear units of the first machine see unit variance.

use super::Pixels;

/// The mean picture and the standard deviation of a set of training pictures, in units of a byte.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Normalizer {
    mean: Vec<f32>,
    deviation: f32,
}

impl Normalizer {
    /// Smallest standard deviation: a set of equal pictures has none, and must not divide by zero.
    pub(super) const MIN_DEVIATION: f32 = 1.0;
    /// Largest standard deviation that is accepted; that of bytes is at most 127.5.
    pub(super) const MAX_DEVIATION: f32 = 255.0;

    /// The normaliser of a mean picture of [`Pixels::BYTES`] numbers from 0 to 255.
    pub(super) fn new(mean: Vec<f32>, deviation: f32) -> Self {
        Self { mean, deviation: deviation.clamp(Self::MIN_DEVIATION, Self::MAX_DEVIATION) }
    }

    /// One that assumes nothing: grey, and a quarter of the range.
    pub(super) fn neutral() -> Self {
        Self::new(vec![127.5; Pixels::BYTES], 64.0)
    }

    /// Counts the pictures of `dataset`, [`Pixels::BYTES`] each, of which there is at least one.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the sums are exact in f64 up to 10^11 pictures, the results need no more than f32"
    )]
    pub(super) fn of(dataset: &[u8]) -> Self {
        let mut sums = vec![0_u64; Pixels::BYTES];
        let mut squares = vec![0_u64; Pixels::BYTES];
        for image in dataset.chunks_exact(Pixels::BYTES) {
            for ((sum, square), &byte) in sums.iter_mut().zip(&mut squares).zip(image) {
                *sum += u64::from(byte);
                *square += u64::from(byte) * u64::from(byte);
            }
        }
        let count = (dataset.len() / Pixels::BYTES).max(1) as f64;
        let means: Vec<f64> = sums.iter().map(|&sum| sum as f64 / count).collect();
        let spread = means.iter().zip(&squares).map(|(m, &square)| square as f64 / count - m * m);
        let variance = spread.sum::<f64>() / Pixels::BYTES as f64;
        let mean = means.iter().map(|&mean| mean as f32).collect();
        Self::new(mean, variance.max(0.0).sqrt() as f32)
    }

    /// The mean picture.
    pub(super) fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The standard deviation over all pixels of all pictures, about the mean picture.
    pub(super) fn deviation(&self) -> f32 {
        self.deviation
    }

    /// Appends the inputs for one picture.
    pub(super) fn append(&self, image: &[u8], inputs: &mut Vec<f32>) {
        let scale = self.deviation.recip();
        let pixels = image.iter().zip(&self.mean);
        inputs.extend(pixels.map(|(&byte, mean)| (f32::from(byte) - mean) * scale));
    }
}

#[cfg(test)]
mod tests {
    use super::{Normalizer, Pixels};

    #[test]
    fn training_pictures_become_centred_with_unit_variance() {
        let dataset: Vec<u8> =
            (0..Pixels::BYTES * 4).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect();
        let normalizer = Normalizer::of(&dataset);
        let mut inputs = Vec::new();
        dataset.chunks(Pixels::BYTES).for_each(|image| normalizer.append(image, &mut inputs));
        let count = inputs.len() as f32;
        let mean = inputs.iter().sum::<f32>() / count;
        let variance = inputs.iter().map(|x| x * x).sum::<f32>() / count;
        assert!(mean.abs() < 1e-4 && (variance - 1.0).abs() < 1e-3, "{mean} {variance}");
    }

    #[test]
    fn equal_pictures_do_not_divide_by_zero() {
        let normalizer = Normalizer::of(&[9; Pixels::BYTES * 2]);
        let mut inputs = Vec::new();
        normalizer.append(&[9; Pixels::BYTES], &mut inputs);
        assert!(inputs.iter().all(|&x| x == 0.0));
    }
}
