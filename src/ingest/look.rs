//! One look at an image: the pixels for the encoder, and from the same decoding what is stored about it.
//!
//! The pipeline's workers take a [`Look`] and hand it to the run's [`Witness`], which makes the record's value.
//! Invariant: facts depend on the image's bytes, its place and the choice of the user alone, so that a run which
//! was gone on with stores the same as one that was not.

use std::env;
use std::path::PathBuf;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use image::metadata::Orientation;

use super::IngestError;
use super::decode::{DecodeError, Picture, SIDE, fitting, oriented, resized, scaled};
use super::facts::ImageFacts;
use super::header::Header;
use super::journal::Mark;
use super::reread::path_of;
use super::source::{Label, key_of};
use super::store::{Fact, Store};

/// The quality of thumbnails, 1 to 100.
const QUALITY: u8 = 75;

/// What one decoding gave.
pub(super) struct Look {
    /// As the encoder takes them.
    pub(super) pixels: Vec<u8>,
    /// As the image is shown.
    width: u32,
    height: u32,
    /// A JPEG file.
    thumbnail: Option<Vec<u8>>,
}

impl Look {
    /// Decodes, squashes to 32 x 32 and turns upright; with a thumbnail of so many pixels if there shall be one.
    pub(super) fn take(header: Header<'_>, side: Option<u32>) -> Result<Self, DecodeError> {
        let (picture, orientation) = header.decode()?;
        let (mut width, mut height) = (picture.width, picture.height);
        if is_turned(orientation) {
            (width, height) = (height, width);
        }
        let thumbnail = side.map(|side| thumbnail(&picture, orientation, side)).transpose()?;
        // Turning the small square costs nothing; turning the photograph would copy it.
        let pixels = oriented(resized(picture, SIDE, SIDE)?, orientation).pixels;
        Ok(Self { pixels, width, height, thumbnail })
    }

    /// Memory that a thumbnail takes beside the decoding of an image of so many rows, in bytes: it is scaled row by
    /// row first.
    pub(super) fn thumbnail_bytes(side: Option<u32>, rows: u32) -> u64 {
        side.map_or(0, |side| 3 * u64::from(side) * (u64::from(rows) + 4 * u64::from(side)))
    }
}

/// Whether width and height change places.
fn is_turned(orientation: Orientation) -> bool {
    match orientation {
        Orientation::Rotate90
        | Orientation::Rotate270
        | Orientation::Rotate90FlipH
        | Orientation::Rotate270FlipH => true,
        Orientation::NoTransforms
        | Orientation::Rotate180
        | Orientation::FlipHorizontal
        | Orientation::FlipVertical => false,
    }
}

/// A JPEG of the picture whose longer side is `side` at most.
fn thumbnail(
    picture: &Picture,
    orientation: Orientation,
    side: u32,
) -> Result<Vec<u8>, DecodeError> {
    let small = if picture.width.max(picture.height) <= side {
        picture.clone()
    } else {
        let (width, height) = fitting(picture, side);
        scaled(picture, width, height)?
    };
    let Picture { width, height, pixels } = oriented(small, orientation);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, QUALITY)
        .encode(&pixels, width, height, ExtendedColorType::Rgb8)
        .map_err(|error| DecodeError::Damaged { format: "decoded", what: error.to_string() })?;
    Ok(jpeg)
}

/// Tells what is stored about the images of a run.
pub(super) struct Witness {
    store: Store,
    /// Where relative paths begin.
    base: PathBuf,
}

impl Witness {
    pub(super) fn new(store: Store) -> Result<Self, IngestError> {
        let failed = |source| IngestError::Path { path: ".".into(), source };
        let base = match store.takes(Fact::Path) {
            true => env::current_dir().map_err(failed)?,
            false => PathBuf::new(),
        };
        Ok(Self { store, base })
    }

    /// The longest side of thumbnails, if there shall be any.
    pub(super) fn side(&self) -> Option<u32> {
        self.store.side()
    }

    /// About the most bytes that it adds to a value.
    pub(super) fn value_bytes(&self) -> u64 {
        self.store.value_bytes()
    }

    /// Whether the content of every image has to be hashed.
    pub(super) fn hashes(&self) -> bool {
        self.store.takes(Fact::Hash)
    }

    /// The value of a record; or why there is none, the label of the cause and the cause.
    pub(super) fn value(
        &self,
        label: &mut Label,
        mark: &Mark,
        (bytes, hash): (&[u8], Option<[u8; 32]>),
        look: &mut Look,
    ) -> Result<(), (&'static str, String)> {
        if !self.store.takes_any() {
            return Ok(());
        }
        let source = mark.origin.key.as_slice();
        let behind = label.key.strip_prefix(source).and_then(|rest| rest.strip_prefix(b"/"));
        let takes = |fact| self.store.takes(fact);
        let facts = ImageFacts {
            path: takes(Fact::Path).then(|| self.absolute(source)),
            entry: behind.filter(|_| takes(Fact::Path)).map(<[u8]>::to_vec),
            size: takes(Fact::Size).then_some(bytes.len() as u64),
            width: takes(Fact::Width).then_some(look.width),
            height: takes(Fact::Height).then_some(look.height),
            hash: hash.filter(|_| takes(Fact::Hash)),
            thumbnail: look.thumbnail.take(),
        };
        label.value = facts.join(&label.value)?;
        Ok(())
    }

    fn absolute(&self, key: &[u8]) -> Vec<u8> {
        let whole = |path| key_of(&self.base.join(path).components().collect::<PathBuf>());
        path_of(key).map_or_else(|| key.to_vec(), whole)
    }
}

/// The hash of an image's bytes.
pub(super) fn content_hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}
