//! One image before its pixels: told by its first bytes, opened, and held to every limit.
//!
//! `decode` and the pipeline's workers call it; the pipeline asks for memory between reading a header and
//! decoding. Invariant: what [`Header::working_bytes`] says is an upper bound of what decoding takes beside
//! the input, and reading the header takes no more than that.

use std::panic::{AssertUnwindSafe, catch_unwind};

use image::codecs::png::PngDecoder;
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::deadline::{Deadline, Timed};
use super::decode::{
    DecodeError, MAX_INPUT_BYTES, MAX_PIXELS, MAX_SIDE, MAX_WORKING_BYTES, Picture, rgb_on_white,
};
use super::jpeg::Jpeg;
use super::sniff::{self, Kind};

/// The largest single buffer that a decoder may ask for, in bytes.
const MAX_BUFFER_BYTES: u64 = 256 << 20;
/// The most that a PNG's colour profile and texts may take, in bytes.
const MAX_PNG_EXTRAS: u64 = 16 << 20;
/// What a TIFF decoder takes for a number of a list, in bytes.
const TIFF_VALUE_BYTES: u64 = 64;
/// The longest message of a decoder that is passed on, in characters.
const MAX_MESSAGE: usize = 200;

/// An image whose header was read and found within the limits, before any pixel is decoded.
pub(super) struct Header<'a> {
    decoder: Box<dyn ImageDecoder + 'a>,
    deadline: &'a Deadline,
    format: &'static str,
    working_bytes: u64,
}

impl<'a> Header<'a> {
    /// Tells the format, opens its decoder and checks every limit.
    pub(super) fn read(bytes: &'a [u8], deadline: &'a Deadline) -> Result<Self, DecodeError> {
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
        let claimed = claimed_bytes(kind, bytes);
        if claimed > MAX_WORKING_BYTES {
            return Err(too_much(claimed));
        }
        let decoder = guarded(format, deadline, || open(Timed::new(bytes, deadline), kind))?;
        let (width, height) = decoder.dimensions();
        let area = u64::from(width) * u64::from(height);
        if area == 0 {
            return Err(DecodeError::Damaged { format, what: "it has no pixels".to_owned() });
        }
        if area > MAX_PIXELS {
            return Err(DecodeError::too_large(area, "pixels", MAX_PIXELS));
        }
        let working_bytes = estimate(&*decoder, kind, claimed);
        if working_bytes > MAX_WORKING_BYTES {
            return Err(too_much(working_bytes));
        }
        Ok(Self { decoder, deadline, format, working_bytes })
    }

    /// An upper estimate of the memory that decoding takes beside the input, in bytes.
    pub(super) fn working_bytes(&self) -> u64 {
        self.working_bytes
    }

    /// Rows of the picture as it is stored.
    pub(super) fn rows(&self) -> u32 {
        self.decoder.dimensions().1
    }

    /// Decodes to RGB as stored, with the orientation that remains to be applied.
    pub(super) fn decode(self) -> Result<(Picture, Orientation), DecodeError> {
        let Self { mut decoder, deadline, format, .. } = self;
        guarded(format, deadline, || {
            // Damaged metadata is no reason to lose the picture.
            let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
            let image = DynamicImage::from_decoder(decoder)?;
            let (width, height) = (image.width(), image.height());
            Ok((Picture { width, height, pixels: rgb_on_white(image) }, orientation))
        })
    }
}

fn too_much(bytes: u64) -> DecodeError {
    DecodeError::too_large(bytes, "bytes to decode it", MAX_WORKING_BYTES)
}

/// Opens the decoder of a format under the limits.
fn open<'a>(
    bytes: Timed<'a>,
    format: ImageFormat,
) -> Result<Box<dyn ImageDecoder + 'a>, ImageError> {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_BUFFER_BYTES);
    let decoder: Box<dyn ImageDecoder + 'a> = match format {
        ImageFormat::Jpeg => {
            let mut jpeg = Jpeg::open(bytes)?;
            jpeg.set_limits(limits.clone())?;
            Box::new(jpeg)
        }
        ImageFormat::Png => {
            // Its limit is for profiles and texts, which no pixel needs.
            let mut few = limits.clone();
            few.max_alloc = Some(MAX_PNG_EXTRAS);
            Box::new(PngDecoder::with_limits(bytes, few)?)
        }
        _ => {
            let mut reader = ImageReader::with_format(bytes, format);
            reader.limits(limits.clone());
            Box::new(reader.into_decoder()?)
        }
    };
    limits.reserve(decoder.total_bytes())?;
    Ok(decoder)
}

/// What a decoder holds beside its output and counts against no limit, as far as the bytes tell before
/// it is opened. The sums are what the sources of the decoders hold at once, rounded up.
fn claimed_bytes(format: ImageFormat, bytes: &[u8]) -> u64 {
    let length = bytes.len() as u64;
    match format {
        // Its metadata, in pieces and put together.
        ImageFormat::Jpeg => 2 * length + 2 * sniff::jpeg_held_coefficients(bytes),
        ImageFormat::Png => 2 * MAX_PNG_EXTRAS,
        // Four samples a pixel, and its number in the palette.
        ImageFormat::Gif => 5 * sniff::gif_frame_area(bytes),
        ImageFormat::WebP => {
            let sniff::WebpClaims { frame_area, exif_bytes, table_bytes } =
                sniff::webp_claims(bytes);
            // Three planes, of which two are halved twice; the compressed bytes in three vectors.
            frame_area * 3 / 2 + 3 * length + exif_bytes + table_bytes
        }
        ImageFormat::Tiff => {
            let sniff::TiffClaims { values, tile_row_bytes, jpeg_bytes } =
                sniff::tiff_claims(bytes);
            let lists = values.saturating_mul(TIFF_VALUE_BYTES);
            let streams = if jpeg_bytes == 0 { 0 } else { jpeg_bytes + 2 * length };
            lists.saturating_add(tile_row_bytes).saturating_add(streams)
        }
        _ => 0,
    }
}

/// Memory that decoding takes: the decoder's output, its own buffers, and the conversion to RGB.
fn estimate(decoder: &dyn ImageDecoder, format: ImageFormat, claimed: u64) -> u64 {
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
        ImageFormat::WebP => 8 * area,
        // CMYK is decoded whole, four samples a pixel, before it becomes three.
        ImageFormat::Tiff => output / 3 * 4,
        _ => 0,
    };
    // The conversion begins when the decoder has gone.
    output.saturating_add(inner.saturating_add(claimed).max(converted))
}

/// Runs a decoder; its errors, its panics and the end of its time become causes.
fn guarded<T>(
    format: &'static str,
    deadline: &Deadline,
    decode: impl FnOnce() -> Result<T, ImageError>,
) -> Result<T, DecodeError> {
    let decoded = catch_unwind(AssertUnwindSafe(decode));
    if deadline.passed() {
        // Whatever it gave: some decoders make half a picture of bytes that end early.
        return Err(DecodeError::TooSlow { limit: deadline.limit() });
    }
    match decoded {
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
