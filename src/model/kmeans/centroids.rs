//! Filters by k-means: patches of the pictures, whitened (ZCA) and gathered around centroids.
//!
//! A centroid stands for its mirror image too: a patch goes to the nearest of all of them, and what a mirror image
//! gathers is mirrored before it counts. Mean and covariance are made symmetric, so that the whitening of a mirrored
//! patch is the mirrored whitened patch.

use super::config::KmeansConfig;
use super::features::Filters;
use super::halves;
use super::patches::{INPUTS, PLACES, append, mirror, mirrored};
use super::train::wrong;
use crate::linear::{Matrix, leading};
use crate::model::random::Random;
use crate::model::{ModelError, Pixels};

/// Patches that are multiplied at once.
const BLOCK: usize = 8192;

/// The whitening of patches: less the mean, times a symmetric matrix.
pub(super) struct Whitening {
    pub(super) mean: Vec<f32>,
    pub(super) matrix: Matrix<f32>,
}

/// Draws patches, contrast-normalised, from random places of random pictures.
pub(super) fn draw(dataset: &[u8], count: usize, random: &mut Random) -> Matrix<f32> {
    let pictures = dataset.len() / Pixels::BYTES;
    let mut patches = Vec::with_capacity(count * INPUTS);
    for _ in 0..count {
        let start = random.below(pictures) * Pixels::BYTES;
        let (row, column) = (random.below(PLACES), random.below(PLACES));
        append(&dataset[start..start + Pixels::BYTES], row, column, &mut patches);
    }
    Matrix::new(INPUTS, patches)
}

impl Whitening {
    /// Learns it from patches and their mirror images; `added` to each variance keeps noise small.
    pub(super) fn of(patches: &Matrix<f32>, added: f64) -> Result<Self, ModelError> {
        let mean = mean(patches);
        let mean: Vec<f32> = (0..INPUTS).map(|at| (mean[at] + mean[mirror(at)]) / 2.0).collect();
        let mut sums = vec![0.0_f64; INPUTS * INPUTS];
        for block in patches.numbers.chunks(BLOCK * INPUTS) {
            let centred = centred(block, &mean);
            let part = centred.transposed_times(&centred).map_err(wrong)?;
            sums.iter_mut().zip(part.numbers).for_each(|(sum, part)| *sum += f64::from(part));
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of patches in memory")]
        let share = 0.5 / patches.height().max(1) as f64;
        let at = |row: usize, column: usize| sums[row * INPUTS + column];
        let pair = |row: usize, column: usize| at(row, column) + at(mirror(row), mirror(column));
        let covariance = (0..INPUTS * INPUTS)
            .map(|number| share * pair(number / INPUTS, number % INPUTS))
            .collect();
        let (values, vectors) = leading(&Matrix::new(INPUTS, covariance), INPUTS).map_err(wrong)?;
        let mut scaled = vectors.clone();
        for (row, value) in scaled.numbers.chunks_exact_mut(INPUTS).zip(values) {
            let scale = (value.max(0.0) + added).sqrt().recip();
            row.iter_mut().for_each(|number| *number *= scale);
        }
        let matrix = vectors.transposed_times(&scaled).map_err(wrong)?.single();
        Ok(Self { mean, matrix })
    }

    /// Whitens patches.
    pub(super) fn apply(&self, patches: &Matrix<f32>) -> Result<Matrix<f32>, ModelError> {
        let mut whitened = Vec::with_capacity(patches.numbers.len());
        for block in patches.numbers.chunks(BLOCK * INPUTS) {
            let block = centred(block, &self.mean).times_transposed(&self.matrix);
            whitened.extend(block.map_err(wrong)?.numbers);
        }
        Ok(Matrix::new(INPUTS, whitened))
    }

    /// The filters of centroids of whitened patches: for patches that are not whitened yet.
    pub(super) fn filters(
        &self,
        centroids: &Matrix<f32>,
        config: &KmeansConfig,
    ) -> Result<Filters, ModelError> {
        let mut units = centroids.clone();
        for row in units.numbers.chunks_exact_mut(INPUTS) {
            let length = row.iter().map(|number| number * number).sum::<f32>().sqrt();
            let scale = if length > 0.0 { length.recip() } else { 0.0 };
            row.iter_mut().for_each(|number| *number *= scale);
        }
        let weights = halves(units.times(&self.matrix).map_err(wrong)?.numbers);
        let products =
            |filter: &[f32]| filter.iter().zip(&self.mean).map(|(a, b)| a * b).sum::<f32>();
        let thresholds = weights.chunks_exact(INPUTS).map(|row| products(row) + config.threshold);
        let thresholds = thresholds.collect();
        Ok(Filters::new(weights, thresholds, config.grid))
    }
}

/// Centroids of whitened patches, and the mean squared distance to them in the last round. `report` is told
/// each round.
pub(super) fn gather(
    patches: &Matrix<f32>,
    count: usize,
    rounds: usize,
    random: &mut Random,
    report: &mut dyn FnMut(usize) -> Result<(), ModelError>,
) -> Result<(Matrix<f32>, f32), ModelError> {
    let first = random.order(patches.height()).into_iter().take(count);
    let row = |at: usize| &patches.numbers[at * INPUTS..(at + 1) * INPUTS];
    let mut centroids = Matrix::new(INPUTS, first.flat_map(|at| row(at).to_vec()).collect());
    let mut error = 0.0;
    for round in 0..rounds {
        let (sums, counts, apart) = assign(patches, &centroids)?;
        let rows = centroids.numbers.chunks_exact_mut(INPUTS);
        for ((centroid, sums), &count) in rows.zip(sums.chunks_exact(INPUTS)).zip(&counts) {
            if count == 0 {
                // One that gathers nothing begins anew.
                centroid.copy_from_slice(row(random.below(patches.height())));
                continue;
            }
            #[expect(clippy::cast_possible_truncation, reason = "centroids need no more than f32")]
            #[expect(clippy::cast_precision_loss, reason = "a count of patches in memory")]
            centroid.iter_mut().zip(sums).for_each(|(to, sum)| *to = (sum / count as f64) as f32);
        }
        #[expect(clippy::cast_possible_truncation, reason = "shown to a few digits")]
        #[expect(clippy::cast_precision_loss, reason = "a count of patches in memory")]
        let mean = (apart / patches.height().max(1) as f64) as f32;
        error = mean;
        report(round + 1)?;
    }
    Ok((centroids, error))
}

/// The sum of the patches that each centroid or its mirror image is nearest to, as the centroid sees them, how many
/// they are, and the sum of the squared distances.
fn assign(
    patches: &Matrix<f32>,
    centroids: &Matrix<f32>,
) -> Result<(Vec<f64>, Vec<u64>, f64), ModelError> {
    let count = centroids.height();
    let images = centroids.rows().flat_map(mirrored);
    let both = Matrix::new(INPUTS, centroids.numbers.iter().copied().chain(images).collect());
    let square = |row: &[f32]| row.iter().map(|number| number * number).sum::<f32>();
    let halves: Vec<f32> = both.rows().map(|row| 0.5 * square(row)).collect();
    let columns = both.tensor_transposed().map_err(wrong)?;
    let (mut sums, mut counts) = (vec![0.0; count * INPUTS], vec![0; count]);
    let mut apart = 0.0;
    for block in patches.numbers.chunks(BLOCK * INPUTS) {
        let block = Matrix::new(INPUTS, block.to_vec());
        let products = block.times_tensor(&columns).map_err(wrong)?;
        for (patch, products) in block.rows().zip(products.rows()) {
            let (mut nearest, mut most) = (0, f32::NEG_INFINITY);
            for (at, (product, half)) in products.iter().zip(&halves).enumerate() {
                // The largest of x c - c c / 2 is the nearest; the first of equals.
                if product - half > most {
                    (nearest, most) = (at, product - half);
                }
            }
            apart += f64::from((square(patch) - 2.0 * most).max(0.0));
            let number = nearest % count;
            counts[number] += 1;
            let sums = &mut sums[number * INPUTS..(number + 1) * INPUTS];
            let add = |(sum, number): (&mut f64, f32)| *sum += f64::from(number);
            if nearest < count {
                sums.iter_mut().zip(patch.iter().copied()).for_each(add);
            } else {
                sums.iter_mut().zip(mirrored(patch)).for_each(add);
            }
        }
    }
    Ok((sums, counts, apart))
}

#[expect(clippy::cast_possible_truncation, reason = "a mean needs no more than f32")]
#[expect(clippy::cast_precision_loss, reason = "a count of patches in memory")]
fn mean(rows: &Matrix<f32>) -> Vec<f32> {
    let mut sums = vec![0.0_f64; rows.width];
    for row in rows.rows() {
        sums.iter_mut().zip(row).for_each(|(sum, &number)| *sum += f64::from(number));
    }
    let count = rows.height().max(1) as f64;
    sums.into_iter().map(|sum| (sum / count) as f32).collect()
}

/// Rows less a mean.
fn centred(rows: &[f32], mean: &[f32]) -> Matrix<f32> {
    let rows = rows.chunks_exact(mean.len().max(1));
    let numbers = rows.flat_map(|row| row.iter().zip(mean).map(|(number, mean)| number - mean));
    Matrix::new(mean.len(), numbers.collect())
}
