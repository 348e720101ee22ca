//! The encoder of Krizhevsky and Hinton (ESANN 2011): two networks over the same normalised pixels,
//! one deep autoencoder's encoding half each, the code layers rounded to bits.

use std::path::Path;

use candle_core::{Device, Tensor};

use super::error::{Lift, ModelError};
use super::network::{Network, check_address_units, check_code_units, numbers, with_numbers};
use super::normal::Normalizer;
use super::random::Random;
use super::train::TrainingSummary;
use super::{DeviceChoice, Encoded, Encoder, Fingerprint, PREPROCESSING, Pixels, weights};
use crate::code::{Address, Code};
use crate::error::Error;

/// Pictures in one pass through the networks. The number is fixed and the last pass is filled up,
/// because the rounding of a matrix product may depend on its shape, and a bit on the rounding.
const ROWS: usize = 64;

/// Largest weight file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// The weights of the encoder that ships with the crate.
static DEFAULT: &[u8] = include_bytes!("default.safetensors");

/// Two trained networks: pixels to codes, and pixels to addresses.
#[derive(Debug, Clone)]
pub struct Autoencoder {
    pub(super) parts: Parts,
    device: Device,
    code_bits: u16,
    address_bits: u8,
    fingerprint: Fingerprint,
}

/// How sure an encoder is of each bit of a picture: the sum before the logistic, of any sign and
/// size. A bit is on where its margin is above zero.
#[derive(Debug, Clone, PartialEq)]
pub struct Margins {
    /// One number for each bit of the address.
    pub address: Vec<f32>,
    /// One number for each bit of the code.
    pub code: Vec<f32>,
}

/// What a weight file holds.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) normalizer: Normalizer,
    pub(super) code: Network,
    pub(super) address: Network,
    pub(super) training: Option<TrainingSummary>,
}

/// The encoder that ships with the crate: 256-bit codes and 28-bit addresses, trained on the 50,000
/// training pictures of CIFAR-10 with the defaults of [`TrainConfig`](super::TrainConfig).
///
/// # Errors
/// [`ModelError::Device`] if the device cannot be used.
pub fn default_encoder(device: DeviceChoice) -> Result<Autoencoder, ModelError> {
    Autoencoder::from_bytes(DEFAULT, device)
}

impl Autoencoder {
    /// Reads a weight file that [`Autoencoder::to_bytes`] made.
    ///
    /// # Errors
    /// [`ModelError::Io`] if the file cannot be read, and those of [`Autoencoder::from_bytes`].
    pub fn open(path: &Path, device: DeviceChoice) -> Result<Self, ModelError> {
        let io = |source| ModelError::Io { path: path.to_path_buf(), op: "read", source };
        let bytes = std::fs::metadata(path).map_err(io)?.len();
        if bytes > MAX_FILE_BYTES {
            let cause = format!("it has {bytes} bytes, more than {MAX_FILE_BYTES}");
            return Err(ModelError::NotWeights { cause });
        }
        #[expect(clippy::disallowed_methods, reason = "the error below names the path")]
        let bytes = std::fs::read(path).map_err(io)?;
        Self::from_bytes(&bytes, device)
    }

    /// Reads the bytes of a weight file. Every name, shape, type and number is checked: any bytes give
    /// an encoder or an error.
    ///
    /// # Errors
    /// [`ModelError::NotWeights`], [`ModelError::Description`], [`ModelError::WeightVersion`],
    /// [`ModelError::Preprocessing`] or one of the tensor errors if the file does not keep its
    /// format, [`ModelError::Device`] if the device cannot be used.
    pub fn from_bytes(bytes: &[u8], device: DeviceChoice) -> Result<Self, ModelError> {
        let device = device.open()?;
        Self::new(weights::read(bytes, &device)?, device)
    }

    /// The weight file: the same encoder gives the same bytes.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the weights cannot be copied from the device.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        weights::write(&self.parts)
    }

    /// An encoder that learned nothing: random weights under `seed`. It is the control that a trained
    /// one must beat, and makes tests fast. `code` and `address` are the units of each layer, the
    /// last being the bits.
    ///
    /// # Errors
    /// [`ModelError::Setting`] if the layers break the rules of
    /// [`NetConfig::layers`](super::NetConfig::layers), [`ModelError::Device`] if the device cannot be
    /// used.
    pub fn random(
        code: &[usize],
        address: &[usize],
        seed: u64,
        device: DeviceChoice,
    ) -> Result<Self, ModelError> {
        check_code_units(code)?;
        check_address_units(address)?;
        let device = device.open()?;
        let net = |units, stream| {
            Network::random(Pixels::BYTES, units, &mut Random::new(seed, stream), &device).lift()
        };
        let (code, address) = (net(code, 0)?, net(address, 1)?);
        let normalizer = Normalizer::neutral();
        Self::new(Parts { normalizer, code, address, training: None }, device)
    }

    /// What its training was given and came to; nothing for random weights.
    #[must_use]
    pub fn training(&self) -> Option<&TrainingSummary> {
        self.parts.training.as_ref()
    }

    /// Units of each layer of the code net and of the address net, the last being the bits.
    #[must_use]
    pub fn layers(&self) -> (Vec<usize>, Vec<usize>) {
        (self.parts.code.units(), self.parts.address.units())
    }

    /// Joins checked parts.
    pub(super) fn new(parts: Parts, device: Device) -> Result<Self, ModelError> {
        let fingerprint = fingerprint(&parts)?;
        let last = |units: Vec<usize>| units.last().copied().unwrap_or(0);
        let code_bits = u16::try_from(last(parts.code.units())).unwrap_or(0);
        let address_bits = u8::try_from(last(parts.address.units())).unwrap_or(0);
        Ok(Self { parts, device, code_bits, address_bits, fingerprint })
    }

    /// The sums behind the bits of a few pictures, at most [`ROWS`]: of the code, then of the address.
    fn sums(&self, images: &[Pixels]) -> Result<(Vec<f32>, Vec<f32>), ModelError> {
        let mut inputs = Vec::with_capacity(ROWS * Pixels::BYTES);
        for image in images {
            self.parts.normalizer.append(image.as_bytes(), &mut inputs);
        }
        inputs.resize(ROWS * Pixels::BYTES, 0.0);
        let inputs = Tensor::from_vec(inputs, (ROWS, Pixels::BYTES), &self.device).lift()?;
        let sums = |net: &Network| numbers(&net.sums(&inputs).lift()?);
        Ok((sums(&self.parts.code)?, sums(&self.parts.address)?))
    }

    /// The margins of `images`, in order: what [`Encoder::encode`] rounds.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device fails.
    pub fn margins(&self, images: &[Pixels]) -> Result<Vec<Margins>, ModelError> {
        let (code_bits, address_bits) = (self.code_bits.into(), self.address_bits.into());
        let mut margins = Vec::with_capacity(images.len());
        for chunk in images.chunks(ROWS) {
            let (codes, addresses) = self.sums(chunk)?;
            let rows = codes.chunks_exact(code_bits).zip(addresses.chunks_exact(address_bits));
            margins.extend(
                rows.take(chunk.len()).map(|(code, address)| Margins {
                    address: address.to_vec(),
                    code: code.to_vec(),
                }),
            );
        }
        Ok(margins)
    }
}

impl Encoder for Autoencoder {
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
        let wrong = |error: Error| ModelError::Compute { cause: error.to_string() };
        self.margins(images)?
            .into_iter()
            .map(|Margins { address, code }| {
                let value = address.iter().fold(0, |bits, sum| bits << 1 | u32::from(*sum > 0.0));
                let address = Address::new(value, self.address_bits).map_err(wrong)?;
                Ok(Encoded { address, code: Code::from_bytes(&packed(&code)).map_err(wrong)? })
            })
            .collect()
    }
}

/// Bits of a row of sums, unit 0 being the most significant bit of byte 0.
fn packed(sums: &[f32]) -> Vec<u8> {
    let byte = |sums: &[f32]| sums.iter().fold(0, |bits, sum| bits << 1 | u8::from(*sum > 0.0));
    sums.chunks(8).map(byte).collect()
}

/// Hashes all that decides a code, each list behind its length.
fn fingerprint(parts: &Parts) -> Result<Fingerprint, ModelError> {
    let mut hasher = blake3::Hasher::new_derive_key("hashdb autoencoder fingerprint v1");
    hasher.update(PREPROCESSING.as_bytes());
    let mut add = |values: &[f32]| {
        hasher.update(&(values.len() as u64).to_le_bytes());
        // Piece by piece: a hostile file must not make its weights be copied again.
        for values in values.chunks(4096) {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            hasher.update(&bytes);
        }
    };
    add(parts.normalizer.mean());
    add(&[parts.normalizer.deviation()]);
    for net in [&parts.code, &parts.address] {
        for layer in net.layers() {
            with_numbers(&layer.weight, &mut add)?;
            with_numbers(&layer.bias, &mut add)?;
        }
        add(&[]);
    }
    Ok(Fingerprint::of(&hasher))
}
