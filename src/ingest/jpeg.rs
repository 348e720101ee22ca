//! JPEG through `zune-jpeg`, the decoder that `image` uses, opened here because `image` first copies its
//! whole input and so takes every read out of the reach of a deadline. Colours are asked for as `image`
//! asks, so pixels are the same; the headers are read once instead of three times.
//!
//! `decode` opens it. Invariant: every byte is read through [`Timed`].

use image::error::{DecodingError, ImageFormatHint, UnsupportedError, UnsupportedErrorKind};
use image::metadata::Orientation;
use image::{ColorType, ImageDecoder, ImageError, ImageFormat, ImageResult};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::deadline::Timed;

/// A JPEG whose headers were read.
pub(super) struct Jpeg<'a> {
    decoder: JpegDecoder<Timed<'a>>,
    dimensions: (u32, u32),
    color: ColorType,
}

impl<'a> Jpeg<'a> {
    /// Reads the headers up to the first scan.
    pub(super) fn open(bytes: Timed<'a>) -> ImageResult<Self> {
        let options = DecoderOptions::default()
            .set_strict_mode(false)
            .set_max_width(usize::MAX) // judged by the caller, as that of every format
            .set_max_height(usize::MAX);
        let mut decoder = JpegDecoder::new_with_options(bytes, options);
        decoder.decode_headers().map_err(image_error)?;
        let missing = || damaged("it has no frame");
        let info = decoder.info().ok_or_else(missing)?;
        let (color, wanted) = match decoder.input_colorspace().ok_or_else(missing)? {
            ColorSpace::Luma => (ColorType::L8, ColorSpace::Luma),
            _ => (ColorType::Rgb8, ColorSpace::RGB),
        };
        decoder.set_options(options.jpeg_set_out_colorspace(wanted));
        let dimensions = (u32::from(info.width), u32::from(info.height));
        Ok(Self { decoder, dimensions, color })
    }
}

impl ImageDecoder for Jpeg<'_> {
    fn dimensions(&self) -> (u32, u32) {
        self.dimensions
    }

    fn color_type(&self) -> ColorType {
        self.color
    }

    fn orientation(&mut self) -> ImageResult<Orientation> {
        let exif = self.decoder.exif();
        let orientation = exif.and_then(|exif| Orientation::from_exif_chunk(exif));
        Ok(orientation.unwrap_or(Orientation::NoTransforms))
    }

    fn read_image(mut self, pixels: &mut [u8]) -> ImageResult<()> {
        if pixels.len() as u64 != self.total_bytes() {
            return Err(damaged("its headers contradict each other"));
        }
        self.decoder.decode_into(pixels).map_err(image_error)
    }

    fn read_image_boxed(self: Box<Self>, pixels: &mut [u8]) -> ImageResult<()> {
        (*self).read_image(pixels)
    }
}

fn hint() -> ImageFormatHint {
    ImageFormatHint::Exact(ImageFormat::Jpeg)
}

fn damaged(what: &'static str) -> ImageError {
    ImageError::Decoding(DecodingError::new(hint(), what))
}

fn image_error(error: DecodeErrors) -> ImageError {
    match error {
        DecodeErrors::Unsupported(feature) => {
            let feature = UnsupportedErrorKind::GenericFeature(format!("{feature:?}"));
            ImageError::Unsupported(UnsupportedError::from_format_and_kind(hint(), feature))
        }
        error => ImageError::Decoding(DecodingError::new(hint(), error)),
    }
}
