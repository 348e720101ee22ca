//! Items that take too long: by a clock that only their bytes drive, so that no machine decides a test.

use std::time::Duration;

use super::*;
use crate::ingest::deadline::{Clock, Deadline};
use crate::ingest::header::Header;

/// A noisy PNG, which costs a look at the clock for each 64 KiB and more.
fn large() -> Vec<u8> {
    let mut state = 1_u32;
    let mut noise = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    let picture =
        image::RgbImage::from_fn(1200, 1200, |_, _| image::Rgb([(); 3].map(|()| noise())));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn a_slow_item_is_rejected_and_the_others_go_on_in_order() {
    let (large, small) = (large(), png(1));
    let names: Vec<String> = (0..60).map(|n| format!("{n:02}.png")).collect();
    let is_large = |n: usize| matches!(n, 0 | 7 | 8 | 59);
    let files: Vec<(&str, &[u8])> = names
        .iter()
        .enumerate()
        .map(|(n, name)| (name.as_str(), if is_large(n) { &large[..] } else { &small[..] }))
        .collect();
    let folder = folder(&files);
    let paths = [folder.path().to_path_buf()];
    let run = |threads, limit| {
        let clock = Clock::Steps(Duration::from_secs(1));
        let options = IngestOptions::default().threads(threads).batch(7);
        let options = options.item_timeout(Duration::from_secs(limit)).clock(clock);
        outcome(folder.path(), &paths, &options)
    };
    let (slow, fast): (Vec<usize>, Vec<usize>) = (0..60).partition(|n| is_large(*n));
    for threads in [1, 2, 5] {
        let found = run(threads, 20);
        assert_eq!(found.keys(), fast.iter().map(|n| &names[*n][..]).collect::<Vec<_>>());
        let expected: Vec<_> = slow.iter().map(|n| (names[*n].clone(), "too-slow")).collect();
        assert_eq!(found.rejects, expected);
        assert_eq!(run(threads, 1_000_000).items.len(), 60);
        assert_eq!(run(threads, 0).rejects.len(), 60);
    }
}

#[test]
fn every_format_stops_when_its_time_is_over() {
    let picture = image::DynamicImage::ImageRgb8(image::RgbImage::from_fn(700, 500, |x, y| {
        let [low, ..] = (x * x + 3 * y * y + x * y).to_le_bytes();
        image::Rgb([low, low.wrapping_mul(7), low.wrapping_mul(31)])
    }));
    let formats = [
        image::ImageFormat::Jpeg,
        image::ImageFormat::Png,
        image::ImageFormat::WebP,
        image::ImageFormat::Gif,
        image::ImageFormat::Bmp,
        image::ImageFormat::Tiff,
    ];
    for format in formats {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        let bytes = bytes.into_inner();
        let decode = |limit| {
            let deadline =
                Deadline::new(Duration::from_secs(limit), Clock::Steps(Duration::from_secs(1)));
            let look =
                Header::read(&bytes, &deadline).and_then(|header| look::Look::take(header, None));
            look.map(|look| look.pixels)
        };
        let whole = decode(u64::from(u32::MAX)).unwrap();
        let mut stopped = 0;
        // Every look at first, then ever fewer of them.
        for limit in std::iter::successors(Some(0), |limit| Some(limit + 1 + limit / 3)) {
            match decode(limit) {
                Ok(pixels) => {
                    assert!(pixels == whole, "{format:?} gave a part of the picture");
                    break;
                }
                Err(error) => assert_eq!(error.kind(), "too-slow", "{format:?}: {error}"),
            }
            stopped += 1;
        }
        assert!(stopped >= 3, "{format:?} looks at the clock {stopped} times");
    }
}

#[test]
fn the_cause_names_the_time() {
    let deadline = Deadline::new(Duration::from_millis(1500), Clock::Steps(Duration::MAX));
    let error = Header::read(&png(1), &deadline).map(|_| ()).unwrap_err();
    assert_eq!(error.to_string(), "decoding takes longer than 1.5 s");
}
