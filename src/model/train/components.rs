//! The first principal components of the training pictures, as inputs of a training.
//!
//! A few hundred directions hold nearly all of how pictures differ. A network that sees and reconstructs
//! these instead of 3,072 pixels multiplies a fraction of the weights in a step. When it is trained its first layer
//! takes the directions in, and from then on it sees pixels like any other. All components are divided by
//! one number, so that they have unit variance on average and keep their shares.

use candle_core::{Device, Tensor};

use crate::linear::{LinearError, Matrix, leading};
use crate::model::Pixels;
use crate::model::error::{Lift, ModelError};
use crate::model::network::{Layer, numbers};
use crate::model::normal::Normalizer;

/// The components are those of at most so many pictures, spread evenly over the data.
const SAMPLE: usize = 16_384;
/// Pictures so few that their products are summed in f64 at once.
const FEW: usize = 4096;
/// Pictures in one product.
const BLOCK: usize = 2048;

/// Directions of pictures, and what they leave of a picture's variance.
#[derive(Debug)]
pub(super) struct Components {
    /// Shape (components, pixels): the directions, divided by the deviation of what lies along them.
    scaled: Tensor,
    count: usize,
    /// The components of all pictures, one picture after the other.
    numbers: Vec<f32>,
    /// The share of the variance that lies along the directions.
    pub(super) share: f32,
}

impl Components {
    /// Finds the first `count` components of the pictures in `bytes`; all of them where there are fewer pictures.
    pub(super) fn of(
        bytes: &[u8],
        normalizer: &Normalizer,
        count: usize,
        device: &Device,
    ) -> Result<Self, ModelError> {
        let count = count.min(bytes.len() / Pixels::BYTES);
        let products = Products { bytes, normalizer };
        // What few pictures leave no variance has only the rounding's in f32, which has no directions to find.
        let found = match bytes.len() / Pixels::BYTES {
            0..=FEW => leading(&products.exact()?, count),
            _ => match leading(&products.fast()?, count) {
                Err(LinearError::Unsolved { .. }) => leading(&products.exact()?, count),
                other => other,
            },
        };
        let (variances, directions) = found.map_err(wrong)?;
        let kept: f64 = variances.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "there are at most 3072 components")]
        let deviation = (kept / count.max(1) as f64).sqrt().max(f64::MIN_POSITIVE);
        let mut scaled = directions;
        scaled.numbers.iter_mut().for_each(|number| *number /= deviation);
        let scaled = scaled.single();
        let scaled = Tensor::from_vec(scaled.numbers, (count, Pixels::BYTES), device).lift()?;
        #[expect(clippy::cast_possible_truncation, reason = "a share is between 0 and 1")]
        let share = (kept / Pixels::BYTES as f64) as f32;
        let mut found = Self { scaled, count, numbers: Vec::new(), share };
        for block in bytes.chunks(BLOCK * Pixels::BYTES) {
            let mut inputs = Vec::with_capacity(block.len());
            block.chunks(Pixels::BYTES).for_each(|one| normalizer.append(one, &mut inputs));
            let rows = block.len() / Pixels::BYTES;
            let inputs = Tensor::from_vec(inputs, (rows, Pixels::BYTES), device).lift()?;
            found.numbers.extend(numbers(&found.along(&inputs).lift()?)?);
        }
        Ok(found)
    }

    /// The components of these pictures, shape (pictures, components).
    pub(super) fn batch(&self, pictures: &[usize], device: &Device) -> candle_core::Result<Tensor> {
        let of = |&picture: &usize| &self.numbers[picture * self.count..(picture + 1) * self.count];
        let rows: Vec<f32> = pictures.iter().flat_map(of).copied().collect();
        Tensor::from_vec(rows, (pictures.len(), self.count), device)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// The components of normalised pictures, shape (rows, components).
    fn along(&self, pictures: &Tensor) -> candle_core::Result<Tensor> {
        pictures.matmul(&self.scaled.t()?)
    }

    /// The layer that does with pictures what `first` does with their components.
    pub(super) fn taken_in(&self, first: &Layer) -> candle_core::Result<Layer> {
        Ok(Layer { weight: first.weight.matmul(&self.scaled)?, bias: first.bias.clone() })
    }
}

/// The mean products of normalised pixels.
struct Products<'a> {
    bytes: &'a [u8],
    normalizer: &'a Normalizer,
}

impl Products<'_> {
    /// Summed in f32 within a block.
    fn fast(&self) -> Result<Matrix<f64>, ModelError> {
        self.mean(|rows| {
            let rows = Matrix::new(Pixels::BYTES, rows);
            let part = rows.transposed_times(&rows).map_err(wrong)?;
            Ok(part.numbers.into_iter().map(f64::from).collect())
        })
    }

    /// Summed in f64.
    fn exact(&self) -> Result<Matrix<f64>, ModelError> {
        self.mean(|rows| {
            let rows = Matrix::new(Pixels::BYTES, rows.into_iter().map(f64::from).collect());
            Ok(rows.transposed_times(&rows).map_err(wrong)?.numbers)
        })
    }

    /// The mean over the sample, of which `square` sums the products of a block.
    fn mean(
        &self,
        square: impl Fn(Vec<f32>) -> Result<Vec<f64>, ModelError>,
    ) -> Result<Matrix<f64>, ModelError> {
        let width = Pixels::BYTES;
        let stride = (self.bytes.len() / width).div_ceil(SAMPLE).max(1);
        let sample: Vec<&[u8]> = self.bytes.chunks_exact(width).step_by(stride).collect();
        let mut sum = Matrix::new(width, vec![0.0; width * width]);
        for block in sample.chunks(BLOCK) {
            let mut rows = Vec::with_capacity(block.len() * width);
            block.iter().for_each(|picture| self.normalizer.append(picture, &mut rows));
            sum.numbers.iter_mut().zip(square(rows)?).for_each(|(sum, part)| *sum += part);
        }
        #[expect(clippy::cast_precision_loss, reason = "a sample is small")]
        let scale = (sample.len().max(1) as f64).recip();
        sum.numbers.iter_mut().for_each(|sum| *sum *= scale);
        Ok(sum)
    }
}

fn wrong(error: LinearError) -> ModelError {
    match error {
        LinearError::Compute { cause } => ModelError::Compute { cause },
        LinearError::Unsolved { decomposition } => ModelError::Unsolved { decomposition },
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Components, Layer, Normalizer, Pixels, numbers};
    use crate::model::random::Random;

    /// Pictures that are mixed of `parts` fixed ones.
    fn pictures(parts: usize) -> Vec<u8> {
        let mut random = Random::new(3, 0);
        let mut bytes = |count| -> Vec<usize> { (0..count).map(|_| random.below(256)).collect() };
        let fixed: Vec<Vec<usize>> = (0..parts).map(|_| bytes(Pixels::BYTES)).collect();
        let mut pictures = Vec::new();
        for _ in 0..60 {
            let shares = bytes(parts);
            pictures.extend((0..Pixels::BYTES).map(|at| {
                let sum: usize =
                    fixed.iter().zip(&shares).map(|(part, share)| part[at] * share).sum();
                u8::try_from(sum / (256 * parts)).unwrap()
            }));
        }
        pictures
    }

    fn components(bytes: &[u8], count: usize) -> (Components, Tensor) {
        let normalizer = Normalizer::of(bytes);
        let found = Components::of(bytes, &normalizer, count, &Device::Cpu).unwrap();
        let mut inputs = Vec::new();
        bytes.chunks(Pixels::BYTES).for_each(|picture| normalizer.append(picture, &mut inputs));
        (found, Tensor::from_vec(inputs, (60, Pixels::BYTES), &Device::Cpu).unwrap())
    }

    #[test]
    fn components_have_unit_variance_on_average_and_the_share_that_is_theirs() {
        let bytes = pictures(5);
        let (few, inputs) = components(&bytes, 2);
        let (many, _) = components(&bytes, 6);
        assert!(few.share < 0.9 && many.share > 0.98, "{} {}", few.share, many.share);
        for found in [&few, &many] {
            let seen = numbers(&found.along(&inputs).unwrap()).unwrap();
            let batch = numbers(&found.batch(&[59, 7], &Device::Cpu).unwrap()).unwrap();
            let rows: Vec<_> = seen.chunks(found.count()).collect();
            let expected = [rows[59], rows[7]].concat();
            assert!(batch.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-4));
            let variance = seen.iter().map(|x| x * x).sum::<f32>() / seen.len() as f32;
            assert!((variance - 1.0).abs() < 0.01, "{variance}");
        }
        assert_eq!(components(&bytes, 100).0.count(), 60);
    }

    #[test]
    fn a_layer_takes_the_components_in() {
        let (found, inputs) = components(&pictures(5), 4);
        let mut random = Random::new(3, 1);
        let weight = Tensor::from_vec(random.normals(7 * 4, 0.5), (7, 4), &Device::Cpu).unwrap();
        let bias = Tensor::from_vec(random.normals(7, 0.5), (1, 7), &Device::Cpu).unwrap();
        let first = Layer { weight, bias };
        let expected = numbers(&first.sums(&found.along(&inputs).unwrap()).unwrap()).unwrap();
        let sums = numbers(&found.taken_in(&first).unwrap().sums(&inputs).unwrap()).unwrap();
        assert!(sums.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-3));
    }

    /// Ten pictures again and again have nine components, and then nothing: sums in f32 leave noise there, in which no
    /// eigenvector was found, and a training ended with that.
    #[test]
    fn pictures_that_repeat_have_components_until_nothing_is_left() {
        let bytes = pictures(9)[..10 * Pixels::BYTES].repeat(6);
        let (found, inputs) = components(&bytes, 40);
        assert!((found.share - 1.0).abs() < 1e-3, "{}", found.share);
        let seen = numbers(&found.along(&inputs).unwrap()).unwrap();
        assert!(seen.chunks(40).flat_map(|row| &row[10..]).all(|x| x.abs() < 1e-2));
    }

    #[test]
    fn equal_pictures_have_no_components() {
        let (found, inputs) = components(&[9; 60 * Pixels::BYTES], 3);
        assert!(numbers(&found.along(&inputs).unwrap()).unwrap().iter().all(|&x| x == 0.0));
    }
}
