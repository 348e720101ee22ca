//! Encoders: what turns a picture of 32 x 32 pixels into an address and a code.
//!
//! Ingest and the command call [`Encoder::encode`]; the engine never does, it only stores the
//! encoder's [`Fingerprint`] so that codes of two encoders cannot mix. There are two kinds, and [`Model`] is
//! an encoder of either: the [`Autoencoder`] of Krizhevsky and Hinton ("Using very deep autoencoders for
//! content-based image retrieval", ESANN 2011), which [`train`] makes from unlabelled pictures, and
//! [`KmeansItq`], features of patches turned to bits, which [`train_kmeans`] makes.
//!
//! Invariant: the same pixels give the same codes, whatever else is in the batch. Candle's types
//! stay inside this module.

mod any;
mod autoencoder;
mod batch;
#[cfg(feature = "cuda")]
mod cuda;
mod device;
mod error;
mod fingerprint;
mod forward;
mod in_flight;
mod kind;
mod kmeans;
mod network;
mod normal;
mod ops;
mod patch_net;
mod patches;
mod pixels;
mod precision;
mod random;
mod stages;
mod tensors;
mod train;
mod weights;

pub use any::Model;
pub use autoencoder::{Autoencoder, Margins, default_encoder};
pub use batch::{BATCHES, Calibration, calibrate};
pub use device::{DeviceChoice, DeviceInUse};
pub use error::ModelError;
pub use fingerprint::Fingerprint;
pub use in_flight::InFlight;
pub use kind::ModelKind;
pub use kmeans::{
    KmeansConfig, KmeansItq, KmeansPhase, KmeansProgress, KmeansSummary, train_kmeans,
};
pub use patches::PATCHES;
pub use pixels::{PREPROCESSING, Pixels};
pub use precision::Precision;
pub use stages::StageTimes;
pub use train::{
    Descent, Net, NetConfig, NetSummary, PatchConfig, PatchSummary, Phase, Progress, Recipe,
    Thresholds, TrainConfig, TrainingSummary, train, train_patches,
};

use crate::code::{Address, Code};

/// What an encoder makes of one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The short code, under which the record is filed.
    pub address: Address,
    /// The long code, by which records are ranked.
    pub code: Code,
}

/// Turns pictures into addresses and codes.
///
/// Implementations are deterministic: equal pixels give equal codes in any batch and any thread.
pub trait Encoder: Send + Sync {
    /// The identity of the encoder; a database accepts codes of one fingerprint only.
    fn fingerprint(&self) -> &Fingerprint;

    /// Width of its codes in bits, 64 to 1024 in steps of 64.
    fn code_bits(&self) -> u16;

    /// Width of its addresses in bits, 8 to 32.
    fn address_bits(&self) -> u8;

    /// Encodes `images` in order, one [`Encoded`] for each. Any number is allowed; a few hundred at
    /// once use the processor best.
    ///
    /// # Errors
    /// [`ModelError::Compute`] if the device fails, for example for lack of memory.
    fn encode(&self, images: &[Pixels]) -> Result<Vec<Encoded>, ModelError>;

    /// Width of the addresses of patches in bits, 8 to 32; nothing if it gives none.
    fn patch_bits(&self) -> Option<u8> {
        None
    }

    /// The addresses of the patches of `images`, in order: [`PATCHES`] each, those of nine rows of nine
    /// windows of 16 x 16 pixels, two pixels apart, from the top left, row by row. The address stands in the
    /// low [`Encoder::patch_bits`] bits. Equal pixels give equal addresses in any batch and any thread.
    ///
    /// # Errors
    /// [`ModelError::NoPatches`] if the encoder gives none, [`ModelError::Compute`] if the device fails.
    fn patch_addresses(&self, images: &[Pixels]) -> Result<Vec<[u32; PATCHES]>, ModelError> {
        let _not_looked_at = images;
        Err(ModelError::NoPatches)
    }
}
