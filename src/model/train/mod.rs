//! Training of an [`Autoencoder`] from pictures without labels, as Krizhevsky and Hinton (ESANN 2011)
//! describe it: a stack of restricted Boltzmann machines, unrolled and fine-tuned.
//!
//! What departs from the paper by default, and why: two layers a network, no machines but wide first weights, and
//! Adam with a falling rate instead of plain descent at 10^-6, because they reach a lower loss in the few thousand
//! steps that a processor makes in minutes; principal components for pixels, which make a step cheap (`components`);
//! first bits that are codes of their own (`nested`); thresholds at the medians (`calibrate`). All of it is settings, and
//! [`TrainConfig::kh2011_256`] and its siblings are the paper's. Weights are always rounded to f16 at the end.
//!
//! The same pictures in the same order, settings and machine give the same bytes, interrupted or not.
//! Another kind of processor may round matrix products otherwise, and its training may then differ.

mod calibrate;
mod checkpoint;
mod components;
mod config;
mod dataset;
mod nested;
mod optimizer;
mod progress;
mod rbm;
mod recipe;
mod state;
mod trainer;
mod tune;

use std::ops::ControlFlow;
use std::path::Path;

pub use config::{NetConfig, NetSummary, PatchConfig, PatchSummary, TrainConfig, TrainingSummary};
pub use progress::{Net, Phase, Progress};
pub use recipe::{Descent, Recipe, Thresholds};

use super::autoencoder::Parts;
use super::patch_net::PatchNet;
use super::{Autoencoder, DeviceChoice, ModelError};
use dataset::Dataset;
use state::Job;
use trainer::Trainer;

/// Trains an encoder on `dataset`, which holds [`Pixels::BYTES`](super::Pixels::BYTES) bytes a
/// picture, one picture after the other. Labels are not needed.
///
/// `observer` sees a report a few times a second and at the end of each epoch; its
/// [`ControlFlow::Break`] stops the training. With a `checkpoint` the state is kept in that file at
/// the end of each epoch, after its report, and a training that was stopped or killed goes on from there when it is
/// called again with the same pictures, settings and path; the result is the same as without the
/// interruption. The file stays when the training is done: remove it once the encoder is saved.
///
/// Memory beside the pictures: about 100 bytes for each weight of the larger network, and 4 bytes for each
/// component of each picture where networks are trained on components.
///
/// # Errors
/// [`ModelError::Setting`] if `config` or the length of `dataset` breaks a rule,
/// [`ModelError::Stopped`] after a `Break`, [`ModelError::Checkpoint`] if the checkpoint is damaged or
/// of another training, [`ModelError::Unsolved`] if no components are found, [`ModelError::Diverged`] if the loss or a weight is no number any more,
/// [`ModelError::Device`], [`ModelError::Io`] and [`ModelError::Compute`].
pub fn train(
    dataset: &[u8],
    config: &TrainConfig,
    device: DeviceChoice,
    observer: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    checkpoint: Option<&Path>,
) -> Result<Autoencoder, ModelError> {
    config.check()?;
    let opened = device.open()?;
    let dataset = Dataset::new(dataset, config.components, opened.device.clone())?;
    let (recipe, inputs, seen) = (&config.recipe, dataset.inputs(), dataset.seen());
    let continues = if config.continued { config.code.layers.len() } else { 0 };
    let jobs = [
        Job { net: Net::Code, config: &config.code, recipe, inputs, seen, continues: 0 },
        Job { net: Net::Address, config: &config.address, recipe, inputs, seen, continues },
    ];
    let nets = Trainer::new(&jobs, settings(config)?, &dataset, observer, checkpoint)?.run()?;
    let Ok([(code, code_summary), (address, address_summary)]) = <[_; 2]>::try_from(nets) else {
        return Err(ModelError::Compute { cause: "a network is missing".to_owned() });
    };
    let training = Some(TrainingSummary {
        config: config.clone(),
        images: dataset.pictures(),
        code: code_summary,
        address: address_summary,
    });
    let normalizer = dataset.normalizer;
    Autoencoder::new(Parts { normalizer, code, address, patch: None, training }, opened)
}

/// Trains a network for patches on `dataset`, on the device of `encoder`, and adds it to a copy of that, in
/// place of the one that it may have. All else is as in [`train`].
///
/// # Errors
/// Those of [`train`].
pub fn train_patches(
    encoder: &Autoencoder,
    dataset: &[u8],
    config: &PatchConfig,
    observer: &mut dyn FnMut(&Progress) -> ControlFlow<()>,
    checkpoint: Option<&Path>,
) -> Result<Autoencoder, ModelError> {
    config.check()?;
    let device = encoder.opened.device.clone();
    let dataset = Dataset::of_patches(dataset, config.places, device)?;
    let (recipe, inputs, seen) = (&config.recipe, dataset.inputs(), dataset.seen());
    let jobs = [Job { net: Net::Patch, config: &config.net, recipe, inputs, seen, continues: 0 }];
    let mut nets = Trainer::new(&jobs, settings(config)?, &dataset, observer, checkpoint)?.run()?;
    let Some((network, net)) = nets.pop() else {
        return Err(ModelError::Compute { cause: "a network is missing".to_owned() });
    };
    let images = dataset.pictures();
    let training = Some(PatchSummary { config: config.clone(), images, net });
    encoder.with_patch_net(PatchNet { normalizer: dataset.normalizer, network, training })
}

/// The settings as a checkpoint keeps them.
fn settings(config: &impl serde::Serialize) -> Result<String, ModelError> {
    serde_json::to_string(config)
        .map_err(|error| ModelError::Description { cause: error.to_string() })
}
