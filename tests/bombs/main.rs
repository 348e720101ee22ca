//! Small files that unfold to much: every one is an image or a reject, within the memory that its header
//! was charged for. The times are printed and judged by nobody.
//!
//! A binary of its own, since its allocator counts what the whole process holds; the bombs go off one
//! after the other.
#![cfg(feature = "encoder")]
#![expect(
    clippy::unwrap_used,
    unsafe_code,
    reason = "an allocator that counts; a test ends at the first surprise"
)]

mod allocator;
mod bytes;
mod jpeg;
mod others;
mod png;
mod shards;
mod webp;

use std::sync::Mutex;
use std::time::Instant;

use hashdb::ingest::{MAX_WORKING_BYTES, pixels};
use rand::{RngExt as _, SeedableRng as _};

/// What a bomb has to be answered with: `ok`, a kind of reject, or nothing in particular.
const ANY: &str = "any";
/// What small buffers, messages and the allocator's rounding may take beside the estimate.
const SLACK: usize = 4 << 20;

/// A name, what must come of it, and how it is made.
type Bomb = (&'static str, &'static str, fn() -> Vec<u8>);

const BOMBS: [Bomb; 49] = [
    ("jpeg, baseline, 8000 x 8000", "ok", || jpeg::baseline(8000)),
    ("jpeg, baseline, 65500 x 65500", "too-large", || jpeg::baseline(65_500)[..4096].to_vec()),
    ("jpeg, progressive, 6000 x 6000", "ok", || jpeg::progressive(6000)),
    ("jpeg, progressive, 8000 x 8000", "too-large", || jpeg::progressive(8000)),
    ("jpeg, 90 progressive scans", ANY, || jpeg::progressive_scans(90)),
    ("jpeg, 1,010 progressive scans", "damaged", || jpeg::progressive_scans(1010)),
    ("jpeg, 5,000 baseline scans", ANY, || jpeg::baseline_scans(5_000)),
    ("jpeg, metadata in 4,000 pieces", "ok", || jpeg::pieces_of_metadata(4_000)),
    ("jpeg, EXIF that turns in circles", "ok", jpeg::exif),
    ("png, 1 bit, 50000 x 50000", "too-large", || png::one_bit(50_000)),
    ("png, 1 bit, 16384 x 16384", "too-large", || png::one_bit(16_384)),
    ("png, grey, 8192 x 8192", "ok", || png::grey(8192)),
    ("png, interlaced, 4096 x 4096", "ok", || png::interlaced(4096)),
    ("png, profile of 200 MiB", "ok", || png::profile(200 << 20)),
    ("png, profile of 15 MiB", "ok", || png::profile(15 << 20)),
    ("png, 50 texts of 50 MiB", "ok", || png::texts(50, 50 << 20)),
    ("png, a text of 20 MiB", "too-large", || png::long_text(20 << 20)),
    ("png, 2,147,483,647 frames", "ok", png::animated),
    ("webp, lossy, 8192 x 8192", ANY, || webp::lossy(8192)),
    ("webp, lossy, 4096 x 4096", ANY, || webp::lossy(4096)),
    ("webp, lossy, beyond its canvas", "too-large", || webp::lossy_beyond_the_canvas(16_383)),
    ("webp, lossy, a little beyond", "damaged", || webp::lossy_beyond_the_canvas(4096)),
    ("webp, animated, beyond its canvas", "too-large", || webp::animated_beyond_the_canvas(16_383)),
    ("webp, animated, a little beyond", "damaged", || webp::animated_beyond_the_canvas(4096)),
    ("webp, EXIF of 4 GiB", "too-large", || webp::exif_claim(u32::MAX - 1)),
    ("webp, lossless, 4096 x 4096", "ok", || webp::lossless(4096)),
    ("webp, 4,096 groups of codes", "ok", || webp::huffman_groups(4096)),
    ("webp, 65,536 groups of codes", "too-large", || webp::huffman_groups(65_536)),
    ("webp, animated, 4,096 groups", "ok", || webp::huffman_groups_in_a_frame(4096)),
    ("webp, animated, 65,536 groups", "too-large", || webp::huffman_groups_in_a_frame(65_536)),
    ("webp, alpha, 4,096 groups", "ok", || webp::huffman_groups_of_alpha(4096)),
    ("webp, alpha, 65,536 groups", "too-large", || webp::huffman_groups_of_alpha(65_536)),
    ("gif, screen of 65535 x 65535", "too-large", || others::gif(65_535, 1, 1)),
    ("gif, screen of 1, frame of 16000", "too-large", || others::gif(1, 16_000, 1)),
    ("gif, screen of 1, frame of 6000", ANY, || others::gif(1, 6000, 1)),
    ("gif, 100,000 frames", ANY, || others::gif(1000, 1000, 100_000)),
    ("gif, 3000 x 3000", "ok", || others::whole_gif(3000)),
    ("bmp, runs over 16384 x 4096", ANY, || {
        others::bmp(16_384, 4096, 8, 1, &others::run_lengths(200_000))
    }),
    ("bmp, 24 bits, no pixels", ANY, || others::bmp(8192, 8192, 24, 0, &[])),
    ("tiff, deflated, 8192 x 8192", "ok", || others::deflated(8192)),
    ("tiff, LZW, 8192 x 8192", ANY, || others::lzw(8192)),
    ("tiff, PackBits, 4096 x 4096", ANY, || others::pack_bits(4096)),
    ("tiff, a directory that follows itself", "damaged", others::circle),
    ("tiff, a strip that is missing", "damaged", || others::missing_strip(8000)),
    ("tiff, JPEG of 16000 x 16000 inside", "too-large", || {
        others::jpeg_inside(&jpeg::progressive(16_000))
    }),
    ("tiff, JPEG of 4000 x 4000 inside", ANY, || others::jpeg_inside(&jpeg::progressive(4000))),
    ("tiff, tiles of 2 Gi pixels a row", "too-large", || others::wide_tiles(1 << 31)),
    ("tiff, 262,144 tiles", ANY, || others::many_tiles(8192)),
    ("tiff, a list of 8 Mi strips", "too-large", || others::endless_list(8 << 20)),
];

/// The allocator counts for everybody, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

#[test]
fn every_bomb_is_answered_within_the_memory_that_its_header_was_charged_for() {
    let _alone = ALONE.lock();
    let only = std::env::var("HASHDB_BOMB").unwrap_or_default();
    let mut wrong = Vec::new();
    for (name, expected, build) in BOMBS.iter().filter(|(name, ..)| name.contains(&only)) {
        let bytes = build();
        let started = Instant::now();
        let (result, peak) = allocator::peak(|| pixels(&bytes));
        let milliseconds = started.elapsed().as_millis();
        let found = result.as_ref().map_or_else(|error| error.kind(), |_| "ok");
        let charged = charged(&bytes);
        eprintln!(
            "{name:<38} {:>9} bytes {:>5.1} MiB of {:>5.1} {milliseconds:>6} ms  {found}{}",
            bytes.len(),
            mebibytes(peak),
            mebibytes(charged),
            result.err().map_or(String::new(), |error| format!(": {error}")),
        );
        if peak > charged + SLACK || charged > usize::try_from(MAX_WORKING_BYTES).unwrap() {
            wrong.push(format!("{name}: {peak} bytes, charged for {charged}"));
        }
        if found == "panicked" || (*expected != ANY && found != *expected) {
            wrong.push(format!("{name}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The codes of a lossless image are read before its pixels and against no limit: 4 MB of them asked for
/// 1.3 GB. What they take is told by a reader of our own, which must go the decoder's way through every
/// stream, also a broken one: with bits turned over at random, or cut off, nothing takes more than it was
/// charged for.
#[test]
fn broken_codes_of_a_lossless_webp_are_charged_for_too() {
    let _alone = ALONE.lock();
    let seed = std::env::var("HASHDB_SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let whole = [
        webp::huffman_groups(600),
        webp::huffman_groups_in_a_frame(600),
        webp::huffman_groups_of_alpha(600),
        webp::lossless(64),
    ];
    let (mut decoded, mut most) = (0, 0);
    for round in 0..2000 {
        let mut bytes = whole[round % whole.len()].clone();
        // Mostly at the head, where transforms and the first codes are.
        let reach = if round % 3 == 0 { bytes.len() } else { bytes.len().min(200) };
        for _ in 0..random.random_range(1..4) {
            bytes[random.random_range(12..reach)] ^= 1 << random.random_range(0..8);
        }
        if round % 5 == 0 {
            bytes.truncate(random.random_range(12..bytes.len()));
        }
        let (result, peak) = allocator::peak(|| pixels(&bytes));
        decoded += usize::from(result.is_ok());
        most = most.max(peak);
        let charged = charged(&bytes);
        assert!(
            peak <= charged + (1 << 20),
            "seed {seed}, {round}: {peak} of {charged}: {result:?}"
        );
    }
    eprintln!("2,000 broken streams, {decoded} decoded, at most {:.1} MiB", mebibytes(most));
    assert!(decoded > 20 && most > 4 << 20, "{decoded} decoded, at most {most} bytes");
}

/// What the header says that decoding takes; all that there is where no test may ask. A header that is
/// rejected may take no more than the limit on a PNG's metadata.
#[cfg(feature = "__internals")]
fn charged(bytes: &[u8]) -> usize {
    let rejected = 32 << 20;
    hashdb::ingest::probe_memory(bytes)
        .map_or(rejected, |charged| usize::try_from(charged).unwrap())
}

#[cfg(not(feature = "__internals"))]
fn charged(_: &[u8]) -> usize {
    usize::try_from(MAX_WORKING_BYTES).unwrap()
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mebibytes(bytes: usize) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
