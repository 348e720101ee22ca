//! An encoder of whatever kind, as a weight file or a name says.

use std::path::Path;

use super::batch::calibrate;
use super::in_flight::State;
use super::kind::ModelKind;
use super::tensors::Reader;
use super::{
    Autoencoder, Calibration, DeviceChoice, DeviceInUse, Encoded, Encoder, Fingerprint, InFlight,
    KmeansItq, ModelError, PATCHES, Pixels, Precision, StageTimes, autoencoder, default_encoder,
};

/// The weights of the encoder `kmeans-itq`, which ships with the crate.
static KMEANS_ITQ: &[u8] = include_bytes!("kmeans-itq.safetensors");

/// An encoder of any kind. What a kind cannot do (compute on a GPU, in a narrow precision) is an error there.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "a program has one or two, and in no list")]
pub enum Model {
    /// The networks of Krizhevsky and Hinton.
    Autoencoder(Autoencoder),
    /// Patch features by k-means.
    KmeansItq(KmeansItq),
}

impl Model {
    /// The names of the encoders that ship with the crate.
    pub const NAMES: [&str; 2] = ["default", "kmeans-itq"];

    /// The encoder of a name in [`Model::NAMES`]: `default` is [`default_encoder`], `kmeans-itq` gives 256-bit codes
    /// and 28-bit addresses too, was trained on the same pictures with the defaults of
    /// [`KmeansConfig`](super::KmeansConfig), finds more of the same kind, and takes longer.
    ///
    /// # Errors
    /// [`ModelError::UnknownName`] if there is none, [`ModelError::Device`] if the device cannot be used.
    pub fn named(name: &str, device: DeviceChoice) -> Result<Self, ModelError> {
        match name {
            "default" => default_encoder(device).map(Self::Autoencoder),
            "kmeans-itq" => Self::from_bytes(KMEANS_ITQ, device),
            _ => Err(ModelError::UnknownName { name: name.to_owned() }),
        }
    }

    /// Reads a weight file of any kind.
    ///
    /// # Errors
    /// [`ModelError::Io`] if the file cannot be read, and those of [`Model::from_bytes`].
    pub fn open(path: &Path, device: DeviceChoice) -> Result<Self, ModelError> {
        Self::from_bytes(&autoencoder::read_file(path)?, device)
    }

    /// Reads the bytes of a weight file of any kind.
    ///
    /// # Errors
    /// [`ModelError::WeightKind`] if the kind is not known, and those of [`Autoencoder::from_bytes`].
    pub fn from_bytes(bytes: &[u8], device: DeviceChoice) -> Result<Self, ModelError> {
        let kind = ModelKind::of(Reader::new(bytes)?.description())?;
        match kind {
            ModelKind::Autoencoder => Autoencoder::from_bytes(bytes, device).map(Self::Autoencoder),
            ModelKind::KmeansItq => KmeansItq::from_bytes(bytes, device).map(Self::KmeansItq),
        }
    }

    /// The weight file: the same encoder gives the same bytes.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the weights cannot be copied from the device.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelError> {
        match self {
            Self::Autoencoder(encoder) => encoder.to_bytes(),
            Self::KmeansItq(encoder) => encoder.to_bytes(),
        }
    }

    /// Which kind it is.
    #[must_use]
    pub fn kind(&self) -> ModelKind {
        match self {
            Self::Autoencoder(_) => ModelKind::Autoencoder,
            Self::KmeansItq(_) => ModelKind::KmeansItq,
        }
    }

    /// An encoder of the same kind and shape that learned nothing: random weights under `seed`.
    ///
    /// # Errors
    /// [`ModelError::Device`] if the device cannot be used.
    pub fn untrained(&self, seed: u64, device: DeviceChoice) -> Result<Self, ModelError> {
        match self {
            Self::Autoencoder(encoder) => {
                let (code, address) = encoder.layers();
                Autoencoder::random(&code, &address, seed, device).map(Self::Autoencoder)
            }
            Self::KmeansItq(encoder) => encoder.untrained(seed).map(Self::KmeansItq),
        }
    }

    /// The same encoder computing in `precision`.
    ///
    /// # Errors
    /// [`ModelError::Setting`] if its kind computes in f32 alone, and those of
    /// [`Autoencoder::with_precision`].
    pub fn with_precision(self, precision: Precision) -> Result<Self, ModelError> {
        match self {
            Self::Autoencoder(encoder) => encoder.with_precision(precision).map(Self::Autoencoder),
            Self::KmeansItq(_) if precision != Precision::F32 => {
                let rule =
                    format!("is {precision}, encoders of the kind kmeans-itq have f32 alone");
                Err(ModelError::Setting { setting: "the precision", rule })
            }
            Self::KmeansItq(_) => Ok(self),
        }
    }

    /// The same encoder in the precision that `expected` is the fingerprint of.
    ///
    /// # Errors
    /// [`ModelError::OtherEncoder`] if there is none, and those of [`Model::with_precision`].
    pub fn of_fingerprint(self, expected: &Fingerprint) -> Result<Self, ModelError> {
        match self {
            Self::Autoencoder(encoder) => encoder.of_fingerprint(expected).map(Self::Autoencoder),
            Self::KmeansItq(ref encoder) if encoder.fingerprint() != expected => {
                let found = *encoder.fingerprint();
                Err(ModelError::OtherEncoder { found, expected: *expected })
            }
            Self::KmeansItq(_) => Ok(self),
        }
    }

    /// The numbers that it computes with.
    #[must_use]
    pub fn precision(&self) -> Precision {
        match self {
            Self::Autoencoder(encoder) => encoder.precision(),
            Self::KmeansItq(_) => Precision::F32,
        }
    }

    /// The device that it computes on.
    #[must_use]
    pub fn device(&self) -> &DeviceInUse {
        match self {
            Self::Autoencoder(encoder) => encoder.device(),
            Self::KmeansItq(encoder) => encoder.device(),
        }
    }

    /// Hands pictures over and returns as soon as it can, as [`Autoencoder::submit`] does.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device fails, for example for lack of memory.
    pub fn submit(&self, images: &[Pixels]) -> Result<InFlight, ModelError> {
        match self {
            Self::Autoencoder(encoder) => encoder.submit(images),
            Self::KmeansItq(encoder) => {
                Ok(InFlight { state: State::Done(encoder.encode(images)?) })
            }
        }
    }

    /// Finds the batch for [`Model::submit`] by trying, as [`Autoencoder::calibrate`] does.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device fails at the smallest batch.
    pub fn calibrate(&self) -> Result<Calibration, ModelError> {
        let encoder = match self {
            Self::Autoencoder(encoder) => return encoder.calibrate(),
            Self::KmeansItq(encoder) => encoder,
        };
        let started = std::time::Instant::now();
        let mut run = |batch| {
            let picture = Pixels::new(vec![127; Pixels::BYTES])?;
            encoder.encode(&vec![picture; batch]).map(drop)
        };
        calibrate(&mut run, &mut || started.elapsed())
    }

    /// Encodes `images` with a pause after each stage where it has stages, and says what each took.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device fails.
    pub fn stage_times(&self, images: &[Pixels]) -> Result<StageTimes, ModelError> {
        match self {
            Self::Autoencoder(encoder) => encoder.stage_times(images),
            Self::KmeansItq(encoder) => {
                let started = std::time::Instant::now();
                encoder.encode(images)?;
                Ok(StageTimes { forward: started.elapsed(), ..StageTimes::default() })
            }
        }
    }

    fn encoder(&self) -> &dyn Encoder {
        match self {
            Self::Autoencoder(encoder) => encoder,
            Self::KmeansItq(encoder) => encoder,
        }
    }
}

impl Encoder for Model {
    fn fingerprint(&self) -> &Fingerprint {
        self.encoder().fingerprint()
    }

    fn code_bits(&self) -> u16 {
        self.encoder().code_bits()
    }

    fn address_bits(&self) -> u8 {
        self.encoder().address_bits()
    }

    fn encode(&self, images: &[Pixels]) -> Result<Vec<Encoded>, ModelError> {
        self.encoder().encode(images)
    }

    fn patch_bits(&self) -> Option<u8> {
        self.encoder().patch_bits()
    }

    fn patch_addresses(&self, images: &[Pixels]) -> Result<Vec<[u32; PATCHES]>, ModelError> {
        self.encoder().patch_addresses(images)
    }
}
