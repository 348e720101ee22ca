//! How a network is trained: seed, batch, rates, and where this departs from the paper.

use serde::{Deserialize, Serialize};

use crate::model::ModelError;

/// How the unrolled network is fine-tuned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Descent {
    /// Adam at a rate that falls to zero along half a cosine, on the mean over a batch: for few steps.
    #[default]
    Adam,
    /// Plain descent with momentum at a constant rate, as in the paper, on half the squared error summed over
    /// pixels and pictures of a batch.
    Plain,
}

/// Where the bits of a trained network are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Thresholds {
    /// At the median over the training pictures: each bit is on for half of them.
    #[default]
    Median,
    /// Where the logistic is one half, as in the paper.
    Half,
}

/// The settings that all networks of a training share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recipe {
    /// Fixes every random choice. Default 1.
    pub seed: u64,
    /// Pictures, or patches, in a step, 1 to 65,536. Default 128.
    pub batch: usize,
    /// Rate of the first machine, whose visible units are linear. Default 0.001.
    pub linear_rate: f32,
    /// Rate of the machines above it, whose visible units are binary. Default 0.01.
    pub binary_rate: f32,
    /// Share of the last step that the next step keeps, of machines and of plain descent, 0 to below 1.
    /// Default 0.9.
    pub momentum: f32,
    /// Pull of the machines' weights towards zero. Default 0.0002.
    pub weight_decay: f32,
    /// Rate of the fine-tuning. Default 0.002, for Adam.
    pub tune_rate: f32,
    /// How the fine-tuning descends. Default Adam.
    #[serde(default, skip_serializing_if = "is_default")]
    pub descent: Descent,
    /// Standard deviation of a machine's first weights; 0 scales them so that sums have about unit variance,
    /// the default.
    #[serde(default, skip_serializing_if = "is_default")]
    pub first_deviation: f32,
    /// Where bits are cut. Default at the medians.
    #[serde(default, skip_serializing_if = "is_default")]
    pub thresholds: Thresholds,
}

/// What is left out of files that earlier releases wrote as well.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 1,
            batch: 128,
            linear_rate: 0.001,
            binary_rate: 0.01,
            momentum: 0.9,
            weight_decay: 0.0002,
            tune_rate: 0.002,
            descent: Descent::Adam,
            first_deviation: 0.0,
            thresholds: Thresholds::Median,
        }
    }
}

impl Recipe {
    /// That of Krizhevsky and Hinton 2011. What the paper does not say: first weights of deviation 0.01 and
    /// momentum in the fine-tuning are usual in the authors' programs, weight decay is the default's.
    pub(super) fn kh2011() -> Self {
        Self {
            tune_rate: 1e-6,
            descent: Descent::Plain,
            first_deviation: 0.01,
            thresholds: Thresholds::Half,
            ..Self::default()
        }
    }

    /// Checks every setting against its documented range.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        if !(1..=65_536).contains(&self.batch) {
            let rule = format!("is {}, expected 1 to 65536", self.batch);
            return Err(ModelError::Setting { setting: "batch", rule });
        }
        let ranges = [
            ("the rate of the linear machine", self.linear_rate, 0.0..=10.0),
            ("the rate of the binary machines", self.binary_rate, 0.0..=10.0),
            ("momentum", self.momentum, 0.0..=0.9999),
            ("weight decay", self.weight_decay, 0.0..=1.0),
            ("the rate of fine-tuning", self.tune_rate, 0.0..=10.0),
            ("the deviation of the first weights", self.first_deviation, 0.0..=10.0),
        ];
        for (setting, value, range) in ranges {
            if !range.contains(&value) {
                let rule = format!("is {value}, expected {} to {}", range.start(), range.end());
                return Err(ModelError::Setting { setting, rule });
            }
        }
        Ok(())
    }
}
