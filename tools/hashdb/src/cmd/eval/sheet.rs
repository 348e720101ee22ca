//! A contact sheet: some queries, and what each code finds nearest to them.

use std::io::Cursor;
use std::path::Path;

use anyhow::{Context as _, Result};
use hashdb::ingest::PIXEL_BYTES;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageFormat, RgbImage, imageops};
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::Codes;
use super::data::Data;
use crate::files;

/// Queries of a sheet, each of another class.
const QUERIES: usize = 8;
/// Neighbours beside each of them.
const NEIGHBOURS: usize = 8;
/// Side of a picture.
const SIDE: u32 = 32;
/// A picture with its frame.
const CELL: u32 = SIDE + 6;
/// Where the first neighbour begins: after the query and the name of the codes.
const LEFT: u32 = CELL + 190;
const MARGIN: u32 = 12;
/// Gap below the rows of a query.
const GAP: u32 = 14;
/// Quality of a JPEG.
const QUALITY: u8 = 82;
const SAME: RGBColor = RGBColor(44, 160, 44);

/// What each of several codes finds.
#[derive(Debug, Default)]
pub(super) struct Sheet(Vec<Found>);

/// The neighbours of each query by one code.
#[derive(Debug)]
struct Found {
    name: String,
    nearest: Vec<Vec<usize>>,
}

impl Sheet {
    /// Looks for the neighbours of the queries; of items as near as each other those that come first.
    pub(super) fn add(&mut self, data: &Data, codes: &Codes) {
        let width = (codes.bits as usize).div_ceil(8);
        let nearest = queries(data).into_iter().map(|query| {
            let query = &codes.queries[query * width..(query + 1) * width];
            let items = codes.items.chunks_exact(width).enumerate();
            let mut found: Vec<(u32, usize)> =
                items.map(|(at, item)| (distance(query, item), at)).collect();
            let most = NEIGHBOURS.min(found.len());
            if most < found.len() {
                found.select_nth_unstable(most);
            }
            found.truncate(most);
            found.sort_unstable();
            found.into_iter().map(|(_, at)| at).collect()
        });
        let name = format!("{}, {} bits", codes.name, codes.bits);
        self.0.push(Found { name, nearest: nearest.collect() });
    }

    /// Draws the sheet into a file: JPEG if it is named so, or else PNG.
    pub(super) fn write(&self, data: &Data, file: &Path) -> Result<()> {
        let image = self.draw(data)?;
        let mut bytes = Cursor::new(Vec::new());
        let jpeg = file.extension().is_some_and(|kind| kind == "jpg" || kind == "jpeg");
        if jpeg {
            JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(&image)?;
        } else {
            image.write_to(&mut bytes, ImageFormat::Png)?;
        }
        files::replace(file, &bytes.into_inner())
    }

    fn draw(&self, data: &Data) -> Result<RgbImage> {
        // The font is the one of charts.
        let _known = register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular());
        let asked = queries(data);
        let rows = u32::try_from(self.0.len())?;
        let block = rows.max(1) * CELL + GAP;
        let size = (
            2 * MARGIN + LEFT + CELL * u32::try_from(NEIGHBOURS)?,
            2 * MARGIN + block * u32::try_from(asked.len())?,
        );
        let mut pixels = vec![255; (size.0 * size.1 * 3) as usize];
        {
            let root = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
            for (at, &query) in (0_u32..).zip(&asked) {
                let label = data.queries.labels.get(query);
                for (row, found) in (0_u32..).zip(&self.0) {
                    let top = MARGIN + at * block + row * CELL;
                    let place = (i32::try_from(MARGIN + CELL + 8)?, i32::try_from(top + 11)?);
                    root.draw(&Text::new(found.name.clone(), place, ("sans-serif", 13)))?;
                    let nearest = found.nearest.get(at as usize).into_iter().flatten();
                    for (column, item) in (0_u32..).zip(nearest) {
                        if data.items.labels.get(*item) != label {
                            continue;
                        }
                        let left = i32::try_from(MARGIN + LEFT + column * CELL)?;
                        let top = i32::try_from(top)?;
                        let end = i32::try_from(SIDE + 3)?;
                        let frame = [(left, top), (left + end, top + end)];
                        root.draw(&Rectangle::new(frame, SAME.filled()))?;
                    }
                }
            }
            root.present()?;
        }
        let mut image =
            RgbImage::from_raw(size.0, size.1, pixels).context("the sheet has another size")?;
        for (at, &query) in (0_u32..).zip(&asked) {
            let top = MARGIN + at * block + 2;
            paste(&mut image, data.queries.pixels()?, query, (MARGIN, top));
            for (row, found) in (0_u32..).zip(&self.0) {
                let nearest = found.nearest.get(at as usize).into_iter().flatten();
                for (column, &item) in (0_u32..).zip(nearest) {
                    let place = (MARGIN + LEFT + column * CELL + 2, top + row * CELL);
                    paste(&mut image, data.items.pixels()?, item, place);
                }
            }
        }
        Ok(image)
    }
}

/// The first query of each class, of the first classes by their numbers.
fn queries(data: &Data) -> Vec<usize> {
    let mut classes: Vec<u16> = data.queries.labels.clone();
    classes.sort_unstable();
    classes.dedup();
    let first = |class| data.queries.labels.iter().position(|label| *label == class);
    classes.into_iter().filter_map(first).take(QUERIES).collect()
}

fn paste(image: &mut RgbImage, pixels: &[u8], at: usize, (left, top): (u32, u32)) {
    let picture = pixels.get(at * PIXEL_BYTES..(at + 1) * PIXEL_BYTES);
    let picture = picture.and_then(|picture| RgbImage::from_raw(SIDE, SIDE, picture.to_vec()));
    if let Some(picture) = picture {
        imageops::replace(image, &picture, left.into(), top.into());
    }
}

/// Bits in which two codes differ.
fn distance(one: &[u8], other: &[u8]) -> u32 {
    one.iter().zip(other).map(|(a, b)| (a ^ b).count_ones()).sum()
}
