//! Training of an [`Autoencoder`] from pictures without labels, as Krizhevsky and Hinton (ESANN 2011)
//! describe it: a stack of restricted Boltzmann machines, unrolled and fine-tuned.
//!
//! What departs from the paper, and why: two layers a network, wider first weights and Adam with a
//! falling rate instead of plain descent at 10^-6, because they reach a lower loss in the few thousand
//! steps that a processor makes in minutes; f16 weights, because the file ships with the crate;
//! thresholds at the medians (`calibrate`). Layers, epochs and rates are settings.
//!
//! The same pictures in the same order, settings and machine give the same bytes, interrupted or not.
//! Another kind of processor may round matrix products otherwise, and its training may then differ.

mod calibrate;
mod checkpoint;
mod config;
mod dataset;
mod optimizer;
mod progress;
mod rbm;
mod state;
mod trainer;
mod tune;

use std::ops::ControlFlow;
use std::path::Path;

pub use config::{NetConfig, NetSummary, TrainConfig, TrainingSummary};
pub use progress::{Net, Phase, Progress};

use super::autoencoder::Parts;
use super::{Autoencoder, DeviceChoice, ModelError};
use dataset::Dataset;
use trainer::Trainer;

/// Trains an encoder on `dataset`, which holds [`Pixels::BYTES`](super::Pixels::BYTES) bytes a
/// picture, one picture after the other. Labels are not needed.
///
/// `observer` sees a report a few times a second and at the end of each epoch; its
/// [`ControlFlow::Break`] stops the training. With a `checkpoint` the state is kept in that file at
/// the end of each epoch, and a training that was stopped or killed goes on from there when it is
/// called again with the same pictures, settings and path; the result is the same as without the
/// interruption. The file stays when the training is done: remove it once the encoder is saved.
///
/// Memory beside the pictures: about 100 bytes for each weight of the larger network.
///
/// # Errors
/// [`ModelError::Setting`] if `config` or the length of `dataset` breaks a rule,
/// [`ModelError::Stopped`] after a `Break`, [`ModelError::Checkpoint`] if the checkpoint is damaged or
/// of another training, [`ModelError::Diverged`] if the loss is no number any more,
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
    let dataset = Dataset::new(dataset, opened.device.clone())?;
    let nets = Trainer::new(config, &dataset, observer, checkpoint)?.run()?;
    let Ok([(code, code_summary), (address, address_summary)]) = <[_; 2]>::try_from(nets) else {
        return Err(ModelError::Compute { cause: "a network is missing".to_owned() });
    };
    let training = Some(TrainingSummary {
        config: config.clone(),
        images: dataset.len(),
        code: code_summary,
        address: address_summary,
    });
    let normalizer = dataset.normalizer;
    Autoencoder::new(Parts { normalizer, code, address, training }, opened)
}
