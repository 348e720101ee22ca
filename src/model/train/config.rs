//! The settings of a training, and what a finished training says about itself.

use serde::{Deserialize, Serialize};

use crate::model::ModelError;
use crate::model::network::{check_address_units, check_code_units};

/// The settings of one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetConfig {
    /// Units of each layer behind the 3072 inputs, 1 to 16,384; the last are the bits.
    pub layers: Vec<usize>,
    /// Passes over the pictures for each restricted Boltzmann machine; 0 skips the pretraining.
    pub rbm_epochs: usize,
    /// Passes over the pictures for the fine-tuning of the unrolled network.
    pub tune_epochs: usize,
}

/// The settings of a training. The defaults, with seed 1 and the CIFAR-10 training pictures, make
/// the default encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// Fixes every random choice. Default 1.
    pub seed: u64,
    /// Pictures in a step, 1 to 65,536. Default 128.
    pub batch: usize,
    /// Rate of the first machine, whose visible units are linear. Default 0.001.
    pub linear_rate: f32,
    /// Rate of the machines above it, whose visible units are binary. Default 0.01.
    pub binary_rate: f32,
    /// Share of the last step that a machine's next step keeps, 0 to below 1. Default 0.9.
    pub momentum: f32,
    /// Pull of the machines' weights towards zero. Default 0.0002.
    pub weight_decay: f32,
    /// Rate of Adam at the start of the fine-tuning; it falls to zero along half a cosine. Default
    /// 0.002.
    pub tune_rate: f32,
    /// The network that gives codes: 64 to 1024 bits in steps of 64.
    pub code: NetConfig,
    /// The network that gives addresses: 8 to 32 bits.
    pub address: NetConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            seed: 1,
            batch: 128,
            linear_rate: 0.001,
            binary_rate: 0.01,
            momentum: 0.9,
            weight_decay: 0.0002,
            tune_rate: 0.002,
            code: NetConfig { layers: vec![768, 256], rbm_epochs: 1, tune_epochs: 10 },
            address: NetConfig { layers: vec![320, 28], rbm_epochs: 1, tune_epochs: 12 },
        }
    }
}

impl TrainConfig {
    /// Checks every setting against its documented range.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        check_code_units(&self.code.layers)?;
        check_address_units(&self.address.layers)?;
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

/// What the training of one network came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetSummary {
    /// Mean squared reconstruction error of each machine in its last epoch: of a pixel in units of
    /// the pictures' variance for the first, of a unit's probability for the others.
    pub rbm_losses: Vec<f32>,
    /// Mean squared reconstruction error of a pixel in the last epoch of fine-tuning, in units of the
    /// pictures' variance, through rounded codes: 1 is what the mean picture reaches.
    pub loss: f32,
    /// Mean entropy of a bit over the training pictures, in bits: 1 where each is on for one half.
    pub bit_entropy: f32,
    /// Bits that are the same for at least 99 of 100 training pictures.
    pub dead_bits: usize,
}

/// What a training was given and what it came to. It is kept with the weights, but is no part of the
/// fingerprint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainingSummary {
    /// The settings.
    pub config: TrainConfig,
    /// How many pictures there were.
    pub images: usize,
    /// The network that gives codes.
    pub code: NetSummary,
    /// The network that gives addresses.
    pub address: NetSummary,
}
