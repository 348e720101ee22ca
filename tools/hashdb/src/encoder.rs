//! Which encoder a command uses, and pictures of the user through it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};
use hashdb::Database;
use hashdb::ingest::{self, MAX_INPUT_BYTES};
use hashdb::model::{Autoencoder, DeviceChoice, Encoded, Encoder as _, Pixels, default_encoder};

use crate::files;
use crate::output::note;
use crate::text;

/// Pictures that are decoded before they are encoded together.
const BATCH: usize = 256;

/// The encoder that a user asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EncoderChoice {
    /// The one that ships with the command.
    Default,
    /// None: the user brings codes and addresses.
    None,
    /// A weight file.
    File(PathBuf),
}

impl FromStr for EncoderChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "default" => Self::Default,
            "none" => Self::None,
            path => Self::File(path.into()),
        })
    }
}

impl fmt::Display for EncoderChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::None => formatter.write_str("none"),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

impl EncoderChoice {
    /// Reads the weights, unless the choice is none.
    pub(crate) fn load(&self, device: DeviceChoice) -> Result<Option<Autoencoder>> {
        Ok(match self {
            Self::None => None,
            Self::Default => Some(default_encoder(device)?),
            Self::File(path) => Some(open(path, device)?),
        })
    }
}

fn open(path: &Path, device: DeviceChoice) -> Result<Autoencoder> {
    Autoencoder::open(path, device).map_err(|error| {
        let (path, cause) = (path.display().to_string(), error.to_string());
        if cause.contains(&path) { error.into() } else { anyhow!("{path}: {cause}") }
    })
}

/// The encoder that fills a database.
pub(crate) fn of_database(db: &Database, device: DeviceChoice) -> Result<Autoencoder> {
    let path = db.stats().path;
    let Some(expected) = db.encoder() else {
        bail!("{} has no encoder; use --code and --address, or create it with one", path.display());
    };
    let encoder = Autoencoder::from_bytes(&db.read_model()?, device)
        .map_err(|error| anyhow!("the encoder of {} cannot be used: {error}", path.display()))?;
    let found = encoder.fingerprint().to_string();
    if found != expected {
        let (expected, db) = (expected.to_owned(), path.display());
        bail!("the encoder in {db} has fingerprint {found}, expected {expected}");
    }
    Ok(encoder)
}

/// Decodes a picture file for an encoder.
fn decode(path: &Path) -> Result<Pixels> {
    let bytes = files::read(path, MAX_INPUT_BYTES)?;
    let pixels = ingest::pixels(&bytes);
    let pixels = pixels.map_err(|error| anyhow!("cannot use {}: {error}", path.display()))?;
    Ok(Pixels::new(pixels)?)
}

/// Encodes one picture file.
pub(crate) fn encode_file(encoder: &Autoencoder, path: &Path) -> Result<Encoded> {
    let encoded = encoder.encode(&[decode(path)?])?;
    encoded.into_iter().next().ok_or_else(|| anyhow!("the encoder gave no code"))
}

/// Encodes picture files and hands each to `take`, in order. Those that cannot be decoded are named
/// on standard error; returns how many.
pub(crate) fn encode_files(
    encoder: &Autoencoder,
    paths: &[PathBuf],
    take: &mut dyn FnMut(&Path, Encoded) -> Result<()>,
) -> Result<usize> {
    let mut rejected = 0;
    for paths in paths.chunks(BATCH) {
        let (mut good, mut pixels) = (Vec::new(), Vec::new());
        for path in paths {
            match decode(path) {
                Ok(picture) => {
                    good.push(path);
                    pixels.push(picture);
                }
                Err(error) => {
                    rejected += 1;
                    note(&text::one_line(&error.to_string()));
                }
            }
        }
        for (path, encoded) in good.into_iter().zip(encoder.encode(&pixels)?) {
            take(path, encoded)?;
        }
    }
    Ok(rejected)
}
