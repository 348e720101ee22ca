//! The encoder `kmeans-itq`: features of small patches, turned to bits by iterative quantization. It needs no
//! network and no gradient, and is trained in minutes on a processor.
//!
//! Patches of the training pictures are contrast-normalised, whitened and gathered around centroids (Coates, Ng
//! and Lee, AISTATS 2011); `features` is what a picture makes of them. Of the features those directions are taken
//! in which pictures differ much and distorted copies of one picture little: linear discriminant analysis with every
//! picture a class of its own, so no label is needed. Iterative quantization (Gong and Lazebnik, CVPR 2011) turns
//! them so that their signs lose least. A bit is the sign of one weighted sum of features.
//!
//! `patches`, `features` and `weights` are what an encoder is; `config`, `centroids`, `distort`, `bits` and `train` make one.
//! It computes on the CPU in f32, whatever the device.

mod bits;
mod centroids;
mod config;
mod distort;
mod features;
mod patches;
#[cfg(test)]
mod tests;
mod train;
mod weights;

use std::sync::OnceLock;

use candle_core::{Device, Tensor};

pub use config::{KmeansConfig, KmeansSummary};
pub use train::{KmeansPhase, KmeansProgress, train_kmeans};

use super::autoencoder::encoded;
use super::error::{Lift, ModelError};
use super::network::numbers;
use super::random::Random;
use super::{
    DeviceChoice, DeviceInUse, Encoded, Encoder, Fingerprint, Margins, PREPROCESSING, Pixels,
};
use config::check_shape;
use features::Filters;
use patches::INPUTS;

/// Pictures in one product with the projection; the last is filled up, so that the shape never changes.
const ROWS: usize = 64;

/// Bits as signs of weighted sums of features.
#[derive(Debug, Clone)]
struct Projection {
    /// A row of numbers for each bit, exact in f16.
    weights: Vec<f32>,
    /// Subtracted from the sum; one number a bit.
    offsets: Vec<f32>,
}

/// What a weight file holds.
#[derive(Debug, Clone)]
struct Parts {
    filters: Filters,
    code: Projection,
    address: Projection,
    training: Option<KmeansSummary>,
}

/// Patch features by k-means, and their projection to bits.
#[derive(Debug, Clone)]
pub struct KmeansItq {
    parts: Parts,
    device: DeviceInUse,
    /// Both projections, of shape (features, bits); made at the first picture.
    turned: OnceLock<Tensor>,
    code_bits: u16,
    address_bits: u8,
    fingerprint: Fingerprint,
}

impl KmeansItq {
    /// Reads the bytes of a weight file. Every name, shape, type and number is checked: any bytes give
    /// an encoder or an error.
    ///
    /// # Errors
    /// [`ModelError::WeightKind`] if they are of another kind, and those of
    /// [`Autoencoder::from_bytes`](super::Autoencoder::from_bytes); [`ModelError::Device`] if a device other than
    /// the CPU is asked for.
    pub fn from_bytes(bytes: &[u8], device: DeviceChoice) -> Result<Self, ModelError> {
        let device = on_the_cpu(device)?;
        Self::new(weights::read(bytes)?, device)
    }

    /// The weight file: the same encoder gives the same bytes.
    ///
    /// # Errors
    /// [`ModelError::NotWeights`] if the file cannot be formed.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        weights::write(&self.parts)
    }

    /// An encoder that learned nothing: random filters, and bits that are random differences of features. It is the
    /// control that a trained one must beat, and makes tests fast.
    ///
    /// # Errors
    /// [`ModelError::Setting`] if a number breaks the rules of [`KmeansConfig`].
    pub fn random(
        code_bits: usize,
        address_bits: usize,
        centroids: usize,
        grid: usize,
        seed: u64,
    ) -> Result<Self, ModelError> {
        check_shape(code_bits, address_bits, centroids, grid)?;
        let mut random = Random::new(seed, 0);
        #[expect(clippy::cast_precision_loss, reason = "a patch has 108 numbers")]
        let deviation = (INPUTS as f32).sqrt().recip();
        let filters = halves(random.normals(centroids * INPUTS, deviation));
        let filters = Filters::new(filters, vec![0.0; centroids], grid);
        let mut projection = |bits: usize| {
            let mut weights = random.normals(bits * filters.width(), 1.0);
            for row in weights.chunks_exact_mut(filters.width()) {
                // Features are never negative: only differences have both signs.
                #[expect(clippy::cast_precision_loss, reason = "a mean needs no more")]
                let mean = row.iter().sum::<f32>() / row.len() as f32;
                row.iter_mut().for_each(|number| *number -= mean);
            }
            Projection { weights: halves(weights), offsets: vec![0.0; bits] }
        };
        let (code, address) = (projection(code_bits), projection(address_bits));
        let parts = Parts { filters, code, address, training: None };
        Self::new(parts, on_the_cpu(DeviceChoice::Cpu)?)
    }

    /// An encoder of the same shape that learned nothing.
    ///
    /// # Errors
    /// Those of [`KmeansItq::random`].
    pub fn untrained(&self, seed: u64) -> Result<Self, ModelError> {
        let Filters { grid, .. } = self.parts.filters;
        let bits = (self.code_bits.into(), self.address_bits.into());
        Self::random(bits.0, bits.1, self.parts.filters.count(), grid, seed)
    }

    /// What its training was given and came to; nothing for random weights.
    #[must_use]
    pub fn training(&self) -> Option<&KmeansSummary> {
        self.parts.training.as_ref()
    }

    /// The device that it computes on: the CPU.
    #[must_use]
    pub fn device(&self) -> &DeviceInUse {
        &self.device
    }

    /// Joins checked parts.
    fn new(parts: Parts, device: DeviceInUse) -> Result<Self, ModelError> {
        let wide = |bits: usize| ModelError::Compute { cause: format!("{bits} bits are too many") };
        let (code, address) = (parts.code.offsets.len(), parts.address.offsets.len());
        Ok(Self {
            code_bits: u16::try_from(code).map_err(|_| wide(code))?,
            address_bits: u8::try_from(address).map_err(|_| wide(address))?,
            fingerprint: fingerprint(&parts),
            parts,
            device,
            turned: OnceLock::new(),
        })
    }

    /// The margins of `images`, in order: what [`Encoder::encode`] takes the signs of.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if a product fails, for example for lack of memory.
    pub fn margins(&self, images: &[Pixels]) -> Result<Vec<Margins>, ModelError> {
        let (width, code_bits) = (self.parts.filters.width(), usize::from(self.code_bits));
        let offsets: Vec<f32> =
            [&self.parts.code, &self.parts.address].map(|part| &part.offsets[..]).concat();
        let mut margins = Vec::with_capacity(images.len());
        for chunk in images.chunks(ROWS) {
            let pictures: Vec<&[u8]> = chunk.iter().map(Pixels::as_bytes).collect();
            let mut features = self.parts.filters.of(&pictures)?;
            features.resize(ROWS * width, 0.0);
            let features = Tensor::from_vec(features, (ROWS, width), &Device::Cpu).lift()?;
            let sums = numbers(&features.matmul(self.turned()?).lift()?)?;
            for sums in sums.chunks_exact(offsets.len()).take(chunk.len()) {
                let all: Vec<f32> = sums.iter().zip(&offsets).map(|(sum, off)| sum - off).collect();
                let (code, address) = all.split_at(code_bits);
                margins.push(Margins { address: address.to_vec(), code: code.to_vec() });
            }
        }
        Ok(margins)
    }

    /// Both projections as the product wants them.
    fn turned(&self) -> Result<&Tensor, ModelError> {
        if let Some(turned) = self.turned.get() {
            return Ok(turned);
        }
        let width = self.parts.filters.width();
        let (code, address) = (&self.parts.code.weights, &self.parts.address.weights);
        let rows: Vec<&[f32]> =
            code.chunks_exact(width).chain(address.chunks_exact(width)).collect();
        let turned = (0..width).flat_map(|at| rows.iter().map(move |row| row[at])).collect();
        let turned = Tensor::from_vec(turned, (width, rows.len()), &Device::Cpu).lift()?;
        Ok(self.turned.get_or_init(|| turned))
    }
}

impl Encoder for KmeansItq {
    fn fingerprint(&self) -> &Fingerprint {
        &self.fingerprint
    }

    fn code_bits(&self) -> u16 {
        self.code_bits
    }

    fn address_bits(&self) -> u8 {
        self.address_bits
    }

    fn encode(&self, images: &[Pixels]) -> Result<Vec<Encoded>, ModelError> {
        let margins = self.margins(images)?.into_iter();
        let bits = |Margins { code, address }| {
            encoded(&code, &address, self.address_bits, |margin| *margin > 0.0)
        };
        margins.map(bits).collect()
    }
}

/// The CPU, unless another device is asked for by name.
fn on_the_cpu(device: DeviceChoice) -> Result<DeviceInUse, ModelError> {
    let cause = "encoders of the kind kmeans-itq compute on the CPU".to_owned();
    let fallback = match device {
        DeviceChoice::Cuda(_) => {
            return Err(ModelError::Device { device: device.to_string(), cause });
        }
        DeviceChoice::Auto if cfg!(feature = "cuda") => Some(cause),
        DeviceChoice::Auto | DeviceChoice::Cpu => None,
    };
    Ok(DeviceInUse { name: DeviceChoice::Cpu.to_string(), fallback })
}

/// Numbers rounded to what a weight file holds.
fn halves(numbers: Vec<f32>) -> Vec<f32> {
    numbers.into_iter().map(|number| half::f16::from_f32(number).to_f32()).collect()
}

/// Hashes all that decides a code, each list behind its length.
fn fingerprint(parts: &Parts) -> Fingerprint {
    let mut hasher = blake3::Hasher::new_derive_key("hashdb kmeans-itq fingerprint v1");
    hasher.update(PREPROCESSING.as_bytes());
    hasher.update(&(parts.filters.grid as u64).to_le_bytes());
    let lists = [
        &parts.filters.weights,
        &parts.filters.thresholds,
        &parts.code.weights,
        &parts.code.offsets,
        &parts.address.weights,
        &parts.address.offsets,
    ];
    for list in lists {
        hasher.update(&(list.len() as u64).to_le_bytes());
        // Piece by piece: a hostile file must not make its weights be copied again.
        for values in list.chunks(4096) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
    }
    Fingerprint::of(&hasher)
}
