//! Two thousand images that something went wrong with, each an image or a reject with its cause.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::PathBuf;

use hashdb::ingest::{IngestError, IngestOptions, Observer, PIXEL_BYTES, Reject, collect_pixels};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};

/// Images of a run, and runs beside each other with another number of threads.
const COUNT: usize = 2000;
/// The causes that bytes of an image may be rejected for; `panicked` is a defect of a decoder, and
/// `too-slow` one of a limit, so neither is among them.
const CAUSES: [&str; 5] = ["empty", "unknown-format", "unsupported", "too-large", "damaged"];

/// Numbers that look random and are the same in every run.
struct Scatter(u64);

impl Scatter {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}

/// Small images of every format and of every kind of sample that its encoder has.
fn originals() -> Vec<Vec<u8>> {
    let rgb = RgbImage::from_fn(61, 37, |x, y| {
        let [a, b, ..] = (x * 977 + y * y * 31).to_le_bytes();
        Rgb([a, b, a ^ b])
    });
    let rgba = RgbaImage::from_fn(40, 40, |x, y| {
        let [a, b, ..] = (x * x * 13 + y * 57).to_le_bytes();
        Rgba([a, b, a.wrapping_add(b), a])
    });
    let (rgb, rgba) = (DynamicImage::ImageRgb8(rgb), DynamicImage::ImageRgba8(rgba));
    let wide = [rgb.to_rgb16().into(), rgba.to_rgba16().into(), rgb.to_luma16().into()];
    let pictures = [rgb.clone(), rgba.clone(), rgb.to_luma8().into(), rgba.to_luma_alpha8().into()];
    let pictures = pictures.into_iter().chain(wide);
    let formats = [
        ImageFormat::Jpeg,
        ImageFormat::Png,
        ImageFormat::WebP,
        ImageFormat::Gif,
        ImageFormat::Bmp,
        ImageFormat::Tiff,
    ];
    let mut made = Vec::new();
    for picture in pictures {
        for format in formats {
            let mut bytes = Cursor::new(Vec::new());
            // Some formats lack some kinds of samples.
            if picture.write_to(&mut bytes, format).is_ok() {
                made.push(bytes.into_inner());
            }
        }
    }
    let frames = (0..3_u8).map(|n| image::Frame::new(RgbaImage::from_pixel(20, 20, Rgba([n; 4]))));
    let mut animated = Vec::new();
    image::codecs::gif::GifEncoder::new(&mut animated).encode_frames(frames).unwrap();
    made.push(animated);
    for format in formats {
        let sums = |bytes: &Vec<u8>| image::guess_format(bytes).is_ok_and(|found| found == format);
        assert!(made.iter().any(sums), "no {format:?} was made");
    }
    made
}

/// The files of the data set that are small, or a loud line.
fn shared() -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    for folder in ["broken", "natural"] {
        let Some(folder) = super::data(folder) else { continue };
        for path in super::files(folder) {
            let length = path.metadata().unwrap().len();
            if (20..64 << 10).contains(&length) && path.extension().is_none_or(|kind| kind != "csv")
            {
                found.push(super::read(&path));
            }
        }
    }
    found
}

/// One to eight things that go wrong with a file.
fn mutate(mut bytes: Vec<u8>, other: &[u8], random: &mut Scatter) -> Vec<u8> {
    for _ in 0..=random.below(8) {
        if bytes.len() < 2 {
            return bytes;
        }
        // Half of the damage hits the headers, which are a small part of the bytes.
        let reach = if random.below(2) == 0 { bytes.len().min(128) } else { bytes.len() };
        let at = random.below(reach);
        let end = (at + 1 + random.below(8)).min(bytes.len());
        match random.below(10) {
            0 | 1 => bytes[at] ^= 1 << random.below(8),
            2 => bytes[at..end].fill(0xff),
            3 => bytes[at..end].fill(0),
            4 => bytes[at..end].reverse(),
            5 => bytes.truncate(at),
            6 => drop(bytes.drain(at..end)),
            7 => {
                let piece = bytes[at..end].repeat(1 + random.below(40));
                bytes.splice(at..at, piece);
            }
            // The head of one format before the rest of another.
            8 if random.below(4) == 0 => {
                let head = other.len().min(1 + random.below(32));
                let head = head.min(bytes.len());
                bytes[..head].copy_from_slice(&other[..head]);
            }
            _ => bytes[at] = u8::try_from(random.below(256)).unwrap(),
        }
    }
    bytes
}

#[derive(Default)]
struct Rejects(Vec<Reject>);

impl Observer for Rejects {
    fn reject(&mut self, reject: Reject) -> Result<(), IngestError> {
        self.0.push(reject);
        Ok(())
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test writes its own files")]
fn two_thousand_mutated_images_are_answered_one_by_one_and_in_order() {
    let seed = std::env::var("HASHDB_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(20_261_121);
    eprintln!("HASHDB_SEED={seed}");
    let mut random = Scatter(seed);
    let (made, shared) = (originals(), shared());
    let folder = tempfile::tempdir().unwrap();
    let mut names = Vec::new();
    for number in 0..COUNT {
        // Images of the test alternate with those of the data set, where that is there.
        let from = if number % 2 == 1 && !shared.is_empty() { &shared } else { &made };
        let original = from[random.below(from.len())].clone();
        let other = &made[random.below(made.len())];
        let path = folder.path().join(format!("{number:04}.img.png"));
        std::fs::write(&path, mutate(original, other, &mut random)).unwrap();
        names.push(path.to_string_lossy().into_owned());
    }
    let paths = [PathBuf::from(folder.path())];
    let run = |threads| {
        let mut rejects = Rejects::default();
        let options = IngestOptions::default().threads(threads).batch(33);
        let (pixels, report) = collect_pixels(&paths, &options, &mut rejects).unwrap();
        (pixels, report, rejects.0)
    };
    let (pixels, report, rejects) = run(2);
    assert_eq!(report.done + report.rejected_count(), COUNT as u64);
    assert_eq!(pixels.len() as u64, report.done * PIXEL_BYTES as u64);
    eprintln!("{} images, {:?}", report.done, report.rejected);
    let mut by_cause: BTreeMap<&str, usize> = BTreeMap::new();
    let mut left = names.iter();
    for reject in &rejects {
        let name = String::from_utf8(reject.key.clone()).unwrap();
        assert!(left.any(|next| *next == name), "{name} comes out of order");
        assert!(CAUSES.contains(&reject.kind), "seed {seed}, {name}: {}", reject.cause);
        assert!(!reject.cause.contains('\n') && reject.cause.len() < 400, "{}", reject.cause);
        *by_cause.entry(reject.kind).or_default() += 1;
    }
    assert!(report.done > 200 && by_cause.len() >= 4, "the damage is too little or too much");
    let (others, _, others_rejects) = run(5);
    assert!(others == pixels && others_rejects == rejects, "the threads decide");
}
