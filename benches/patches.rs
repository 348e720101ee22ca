//! Multiple semantic hashing: the time of a query of 81 patches at radius 3 on one core, the bytes a patch takes,
//! and the time to build, on uniform and on skewed addresses of 28 bits.
//!
//! `HASHDB_BENCH_IMAGES` sets the number of images (default 100,000; 1,600,000 are the 130 million patches of
//! Krizhevsky & Hinton 2011, for which `index` takes 2 GiB of memory), `HASHDB_BENCH_DIR` where databases lie.
//! Arguments choose cases: `index`, the table alone, and `engine`, a database that is loaded and asked; both
//! without. The answer of every case is checked against the definition before it is timed.
//!
//! `cargo bench --features __internals --profile dev --bench patches -- index`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints and stops at the first surprise"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use hashdb::internals::index::{
    Counters, HalfBalls, PatchLists, PatchSide, PatchSideColumns, PatchTable, PatchTally,
};
use hashdb::{
    Address, BulkOptions, Code, Database, IndexOptions, Level, Options, PatchCounting, Query,
    Readable as _,
};

const BITS: u8 = 28;
const PATCHES: u64 = 81;
const RADIUS: u32 = 3;
const QUERIES: u64 = 40;
/// Patterns that skewed patches come near to: the more often the smaller their number.
const PATTERNS: u64 = 20_000;

fn mix(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn low(value: u64) -> u32 {
    u32::try_from(value & ((1 << BITS) - 1)).unwrap()
}

/// Flips up to `most` bits of an address.
fn near(address: u32, seed: u64, most: u64) -> u32 {
    let flips = 0..mix(seed) % (most + 1);
    flips.fold(address, |address, flip| {
        address ^ 1 << (mix(seed ^ (flip + 1) << 40) % u64::from(BITS))
    })
}

/// Patch `patch` of image `image`: a function of the two alone.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number below 20,000"
)]
fn patch(image: u64, patch: u64, skewed: bool) -> u32 {
    let seed = mix(image * PATCHES + patch);
    if !skewed {
        return low(seed);
    }
    // The third power of a uniform number: one pattern in thirty thousand has one patch in thirty.
    let share = (seed >> 11) as f64 / (1_u64 << 53) as f64;
    let pattern = (share.powi(3) * PATTERNS as f64) as u64;
    near(low(mix(!pattern)), seed, 6)
}

/// A query: an image that is there, each patch with up to two flipped bits, and every fourth one a stranger.
fn query(number: u64, images: u64, skewed: bool) -> Vec<u32> {
    let image = if number % 4 == 3 { images + number } else { mix(number) % images };
    let altered = |at| near(patch(image, at, skewed), mix(image ^ at << 32), 2);
    (0..PATCHES).map(altered).collect()
}

/// The scores by their definition.
fn by_definition(query: &[u32], images: u64, skewed: bool) -> Vec<u32> {
    let score = |image| {
        let own: Vec<_> = (0..PATCHES).map(|at| patch(image, at, skewed)).collect();
        let closest = |patch: &u32| own.iter().map(|own| (own ^ patch).count_ones()).min().unwrap();
        let worth = |patch| 1_u32.checked_shl(RADIUS.wrapping_sub(closest(patch))).unwrap_or(0);
        query.iter().map(worth).sum()
    };
    (0..images).map(score).collect()
}

/// Processor time of this thread so far, which other work on the machine does not lengthen by waiting.
fn processor() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanoseconds = text.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or(0))
}

fn tell(name: &str, what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let (median, last) = (times[times.len() / 2], times[times.len() - 1]);
    println!("{name}: {what}: best {:.2?}, median {median:.2?}, slowest {last:.2?}", times[0]);
}

/// The table alone.
fn index(images: u64, skewed: bool) {
    let name = format!("index, {images} images, {}", if skewed { "skewed" } else { "uniform" });
    let rows = usize::try_from(images).unwrap();
    let mut lists = PatchLists::default();
    for (row, image) in (0..images).enumerate() {
        lists.push(row, (0..PATCHES).map(|at| patch(image, at, skewed)));
    }
    let start = Instant::now();
    let high = PatchSideColumns::build(&lists, rows, BITS, PatchSide::High).unwrap();
    let low = PatchSideColumns::build(&lists, rows, BITS, PatchSide::Low).unwrap();
    let (built, count) = (start.elapsed(), lists.len());
    drop(lists);
    let columns =
        [&high.offsets, &high.suffixes, &high.rows, &low.offsets, &low.suffixes, &low.rows];
    let bytes: usize = columns.iter().map(|column| column.len()).sum();
    println!("{name}: {count} patches built in {built:.2?}");
    println!("{name}: {bytes} bytes, {:.2} a patch", bytes as f64 / count as f64);
    let table = PatchTable::open(columns.map(Vec::as_slice), rows, BITS).unwrap();
    let (level, balls) = (Level::best(), HalfBalls::new(BITS));
    let mut hits = Default::default();
    let mut counters = Counters::default();
    let mut ask = |query: &[u32], counters: &mut Counters| {
        let mut tally = PatchTally::new(rows, RADIUS, PatchCounting::Closest);
        for patch in query {
            table.near(level, &balls, *patch, &mut tally, &mut hits, counters);
            tally.count(level, 1);
        }
        tally.finish().unwrap()
    };
    let checked = query(0, images, skewed);
    let expected = by_definition(&checked, images, skewed);
    assert!(ask(&checked, &mut counters) == expected, "scores are those of the definition");
    println!(
        "{name}: one query gives {} images a score",
        expected.iter().filter(|s| **s > 0).count()
    );

    counters = Counters::default();
    let mut times = Vec::new();
    let queries: Vec<_> = (0..QUERIES).map(|number| query(number, images, skewed)).collect();
    let before = processor();
    for query in queries {
        let start = Instant::now();
        let scores = ask(&query, &mut counters);
        times.push(start.elapsed());
        std::hint::black_box(scores);
    }
    let processor = (processor() - before) / u32::try_from(QUERIES).unwrap();
    println!("{name}: {processor:.2?} of processor time a query");
    println!("{name}: {} entries compared a query", counters.candidates / QUERIES);
    tell(&name, "a query of 81 patches, scores of all images", times);
}

/// A database that is loaded and asked.
fn engine(folder: &Path, images: u64, skewed: bool) {
    let name = format!("engine, {images} images, {}", if skewed { "skewed" } else { "uniform" });
    let path = folder.join("db");
    let options = Options::new().background(false).index(IndexOptions::none());
    let db = Database::create(&path, options).unwrap();
    let code = |image: u64| {
        let words = (0..4).flat_map(|word| mix(image * 4 + word).to_le_bytes());
        Code::from_bytes(&words.collect::<Vec<_>>()).unwrap()
    };
    let address = |value| Address::new(value, BITS).unwrap();
    let start = Instant::now();
    let mut loader = db.bulk_loader(BulkOptions::new().memory_budget(4 << 30)).unwrap();
    for image in 0..images {
        let own: Vec<_> = (0..PATCHES).map(|at| address(patch(image, at, skewed))).collect();
        let key = format!("{image:010}");
        let place = address(low(mix(image)));
        loader.put_with_patches(key.as_bytes(), place, &code(image), b"", &own).unwrap();
    }
    let report = loader.finish().unwrap();
    let bytes: u64 = std::fs::read_dir(path.join("segments"))
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap().len())
        .sum();
    println!(
        "{name}: loaded in {:.2?}, {} segments of {bytes} bytes in all",
        start.elapsed(),
        report.segments
    );
    let ask = |number: u64| {
        let patches: Vec<_> = query(number, images, skewed).into_iter().map(address).collect();
        Query::patches(patches).radius(RADIUS)
    };
    let start = Instant::now();
    let found = db.search_patches(&ask(0)).unwrap().matches;
    println!("{name}: the first query, which checks what it reads, {:.2?}", start.elapsed());
    let scores = by_definition(&query(0, images, skewed), images, skewed);
    // Ids rise with images.
    let mut expected: Vec<_> = (0..images).zip(scores).filter(|(_, score)| *score > 0).collect();
    expected.sort_by_key(|(image, score)| (std::cmp::Reverse(*score), *image));
    expected.truncate(100);
    let found: Vec<_> = found.iter().map(|found| (found.id, found.score)).collect();
    assert_eq!(found, expected, "the answer is that of the definition");

    let time = |joined: bool| {
        let mut times = Vec::new();
        for number in 0..QUERIES {
            let query = ask(number);
            let query = if joined { query.joined_with(code(number), 1.0, 1.0) } else { query };
            let start = Instant::now();
            std::hint::black_box(db.search_patches(&query).unwrap());
            times.push(start.elapsed());
        }
        times
    };
    tell(&name, "the best 100 of a query of 81 patches", time(false));
    let first = Instant::now();
    db.search_patches(&ask(0).joined_with(code(0), 1.0, 1.0)).unwrap();
    println!("{name}: the first joined query, which checks the codes, {:.2?}", first.elapsed());
    tell(&name, "the same joined with 256-bit codes", time(true));
}

fn main() {
    let images = std::env::var("HASHDB_BENCH_IMAGES");
    let images = images.map_or(100_000, |images| images.parse().unwrap());
    let chosen: Vec<String> =
        std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted = |case: &str| chosen.is_empty() || chosen.iter().any(|word| word == case);
    for skewed in [false, true] {
        if wanted("index") {
            index(images, skewed);
        }
        if wanted("engine") {
            let folder = std::env::var_os("HASHDB_BENCH_DIR");
            let folder = folder.map_or_else(std::env::temp_dir, Into::into);
            let folder = tempfile::tempdir_in(folder).unwrap();
            engine(folder.path(), images, skewed);
        }
    }
}
