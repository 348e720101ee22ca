//! The training pictures: borrowed bytes, normalised one batch at a time.

use candle_core::{Device, Tensor};

use crate::model::normal::Normalizer;
use crate::model::{ModelError, Pixels};

/// The pictures and how they become inputs.
pub(super) struct Dataset<'a> {
    bytes: &'a [u8],
    pub(super) normalizer: Normalizer,
    pub(super) device: Device,
}

impl<'a> Dataset<'a> {
    /// Takes [`Pixels::BYTES`] bytes a picture, one picture after the other.
    pub(super) fn new(bytes: &'a [u8], device: Device) -> Result<Self, ModelError> {
        if bytes.is_empty() || !bytes.len().is_multiple_of(Pixels::BYTES) {
            let rule = format!("has {} bytes, expected a multiple of 3072 above 0", bytes.len());
            return Err(ModelError::Setting { setting: "the data set", rule });
        }
        Ok(Self { bytes, normalizer: Normalizer::of(bytes), device })
    }

    /// How many pictures there are, at least one.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / Pixels::BYTES
    }

    /// A hash of all pictures, by which a checkpoint knows its data.
    pub(super) fn digest(&self) -> String {
        blake3::hash(self.bytes).to_hex().to_string()
    }

    /// The inputs of the pictures with these numbers, shape (numbers, 3072).
    pub(super) fn batch(&self, numbers: &[usize]) -> candle_core::Result<Tensor> {
        let mut inputs = Vec::with_capacity(numbers.len() * Pixels::BYTES);
        for number in numbers {
            let start = number * Pixels::BYTES;
            self.normalizer.append(&self.bytes[start..start + Pixels::BYTES], &mut inputs);
        }
        Tensor::from_vec(inputs, (numbers.len(), Pixels::BYTES), &self.device)
    }
}
