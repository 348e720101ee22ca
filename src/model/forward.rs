//! The forward pass through both networks, in the precision and on the device of an encoder.
//!
//! On the CPU a narrow precision is computed in f32 with every weight, input, sum and activity rounded to
//! it (`precision`), which gives what a GPU's matrix products give, but for the order of their sums.

use candle_core::{DType, Device, Result, Tensor};

use super::Precision;
use super::autoencoder::Parts;
use super::network::Network;

/// Both networks, ready to compute.
#[derive(Debug, Clone)]
pub(super) struct Forward {
    code: Network,
    address: Network,
    /// The network for patches, if there is one.
    pub(super) patch: Option<Network>,
    /// The mean picture (1, 3072) on the device, where bytes become inputs there.
    mean: Tensor,
    scale: f64,
    zero: Tensor,
}

impl Forward {
    /// Takes the networks of `parts` in `precision`.
    pub(super) fn new(parts: &Parts, precision: Precision, device: &Device) -> Result<Self> {
        let mean = parts.normalizer.mean();
        Ok(Self {
            code: parts.code.in_precision(precision, device)?,
            address: parts.address.in_precision(precision, device)?,
            patch: match &parts.patch {
                Some(patch) => Some(patch.in_precision(precision, device)?),
                None => None,
            },
            mean: Tensor::from_slice(mean, (1, mean.len()), device)?,
            scale: parts.normalizer.deviation().recip().into(),
            zero: Tensor::zeros((1, 1), DType::F32, device)?,
        })
    }

    /// Inputs of pictures whose bytes lie on the device, shape (rows, 3072): what the normaliser computes on
    /// the host, number by number.
    pub(super) fn inputs(&self, bytes: &Tensor) -> Result<Tensor> {
        bytes.to_dtype(DType::F32)?.broadcast_sub(&self.mean)?.affine(self.scale, 0.0)
    }

    /// The sums behind the bits of the codes and of the addresses, f32, shape (rows, bits).
    pub(super) fn sums(&self, inputs: &Tensor) -> Result<(Tensor, Tensor)> {
        Ok((self.code.sums(inputs)?, self.address.sums(inputs)?))
    }

    /// The bits of the codes and, behind them, of the addresses: one byte each, shape (rows, bits).
    pub(super) fn bits(&self, inputs: &Tensor) -> Result<Tensor> {
        let (codes, addresses) = self.sums(inputs)?;
        Tensor::cat(&[codes, addresses], 1)?.broadcast_gt(&self.zero)
    }
}
