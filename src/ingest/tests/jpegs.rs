//! The JPEG decoder as it is opened here, beside the same decoder as `image` opens it.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::ingest::deadline::{Clock, Deadline, Timed};
use crate::ingest::jpeg::Jpeg;

/// Size, colour, orientation and samples; `None` for an error.
type Decoded = Option<((u32, u32), image::ColorType, image::metadata::Orientation, Vec<u8>)>;

fn decoded(mut decoder: impl image::ImageDecoder) -> Decoded {
    let orientation = decoder.orientation().ok()?;
    let (size, color) = (decoder.dimensions(), decoder.color_type());
    let mut samples = vec![0; usize::try_from(decoder.total_bytes()).ok()?];
    decoder.read_image(&mut samples).ok()?;
    Some((size, color, orientation, samples))
}

fn both(bytes: &[u8]) -> (Decoded, Decoded) {
    let deadline = Deadline::new(Duration::MAX, Clock::System);
    let here = Jpeg::open(Timed::new(bytes, &deadline)).ok().and_then(decoded);
    let there = image::codecs::jpeg::JpegDecoder::new(Cursor::new(bytes)).ok().and_then(decoded);
    (here, there)
}

#[test]
fn a_jpeg_gives_the_pixels_that_image_gives() {
    let picture = image::RgbImage::from_fn(61, 43, |x, y| {
        let [low, high, ..] = (x * y * 31).to_le_bytes();
        image::Rgb([low, high, low ^ high])
    });
    let picture = image::DynamicImage::ImageRgb8(picture);
    for picture in [picture.grayscale(), picture] {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        let bytes = bytes.into_inner();
        let (here, there) = both(&bytes);
        assert!(here.is_some() && here == there);
        for cut in (0..bytes.len()).step_by(7) {
            let (here, there) = both(&bytes[..cut]);
            assert!(here == there, "cut at {cut}");
        }
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test reads pictures")]
fn every_jpeg_of_the_data_set_gives_the_pixels_that_image_gives() {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    let root = std::env::var_os("HASHDB_TEST_DATA").map_or(beside, PathBuf::from);
    let mut compared = 0;
    for folder in ["broken", "pdq"] {
        let folder = root.join(folder);
        if !folder.is_dir() {
            eprintln!("SKIPPED: {} is not there", folder.display());
            continue;
        }
        let is_small = |path: &Path| path.metadata().is_ok_and(|meta| meta.len() < 300 << 10);
        for entry in walkdir::WalkDir::new(&folder).sort_by_file_name() {
            let path = entry.unwrap().into_path();
            let bytes = if path.is_file() && is_small(&path) {
                std::fs::read(&path).unwrap()
            } else {
                continue;
            };
            if bytes.starts_with(b"\xff\xd8\xff") {
                let (here, there) = both(&bytes);
                assert!(here == there, "{}", path.display());
                compared += 1;
            }
        }
    }
    eprintln!("compared {compared} JPEG files");
}
