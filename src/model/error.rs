//! What can go wrong between pixels, weights and codes.

use std::io;
use std::path::PathBuf;

use super::Fingerprint;

/// An operation of an encoder or of its training failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A picture has the wrong size. Resize it to 32 x 32 RGB.
    #[error("a picture for the encoder has {found} bytes, expected 3072 (32 x 32 RGB)")]
    PixelBytes {
        /// Bytes that were given.
        found: usize,
    },
    /// The text names no device. Use `auto`, `cpu`, `cuda` or `cuda:N`.
    #[error("{text:?} is no device, expected auto, cpu, cuda or cuda:N")]
    DeviceText {
        /// The text that was given.
        text: String,
    },
    /// The text names no precision. Use `f32`, `bf16` or `f16`.
    #[error("{text:?} is no precision, expected f32, bf16 or f16")]
    PrecisionText {
        /// The text that was given.
        text: String,
    },
    /// The weights give another fingerprint than was expected, in every precision. They belong to
    /// another encoder, or were damaged.
    #[error("the encoder has fingerprint {found}, expected {expected}")]
    OtherEncoder {
        /// The encoder's own, in f32.
        found: Fingerprint,
        /// The one that was expected.
        expected: Fingerprint,
    },
    /// The text is no fingerprint. Copy it in full.
    #[error("{text:?} is no fingerprint, expected 32 hexadecimal digits")]
    FingerprintText {
        /// The text that was given.
        text: String,
    },
    /// The device that was asked for cannot be used. Use another, or `auto`.
    #[error("cannot use device {device}: {cause}")]
    Device {
        /// The device, as the user names it.
        device: String,
        /// Why not.
        cause: String,
    },
    /// The bytes are no weight file. Check that the path names one.
    #[error("the weights are not a safetensors file: {cause}")]
    NotWeights {
        /// What the reader met.
        cause: String,
    },
    /// The weight file does not say what it is, or says something impossible. It was not written
    /// by hashdb, or was damaged.
    #[error("the weights' description is wrong: {cause}")]
    Description {
        /// What is wrong.
        cause: String,
    },
    /// The weight file was written by a release that this one cannot read. Use a newer release.
    #[error("the weights have format version {found}, this release reads version {expected}")]
    WeightVersion {
        /// The version found.
        found: u32,
        /// The version that this release reads.
        expected: u32,
    },
    /// The weights are those of another kind of encoder, or of one that this release does not know.
    #[error("the weights are of the kind {found:?}, expected {expected}")]
    WeightKind {
        /// The kind that they say.
        found: String,
        /// The kinds that can be read.
        expected: &'static str,
    },
    /// No encoder of this name ships with the crate. Use one of [`Model::NAMES`](super::Model::NAMES).
    #[error("there is no encoder {name:?}")]
    UnknownName {
        /// The name that was given.
        name: String,
    },
    /// The weights were trained on pictures prepared in another way. Use the release that wrote them.
    #[error("the weights expect preprocessing {found:?}, this release has {expected:?}")]
    Preprocessing {
        /// The way that the weights expect.
        found: String,
        /// The way of this release.
        expected: &'static str,
    },
    /// A tensor is missing. The file was not written by hashdb, or was damaged.
    #[error("tensor {tensor} is missing")]
    TensorMissing {
        /// Its name.
        tensor: String,
    },
    /// A tensor is there that belongs to no layer.
    #[error("tensor {tensor} does not belong there")]
    TensorUnknown {
        /// Its name.
        tensor: String,
    },
    /// A tensor has the wrong shape.
    #[error("tensor {tensor} has shape {found:?}, expected {expected:?}")]
    TensorShape {
        /// Its name.
        tensor: String,
        /// The shape found.
        found: Vec<usize>,
        /// The shape that the description asks for.
        expected: Vec<usize>,
    },
    /// A tensor has the wrong type of number.
    #[error("tensor {tensor} holds {found}, expected {expected}")]
    TensorType {
        /// Its name.
        tensor: String,
        /// The type found.
        found: String,
        /// The type that the format asks for.
        expected: &'static str,
    },
    /// A tensor holds a number that no training yields: infinite, not a number, or out of range.
    #[error("tensor {tensor} holds {value} at {index}, out of range")]
    TensorValue {
        /// Its name.
        tensor: String,
        /// Which number, counted from 0.
        index: usize,
        /// The number, as text.
        value: String,
    },
    /// A setting of the training breaks a documented rule. Correct it.
    #[error("{setting} {rule}")]
    Setting {
        /// The setting, as the caller knows it.
        setting: &'static str,
        /// The rule that it breaks, as the rest of a sentence.
        rule: String,
    },
    /// The checkpoint cannot be continued. Remove it to start anew.
    #[error("cannot resume from {}: {cause}", path.display())]
    Checkpoint {
        /// The checkpoint file.
        path: PathBuf,
        /// Why not.
        cause: String,
    },
    /// The operating system refused a file operation. Mend the cause and try again.
    #[error("cannot {op} {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was attempted, as a verb.
        op: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// The training was stopped by its observer. Where it had a checkpoint, the same call resumes it.
    #[error("the training was stopped")]
    Stopped,
    /// The training ran away: its loss or its weights are no numbers any more. Lower the rates. A checkpoint
    /// holds the pass before.
    #[error(
        "the training diverged in {phase}: no finite numbers at step {step} of {steps} of pass {epoch}, at \
        rate {rate}; lower the rate"
    )]
    Diverged {
        /// The phase, as shown in its progress.
        phase: String,
        /// The step of the pass, from 1.
        step: usize,
        /// Steps in a pass.
        steps: usize,
        /// The pass, from 1.
        epoch: usize,
        /// The rate of that step.
        rate: f32,
    },
    /// A decomposition of a matrix did not come to an end, as where the training pictures are all the same.
    #[error("the {decomposition} did not converge")]
    Unsolved {
        /// Which one.
        decomposition: &'static str,
    },
    /// The encoder has no network for patches. Train one: `hashdb train --preset kh2011-patch`.
    #[error("the encoder has no patch net")]
    NoPatches,
    /// The device failed in the middle of a computation, for example for lack of memory.
    #[error("the computation failed: {cause}")]
    Compute {
        /// What it said.
        cause: String,
    },
}

impl ModelError {
    /// A failure of candle; only its first line, since a backtrace may follow.
    pub(super) fn compute(error: &candle_core::Error) -> Self {
        let text = error.to_string();
        Self::Compute { cause: text.lines().next().unwrap_or_default().to_owned() }
    }
}

/// Lifts candle's results to ours, so that its error type stays out of public signatures.
pub(super) trait Lift<T> {
    /// The same result, its error a [`ModelError::Compute`].
    fn lift(self) -> Result<T, ModelError>;
}

impl<T> Lift<T> for candle_core::Result<T> {
    fn lift(self) -> Result<T, ModelError> {
        self.map_err(|error| ModelError::compute(&error))
    }
}
