//! Ingest as a whole beside its parts alone: decoding, encoding and writing, in one run.
//!
//! Two sets of pictures: `thumbnails`, the JPEGs of 32 x 32 pixels in `../shared/data` (SKIPPED where they
//! are not at hand), and `pictures`, 256 x 256, drawn here. `HASHDB_BENCH_PATHS` names tar shards to take
//! instead, separated by colons, `HASHDB_BENCH_ROUNDS` how often all is measured (3), `HASHDB_BENCH_DIR` where
//! databases lie. Arguments choose sets by their names.
//!
//! The parts take turns, and the best round of each counts. Processor time is told beside the clock, since
//! it is what a busy machine does not change: decoding and encoding share the processors, so a whole that
//! costs nothing beyond its parts reaches their harmonic sum, which is told as the ceiling.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a bench prints, stops at the first surprise and reads its files itself"
)]

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hashdb::ingest::{IngestError, IngestOptions, ingest_with, pixels};
use hashdb::model::{Autoencoder, DeviceChoice, Encoder as _, Pixels, default_encoder};
use hashdb::{
    Address, BulkOptions, Code, Database, Options, Readable as _, WriteBatch, WriteOptions,
};

/// Threads of every part.
const THREADS: usize = 2;
/// Pictures that are encoded at once.
const BATCH: usize = 256;
/// Pictures of the set that is drawn here.
const DRAWN: u32 = 2000;
/// Records of the comparison of ways to write.
const RECORDS: usize = 400_000;

/// Pictures as they lie in shards.
struct Set {
    name: &'static str,
    shards: Vec<PathBuf>,
    files: Vec<Vec<u8>>,
}

/// What one run took.
#[derive(Clone, Copy)]
struct Cost {
    /// Seconds on the clock.
    clock: f64,
    /// Seconds of all processors.
    processor: f64,
}

impl Cost {
    fn of(work: impl FnOnce()) -> Self {
        let (start, before) = (Instant::now(), processor_seconds());
        work();
        Self { clock: start.elapsed().as_secs_f64(), processor: processor_seconds() - before }
    }

    fn best(self, other: Option<Self>) -> Self {
        let Some(other) = other else { return self };
        Self { clock: self.clock.min(other.clock), processor: self.processor.min(other.processor) }
    }
}

/// Processor time of this process, in seconds.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(") ").next().unwrap_or_default().split(' ');
    // Clock ticks of user and system, a hundred a second on every Linux.
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The encoded pictures of tar shards.
fn read_shards(shards: &[PathBuf]) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for shard in shards {
        let file = File::open(shard).unwrap();
        let packed = shard.extension().is_some_and(|ending| ending != "tar");
        let stream: Box<dyn Read> =
            if packed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
        for entry in tar::Archive::new(stream).entries().unwrap() {
            let mut entry = entry.unwrap();
            if entry.path_bytes().ends_with(b".jpg") {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).unwrap();
                files.push(bytes);
            }
        }
    }
    files
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// A picture of 256 x 256 pixels: waves, an edge and a little grain, as JPEG.
fn draw(number: u32) -> Vec<u8> {
    let [a, b, c] = [1, 2, 3].map(|part| mix(u64::from(number) * 4 + part) % 97);
    let picture = image::RgbImage::from_fn(256, 256, |x, y| {
        let grain = mix(u64::from(x) << 20 | u64::from(y) | u64::from(number) << 40) % 13;
        let wave = |speed: u64, turn: u64| {
            let angle = (u64::from(x) * (speed % 7 + 1) + u64::from(y) * (turn % 5 + 1)) % 256;
            u8::try_from(angle.min(255 - angle) + grain).unwrap()
        };
        let edge = if u64::from(x) * a + u64::from(y) * b > 128 * (a + c) { 60 } else { 0 };
        image::Rgb([wave(a, b), wave(b, c).saturating_add(edge), wave(c, a)])
    });
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85))
        .unwrap();
    bytes
}

/// The drawn set as a tar shard.
fn drawn(folder: &Path) -> PathBuf {
    let path = folder.join("drawn.tar");
    let mut shard = tar::Builder::new(File::create(&path).unwrap());
    for number in 0..DRAWN {
        let bytes = draw(number);
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        shard.append_data(&mut header, format!("{number:06}.jpg"), bytes.as_slice()).unwrap();
    }
    shard.finish().unwrap();
    path
}

fn thumbnails() -> Option<Vec<PathBuf>> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let data = std::env::var_os("HASHDB_TEST_DATA").map_or(default, PathBuf::from);
    let shards: Vec<_> = (0..3)
        .map(|number| format!("cifar10/train-{number:05}.tar.gz"))
        .chain((0..2).map(|number| format!("tinyimagenet32/train-{number:05}.tar.gz")))
        .map(|name| data.join(name))
        .collect();
    if shards.iter().all(|shard| shard.is_file()) {
        return Some(shards);
    }
    eprintln!("SKIPPED thumbnails: {} is not whole", data.display());
    None
}

/// Decodes all on so many threads.
fn decode(files: &[Vec<u8>]) -> Vec<Pixels> {
    let next = AtomicUsize::new(0);
    let mut parts: Vec<_> = std::thread::scope(|scope| {
        let work = || {
            let mut done = Vec::new();
            loop {
                let first = next.fetch_add(16, Ordering::Relaxed);
                let Some(some) = files.get(first..files.len().min(first + 16)) else { break };
                if some.is_empty() {
                    break;
                }
                for (file, at) in some.iter().zip(first..) {
                    done.push((at, Pixels::new(pixels(file).unwrap()).unwrap()));
                }
            }
            done
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    parts.sort_unstable_by_key(|(at, _)| *at);
    parts.into_iter().map(|(_, pixels)| pixels).collect()
}

/// Encodes all, batch after batch, each on as many threads as the encoder takes for itself.
fn encode(encoder: &Autoencoder, pictures: &[Pixels]) -> Vec<(Address, Code)> {
    let encoded = pictures.chunks(BATCH).flat_map(|batch| encoder.encode(batch).unwrap());
    encoded.map(|encoded| (encoded.address, encoded.code)).collect()
}

fn ingest(db: &Database, encoder: &Autoencoder, shards: &[PathBuf]) -> u64 {
    let encode = |pictures: Vec<Vec<u8>>| {
        let wrong = |error| IngestError::Encoder(Box::new(error));
        let pictures = pictures.into_iter().map(Pixels::new).collect::<Result<Vec<_>, _>>();
        let encoded = encoder.encode(&pictures.map_err(wrong)?).map_err(wrong)?;
        Ok(encoded.into_iter().map(|encoded| (encoded.address, encoded.code)).collect())
    };
    let options = IngestOptions::default().threads(THREADS);
    ingest_with(db, shards, &options, &encode, &mut ()).unwrap().done
}

fn measure(set: &Set, encoder: &Autoencoder, parent: &Path, rounds: u32) {
    let count = set.files.len();
    let pictures = decode(&set.files);
    let codes = encode(encoder, &pictures);
    let mut costs = [None; 3];
    for _ in 0..rounds {
        let decoding = Cost::of(|| assert_eq!(decode(&set.files).len(), count));
        let encoding = Cost::of(|| assert!(encode(encoder, &pictures) == codes));
        let folder = tempfile::tempdir_in(parent).unwrap();
        let db = Database::create(folder.path().join("db"), Options::new()).unwrap();
        let whole = Cost::of(|| {
            assert_eq!(ingest(&db, encoder, &set.shards), count as u64);
            db.sync().unwrap();
        });
        check(&db, &codes);
        for (cost, measured) in costs.iter_mut().zip([decoding, encoding, whole]) {
            *cost = Some(measured.best(*cost));
        }
    }
    let [decoding, encoding, whole] = costs.map(Option::unwrap);
    let bytes = set.files.iter().map(Vec::len).sum::<usize>() / count;
    println!("{}: {count} JPEGs, {bytes} bytes each", set.name);
    for (name, cost) in [("decode alone", decoding), ("encode alone", encoding), ("ingest", whole)]
    {
        let each = cost.processor / count as f64 * 1e6;
        println!(
            "    {name:<13} {:>7.2} s  {:>7.0} images/s, {each:.0} us of processor time each",
            cost.clock,
            count as f64 / cost.clock
        );
    }
    let ratio = |of: fn(&Cost) -> f64| {
        let (decoding, encoding) = (of(&decoding), of(&encoding));
        let slower = decoding.max(encoding);
        (slower / of(&whole), slower / (decoding + encoding))
    };
    let (clock, ceiling_by_clock) = ratio(|cost| cost.clock);
    let (processor, ceiling) = ratio(|cost| cost.processor);
    println!(
        "RATIO {}: ingest runs at {clock:.2} of the slower part by the clock (ceiling {ceiling_by_clock:.2}), \
         {processor:.2} by processor time (ceiling {ceiling:.2})",
        set.name
    );
}

/// Every record is there, in the order of the shards, with the codes of its picture.
fn check(db: &Database, codes: &[(Address, Code)]) {
    assert_eq!(db.len(), codes.len() as u64);
    let mut records: Vec<_> = db.iter().map(Result::unwrap).collect();
    records.sort_unstable_by_key(|record| record.id);
    for (record, (address, code)) in records.iter().zip(codes) {
        assert_eq!((&record.address, &record.code), (address, code));
    }
}

/// Two ways to write what an ingest makes: batches with the journal's note in each, synced now and then,
/// and one bulk load.
fn writes(codes: &[(Address, Code)], parent: &Path) {
    let records = || {
        (0..RECORDS).map(|number| {
            let (address, code) = &codes[number % codes.len()];
            (format!("shards/shard-{:06}.tar/{number:09}.jpg", number / 10_000), *address, code)
        })
    };
    let report = |name: &str, cost: Cost, db: &Database| {
        assert_eq!(db.len(), RECORDS as u64);
        println!(
            "{name:<14} {RECORDS} records in {:.2} s, {:.1} us of processor time each",
            cost.clock,
            cost.processor / RECORDS as f64 * 1e6
        );
    };
    let folder = tempfile::tempdir_in(parent).unwrap();
    for (name, every) in [("write-synced", 1), ("write-grouped", 16)] {
        let db = Database::create(folder.path().join(name), Options::new()).unwrap();
        let cost = Cost::of(|| {
            let mut batch = WriteBatch::new();
            let mut batches = 0;
            for (number, (key, address, code)) in records().enumerate() {
                batch.put(key.as_bytes(), address, code.clone(), b"");
                if (number + 1) % BATCH == 0 || number + 1 == RECORDS {
                    batch.put_note(b"note", format!("{{\"passed\":{number}}}").as_bytes());
                    batches += 1;
                    let sync = batches % every == 0;
                    db.write(std::mem::take(&mut batch), WriteOptions { sync }).unwrap();
                }
            }
            db.sync().unwrap();
        });
        report(name, cost, &db);
        // With what the background does of it.
        let cost = Cost::of(|| db.compact().unwrap());
        println!(
            "    and to compact {:.2} s, {:.2} s of processor time",
            cost.clock, cost.processor
        );
    }
    let db = Database::create(folder.path().join("bulk"), Options::new()).unwrap();
    let cost = Cost::of(|| {
        let mut loader = db.bulk_loader(BulkOptions::new().threads(THREADS)).unwrap();
        for (key, address, code) in records() {
            loader.put(key.as_bytes(), address, code, b"").unwrap();
        }
        loader.put_note(b"note", b"{}").unwrap();
        assert_eq!(loader.finish().unwrap().inserted, RECORDS as u64);
    });
    report("write-bulk", cost, &db);
}

fn main() {
    let wanted: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let wants = |name: &str| {
        wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()))
    };
    let rounds = std::env::var("HASHDB_BENCH_ROUNDS").ok().and_then(|text| text.parse().ok());
    let rounds = rounds.unwrap_or(3);
    let parent =
        std::env::var_os("HASHDB_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let encoder = default_encoder(DeviceChoice::Cpu).unwrap();
    let folder = tempfile::tempdir_in(&parent).unwrap();
    let mut sets = Vec::new();
    if let Some(paths) = std::env::var_os("HASHDB_BENCH_PATHS") {
        sets.push(("named", std::env::split_paths(&paths).collect()));
    } else {
        if wants("thumbnails") {
            sets.extend(thumbnails().map(|shards| ("thumbnails", shards)));
        }
        if wants("pictures") {
            sets.push(("pictures", vec![drawn(folder.path())]));
        }
    }
    for (name, shards) in sets {
        let files = read_shards(&shards);
        measure(&Set { name, shards, files }, &encoder, &parent, rounds);
    }
    if wants("writes") {
        let pictures = decode(&(0..u32::try_from(BATCH).unwrap()).map(draw).collect::<Vec<_>>());
        writes(&encode(&encoder, &pictures), &parent);
    }
}
