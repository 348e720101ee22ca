//! Features of a picture: how strongly its patches answer to each filter, in each part of the picture.
//!
//! A filter is a centroid of k-means, brought to length 1 and taken through the whitening, so that its product
//! with a contrast-normalised patch is the share of the centroid in the whitened patch. Of the product only what
//! is above the filter's threshold counts (the soft threshold of Coates and Ng, ICML 2011). What counts is averaged
//! over the cells of a grid, over each filter and its mirror image in the mirrored cell, so that a picture and its
//! mirror image have equal features but for rounding; then the root is taken, which evens out few strong answers and
//! many weak ones.

use std::sync::OnceLock;

use candle_core::{Device, Tensor};

use super::patches::{INPUTS, PLACES, all, mirror};
use crate::model::error::{Lift, ModelError};
use crate::model::network::with_numbers;

/// Filters and where their answers go.
#[derive(Debug, Clone)]
pub(super) struct Filters {
    /// [`INPUTS`] numbers a filter, exact in f16.
    pub(super) weights: Vec<f32>,
    /// One number a filter.
    pub(super) thresholds: Vec<f32>,
    /// Cells along a side of the picture, 1 to [`PLACES`].
    pub(super) grid: usize,
    /// Filters, then their mirror images, of shape ([`INPUTS`], twice their count); made at the first picture.
    turned: OnceLock<Tensor>,
}

impl Filters {
    /// Filters of [`INPUTS`] numbers with a threshold each.
    pub(super) fn new(weights: Vec<f32>, thresholds: Vec<f32>, grid: usize) -> Self {
        Self { weights, thresholds, grid, turned: OnceLock::new() }
    }

    /// How many filters there are, without mirror images.
    pub(super) fn count(&self) -> usize {
        self.thresholds.len()
    }

    /// Numbers of a picture: a number for each filter in each cell.
    pub(super) fn width(&self) -> usize {
        self.grid * self.grid * self.count()
    }

    /// The features of each picture, [`Self::width`] numbers, cells row by row, filters side by side. The
    /// pictures are dealt to threads; each is computed alone, so that neither their number nor that of the
    /// threads shows.
    pub(super) fn of(&self, images: &[&[u8]]) -> Result<Vec<f32>, ModelError> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let share = images.len().div_ceil(threads).max(1);
        let part = |images: &[&[u8]]| -> Result<Vec<f32>, ModelError> {
            let mut features = Vec::with_capacity(images.len() * self.width());
            images.iter().try_for_each(|image| self.append(image, &mut features))?;
            Ok(features)
        };
        if images.len() <= share {
            return part(images);
        }
        let parts = std::thread::scope(|scope| {
            let running: Vec<_> =
                images.chunks(share).map(|images| scope.spawn(move || part(images))).collect();
            let joined = running.into_iter().map(std::thread::ScopedJoinHandle::join);
            joined.collect::<Result<Vec<_>, _>>()
        });
        let failed = |_| ModelError::Compute { cause: "a thread failed".to_owned() };
        Ok(parts.map_err(failed)?.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }

    /// Appends the features of one picture.
    fn append(&self, image: &[u8], features: &mut Vec<f32>) -> Result<(), ModelError> {
        let shape = (PLACES * PLACES, INPUTS);
        let patches = Tensor::from_vec(all(image), shape, &Device::Cpu).lift()?;
        let answers = patches.matmul(self.turned()?).lift()?;
        let start = features.len();
        features.resize(start + self.width(), 0.0);
        with_numbers(&answers, |answers| self.pool(answers, &mut features[start..]))
    }

    /// Averages answers, filters and mirror images side by side for each place, over the cells.
    fn pool(&self, answers: &[f32], features: &mut [f32]) {
        let count = self.count();
        let cell = |place: usize| place * self.grid / PLACES;
        let mut places = vec![0.0_f32; self.grid * self.grid];
        for (at, answers) in answers.chunks_exact(2 * count).enumerate() {
            let (row, column) = (at / PLACES, at % PLACES);
            let (plain, mirrored) = answers.split_at(count);
            // A mirror image in a place is the filter itself in the mirrored place of the mirrored picture.
            for (answers, column) in [(plain, column), (mirrored, PLACES - 1 - column)] {
                let number = cell(row) * self.grid + cell(column);
                places[number] += 1.0;
                let sums = features[number * count..].iter_mut().zip(&self.thresholds);
                for ((sum, threshold), answer) in sums.zip(answers) {
                    *sum += (answer - threshold).max(0.0);
                }
            }
        }
        for (features, places) in features.chunks_exact_mut(count).zip(places) {
            let scale = places.recip();
            features.iter_mut().for_each(|number| *number = (*number * scale).sqrt());
        }
    }

    /// The filters as the product wants them.
    fn turned(&self) -> Result<&Tensor, ModelError> {
        if let Some(turned) = self.turned.get() {
            return Ok(turned);
        }
        let rows = self.weights.chunks_exact(INPUTS);
        let mut turned = Vec::with_capacity(2 * self.weights.len());
        for input in 0..INPUTS {
            turned.extend(rows.clone().map(|filter| filter[input]));
            turned.extend(rows.clone().map(|filter| filter[mirror(input)]));
        }
        let turned = Tensor::from_vec(turned, (INPUTS, 2 * self.count()), &Device::Cpu).lift()?;
        Ok(self.turned.get_or_init(|| turned))
    }
}
