//! Altered copies of pictures, as they turn up in the wild.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use hashdb::ingest::{decode_rgb, reread};
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbImage};

use crate::{ALTERATIONS, ORIGINALS, field, write};

/// Originals that are altered, if there are as many.
const ORIGINALS_WANTED: usize = 20;

/// Writes the copies of picture N as `N-ALTERATION.png` (or `.jpg`), and the names of the originals.
pub(crate) fn run(scan: &Path, folder: &Path) -> Result<()> {
    let keys: BTreeSet<String> = field(scan, "key")?.into_iter().collect();
    let keys: Vec<String> = keys.into_iter().collect();
    let count = keys.len().min(ORIGINALS_WANTED);
    if count == 0 {
        bail!("there is no picture to alter");
    }
    // Evenly spread over the names, so that one kind of picture does not stand for all.
    let picked: BTreeSet<Vec<u8>> =
        (0..count).map(|index| keys[index * keys.len() / count].clone().into_bytes()).collect();
    let mut originals = Vec::new();
    let mut failure = None;
    reread(&picked, &mut |key, bytes| {
        if failure.is_none() {
            let copied = copies(&bytes, originals.len(), folder);
            failure = copied.with_context(|| String::from_utf8_lossy(key).into_owned()).err();
            originals.push(String::from_utf8_lossy(key).into_owned());
        }
    });
    if let Some(error) = failure {
        return Err(error);
    }
    write(&folder.join(ORIGINALS), originals.join("\n").as_bytes())
}

fn copies(bytes: &[u8], number: usize, folder: &Path) -> Result<()> {
    let picture = decode_rgb(bytes)?;
    let image = RgbImage::from_raw(picture.width, picture.height, picture.pixels)
        .context("the decoder gave too few bytes")?;
    for alteration in ALTERATIONS {
        let (bytes, ending) = match alteration {
            "recompressed" => (jpeg(&image, 20)?, "jpg"),
            "resized" => (png(&resized(&image))?, "png"),
            "brightened" => (png(&imageops::brighten(&image, 30))?, "png"),
            _ => (png(&cropped(&image))?, "png"),
        };
        write(&folder.join(format!("{number:02}-{alteration}.{ending}")), &bytes)?;
    }
    Ok(())
}

/// At 60 % of its size.
fn resized(image: &RgbImage) -> RgbImage {
    let (width, height) = ((image.width() * 3 / 5).max(1), (image.height() * 3 / 5).max(1));
    imageops::resize(image, width, height, FilterType::Triangle)
}

/// Without 5 % of its width and height, half of it on each side, but at least a pixel.
fn cropped(image: &RgbImage) -> RgbImage {
    let edge = |length: u32| (length / 40).max(1).min((length - 1) / 2);
    let (left, top) = (edge(image.width()), edge(image.height()));
    let (width, height) = (image.width() - 2 * left, image.height() - 2 * top);
    imageops::crop_imm(image, left, top, width, height).to_image()
}

fn jpeg(image: &RgbImage, quality: u8) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(image)?;
    Ok(bytes)
}

pub(crate) fn png(image: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}
