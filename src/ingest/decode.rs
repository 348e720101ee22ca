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

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::sniff::{self, Kind};

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
/// The largest single buffer that a decoder may ask for, in bytes.
const MAX_BUFFER_BYTES: u64 = 256 << 20;
/// The longest message of a decoder that is passed on, in characters.
const MAX_MESSAGE: usize = 200;

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
    Header::read(bytes)?.pixels()
}

/// Decodes an image at its full size.
///
/// # Errors
///
/// A [`DecodeError`] that says what is wrong with these bytes.
pub fn decode_rgb(bytes: &[u8]) -> Result<Picture, DecodeError> {
    let (picture, orientation) = Header::read(bytes)?.decode()?;
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
    let (picture, orientation) = Header::read(bytes)?.decode()?;
    let longer = u64::from(picture.width.max(picture.height));
    let scaled = |length: u32| {
        let length = (u64::from(length) * u64::from(side) + longer / 2) / longer;
        u32::try_from(length).unwrap_or(side).clamp(1, side)
    };
    let (width, height) = (scaled(picture.width), scaled(picture.height));
    Ok(oriented(resized(picture, width, height)?, orientation))
}

/// An image whose header was read and found within the limits, before any pixel is decoded.
pub(super) struct Header<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    format: &'static str,
    working_bytes: u64,
}

impl<'a> Header<'a> {
    /// Tells the format, opens its decoder and checks every limit.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let length = bytes.len() as u64;
        if length > MAX_INPUT_BYTES {
            return Err(DecodeError::too_large(length, "bytes", MAX_INPUT_BYTES));
        }
        let kind = match sniff::kind(bytes) {
            Kind::Supported(kind) => kind,
            Kind::Foreign(name) => {
                return Err(DecodeError::Unsupported { what: name.to_owned() });
            }
            Kind::Unknown if bytes.is_empty() => return Err(DecodeError::Empty),
            Kind::Unknown => return Err(DecodeError::UnknownFormat),
        };
        let format = format_name(kind);
        if kind == ImageFormat::Png && !sniff::png_checksums_hold(bytes) {
            let what = "a chunk does not match its checksum".to_owned();
            return Err(DecodeError::Damaged { format, what });
        }
        let decoder = guarded(format, || open(bytes, kind))?;
        let (width, height) = decoder.dimensions();
        let area = u64::from(width) * u64::from(height);
        if area == 0 {
            return Err(DecodeError::Damaged { format, what: "it has no pixels".to_owned() });
        }
        if area > MAX_PIXELS {
            return Err(DecodeError::too_large(area, "pixels", MAX_PIXELS));
        }
        let working_bytes = estimate(&*decoder, kind, bytes);
        if working_bytes > MAX_WORKING_BYTES {
            return Err(DecodeError::too_large(
                working_bytes,
                "bytes to decode it",
                MAX_WORKING_BYTES,
            ));
        }
        Ok(Self { decoder, format, working_bytes })
    }

    /// An upper estimate of the memory that decoding takes beside the input, in bytes.
    pub(super) fn working_bytes(&self) -> u64 {
        self.working_bytes
    }

    /// Decodes, squashes to 32 x 32 and turns upright.
    pub(super) fn pixels(self) -> Result<Vec<u8>, DecodeError> {
        let (picture, orientation) = self.decode()?;
        // Turning the small square costs nothing; turning the photograph would copy it.
        Ok(oriented(resized(picture, SIDE, SIDE)?, orientation).pixels)
    }

    /// Decodes to RGB as stored, with the orientation that remains to be applied.
    fn decode(self) -> Result<(Picture, Orientation), DecodeError> {
        let Self { mut decoder, format, .. } = self;
        guarded(format, || {
            // Damaged metadata is no reason to lose the picture.
            let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            let image = DynamicImage::from_decoder(decoder)?;
            let (width, height) = (image.width(), image.height());
            Ok((Picture { width, height, pixels: rgb_on_white(image) }, orientation))
        })
    }
}

/// Opens the decoder of a format under the limits.
fn open<'a>(
    bytes: &'a [u8],
    format: ImageFormat,
) -> Result<Box<dyn ImageDecoder + 'a>, ImageError> {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BUFFER_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let decoder = reader.into_decoder()?;
    limits.reserve(decoder.total_bytes())?;
    Ok(Box::new(decoder))
}

/// Memory that decoding takes: the decoder's output, its own buffers, and the conversion to RGB.
/// The decoders' buffers are what their sources hold at once, rounded up.
fn estimate(decoder: &dyn ImageDecoder, format: ImageFormat, bytes: &[u8]) -> u64 {
    let (width, height) = decoder.dimensions();
    let area = u64::from(width) * u64::from(height);
    let output = decoder.total_bytes();
    let color = decoder.color_type();
    let converted = match color {
        ColorType::Rgb8 | ColorType::Rgba8 => 0,
        _ if color.has_alpha() => 4 * area,
        _ => 3 * area,
    };
    let inner = match format {
        ImageFormat::Jpeg => bytes.len() as u64 + 2 * sniff::jpeg_held_coefficients(bytes),
        ImageFormat::Gif => 4 * area,
        ImageFormat::WebP => 8 * area,
        ImageFormat::Tiff => output,
        _ => 0,
    };
    // The conversion begins when the decoder has gone.
    output.saturating_add(inner.max(converted))
}

/// Runs a decoder; its errors and its panics become causes.
fn guarded<T>(
    format: &'static str,
    decode: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, DecodeError> {
    match catch_unwind(AssertUnwindSafe(decode)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(cause(format, &error)),
        Err(_) => Err(DecodeError::Panicked { format }),
    }
}

fn cause(format: &'static str, error: &ImageError) -> DecodeError {
    match error {
        ImageError::Unsupported(_) => {
            DecodeError::Unsupported { what: format!("{format}: {}", one_line(error)) }
        }
        ImageError::Limits(_) => {
            DecodeError::TooLarge { what: format!("{format}: {}", one_line(error)) }
        }
        _ => DecodeError::Damaged { format, what: one_line(error) },
    }
}

/// A decoder's message as part of a sentence on one line.
fn one_line(error: &ImageError) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_end_matches('.').chars().take(MAX_MESSAGE).collect()
}

fn format_name(format: ImageFormat) -> &'static str {
    match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Tiff => "TIFF",
        _ => "image",
    }
}

/// Eight-bit RGB of any decoded image; what is transparent lets white through.
fn rgb_on_white(image: DynamicImage) -> Vec<u8> {
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
fn resized(picture: Picture, width: u32, height: u32) -> Result<Picture, DecodeError> {
    if (picture.width, picture.height) == (width, height) {
        return Ok(picture);
    }
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
fn oriented(picture: Picture, orientation: Orientation) -> Picture {
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
