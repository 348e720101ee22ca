//! The settings of a training, and what a finished training says about itself.

use serde::{Deserialize, Serialize};

use crate::model::ModelError;
use crate::model::network::{check_address_units, check_code_units};

/// The settings of [`train_kmeans`](super::train_kmeans). The defaults, with the CIFAR-10 training pictures, make
/// the encoder `kmeans-itq` that ships with the crate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KmeansConfig {
    /// Fixes every random choice. Default 1.
    pub seed: u64,
    /// Bits of a code, 64 to 1024 in steps of 64. Default 256.
    pub code_bits: usize,
    /// Bits of an address, 8 to 32. Default 28.
    pub address_bits: usize,
    /// Centroids, 1 to 8192, each of which stands for its mirror image too. Default 400.
    pub centroids: usize,
    /// Patches that k-means sees, at least as many as centroids. Default 200,000.
    pub patches: usize,
    /// Rounds of k-means, 1 to 1000. Default 10.
    pub rounds: usize,
    /// What is added to each variance of patches before they are whitened, 0.0001 to 10. Default 0.1.
    pub whitening: f32,
    /// What a patch's share of a centroid must exceed to count, 0 to 10. Default 0.5.
    pub threshold: f32,
    /// Cells along a side of the picture over which answers are averaged, 1 to 27. Default 2.
    pub grid: usize,
    /// Pictures that are distorted in two ways each, to learn what does not matter; at most as many as there
    /// are. Default 5000.
    pub distorted: usize,
    /// What is added to each variance between distortions, as a share of the mean variance of pictures, 0.0001 to
    /// 100. Default 0.1.
    pub shrinkage: f32,
    /// Directions of features that bits are made of, 1 to 1024, no more than there are bits or features. Default
    /// none: three times the root of the bits, which is 48 for a code of 256.
    pub directions: Option<usize>,
    /// Turns of iterative quantization, 0 to 1000. Default 50.
    pub turns: usize,
}

impl Default for KmeansConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            code_bits: 256,
            address_bits: 28,
            centroids: 400,
            patches: 200_000,
            rounds: 10,
            whitening: 0.1,
            threshold: 0.5,
            grid: 2,
            distorted: 5_000,
            shrinkage: 0.1,
            directions: None,
            turns: 50,
        }
    }
}

/// Most centroids that an encoder may have.
pub(super) const MAX_CENTROIDS: usize = 8192;
/// Most cells along a side.
pub(super) const MAX_GRID: usize = super::patches::PLACES;

impl KmeansConfig {
    /// Checks every setting against its documented range, before there are pictures.
    ///
    /// # Errors
    /// [`ModelError::Setting`] for the first that is outside.
    pub fn check(&self) -> Result<(), ModelError> {
        check_shape(self.code_bits, self.address_bits, self.centroids, self.grid)?;
        let ranges = [
            ("the number of patches", self.patches, self.centroids..=10_000_000),
            ("rounds", self.rounds, 1..=1000),
            ("the number of distorted pictures", self.distorted, 1..=10_000_000),
            ("the number of directions", self.directions.unwrap_or(1), 1..=1024),
            ("turns", self.turns, 0..=1000),
        ];
        for (setting, value, range) in ranges {
            check_range(setting, &value, &range)?;
        }
        let ranges = [
            ("whitening", self.whitening, 1e-4..=10.0),
            ("the threshold", self.threshold, 0.0..=10.0),
            ("shrinkage", self.shrinkage, 1e-4..=100.0),
        ];
        ranges
            .into_iter()
            .try_for_each(|(setting, value, range)| check_range(setting, &value, &range))
    }
}

impl KmeansConfig {
    /// Directions for so many bits out of so many features.
    #[expect(clippy::cast_precision_loss, reason = "a code has at most 1024 bits")]
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 96")]
    pub(super) fn directions_for(&self, bits: usize, features: usize) -> usize {
        let few = (3.0 * (bits as f64).sqrt()).round() as usize;
        self.directions.unwrap_or(few).min(bits).min(features)
    }
}

/// Checks what decides the shapes of an encoder's tensors.
pub(super) fn check_shape(
    code_bits: usize,
    address_bits: usize,
    centroids: usize,
    grid: usize,
) -> Result<(), ModelError> {
    check_code_units(&[code_bits])?;
    check_address_units(&[address_bits])?;
    check_range("the number of centroids", &centroids, &(1..=MAX_CENTROIDS))?;
    check_range("the grid", &grid, &(1..=MAX_GRID))
}

fn check_range<T: PartialOrd + std::fmt::Display>(
    setting: &'static str,
    value: &T,
    range: &std::ops::RangeInclusive<T>,
) -> Result<(), ModelError> {
    if range.contains(value) {
        return Ok(());
    }
    let rule = format!("is {value}, expected {} to {}", range.start(), range.end());
    Err(ModelError::Setting { setting, rule })
}

/// What a training was given and what it came to. It is kept with the weights, but is no part of the fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KmeansSummary {
    /// The settings.
    pub config: KmeansConfig,
    /// How many pictures there were.
    pub images: usize,
    /// Mean squared distance of a whitened patch to its centroid in the last round.
    pub patch_error: f32,
    /// Variance of pictures along each direction, as a multiple of that between distortions of a picture; the
    /// largest first.
    pub ratios: Vec<f32>,
    /// Mean entropy of a bit of the code over the training pictures, in bits.
    pub code_entropy: f32,
    /// The same of the address.
    pub address_entropy: f32,
}
