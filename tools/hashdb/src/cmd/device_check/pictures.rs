//! Pictures from a seed, and the user's own.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use hashdb::ingest::{IngestOptions, collect_pixels};
use hashdb::model::Pixels;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

/// Quality of the JPEGs.
const QUALITY: u8 = 85;

/// The pixels of all pictures below `paths`, or of `count` made ones if there is no path.
pub(super) fn pixels(paths: &[PathBuf], count: usize, threads: usize) -> Result<Vec<Pixels>> {
    if paths.is_empty() {
        let side = u32::try_from(Pixels::SIDE)?;
        let made = (0..count).map(|number| Pixels::new(picture(number as u64, side).into_raw()));
        return Ok(made.collect::<Result<_, _>>()?);
    }
    let options = IngestOptions::default().threads(threads);
    let (bytes, _report) = collect_pixels(paths, &options, &mut ())?;
    if bytes.is_empty() {
        bail!("there is no picture below the paths of --images");
    }
    Ok(bytes.chunks_exact(Pixels::BYTES).map(Pixels::new).collect::<Result<_, _>>()?)
}

/// Made JPEG files.
pub(super) fn jpegs(count: usize, side: u32) -> Result<Vec<Vec<u8>>> {
    let encode = |number: usize| {
        let mut bytes = Vec::new();
        picture(number as u64, side)
            .write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, QUALITY))
            .map_err(|error| anyhow!("a made picture cannot be encoded: {error}"))?;
        Ok(bytes)
    };
    (0..count).map(encode).collect()
}

/// A picture that differs with its number: two colours that pass into each other, blocks over them, grain.
fn picture(number: u64, side: u32) -> RgbImage {
    let mut random = Random(number);
    let [from, to] = [random.color(), random.color()];
    let mut image = RgbImage::from_fn(side, side, |x, y| {
        let share = u64::from(x + y) * 255 / u64::from(2 * side);
        Rgb(std::array::from_fn(|channel| {
            let [from, to] = [from, to].map(|color| u64::from(color[channel]));
            u8::try_from((from * (255 - share) + to * share) / 255).unwrap_or(u8::MAX)
        }))
    });
    for _ in 0..3 {
        let color = random.color();
        let [left, top, right, bottom] = std::array::from_fn(|_| random.below(side));
        for y in top.min(bottom)..top.max(bottom) {
            for x in left.min(right)..left.max(right) {
                image.put_pixel(x, y, Rgb(color));
            }
        }
    }
    for pixel in image.pixels_mut() {
        let grain = random.byte() % 24;
        pixel.0 = pixel.0.map(|channel| channel.saturating_add(grain));
    }
    image
}

/// SplitMix64: a stream of numbers that differs with its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_be_bytes()[0]
    }

    fn color(&mut self) -> [u8; 3] {
        std::array::from_fn(|_| self.byte())
    }

    fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound.max(1))).unwrap_or(0)
    }
}
