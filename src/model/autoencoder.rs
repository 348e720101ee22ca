//! The encoder of Krizhevsky and Hinton (ESANN 2011): two networks over the same normalised pixels,
//! one deep autoencoder's encoding half each, the code layers rounded to bits.

use std::path::Path;

use candle_core::Tensor;

use super::batch::{Calibration, calibrate};
#[cfg(feature = "cuda")]
use super::cuda::Line;
use super::device::Opened;
use super::error::{Lift, ModelError};
use super::forward::Forward;
use super::in_flight::State;
use super::network::{
    Network, check_address_units, check_code_units, check_patch_units, numbers, with_numbers,
};
use super::normal::Normalizer;
use super::patch_net::PatchNet;
use super::patches::PATCH_INPUTS;
use super::random::Random;
use super::train::{PatchSummary, TrainingSummary};
use super::{
    DeviceChoice, DeviceInUse, Encoded, Encoder, Fingerprint, InFlight, PATCHES, PREPROCESSING,
    Pixels, Precision, StageTimes, weights,
};
use crate::code::{Address, Code};
use crate::error::Error;

/// Pictures in one pass through the networks on the CPU. The number is fixed and the last pass is filled
/// up, because the rounding of a matrix product may depend on its shape, and a bit on the rounding.
const ROWS: usize = 64;

/// The same on a GPU, which small products leave idle.
#[cfg(feature = "cuda")]
const GPU_ROWS: usize = 1024;

/// Largest weight file that is read, in bytes.
const MAX_FILE_BYTES: u64 = 4 << 30;

/// The weights of the encoder that ships with the crate.
static DEFAULT: &[u8] = include_bytes!("default.safetensors");

/// Two trained networks: pixels to codes, and pixels to addresses. It may have a third one for patches.
#[derive(Debug, Clone)]
pub struct Autoencoder {
    pub(super) parts: Parts,
    pub(super) opened: Opened,
    precision: Precision,
    forward: Forward,
    #[cfg(feature = "cuda")]
    line: Option<std::sync::Arc<Line>>,
    rows: usize,
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
    /// The network for patches, if there is one.
    pub(super) patch: Option<PatchNet>,
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
        Self::from_bytes(&read_file(path)?, device)
    }

    /// Reads the bytes of a weight file. Every name, shape, type and number is checked: any bytes give
    /// an encoder or an error.
    ///
    /// # Errors
    /// [`ModelError::NotWeights`], [`ModelError::Description`], [`ModelError::WeightVersion`],
    /// [`ModelError::Preprocessing`] or one of the tensor errors if the file does not keep its
    /// format, [`ModelError::Device`] if the device cannot be used.
    pub fn from_bytes(bytes: &[u8], device: DeviceChoice) -> Result<Self, ModelError> {
        let opened = device.open()?;
        Self::new(weights::read(bytes, &opened.device)?, opened)
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
        let opened = device.open()?;
        let net = |units, stream| {
            let random = &mut Random::new(seed, stream);
            Network::random(Pixels::BYTES, units, random, &opened.device).lift()
        };
        let (code, address) = (net(code, 0)?, net(address, 1)?);
        let normalizer = Normalizer::neutral();
        Self::new(Parts { normalizer, code, address, patch: None, training: None }, opened)
    }

    /// The encoder with a network for patches that learned nothing; `units` as in [`Autoencoder::random`].
    ///
    /// # Errors
    /// [`ModelError::Setting`] if the layers break the rules.
    pub fn with_random_patches(&self, units: &[usize], seed: u64) -> Result<Self, ModelError> {
        check_patch_units(units)?;
        let random = &mut Random::new(seed, 2);
        let network = Network::random(PATCH_INPUTS, units, random, &self.opened.device).lift()?;
        let normalizer = Normalizer::neutral_patch();
        self.with_patch_net(PatchNet { normalizer, network, training: None })
    }

    /// The encoder with this network for patches, in the same precision.
    pub(super) fn with_patch_net(&self, patch: PatchNet) -> Result<Self, ModelError> {
        let parts = Parts { patch: Some(patch), ..self.parts.clone() };
        Self::new(parts, self.opened.clone())?.with_precision(self.precision)
    }

    /// What the training of its network for patches was given and came to, if it has one that was trained.
    #[must_use]
    pub fn patch_training(&self) -> Option<&PatchSummary> {
        self.parts.patch.as_ref().and_then(|patch| patch.training.as_ref())
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

    /// Joins checked parts; the precision is f32.
    pub(super) fn new(parts: Parts, opened: Opened) -> Result<Self, ModelError> {
        let precision = Precision::default();
        let fingerprint = fingerprint(&parts, precision)?;
        let last = |units: Vec<usize>| units.last().copied().unwrap_or(0);
        let code_bits = u16::try_from(last(parts.code.units())).unwrap_or(0);
        let address_bits = u8::try_from(last(parts.address.units())).unwrap_or(0);
        let forward = Forward::new(&parts, precision, &opened.device).lift()?;
        #[cfg(feature = "cuda")]
        let (line, rows) = if opened.device.is_cpu() {
            (None, ROWS)
        } else {
            let bits = usize::from(code_bits) + usize::from(address_bits);
            (Some(Line::new(&opened.device, GPU_ROWS, bits).lift()?.into()), GPU_ROWS)
        };
        #[cfg(not(feature = "cuda"))]
        let rows = ROWS;
        Ok(Self {
            parts,
            opened,
            precision,
            forward,
            #[cfg(feature = "cuda")]
            line,
            rows,
            code_bits,
            address_bits,
            fingerprint,
        })
    }

    /// The same encoder computing in `precision`. Its fingerprint is another, since some of its codes are;
    /// that of f32 is the one that weights have by themselves.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device has no memory for the weights.
    pub fn with_precision(mut self, precision: Precision) -> Result<Self, ModelError> {
        if precision != self.precision {
            self.forward = Forward::new(&self.parts, precision, &self.opened.device).lift()?;
            self.fingerprint = fingerprint(&self.parts, precision)?;
            self.precision = precision;
        }
        Ok(self)
    }

    /// The same encoder in the precision that `expected` is the fingerprint of.
    ///
    /// # Errors
    /// [`ModelError::OtherEncoder`] if there is none, and those of [`Autoencoder::with_precision`].
    pub fn of_fingerprint(self, expected: &Fingerprint) -> Result<Self, ModelError> {
        if self.fingerprint == *expected {
            return Ok(self);
        }
        for precision in Precision::ALL {
            if fingerprint(&self.parts, precision)? == *expected {
                return self.with_precision(precision);
            }
        }
        let found = fingerprint(&self.parts, Precision::F32)?;
        Err(ModelError::OtherEncoder { found, expected: *expected })
    }

    /// The numbers that its forward pass computes with; f32 unless
    /// [`Autoencoder::with_precision`] said otherwise.
    #[must_use]
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// The device that it computes on.
    #[must_use]
    pub fn device(&self) -> &DeviceInUse {
        &self.opened.in_use
    }

    /// Hands pictures over and returns as soon as it can: on a GPU they are copied and computed while the
    /// caller goes on, on the CPU this is [`Encoder::encode`]. Several batches may be on their way; each
    /// takes memory, on a GPU 3 KB a picture there and in page-locked memory.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device fails, for example for lack of memory.
    pub fn submit(&self, images: &[Pixels]) -> Result<InFlight, ModelError> {
        #[cfg(feature = "cuda")]
        if let Some(line) = &self.line {
            let pass = |images: &[Pixels]| Ok((line.submit(&self.forward, images)?, images.len()));
            let passes = images.chunks(self.rows).map(pass).collect::<candle_core::Result<_>>();
            let (code_bits, address_bits) = (self.code_bits.into(), self.address_bits);
            let state = State::Passes { passes: passes.lift()?, code_bits, address_bits };
            return Ok(InFlight { state });
        }
        let margins = self.margins(images)?.into_iter();
        let encoded = margins.map(|Margins { address, code }| {
            encoded(&code, &address, self.address_bits, |sum| *sum > 0.0)
        });
        Ok(InFlight { state: State::Done(encoded.collect::<Result<_, _>>()?) })
    }

    /// Finds the batch for [`Autoencoder::submit`] by trying, which takes up to about a second. Codes do
    /// not depend on it.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device fails at the smallest batch.
    pub fn calibrate(&self) -> Result<Calibration, ModelError> {
        let mut pictures = Vec::new();
        let started = std::time::Instant::now();
        let mut run = |batch| {
            pictures.resize(batch, Pixels::new(vec![127; Pixels::BYTES])?);
            self.submit(&pictures)?.finish().map(drop)
        };
        calibrate(&mut run, &mut || started.elapsed())
    }

    /// Encodes `images` with a pause after each stage, and says what each took.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device fails.
    pub fn stage_times(&self, images: &[Pixels]) -> Result<StageTimes, ModelError> {
        let mut times = StageTimes::default();
        for chunk in images.chunks(self.rows) {
            #[cfg(feature = "cuda")]
            if let Some(line) = &self.line {
                line.time(&self.forward, chunk, &mut times).lift()?;
                continue;
            }
            let started = std::time::Instant::now();
            let inputs = self.inputs(chunk)?;
            times.prepare += started.elapsed();
            let started = std::time::Instant::now();
            self.forward.bits(&inputs).lift()?;
            times.forward += started.elapsed();
        }
        Ok(times)
    }

    /// The inputs of a few pictures, at most [`Self::rows`], and black ones behind them.
    fn inputs(&self, images: &[Pixels]) -> Result<Tensor, ModelError> {
        let shape = (self.rows, Pixels::BYTES);
        if self.opened.device.is_cpu() {
            let mut inputs = Vec::with_capacity(self.rows * Pixels::BYTES);
            for image in images {
                self.parts.normalizer.append(image.as_bytes(), &mut inputs);
            }
            inputs.resize(self.rows * Pixels::BYTES, 0.0);
            return Tensor::from_vec(inputs, shape, &self.opened.device).lift();
        }
        let mut bytes = images.iter().map(Pixels::as_bytes).collect::<Vec<_>>().concat();
        bytes.resize(self.rows * Pixels::BYTES, 0);
        let bytes = Tensor::from_vec(bytes, shape, &self.opened.device);
        bytes.and_then(|bytes| self.forward.inputs(&bytes)).lift()
    }

    /// The sums behind the bits of a few pictures: of the code, then of the address.
    fn sums(&self, images: &[Pixels]) -> Result<(Vec<f32>, Vec<f32>), ModelError> {
        #[cfg(feature = "cuda")]
        let _turn = self.line.as_ref().map(|line| line.turn());
        let (codes, addresses) = self.forward.sums(&self.inputs(images)?).lift()?;
        Ok((numbers(&codes)?, numbers(&addresses)?))
    }

    /// The margins of `images`, in order: what [`Encoder::encode`] rounds.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device fails.
    pub fn margins(&self, images: &[Pixels]) -> Result<Vec<Margins>, ModelError> {
        let (code_bits, address_bits) = (self.code_bits.into(), self.address_bits.into());
        let mut margins = Vec::with_capacity(images.len());
        for chunk in images.chunks(self.rows) {
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
        self.submit(images)?.finish()
    }

    fn patch_bits(&self) -> Option<u8> {
        self.parts.patch.as_ref().map(PatchNet::bits)
    }

    fn patch_addresses(&self, images: &[Pixels]) -> Result<Vec<[u32; PATCHES]>, ModelError> {
        let nets = self.parts.patch.as_ref().zip(self.forward.patch.as_ref());
        let (patch, network) = nets.ok_or(ModelError::NoPatches)?;
        #[cfg(feature = "cuda")]
        let _turn = self.line.as_ref().map(|line| line.turn());
        patch.addresses(network, images, &self.opened.device)
    }
}

/// The bytes of a weight file, if it is not too long to be one.
pub(super) fn read_file(path: &Path) -> Result<Vec<u8>, ModelError> {
    let io = |source| ModelError::Io { path: path.to_path_buf(), op: "read", source };
    let bytes = std::fs::metadata(path).map_err(io)?.len();
    if bytes > MAX_FILE_BYTES {
        let cause = format!("it has {bytes} bytes, more than {MAX_FILE_BYTES}");
        return Err(ModelError::NotWeights { cause });
    }
    #[expect(clippy::disallowed_methods, reason = "the error names the path")]
    std::fs::read(path).map_err(io)
}

/// A code and an address from a row of bits each, `on` telling which are one. The first bit of an address
/// is its most significant one.
pub(super) fn encoded<T>(
    code: &[T],
    address: &[T],
    address_bits: u8,
    on: impl Fn(&T) -> bool,
) -> Result<Encoded, ModelError> {
    let wrong = |error: Error| ModelError::Compute { cause: error.to_string() };
    let value = address.iter().fold(0, |bits, bit| bits << 1 | u32::from(on(bit)));
    let address = Address::new(value, address_bits).map_err(wrong)?;
    Ok(Encoded { address, code: Code::from_bytes(&packed(code, on)).map_err(wrong)? })
}

/// Bits of a row, unit 0 being the most significant bit of byte 0.
fn packed<T>(row: &[T], on: impl Fn(&T) -> bool) -> Vec<u8> {
    let byte = |row: &[T]| row.iter().fold(0, |bits, bit| bits << 1 | u8::from(on(bit)));
    row.chunks(8).map(byte).collect()
}

/// Hashes all that decides a code, each list behind its length. The default precision adds nothing.
fn fingerprint(parts: &Parts, precision: Precision) -> Result<Fingerprint, ModelError> {
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
    if let Some(patch) = &parts.patch {
        add(patch.normalizer.mean());
        add(&[patch.normalizer.deviation()]);
        for layer in patch.network.layers() {
            with_numbers(&layer.weight, &mut add)?;
            with_numbers(&layer.bias, &mut add)?;
        }
    }
    if precision != Precision::F32 {
        hasher.update(precision.to_string().as_bytes());
    }
    Ok(Fingerprint::of(&hasher))
}
