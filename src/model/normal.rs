//! Pixels to network inputs: the mean picture is subtracted and one standard deviation divides all,
//! as in the paper, so that the linear units of the first machine see unit variance.

use super::Pixels;
use super::patches::{PATCH_INPUTS, PATCHES, Retinas};

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

    /// The normaliser of a mean picture, or a mean patch, of numbers from 0 to 255.
    pub(super) fn new(mean: Vec<f32>, deviation: f32) -> Self {
        Self { mean, deviation: deviation.clamp(Self::MIN_DEVIATION, Self::MAX_DEVIATION) }
    }

    /// One that assumes nothing: grey, and a quarter of the range.
    pub(super) fn neutral() -> Self {
        Self::new(vec![127.5; Pixels::BYTES], 64.0)
    }

    /// The same for patches.
    pub(super) fn neutral_patch() -> Self {
        Self::new(vec![127.5; PATCH_INPUTS], 64.0)
    }

    /// Counts the pictures of `dataset`, [`Pixels::BYTES`] each, of which there is at least one.
    pub(super) fn of(dataset: &[u8]) -> Self {
        let mut counts = Counts::new(Pixels::BYTES);
        for image in dataset.chunks_exact(Pixels::BYTES) {
            counts.add(image);
        }
        counts.normalizer(1.0)
    }

    /// Counts all patches of these pictures.
    pub(super) fn of_patches(dataset: &[u8]) -> Self {
        let mut counts = Counts::new(PATCH_INPUTS);
        let mut quarters = Vec::with_capacity(PATCH_INPUTS);
        for image in dataset.chunks_exact(Pixels::BYTES) {
            let retinas = Retinas::new(image);
            for place in 0..PATCHES {
                quarters.clear();
                retinas.append(place, &mut quarters);
                counts.add(&quarters);
            }
        }
        counts.normalizer(0.25)
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

    /// Appends the inputs for one patch, which comes in quarters of a byte.
    pub(super) fn append_quarters(&self, patch: &[u16], inputs: &mut Vec<f32>) {
        let scale = self.deviation.recip();
        let pixels = patch.iter().zip(&self.mean);
        inputs.extend(pixels.map(|(&quarters, mean)| (f32::from(quarters) * 0.25 - mean) * scale));
    }
}

/// Sums over many pictures or patches, number by number.
struct Counts {
    count: u64,
    sums: Vec<u64>,
    squares: Vec<u64>,
}

impl Counts {
    fn new(width: usize) -> Self {
        Self { count: 0, sums: vec![0; width], squares: vec![0; width] }
    }

    fn add<T: Copy + Into<u64>>(&mut self, numbers: &[T]) {
        self.count += 1;
        for ((sum, square), &number) in self.sums.iter_mut().zip(&mut self.squares).zip(numbers) {
            let number = number.into();
            *sum += number;
            *square += number * number;
        }
    }

    /// The normaliser of what was counted in units of `unit` bytes.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "the sums are exact in f64 up to 10^9 pictures, the results need no more than f32"
    )]
    fn normalizer(&self, unit: f64) -> Normalizer {
        let count = self.count.max(1) as f64;
        let means: Vec<f64> = self.sums.iter().map(|&sum| sum as f64 / count).collect();
        let spread =
            means.iter().zip(&self.squares).map(|(m, &square)| square as f64 / count - m * m);
        let variance = spread.sum::<f64>() / self.sums.len() as f64;
        let mean = means.iter().map(|&mean| (mean * unit) as f32).collect();
        Normalizer::new(mean, (variance.max(0.0).sqrt() * unit) as f32)
    }
}

#[cfg(test)]
mod tests {
    use super::{Normalizer, PATCH_INPUTS, PATCHES, Pixels, Retinas};

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
    fn training_patches_become_centred_with_unit_variance() {
        let pictures: Vec<u8> =
            (0..Pixels::BYTES * 3).map(|i| u8::try_from(i * 31 % 251).unwrap()).collect();
        let normalizer = Normalizer::of_patches(&pictures);
        let (mut inputs, mut quarters) = (Vec::new(), Vec::new());
        for picture in pictures.chunks(Pixels::BYTES) {
            let retinas = Retinas::new(picture);
            for place in 0..PATCHES {
                quarters.clear();
                retinas.append(place, &mut quarters);
                normalizer.append_quarters(&quarters, &mut inputs);
            }
        }
        let count = inputs.len() as f32;
        assert_eq!(inputs.len(), 3 * PATCHES * PATCH_INPUTS);
        let mean = inputs.iter().sum::<f32>() / count;
        let variance = inputs.iter().map(|x| x * x).sum::<f32>() / count;
        assert!(mean.abs() < 1e-3 && (variance - 1.0).abs() < 1e-2, "{mean} {variance}");
        // Each of the 336 has a mean of its own.
        let first = inputs.iter().step_by(PATCH_INPUTS).sum::<f32>();
        assert!((first / count * PATCH_INPUTS as f32).abs() < 1e-3, "{first}");
    }

    #[test]
    fn equal_pictures_do_not_divide_by_zero() {
        let normalizer = Normalizer::of(&[9; Pixels::BYTES * 2]);
        let mut inputs = Vec::new();
        normalizer.append(&[9; Pixels::BYTES], &mut inputs);
        assert!(inputs.iter().all(|&x| x == 0.0));
    }
}
