//! Bytes to pixels: one encoded image in, 32x32 RGB (or a picture for people) out.
//!
//! The pipeline's workers call [`pixels`]; contact sheets call [`thumbnail`] and [`decode_rgb`]. The
//! format is told by content. EXIF orientation is applied, transparency lies on white, grey, 16-bit
//! and CMYK samples become 8-bit RGB, and the first frame stands for an animation. These rules are
//! part of what an encoder's codes mean: the same bytes give the same pixels on every machine.
//!
//! Invariant: no bytes, however crafted, panic through these functions or make them allocate more
//! than [`MAX_WORKING_BYTES`] beside the input. Dimensions are judged from the header, before a pixel
//! is decoded.

use std::time::Duration;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::DynamicImage;
use image::metadata::Orientation;

use super::deadline::{Clock, Deadline};
use super::header::Header;
use super::look::Look;

/// Width and height of an encoder's input, in pixels.
pub const SIDE: u32 = 32;
/// Bytes of an encoder's input: 32 x 32 pixels of interleaved RGB.
pub const PIXEL_BYTES: usize = 3072;
/// The longest encoded image that is decoded, in bytes: 64 MiB.
pub const MAX_INPUT_BYTES: u64 = 64 << 20;
/// The greatest width or height of an image, in pixels.
pub const MAX_SIDE: u32 = 16_384;
/// The greatest area of an image, in pixels: 64 Mi.
pub const MAX_PIXELS: u64 = 64 << 20;
/// The most memory that decoding one image may take beside its input, in bytes: 384 MiB. An image
/// whose format needs more for its size (16 bits a sample, progressive, `WebP`) is too large sooner.
pub const MAX_WORKING_BYTES: u64 = 384 << 20;
/// The time that decoding one image may take unless a run says otherwise: 30 s. Fifteen times what the
/// tests allow any image of the data set, so that a slow and busy machine has room.
pub const ITEM_TIMEOUT: Duration = Duration::from_secs(30);

/// Why an image gave no pixels.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// There are no bytes. The file was never written, or lost its content.
    #[error("the file is empty")]
    Empty,
    /// The bytes begin as no known image does. It is probably something else.
    #[error("the content is no known image format")]
    UnknownFormat,
    /// The image is of a format or a variant that is not decoded. Convert it.
    #[error("{what} is not supported")]
    Unsupported {
        /// The format, or the feature of the format.
        what: String,
    },
    /// The image would take more memory than a limit allows. Make it smaller.
    #[error("the image is too large: {what}")]
    TooLarge {
        /// The measure and its limit.
        what: String,
    },
    /// Decoding takes longer than an item may. The image is made to be slow, or the machine is far too
    /// busy; allow more time.
    #[error("decoding takes longer than {} s", limit.as_secs_f64())]
    TooSlow {
        /// The time that it had.
        limit: Duration,
    },
    /// The bytes break the rules of their format. Restore the file from a copy.
    #[error("the {format} data is damaged: {what}")]
    Damaged {
        /// The format that the content claims.
        format: &'static str,
        /// What the decoder said.
        what: String,
    },
    /// The decoder itself failed on these bytes; it was stopped and nothing else is affected.
    #[error("the {format} decoder panicked")]
    Panicked {
        /// The format that the content claims.
        format: &'static str,
    },
}

impl DecodeError {
    /// A short label for programs that count causes; it never changes between releases.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::UnknownFormat => "unknown-format",
            Self::Unsupported { .. } => "unsupported",
            Self::TooLarge { .. } => "too-large",
            Self::TooSlow { .. } => "too-slow",
            Self::Damaged { .. } => "damaged",
            Self::Panicked { .. } => "panicked",
        }
    }

    pub(super) fn too_large(found: u64, unit: &'static str, limit: u64) -> Self {
        Self::TooLarge { what: format!("{found} {unit}, the limit is {limit}") }
    }
}

/// A decoded picture: rows from the top, pixels from the left, red, green, blue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels, at least 1.
    pub width: u32,
    /// Height in pixels, at least 1.
    pub height: u32,
    /// `3 * width * height` bytes.
    pub pixels: Vec<u8>,
}

/// Decodes an image to the [`PIXEL_BYTES`] bytes that an encoder takes.
///
/// The picture is squashed to 32 x 32 with a Lanczos filter of 3 lobes, whatever its aspect ratio; one
/// that is 32 x 32 already passes untouched.
///
/// # Errors
///
/// A [`DecodeError`] that says what is wrong with these bytes.
pub fn pixels(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    Ok(Look::take(Header::read(bytes, &item())?, None)?.pixels)
}

/// Decodes an image at its full size.
///
/// # Errors
///
/// A [`DecodeError`] that says what is wrong with these bytes.
pub fn decode_rgb(bytes: &[u8]) -> Result<Picture, DecodeError> {
    let (picture, orientation) = Header::read(bytes, &item())?.decode()?;
    Ok(oriented(picture, orientation))
}

/// Decodes an image and scales it, up or down, to fit a square of `side` pixels; the aspect ratio
/// stays.
///
/// # Errors
///
/// A [`DecodeError`] that says what is wrong with these bytes, [`DecodeError::TooLarge`] also for a
/// `side` of 0 or beyond [`MAX_SIDE`].
pub fn thumbnail(bytes: &[u8], side: u32) -> Result<Picture, DecodeError> {
    if side == 0 || side > MAX_SIDE {
        return Err(DecodeError::too_large(side.into(), "pixels a side", MAX_SIDE.into()));
    }
    let (picture, orientation) = Header::read(bytes, &item())?.decode()?;
    let (width, height) = fitting(&picture, side);
    Ok(oriented(resized(picture, width, height)?, orientation))
}

/// Width and height of a picture whose longer side is scaled to `side`.
pub(super) fn fitting(picture: &Picture, side: u32) -> (u32, u32) {
    let longer = u64::from(picture.width.max(picture.height)).max(1);
    let scaled = |length: u32| {
        let length = (u64::from(length) * u64::from(side) + longer / 2) / longer;
        u32::try_from(length).unwrap_or(side).clamp(1, side)
    };
    (scaled(picture.width), scaled(picture.height))
}

/// The time of an image that no run decodes.
fn item() -> Deadline {
    Deadline::new(ITEM_TIMEOUT, Clock::System)
}

/// Eight-bit RGB of any decoded image; what is transparent lets white through.
pub(super) fn rgb_on_white(image: DynamicImage) -> Vec<u8> {
    if !image.color().has_alpha() {
        return image.into_rgb8().into_raw();
    }
    let mut pixels = image.into_rgba8().into_raw();
    let area = pixels.len() / 4;
    for at in 0..area {
        let alpha = u32::from(pixels[4 * at + 3]);
        for channel in 0..3 {
            let color = u32::from(pixels[4 * at + channel]);
            let blended = (color * alpha + 255 * (255 - alpha) + 127) / 255;
            pixels[3 * at + channel] = u8::try_from(blended).unwrap_or(u8::MAX);
        }
    }
    pixels.truncate(3 * area);
    pixels
}

/// Scales to exactly `width` x `height`; the same size comes back untouched.
pub(super) fn resized(picture: Picture, width: u32, height: u32) -> Result<Picture, DecodeError> {
    if (picture.width, picture.height) == (width, height) {
        return Ok(picture);
    }
    scaled(&picture, width, height)
}

/// Scales to exactly `width` x `height`.
pub(super) fn scaled(picture: &Picture, width: u32, height: u32) -> Result<Picture, DecodeError> {
    let failed = |what: String| DecodeError::Damaged { format: "decoded", what };
    let source = ImageRef::new(picture.width, picture.height, &picture.pixels, PixelType::U8x3)
        .map_err(|error| failed(error.to_string()))?;
    let mut target = Image::new(width, height, PixelType::U8x3);
    let filter = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3));
    Resizer::new()
        .resize(&source, &mut target, &filter)
        .map_err(|error| failed(error.to_string()))?;
    Ok(Picture { width, height, pixels: target.into_vec() })
}

/// Turns and mirrors a picture as its EXIF orientation demands.
pub(super) fn oriented(picture: Picture, orientation: Orientation) -> Picture {
    if orientation == Orientation::NoTransforms {
        return picture;
    }
    let Picture { width, height, pixels } = picture;
    // The length fits by construction, so the empty picture never comes back.
    let buffer = image::RgbImage::from_raw(width, height, pixels).unwrap_or_default();
    let mut image = DynamicImage::ImageRgb8(buffer);
    image.apply_orientation(orientation);
    let (width, height) = (image.width(), image.height());
    Picture { width, height, pixels: image.into_rgb8().into_raw() }
}
