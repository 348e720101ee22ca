//! Images in, against the real and the broken ones of the developers' data set.
#![cfg(feature = "encoder")]
#![expect(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests fail loudly, and say what they skip"
)]

mod mutations;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hashdb::ingest::{
    DecodeError, IngestOptions, PIXEL_BYTES, Picture, collect_pixels, decode_rgb, pixels, thumbnail,
};

/// The folder of the data set, or a loud line and `None`.
fn data(folder: &str) -> Option<PathBuf> {
    let beside = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data"));
    let root = std::env::var_os("HASHDB_TEST_DATA").map_or(beside, PathBuf::from);
    let path = root.join(folder);
    if path.is_dir() {
        return Some(path);
    }
    eprintln!("SKIPPED {}: {} is not there", test_name(), path.display());
    None
}

fn test_name() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the test reads pictures")]
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file of a folder, recursively, by name.
fn files(folder: PathBuf) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// Decodes within the time that one image may take. A busy machine gets more than one try.
fn decode_in_time(bytes: &[u8], what: &str) -> Result<Vec<u8>, DecodeError> {
    for _ in 0..10 {
        let start = Instant::now();
        let result = pixels(bytes);
        if start.elapsed() < Duration::from_secs(2) {
            return result;
        }
    }
    panic!("{what} takes more than 2 seconds");
}

fn mean_difference(left: &[u8], right: &[u8]) -> f64 {
    assert_eq!(left.len(), right.len());
    let sum: u32 = left.iter().zip(right).map(|(a, b)| u32::from(a.abs_diff(*b))).sum();
    f64::from(sum) / left.len() as f64
}

#[test]
fn all_exif_orientations_of_one_photo_give_the_same_pixels() {
    let Some(folder) = data("neardup") else {
        return;
    };
    let paths = files(folder);
    let turned: Vec<_> =
        paths.iter().filter(|path| path.to_string_lossy().contains("Landscape_")).collect();
    assert_eq!(turned.len(), 9);
    let upright = pixels(&read(turned[0])).unwrap();
    let size = |path: &PathBuf| {
        let picture = decode_rgb(&read(path)).unwrap();
        (picture.width, picture.height)
    };
    for path in &turned {
        let difference = mean_difference(&upright, &pixels(&read(path)).unwrap());
        assert!(difference < 4.0, "{}: {difference}", path.display());
        assert_eq!(size(path), size(turned[0]), "{}", path.display());
    }
}

#[test]
fn the_content_tells_the_format_and_not_the_name() {
    let Some(folder) = data("neardup") else {
        return;
    };
    let paths = files(folder);
    let same: Vec<_> =
        paths.iter().filter(|path| path.to_string_lossy().contains("ukbench09380")).collect();
    assert_eq!(same.len(), 3);
    let expected = pixels(&read(same[0])).unwrap();
    for path in same {
        assert_eq!(pixels(&read(path)).unwrap(), expected, "{}", path.display());
    }
}

/// Valid by the manifest, of variants that the decoders lack: OS/2 run lengths of 24-bit pixels, and
/// bit fields with an alpha mask behind a header of version 3.
const NOT_DECODED: [(&str, &str); 2] =
    [("image__rgb24rle24.bmp", "unsupported"), ("image__rgba32abf.bmp", "damaged")];

#[test]
fn the_broken_images_are_judged_as_their_manifest_says() {
    let Some(folder) = data("broken") else { return };
    let manifest = String::from_utf8(read(&folder.join("manifest.csv"))).unwrap();
    let paths = files(folder);
    let mut judged = 0;
    for line in manifest.lines().skip(1) {
        // The columns that are needed stand before the first that may hold a comma.
        let (name, rest) = line.split_once(',').unwrap();
        let expected = rest.split(',').next().unwrap();
        let path = paths.iter().find(|path| path.file_name().unwrap() == name).unwrap();
        let result = decode_in_time(&read(path), name);
        let kind = result.as_ref().map_or_else(DecodeError::kind, |_| "ok");
        match expected {
            "accept" => {
                let known = NOT_DECODED.iter().find(|(file, _)| *file == name);
                assert_eq!(kind, known.map_or("ok", |(_, kind)| kind), "{name}: {result:?}");
            }
            "reject" => assert_ne!(kind, "ok", "{name}"),
            _ => assert_ne!(kind, "panicked", "{name}"),
        }
        judged += 1;
    }
    assert_eq!(judged, 204);
}

#[test]
fn a_run_over_the_broken_images_answers_for_each() {
    let Some(folder) = data("broken") else { return };
    let paths = [folder];
    let (gathered, report) = collect_pixels(&paths, &IngestOptions::default(), &mut ()).unwrap();
    assert_eq!(gathered.len() as u64, report.done * PIXEL_BYTES as u64);
    // Skipped: the manifest, and two files that end in .bin.
    assert_eq!((report.done + report.rejected_count(), report.skipped), (202, 3));
    assert_eq!(report.done, 115);
}

#[test]
fn photographs_of_every_kind_decode_and_fit_their_thumbnails() {
    let Some(folder) = data("natural") else {
        return;
    };
    let images = files(folder);
    let images = images.iter().filter(|path| path.extension().is_some_and(|kind| kind != "csv"));
    for path in images.step_by(7) {
        let bytes = read(path);
        let Picture { width, height, pixels } = thumbnail(&bytes, 64).unwrap();
        assert_eq!(width.max(height), 64, "{}", path.display());
        assert_eq!(pixels.len(), (3 * width * height) as usize);
        let full = decode_rgb(&bytes).unwrap();
        assert_eq!(full.width > full.height, width > height, "{}", path.display());
    }
}

/// An uncompressed picture of 24-bit pixels, whose rows need no padding.
fn bmp(width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) -> Vec<u8> {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0".to_vec();
    bytes.extend(width.to_le_bytes());
    bytes.extend(height.to_le_bytes());
    bytes.extend([1, 0, 24, 0]);
    bytes.extend([0; 24]);
    for y in (0..height).rev() {
        for x in 0..width {
            let [red, green, blue] = pixel(x, y);
            bytes.extend([blue, green, red]);
        }
    }
    bytes
}

#[test]
fn a_picture_of_32_by_32_passes_untouched() {
    let shade = |n: u32| u8::try_from(n * 8).unwrap();
    let bytes = bmp(32, 32, |x, y| [shade(x), shade(y), 77]);
    let expected: Vec<u8> =
        (0..32).flat_map(|y| (0..32).flat_map(move |x| [shade(x), shade(y), 77])).collect();
    assert!(pixels(&bytes).unwrap() == expected);
}

#[test]
fn dimensions_are_judged_before_a_pixel_is_decoded() {
    for (width, height) in [(16_385, 1), (1, 16_385), (16_384, 16_384), (8193, 8192)] {
        let bytes = bmp(0, 0, |_, _| [0; 3]);
        let mut bytes = bytes[..54].to_vec();
        bytes[18..22].copy_from_slice(&u32::to_le_bytes(width));
        bytes[22..26].copy_from_slice(&u32::to_le_bytes(height));
        let error = decode_in_time(&bytes, "a header").unwrap_err();
        assert_eq!(error.kind(), "too-large", "{width} x {height}: {error}");
    }
    let large = vec![0; 64 * 1024 * 1024 + 1];
    assert_eq!(pixels(&large).unwrap_err().kind(), "too-large");
    assert_eq!(thumbnail(b"", 0).unwrap_err().kind(), "too-large");
}

#[test]
fn what_is_no_image_says_so_in_a_sentence() {
    let said = |bytes: &[u8]| pixels(bytes).unwrap_err().to_string();
    assert_eq!(said(b""), "the file is empty");
    assert_eq!(said(b"hello"), "the content is no known image format");
    assert_eq!(said(b"8BPS\0\x01"), "Photoshop PSD is not supported");
    assert!(said(b"\x89PNG\r\n\x1a\n").starts_with("the PNG data is damaged: "));
}
