//! The course of a training: filters, features of all pictures, directions in which pictures differ and
//! distortions do not, bits.
//!
//! The same pictures in the same order, settings and machine give the same bytes, whatever the number of
//! threads: they share out pictures and parts of products, and sums are formed in one order.

use std::fmt;
use std::ops::ControlFlow;

use half::f16;

use super::bits::Source;
use super::centroids::{Whitening, draw, gather};
use super::config::{KmeansConfig, KmeansSummary};
use super::distort::distorted;
use super::features::Filters;
use super::{KmeansItq, Parts, on_the_cpu};
use crate::linear::{LinearError, Matrix, leading_against};
use crate::model::random::Random;
use crate::model::{DeviceChoice, ModelError, Pixels};

/// Pictures between two reports, and in one product.
const BLOCK: usize = 512;

/// A phase of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KmeansPhase {
    /// Rounds of k-means.
    Centroids,
    /// Features of pictures.
    Features,
    /// Features of distorted pictures.
    Distortions,
    /// The directions and the turning of each net: two steps behind the first.
    Bits,
}

impl fmt::Display for KmeansPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Centroids => "centroids",
            Self::Features => "features",
            Self::Distortions => "distortions",
            Self::Bits => "bits",
        })
    }
}

/// A report from a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KmeansProgress {
    /// The phase.
    pub phase: KmeansPhase,
    /// Rounds, pictures or steps that are done in it.
    pub done: usize,
    /// How many there are.
    pub total: usize,
}

/// Trains an encoder on `dataset`, which holds [`Pixels::BYTES`] bytes a picture, one picture after the other.
/// Labels are not needed. `observer` sees a report after each step; its [`ControlFlow::Break`] stops the training,
/// of which nothing is kept.
///
/// Memory beside the pictures: 2 bytes for each feature of each picture, 450 bytes a patch, and some 40 bytes for
/// each pair of features.
///
/// # Errors
/// [`ModelError::Setting`] if `config` or the length of `dataset` breaks a rule, [`ModelError::Stopped`] after a
/// `Break`, [`ModelError::Unsolved`] if a decomposition fails, as where all pictures are the same,
/// [`ModelError::Compute`].
pub fn train_kmeans(
    dataset: &[u8],
    config: &KmeansConfig,
    observer: &mut dyn FnMut(&KmeansProgress) -> ControlFlow<()>,
) -> Result<KmeansItq, ModelError> {
    config.check()?;
    if dataset.is_empty() || !dataset.len().is_multiple_of(Pixels::BYTES) {
        let rule = format!("has {} bytes, expected a multiple of 3072 above 0", dataset.len());
        return Err(ModelError::Setting { setting: "the data set", rule });
    }
    let mut report = |phase, done, total| match observer(&KmeansProgress { phase, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(ModelError::Stopped),
    };
    let (filters, patch_error) = learn_filters(dataset, config, &mut report)?;
    let features = Features::of(dataset, &filters, &mut report)?;
    let mut within = distortions(dataset, &filters, config, &mut report)?;
    report(KmeansPhase::Bits, 0, 3)?;
    let between = features.covariance()?;
    add_to_diagonal(&mut within, f64::from(config.shrinkage) * mean_variance(&between));
    let directions_for = |bits| config.directions_for(bits, filters.width());
    let most = directions_for(config.code_bits).max(directions_for(config.address_bits));
    let (ratios, directions) = leading_against(&between, &within, most).map_err(wrong)?;
    // Along a direction the deviation is the root of its ratio; it is taken to the power of 1.5, so that what
    // tells more has more of the bits.
    let directions = scaled(directions, &ratios);
    let numbers = features.along(&directions)?;
    report(KmeansPhase::Bits, 1, 3)?;
    let source =
        Source { numbers: &numbers, directions: &directions, mean: &features.mean, config };
    let (code, code_entropy) = source.code(config.code_bits)?;
    report(KmeansPhase::Bits, 2, 3)?;
    let (address, address_entropy) = source.address(config.address_bits)?;
    report(KmeansPhase::Bits, 3, 3)?;
    #[expect(clippy::cast_possible_truncation, reason = "shown to a few digits")]
    let ratios = ratios.into_iter().map(|ratio| ratio as f32).collect();
    let training = Some(KmeansSummary {
        config: config.clone(),
        images: features.count(),
        patch_error,
        ratios,
        code_entropy,
        address_entropy,
    });
    KmeansItq::new(Parts { filters, code, address, training }, on_the_cpu(DeviceChoice::Cpu)?)
}

/// Told of phase, done and total.
type Report<'a> = &'a mut dyn FnMut(KmeansPhase, usize, usize) -> Result<(), ModelError>;

/// A failure of linear algebra.
pub(super) fn wrong(error: LinearError) -> ModelError {
    match error {
        LinearError::Compute { cause } => ModelError::Compute { cause },
        LinearError::Unsolved { decomposition } => ModelError::Unsolved { decomposition },
    }
}

fn learn_filters(
    dataset: &[u8],
    config: &KmeansConfig,
    report: Report<'_>,
) -> Result<(Filters, f32), ModelError> {
    let patches = draw(dataset, config.patches, &mut Random::new(config.seed, 1));
    let whitening = Whitening::of(&patches, config.whitening.into())?;
    let whitened = whitening.apply(&patches)?;
    drop(patches);
    let random = &mut Random::new(config.seed, 2);
    let mut round = |done| report(KmeansPhase::Centroids, done, config.rounds);
    let (centroids, error) =
        gather(&whitened, config.centroids, config.rounds, random, &mut round)?;
    Ok((whitening.filters(&centroids, config)?, error))
}

/// The features of all pictures, rounded to f16, and their mean.
struct Features {
    width: usize,
    numbers: Vec<f16>,
    mean: Vec<f32>,
}

impl Features {
    fn of(dataset: &[u8], filters: &Filters, report: Report<'_>) -> Result<Self, ModelError> {
        let total = dataset.len() / Pixels::BYTES;
        let mut numbers = Vec::with_capacity(total * filters.width());
        let mut sums = vec![0.0_f64; filters.width()];
        for block in dataset.chunks(BLOCK * Pixels::BYTES) {
            let pictures: Vec<&[u8]> = block.chunks_exact(Pixels::BYTES).collect();
            let features = filters.of(&pictures)?;
            for row in features.chunks_exact(filters.width()) {
                sums.iter_mut().zip(row).for_each(|(sum, &number)| *sum += f64::from(number));
            }
            numbers.extend(features.into_iter().map(f16::from_f32));
            report(KmeansPhase::Features, numbers.len() / filters.width(), total)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count of pictures in memory")]
        let count = total as f64;
        #[expect(clippy::cast_possible_truncation, reason = "a mean needs no more than f32")]
        let mean = sums.into_iter().map(|sum| (sum / count) as f32).collect();
        Ok(Self { width: filters.width(), numbers, mean })
    }

    fn count(&self) -> usize {
        self.numbers.len() / self.width
    }

    /// Blocks of features less their mean.
    fn blocks(&self) -> impl Iterator<Item = Matrix<f32>> + '_ {
        self.numbers.chunks(BLOCK * self.width).map(|block| {
            let rows = block.chunks_exact(self.width);
            let rows = rows.flat_map(|row| row.iter().zip(&self.mean));
            let numbers = rows.map(|(number, mean)| number.to_f32() - mean).collect();
            Matrix::new(self.width, numbers)
        })
    }

    fn covariance(&self) -> Result<Matrix<f64>, ModelError> {
        let mut sum = Squares::new(self.width);
        self.blocks().try_for_each(|block| sum.add(&block))?;
        Ok(sum.mean(self.count()))
    }

    /// The numbers of pictures along directions.
    fn along(&self, directions: &Matrix<f64>) -> Result<Matrix<f32>, ModelError> {
        let columns = directions.single().tensor_transposed().map_err(wrong)?;
        let mut numbers = Vec::with_capacity(self.count() * directions.height());
        for block in self.blocks() {
            numbers.extend(block.times_tensor(&columns).map_err(wrong)?.numbers);
        }
        Ok(Matrix::new(directions.height(), numbers))
    }
}

/// Sums of products of all pairs of numbers in rows.
struct Squares(Matrix<f64>);

impl Squares {
    fn new(width: usize) -> Self {
        Self(Matrix::new(width, vec![0.0; width * width]))
    }

    fn add(&mut self, rows: &Matrix<f32>) -> Result<(), ModelError> {
        let part = rows.transposed_times(rows).map_err(wrong)?.numbers;
        self.0.numbers.iter_mut().zip(part).for_each(|(sum, part)| *sum += f64::from(part));
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a count of pictures in memory")]
    fn mean(mut self, count: usize) -> Matrix<f64> {
        let scale = (count.max(1) as f64).recip();
        self.0.numbers.iter_mut().for_each(|number| *number *= scale);
        self.0
    }
}

/// The covariance of features between distorted copies of one picture.
fn distortions(
    dataset: &[u8],
    filters: &Filters,
    config: &KmeansConfig,
    report: Report<'_>,
) -> Result<Matrix<f64>, ModelError> {
    let mut random = Random::new(config.seed, 3);
    let mut order = random.order(dataset.len() / Pixels::BYTES);
    order.truncate(config.distorted);
    let (width, total) = (filters.width(), order.len());
    let (mut sum, mut done) = (Squares::new(width), 0);
    for block in order.chunks(BLOCK / 2) {
        let mut copies = Vec::with_capacity(2 * block.len());
        for number in block {
            let image = &dataset[number * Pixels::BYTES..(number + 1) * Pixels::BYTES];
            copies.extend([distorted(image, &mut random), distorted(image, &mut random)]);
        }
        let features = filters.of(&copies.iter().map(Vec::as_slice).collect::<Vec<_>>())?;
        let pairs = features.chunks_exact(2 * width).flat_map(|pair| {
            let (one, other) = pair.split_at(width);
            one.iter().zip(other).map(|(one, other)| one - other)
        });
        sum.add(&Matrix::new(width, pairs.collect()))?;
        done += block.len();
        report(KmeansPhase::Distortions, done, total)?;
    }
    // The difference of two has twice the variance of one.
    Ok(sum.mean(2 * total))
}

fn add_to_diagonal(matrix: &mut Matrix<f64>, added: f64) {
    matrix.numbers.iter_mut().step_by(matrix.width + 1).for_each(|number| *number += added);
}

#[expect(clippy::cast_precision_loss, reason = "a count of features")]
fn mean_variance(covariance: &Matrix<f64>) -> f64 {
    covariance.numbers.iter().step_by(covariance.width + 1).sum::<f64>() / covariance.width as f64
}

/// Each direction times the fourth root of its ratio.
fn scaled(mut directions: Matrix<f64>, ratios: &[f64]) -> Matrix<f64> {
    for (row, ratio) in directions.numbers.chunks_exact_mut(directions.width).zip(ratios) {
        let scale = ratio.max(0.0).sqrt().sqrt();
        row.iter_mut().for_each(|number| *number *= scale);
    }
    directions
}
