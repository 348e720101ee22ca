//! A white RGB canvas: filled areas, pictures, and text in an 8 x 8 bitmap font.

use std::io::Cursor;

use font8x8::{BASIC_FONTS, LATIN_FONTS, UnicodeFonts as _};
use hashdb::ingest::Picture;
use image::{ImageFormat, ImageResult, Rgb, RgbImage, imageops};

use super::{ABSENT, FAINT, PICTURE};

/// Red, green and blue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Color(pub(super) [u8; 3]);

/// Everything that falls outside is cut off.
#[derive(Debug)]
pub(super) struct Canvas {
    image: RgbImage,
}

impl Canvas {
    /// A white canvas.
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self { image: RgbImage::from_pixel(width, height, Rgb([255; 3])) }
    }

    /// Fills an area of a size.
    pub(super) fn fill(&mut self, (left, top): (u32, u32), size: (u32, u32), color: Color) {
        let (right, bottom) = (left + size.0, top + size.1);
        for y in top..bottom.min(self.image.height()) {
            for x in left..right.min(self.image.width()) {
                self.image.put_pixel(x, y, Rgb(color.0));
            }
        }
    }

    /// Draws a picture in the middle of its square, or a grey tile where there is none.
    pub(super) fn tile(&mut self, (left, top): (u32, u32), picture: Option<&Picture>) {
        let pixels = picture.and_then(|Picture { width, height, pixels }| {
            RgbImage::from_raw(*width, *height, pixels.clone())
        });
        let Some(pixels) = pixels else {
            self.fill((left, top), (PICTURE, PICTURE), ABSENT);
            let words = "no picture";
            let width = 8 * u32::try_from(words.len()).unwrap_or(0);
            let place = (left + (PICTURE - width) / 2, top + PICTURE / 2 - 4);
            self.text(place, 1, words, FAINT);
            return;
        };
        let x = left + PICTURE.saturating_sub(pixels.width()) / 2;
        let y = top + PICTURE.saturating_sub(pixels.height()) / 2;
        imageops::replace(&mut self.image, &pixels, x.into(), y.into());
    }

    /// Writes a line of text; a character is `8 * scale` pixels wide and high. What the font does
    /// not have becomes a question mark.
    pub(super) fn text(&mut self, (left, top): (u32, u32), scale: u32, text: &str, color: Color) {
        let mut left = left;
        for character in text.chars() {
            let glyph = BASIC_FONTS.get(character).or_else(|| LATIN_FONTS.get(character));
            let glyph = glyph.or_else(|| BASIC_FONTS.get('?')).unwrap_or_default();
            for (y, row) in (0_u32..).zip(glyph) {
                for x in (0_u32..8).filter(|x| row >> x & 1 == 1) {
                    let place = (left + x * scale, top + y * scale);
                    self.fill(place, (scale, scale), color);
                }
            }
            left += 8 * scale;
        }
    }

    /// The canvas as a PNG file.
    pub(super) fn png(&self) -> ImageResult<Vec<u8>> {
        let mut png = Cursor::new(Vec::new());
        self.image.write_to(&mut png, ImageFormat::Png)?;
        Ok(png.into_inner())
    }
}
