//! Which encoder a command uses, and pictures of the user through it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Result, anyhow, bail};
use hashdb::ingest::{self, Encoding, IngestError, MAX_INPUT_BYTES, Pending};
use hashdb::model::{
    DeviceChoice, DeviceInUse, Encoded, Encoder as _, Fingerprint, Model, ModelError, PATCHES,
    Pixels, Precision,
};
use hashdb::{Address, Database};

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
    /// Another that ships with the command, by its name.
    Named(&'static str),
    /// None: the user brings codes and addresses.
    None,
    /// A weight file.
    File(PathBuf),
}

impl FromStr for EncoderChoice {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let named = Model::NAMES.into_iter().find(|name| *name == text);
        Ok(match (text, named) {
            ("default", _) => Self::Default,
            ("none", _) => Self::None,
            (_, Some(name)) => Self::Named(name),
            (path, None) => Self::File(path.into()),
        })
    }
}

impl fmt::Display for EncoderChoice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => formatter.write_str("default"),
            Self::Named(name) => formatter.write_str(name),
            Self::None => formatter.write_str("none"),
            Self::File(path) => path.display().fmt(formatter),
        }
    }
}

impl EncoderChoice {
    /// Reads the weights, unless the choice is none.
    pub(crate) fn load(&self, device: DeviceChoice) -> Result<Option<Model>> {
        self.load_in(device, Precision::F32)
    }

    /// The same in a precision.
    pub(crate) fn load_in(
        &self,
        device: DeviceChoice,
        precision: Precision,
    ) -> Result<Option<Model>> {
        let encoder = match self {
            Self::None => return Ok(None),
            Self::Default => Model::named("default", device)?,
            Self::Named(name) => Model::named(name, device)?,
            Self::File(path) => open(path, device)?,
        };
        note_fallback(encoder.device());
        Ok(Some(encoder.with_precision(precision)?))
    }
}

/// Pictures that are encoded at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BatchChoice {
    /// As many as trying finds to be good.
    Auto,
    /// So many.
    Size(usize),
}

impl FromStr for BatchChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        match text.parse() {
            Ok(size) if (1..=65_536).contains(&size) => Ok(Self::Size(size)),
            _ => Err("expected auto or a number from 1 to 65536".to_owned()),
        }
    }
}

/// The batch for an encoder. Where nothing was said it is tried out on a GPU, whose rate depends on it.
pub(crate) fn batch_for(encoder: &Model, choice: Option<BatchChoice>) -> Result<usize> {
    Ok(match choice {
        Some(BatchChoice::Size(size)) => size,
        None if encoder.device().name == "cpu" => BATCH,
        Some(BatchChoice::Auto) | None => encoder.calibrate()?.batch,
    })
}

/// Says so where `auto` could not use the GPU that the build is made for.
pub(crate) fn note_fallback(device: &DeviceInUse) {
    if let Some(cause) = &device.fallback {
        note(&text::one_line(&format!("{cause}; computing on the CPU")));
    }
}

fn open(path: &Path, device: DeviceChoice) -> Result<Model> {
    Model::open(path, device).map_err(|error| {
        let (path, cause) = (path.display().to_string(), error.to_string());
        if cause.contains(&path) { error.into() } else { anyhow!("{path}: {cause}") }
    })
}

/// The encoder that fills a database, in the precision that the database was created with.
pub(crate) fn of_database(db: &Database, device: DeviceChoice) -> Result<Model> {
    of_database_in(db, device, None)
}

/// The same for a user who may ask for a precision. Another than the database's is refused: codes of two
/// precisions do not mix.
pub(crate) fn of_database_in(
    db: &Database,
    device: DeviceChoice,
    asked: Option<Precision>,
) -> Result<Model> {
    let path = db.stats().path;
    let path = path.display();
    let Some(expected) = db.encoder() else {
        bail!("{path} has no encoder; use --code and --address, or create it with one");
    };
    let encoder = Model::from_bytes(&db.read_model()?, device)
        .map_err(|error| anyhow!("the encoder of {path} cannot be used: {error}"))?;
    let encoder = matching(encoder, expected).map_err(|error| match error {
        ModelError::OtherEncoder { found, .. } => {
            anyhow!("the encoder in {path} has fingerprint {found}, expected {expected}")
        }
        error => error.into(),
    })?;
    note_fallback(encoder.device());
    let precision = encoder.precision();
    if let Some(asked) = asked.filter(|asked| *asked != precision) {
        let other = encoder.with_precision(asked)?;
        let other = other.fingerprint();
        bail!(
            "{path} holds codes of precision {precision} (fingerprint {expected}), which do not mix with \
             those of {asked} (fingerprint {other}); create a database with --precision {asked}"
        );
    }
    Ok(encoder)
}

/// The encoder in the precision that a stored fingerprint belongs to.
pub(crate) fn matching(encoder: Model, expected: &str) -> Result<Model, ModelError> {
    let expected: Fingerprint = expected.parse()?;
    encoder.of_fingerprint(&expected)
}

/// Hands a batch of an ingest to an encoder, which gives the addresses of patches too if they are wanted.
pub(crate) fn submit<'e>(
    encoder: &Model,
    pictures: Vec<Vec<u8>>,
    with_patches: bool,
) -> Result<Pending<'e, Encoding>, IngestError> {
    let wrong = |error: ModelError| IngestError::Encoder(Box::new(error));
    let pixels: Result<Vec<Pixels>, _> = pictures.into_iter().map(Pixels::new).collect();
    let pixels = pixels.map_err(wrong)?;
    let batch = encoder.submit(&pixels).map_err(wrong)?;
    // A device works on the batch meanwhile.
    let patches = patches(encoder, &pixels, with_patches)
        .map_err(|error| IngestError::Encoder(error.into()))?;
    let is_ready = batch.is_ready();
    let finish = move || Ok(joined(batch.finish().map_err(wrong)?, patches));
    if is_ready { finish().map(Pending::ready) } else { Ok(Pending::later(finish)) }
}

/// The addresses of the patches of each picture, none for all of them if they are not wanted.
fn patches(encoder: &Model, pixels: &[Pixels], wanted: bool) -> Result<Vec<Vec<Address>>> {
    let Some(bits) = encoder.patch_bits().filter(|_| wanted) else {
        return Ok(vec![Vec::new(); pixels.len()]);
    };
    let of_picture = |patches: [u32; PATCHES]| {
        patches.into_iter().map(|patch| Ok(Address::new(patch, bits)?)).collect()
    };
    encoder.patch_addresses(pixels)?.into_iter().map(of_picture).collect()
}

/// Codes and patches of the same pictures.
fn joined(encoded: Vec<Encoded>, patches: Vec<Vec<Address>>) -> Vec<Encoding> {
    let pairs = encoded.into_iter().zip(patches);
    pairs.map(|(Encoded { address, code }, patches)| Encoding { address, code, patches }).collect()
}

/// Encodes pictures.
fn encode(encoder: &Model, pixels: &[Pixels], with_patches: bool) -> Result<Vec<Encoding>> {
    Ok(joined(encoder.encode(pixels)?, patches(encoder, pixels, with_patches)?))
}

/// Decodes a picture file for an encoder.
fn decode(path: &Path) -> Result<Pixels> {
    let bytes = files::read(path, MAX_INPUT_BYTES)?;
    let pixels = ingest::pixels(&bytes);
    let pixels = pixels.map_err(|error| anyhow!("cannot use {}: {error}", path.display()))?;
    Ok(Pixels::new(pixels)?)
}

/// Encodes one picture file, its patches too if they are wanted.
pub(crate) fn encode_file(encoder: &Model, path: &Path, with_patches: bool) -> Result<Encoding> {
    let encoded = encode(encoder, &[decode(path)?], with_patches)?;
    encoded.into_iter().next().ok_or_else(|| anyhow!("the encoder gave no code"))
}

/// Encodes picture files, their patches too if they are wanted, and hands each to `take`, in order. Those that cannot be decoded are named
/// on standard error; returns how many.
pub(crate) fn encode_files(
    encoder: &Model,
    paths: &[PathBuf],
    with_patches: bool,
    take: &mut dyn FnMut(&Path, Encoding) -> Result<()>,
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
        for (path, encoded) in good.into_iter().zip(encode(encoder, &pixels, with_patches)?) {
            take(path, encoded)?;
        }
    }
    Ok(rejected)
}
