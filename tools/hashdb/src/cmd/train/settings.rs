//! The settings of a training: a preset, and what the user changed of it.

use std::str::FromStr;

use anyhow::{Result, anyhow};
use clap::ValueEnum;
use hashdb::model::{Descent, NetConfig, PatchConfig, Recipe, Thresholds, TrainConfig};

use crate::exit::Usage;

/// Networks and schedules by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// The default encoder: two layers a network, no Boltzmann machines, principal components, first bits that are
    /// codes of their own; minutes on a CPU
    Small,
    /// Krizhevsky and Hinton 2011: 3072-8192-4096-2048-1024-512-256 for codes, for addresses
    /// 3072-512-256-128-64-28, which the paper does not have. For a GPU
    #[value(name = "kh2011-256")]
    Kh2011Code,
    /// The same for codes, and for addresses its continuation -128-64-28. For a GPU
    #[value(name = "kh2011-28")]
    Kh2011Address,
    /// 336-1024-512-256-128-64-28 for the addresses of 81 patches a picture, added to the encoder that --base
    /// names. For a GPU, unless --places is small
    #[value(name = "kh2011-patch")]
    Kh2011Patch,
    /// Features of patches by k-means, turned to bits: no network, minutes on a CPU
    #[value(name = "kmeans-itq")]
    KmeansItq,
}

/// What is to be trained.
pub(super) enum Plan {
    /// An encoder.
    Encoder(TrainConfig),
    /// A network for patches.
    Patches(PatchConfig),
}

/// The settings of the training; what is left out has the preset's value.
#[derive(Debug, clap::Args)]
pub(super) struct Settings {
    /// Networks and schedule; the options below change single settings of it
    #[arg(long, value_enum, default_value_t = Preset::Small)]
    preset: Preset,
    /// Units of each layer of the code network, the last being the bits: 768,256
    #[arg(long, value_name = "UNITS", value_delimiter = ',')]
    code_layers: Option<Vec<usize>>,
    /// Units of each layer of the address network, the last being the bits
    #[arg(long, value_name = "UNITS", value_delimiter = ',')]
    address_layers: Option<Vec<usize>>,
    /// Units of each layer of the patch network, the last being the bits; with --preset kh2011-patch
    #[arg(long, value_name = "UNITS", value_delimiter = ',')]
    patch_layers: Option<Vec<usize>>,
    /// Patches of a picture in each pass, 1 to 81: all, or so many at random places; with --preset kh2011-patch
    #[arg(long, value_name = "N")]
    places: Option<usize>,
    /// Lengths below that of a code, rising, at which its first bits are to be codes of their own, or none: the
    /// fine-tuning drops what is behind them at random (nested dropout) [default: 16,32,64,128 as far as they are
    /// shorter, kh2011-*: none]
    #[arg(long, value_name = "BITS")]
    prefixes: Option<Prefixes>,
    /// Principal components of the pictures that the networks see while they are trained; 0 is all pixels. Trained
    /// networks see pixels all the same [default: 256, kh2011-*: 0]
    #[arg(long, value_name = "N")]
    components: Option<usize>,
    /// Passes over the pictures for each restricted Boltzmann machine; without any there are no machines [default: 0,
    /// kh2011-*: 80]
    #[arg(long, visible_alias = "pretrain-epochs", value_name = "N")]
    rbm_epochs: Option<usize>,
    /// Passes over the pictures for the fine-tuning of each network [default: 12, kh2011-*: 5]
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Pictures, or patches, in a step
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Rate of the machine at the pixels, where there are machines
    #[arg(long, value_name = "RATE")]
    linear_rate: Option<f32>,
    /// Rate of the machines above it, where there are any
    #[arg(long, value_name = "RATE")]
    binary_rate: Option<f32>,
    /// Rate of the fine-tuning: with adam at its start, for a mean over a batch; with plain all along, for a sum
    #[arg(long, value_name = "RATE")]
    rate: Option<f32>,
    /// How the fine-tuning descends [default: adam, kh2011-*: plain]
    #[arg(long, value_enum)]
    descent: Option<DescentChoice>,
    /// Share of the last step that the next step keeps, of machines and of plain descent
    #[arg(long, value_name = "SHARE")]
    momentum: Option<f32>,
    /// Pull of the machines' weights towards zero
    #[arg(long, value_name = "RATE")]
    weight_decay: Option<f32>,
    /// Standard deviation of the first weights; 0 scales them to the inputs [default: 0, kh2011-*: 0.01]
    #[arg(long, value_name = "DEVIATION")]
    first_deviation: Option<f32>,
    /// Where bits are cut [default: median, kh2011-*: half]
    #[arg(long, value_enum)]
    thresholds: Option<ThresholdsChoice>,
}

/// Rising lengths, or none.
#[derive(Debug, Clone)]
struct Prefixes(Vec<usize>);

impl FromStr for Prefixes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self(Vec::new()));
        }
        let length =
            |part: &str| part.parse().map_err(|_| format!("{part:?} is no number of bits"));
        text.split(',').map(length).collect::<Result<_, _>>().map(Self)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DescentChoice {
    /// Adam, its rate falling to zero
    Adam,
    /// Plain descent with momentum, as in the paper
    Plain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ThresholdsChoice {
    /// At the median over the pictures
    Median,
    /// Where the unit is one half, as in the paper
    Half,
}

impl Settings {
    /// The preset with what was changed.
    pub(super) fn plan(&self, seed: u64) -> Result<Plan> {
        let config = match self.preset {
            Preset::Small => TrainConfig::default(),
            Preset::Kh2011Code => TrainConfig::kh2011_256(),
            Preset::Kh2011Address => TrainConfig::kh2011_28(),
            Preset::Kh2011Patch => return self.patches(seed).map(Plan::Patches),
            Preset::KmeansItq => {
                return Err(anyhow!(Usage("kmeans-itq has no networks".to_owned())));
            }
        };
        if self.patch_layers.is_some() || self.places.is_some() {
            let rule = "--patch-layers and --places need --preset kh2011-patch";
            return Err(anyhow!(Usage(rule.to_owned())));
        }
        let TrainConfig { mut code, mut address, .. } = config;
        self.change_net(&mut code, self.code_layers.as_ref());
        self.change_net(&mut address, self.address_layers.as_ref());
        let bits = code.layers.last().copied().unwrap_or(0);
        code.prefixes.retain(|&length| length < bits);
        set(&mut code.prefixes, self.prefixes.as_ref().map(|prefixes| prefixes.0.clone()));
        let recipe = self.recipe(&config.recipe, seed);
        let (continued, mut components) = (config.continued, config.components);
        set(&mut components, self.components);
        Ok(Plan::Encoder(TrainConfig { recipe, code, address, continued, components }))
    }

    /// Whether no network is trained, but features of patches gathered.
    pub(super) fn is_kmeans(&self) -> bool {
        self.preset == Preset::KmeansItq
    }

    /// Whether anything is changed that networks alone have.
    pub(super) fn change_networks(&self) -> bool {
        let layers = [&self.code_layers, &self.address_layers, &self.patch_layers];
        let counts = [self.places, self.rbm_epochs, self.epochs, self.batch, self.components];
        let rates = [
            self.linear_rate,
            self.binary_rate,
            self.rate,
            self.momentum,
            self.weight_decay,
            self.first_deviation,
        ];
        layers.iter().any(|layers| layers.is_some())
            || counts.iter().any(Option::is_some)
            || rates.iter().any(Option::is_some)
            || self.prefixes.is_some()
            || self.descent.is_some()
            || self.thresholds.is_some()
    }

    /// Whether a network for patches is trained.
    pub(super) fn is_of_patches(&self) -> bool {
        self.preset == Preset::Kh2011Patch
    }

    fn patches(&self, seed: u64) -> Result<PatchConfig> {
        if self.code_layers.is_some() || self.address_layers.is_some() {
            let rule =
                "--preset kh2011-patch trains no other network: --patch-layers names its layers";
            return Err(anyhow!(Usage(rule.to_owned())));
        }
        if self.prefixes.is_some() || self.components.is_some() {
            let rule =
                "--prefixes and --components are of codes and whole pictures, not of patches";
            return Err(anyhow!(Usage(rule.to_owned())));
        }
        let PatchConfig { recipe, mut net, mut places } = PatchConfig::kh2011();
        self.change_net(&mut net, self.patch_layers.as_ref());
        set(&mut places, self.places);
        Ok(PatchConfig { recipe: self.recipe(&recipe, seed), net, places })
    }

    fn change_net(&self, net: &mut NetConfig, layers: Option<&Vec<usize>>) {
        set(&mut net.layers, layers.cloned());
        set(&mut net.rbm_epochs, self.rbm_epochs);
        set(&mut net.tune_epochs, self.epochs);
    }

    fn recipe(&self, preset: &Recipe, seed: u64) -> Recipe {
        let mut recipe = Recipe { seed, ..preset.clone() };
        set(&mut recipe.batch, self.batch);
        set(&mut recipe.linear_rate, self.linear_rate);
        set(&mut recipe.binary_rate, self.binary_rate);
        set(&mut recipe.tune_rate, self.rate);
        set(&mut recipe.momentum, self.momentum);
        set(&mut recipe.weight_decay, self.weight_decay);
        set(&mut recipe.first_deviation, self.first_deviation);
        let descent = self.descent.map(|choice| match choice {
            DescentChoice::Adam => Descent::Adam,
            DescentChoice::Plain => Descent::Plain,
        });
        set(&mut recipe.descent, descent);
        let thresholds = self.thresholds.map(|choice| match choice {
            ThresholdsChoice::Median => Thresholds::Median,
            ThresholdsChoice::Half => Thresholds::Half,
        });
        set(&mut recipe.thresholds, thresholds);
        recipe
    }
}

/// Overwrites a default with what the user gave.
fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}
