//! The network for patches that an encoder may have: 81 short addresses a picture, by which pictures are
//! found that show the same thing elsewhere ("multiple semantic hashing", Krizhevsky and Hinton 2011).

use candle_core::{Device, Result as CandleResult, Tensor};

use super::error::{Lift, ModelError};
use super::network::{Network, numbers};
use super::normal::Normalizer;
use super::patches::{PATCH_INPUTS, PATCHES, Retinas};
use super::train::PatchSummary;
use super::{Pixels, Precision};

/// Pictures in one pass on the CPU; fixed, and the last pass is filled up, as for whole pictures.
const PICTURES: usize = 2;
/// The same on a GPU.
const GPU_PICTURES: usize = 16;

/// What a weight file holds of it.
#[derive(Debug, Clone)]
pub(super) struct PatchNet {
    pub(super) normalizer: Normalizer,
    pub(super) network: Network,
    pub(super) training: Option<PatchSummary>,
}

impl PatchNet {
    /// Bits of a patch's address.
    pub(super) fn bits(&self) -> u8 {
        self.network.units().last().and_then(|&bits| u8::try_from(bits).ok()).unwrap_or(0)
    }

    /// The network ready to compute.
    pub(super) fn in_precision(
        &self,
        precision: Precision,
        device: &Device,
    ) -> CandleResult<Network> {
        self.network.in_precision(precision, device)
    }

    /// The address of each patch of each picture, from the top left, row by row, out of `network`. The first
    /// bit of an address is its most significant one.
    pub(super) fn addresses(
        &self,
        network: &Network,
        images: &[Pixels],
        device: &Device,
    ) -> Result<Vec<[u32; PATCHES]>, ModelError> {
        let pictures = if device.is_cpu() { PICTURES } else { GPU_PICTURES };
        let shape = (pictures * PATCHES, PATCH_INPUTS);
        let mut addresses = Vec::with_capacity(images.len());
        let mut quarters = Vec::with_capacity(PATCH_INPUTS);
        for chunk in images.chunks(pictures) {
            let mut inputs = Vec::with_capacity(shape.0 * shape.1);
            for image in chunk {
                let retinas = Retinas::new(image.as_bytes());
                for place in 0..PATCHES {
                    quarters.clear();
                    retinas.append(place, &mut quarters);
                    self.normalizer.append_quarters(&quarters, &mut inputs);
                }
            }
            inputs.resize(shape.0 * shape.1, 0.0);
            let inputs = Tensor::from_vec(inputs, shape, device);
            let sums = inputs.and_then(|inputs| network.sums(&inputs)).lift()?;
            let sums = numbers(&sums)?;
            let mut rows = sums.chunks_exact(usize::from(self.bits()).max(1));
            for _ in chunk {
                let mut of_picture = [0; PATCHES];
                for (address, row) in of_picture.iter_mut().zip(&mut rows) {
                    *address = row.iter().fold(0, |bits, sum| bits << 1 | u32::from(*sum > 0.0));
                }
                addresses.push(of_picture);
            }
        }
        Ok(addresses)
    }
}
