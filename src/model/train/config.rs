//! The settings of a training, and what a finished training says about itself.

use serde::{Deserialize, Serialize};

use super::recipe::{Recipe, is_default};
use crate::model::network::{check_address_units, check_code_units, check_patch_units};
use crate::model::{ModelError, PATCHES, Pixels};

/// The settings of one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetConfig {
    /// Units of each layer behind the inputs, 1 to 16,384; the last are the bits.
    pub layers: Vec<usize>,
    /// Passes over the pictures for each restricted Boltzmann machine; 0, the default, skips the pretraining.
    pub rbm_epochs: usize,
    /// Passes over the pictures for the fine-tuning of the unrolled network. Default 12.
    pub tune_epochs: usize,
    /// Numbers of bits, rising, below the last layer's: the first so many bits become codes of their own, for which
    /// the fine-tuning drops the others at random (nested dropout). Default 16, 32, 64 and 128 for codes, which have 256
    /// bits by default, none for addresses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub prefixes: Vec<usize>,
}

/// The settings of a training. The defaults, with seed 1 and the CIFAR-10 training pictures, make
/// the default encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainConfig {
    /// What both networks share.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// The network that gives codes: 64 to 1024 bits in steps of 64.
    pub code: NetConfig,
    /// The network that gives addresses: 8 to 32 bits.
    pub address: NetConfig,
    /// The address network begins with the code network's layers, and with their machines as the
    /// pretraining left them. Default no.
    #[serde(default, skip_serializing_if = "is_default")]
    pub continued: bool,
    /// How many principal components of the pictures the networks see while they are trained, 1 to 3072; 0 is all
    /// pixels. Trained networks see pixels all the same. Default 256.
    #[serde(default, skip_serializing_if = "is_default")]
    pub components: usize,
}

/// The settings of the training of a patch network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatchConfig {
    /// How it is trained.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// The network, over the 336 inputs of a patch; 8 to 32 bits.
    pub net: NetConfig,
    /// Patches of a picture in each pass, 1 to 81: all 81, or so many at random places.
    pub places: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            recipe: Recipe::default(),
            code: NetConfig {
                layers: vec![768, 256],
                rbm_epochs: 0,
                tune_epochs: 12,
                prefixes: vec![16, 32, 64, 128],
            },
            address: NetConfig {
                layers: vec![320, 28],
                rbm_epochs: 0,
                tune_epochs: 12,
                prefixes: Vec::new(),
            },
            continued: false,
            components: 256,
        }
    }
}

/// Passes of the paper: 80 for each machine, 5 of fine-tuning.
fn kh2011(layers: &[usize]) -> NetConfig {
    NetConfig { layers: layers.to_vec(), rbm_epochs: 80, tune_epochs: 5, prefixes: Vec::new() }
}

impl TrainConfig {
    /// The 256-bit network of Krizhevsky and Hinton 2011, 3072-8192-4096-2048-1024-512-256, for codes. A
    /// smaller one, which the paper does not have, gives addresses.
    #[must_use]
    pub fn kh2011_256() -> Self {
        Self {
            recipe: Recipe::kh2011(),
            code: kh2011(&[8192, 4096, 2048, 1024, 512, 256]),
            address: kh2011(&[512, 256, 128, 64, 28]),
            continued: false,
            components: 0,
        }
    }

    /// The same 256-bit network for codes, and for addresses its continuation to 28 bits,
    /// 3072-8192-4096-2048-1024-512-256-128-64-28.
    #[must_use]
    pub fn kh2011_28() -> Self {
        Self {
            address: kh2011(&[8192, 4096, 2048, 1024, 512, 256, 128, 64, 28]),
            continued: true,
            ..Self::kh2011_256()
        }
    }

    /// Checks every setting against its documented range, before there are pictures.
    ///
    /// # Errors
    /// [`ModelError::Setting`] for the first that is outside.
    pub fn check(&self) -> Result<(), ModelError> {
        check_code_units(&self.code.layers)?;
        check_address_units(&self.address.layers)?;
        self.code.check_prefixes("the prefixes of codes")?;
        self.address.check_prefixes("the prefixes of addresses")?;
        if self.components > Pixels::BYTES {
            let rule = format!("is {}, expected at most {}", self.components, Pixels::BYTES);
            return Err(ModelError::Setting { setting: "the number of components", rule });
        }
        if self.continued && !self.address.layers.starts_with(&self.code.layers) {
            let code = shown(Pixels::BYTES, &self.code.layers);
            let address = shown(Pixels::BYTES, &self.address.layers);
            let rule = format!("is {address}, expected a continuation of {code}");
            return Err(ModelError::Setting { setting: "the address net", rule });
        }
        self.recipe.check()
    }
}

impl PatchConfig {
    /// The patch network of Krizhevsky and Hinton 2011, 336-1024-512-256-128-64-28, over all 81 patches.
    #[must_use]
    pub fn kh2011() -> Self {
        let net = kh2011(&[1024, 512, 256, 128, 64, 28]);
        Self { recipe: Recipe::kh2011(), net, places: PATCHES }
    }

    /// Checks every setting against its documented range, before there are pictures.
    ///
    /// # Errors
    /// [`ModelError::Setting`] for the first that is outside.
    pub fn check(&self) -> Result<(), ModelError> {
        check_patch_units(&self.net.layers)?;
        self.net.check_prefixes("the prefixes of patch addresses")?;
        if !(1..=PATCHES).contains(&self.places) {
            let rule = format!("is {}, expected 1 to {PATCHES}", self.places);
            return Err(ModelError::Setting { setting: "the number of patches", rule });
        }
        self.recipe.check()
    }
}

impl NetConfig {
    /// Checks that prefixes rise, from 1 on, and are shorter than a code.
    fn check_prefixes(&self, setting: &'static str) -> Result<(), ModelError> {
        let bits = self.layers.last().copied().unwrap_or(0);
        let ends = std::iter::once(0).chain(self.prefixes.iter().copied());
        let rise = ends.zip(self.prefixes.iter().copied().chain([bits])).all(|(a, b)| a < b);
        if rise {
            return Ok(());
        }
        let rule =
            format!("are {:?}, expected rising numbers from 1 to {}", self.prefixes, bits - 1);
        Err(ModelError::Setting { setting, rule })
    }
}

/// Layers as the paper writes them: 3072-8192-256.
pub(super) fn shown(inputs: usize, layers: &[usize]) -> String {
    layers.iter().fold(inputs.to_string(), |text, units| format!("{text}-{units}"))
}

/// What the training of one network came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NetSummary {
    /// Mean squared reconstruction error of each machine in its last epoch: of a pixel in units of
    /// the pictures' variance for the first, of a unit's probability for the others. 0 for a machine without passes.
    pub rbm_losses: Vec<f32>,
    /// Mean squared reconstruction error of a pixel in the last epoch of fine-tuning, in units of the
    /// pictures' variance, through rounded codes: 1 is what the mean picture reaches. With prefixes it is the mean over
    /// codes of all these lengths.
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

/// The same of a patch network, which is trained by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatchSummary {
    /// The settings.
    pub config: PatchConfig,
    /// How many pictures there were.
    pub images: usize,
    /// The network; losses are of a patch's inputs.
    pub net: NetSummary,
}
