//! The bulk load: records a second and peak memory, against writing the same records in batches.
//!
//! `HASHDB_BENCH_ROWS` sets the number of records (default 1,000,000), `HASHDB_BENCH_DIR` where the
//! databases lie (default the folder for temporary files), `HASHDB_BENCH_MEMORY` the budget in MiB (1024).
//! Arguments choose cases by their names. The answer of every case is checked before it is told.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a bench prints, stops at the first surprise and looks into /proc"
)]

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use hashdb::{
    Address, BulkOptions, BulkStage, Code, Database, IndexOptions, Options, Readable as _,
    WriteBatch, WriteOptions,
};

const BATCH: u64 = 10_000;
const GETS: u64 = 50_000;
/// Records whose values a dump looks up together at most.
const GATHERED: usize = 1 << 19;

#[derive(Clone, Copy)]
enum Values {
    None,
    /// 100 bytes as a program would write them: a path and some numbers.
    Text,
    /// 100 bytes that nothing compresses.
    Noise,
}

/// Record `number`: a function of it alone.
struct Generator {
    values: Values,
    key: String,
    value: Vec<u8>,
}

fn mix(mut x: u64) -> u64 {
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

impl Generator {
    fn new(values: Values) -> Self {
        Self { values, key: String::new(), value: Vec::new() }
    }

    fn code(number: u64) -> Code {
        let mut bytes = [0; 32];
        for (word, part) in bytes.chunks_exact_mut(8).zip(0..) {
            word.copy_from_slice(&mix(number * 4 + part + 1).to_le_bytes());
        }
        Code::from_bytes(&bytes).unwrap()
    }

    fn address(number: u64) -> Address {
        Address::new(u32::try_from(mix(number * 4 + 1) & 0x0fff_ffff).unwrap(), 28).unwrap()
    }

    /// Keys come in no order.
    fn make(&mut self, number: u64) {
        use std::fmt::Write as _;
        use std::io::Write as _;
        self.key.clear();
        write!(self.key, "image-{:010}", number.wrapping_mul(7_368_787) % 10_000_000_000).unwrap();
        self.value.clear();
        match self.values {
            Values::None => {}
            Values::Text => {
                let (width, height) = (mix(number) % 4000, mix(number + 1) % 4000);
                write!(
                    self.value,
                    "{{\"path\":\"photos/{:05}/{number:09}.jpg\",\"size\":[{width},{height}],\"hash\":\"{:016x}\"}}",
                    number / 1000,
                    mix(number + 2)
                )
                .unwrap();
                self.value.resize(100, b' ');
            }
            Values::Noise => {
                for part in 0..13 {
                    self.value.extend_from_slice(&mix(number * 16 + part).to_le_bytes());
                }
                self.value.truncate(100);
            }
        }
    }
}

fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// The peak counts from here on.
fn forget_peak() {
    let _unsupported = std::fs::write("/proc/self/clear_refs", "5");
}

fn folder_mib(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_mib(&entry.path()) << 20,
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum::<u64>() >> 20
}

fn check(path: &Path, rows: u64, values: Values) {
    let start = Instant::now();
    let db = Database::open(path, Options::new()).unwrap();
    let opened = start.elapsed();
    let ball = db.ball(Generator::address(1), 2).unwrap();
    let first = start.elapsed();
    let again = Instant::now();
    assert_eq!(db.ball(Generator::address(1), 2).unwrap(), ball);
    println!(
        "    open {:.1} ms, with the first ball of radius 2 {:.1} ms; that ball again {:.3} ms",
        opened.as_secs_f64() * 1e3,
        first.as_secs_f64() * 1e3,
        again.elapsed().as_secs_f64() * 1e3
    );
    assert_eq!(db.len(), rows);
    let mut generator = Generator::new(values);
    for number in (0..rows).step_by(usize::try_from(rows / 50 + 1).unwrap()) {
        generator.make(number);
        let record = db.get(generator.key.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (record.address, &record.code),
            (Generator::address(number), &Generator::code(number))
        );
        assert_eq!(db.value(&record).unwrap(), generator.value);
        assert!(db.ball(record.address, 1).unwrap().iter().any(|near| near.id == record.id));
        assert_eq!(db.knn(&record.code, 1).unwrap()[0].id, record.id);
    }
    println!(
        "    a key that is there {:.1} us, one that is not {:.1} us",
        time_gets(&db, &mut generator, rows, 0),
        time_gets(&db, &mut generator, rows, rows)
    );
    if !matches!(values, Values::None) {
        race_values(&db);
    }
}

/// Microseconds a look-up by key, of records at random from `first` on.
fn time_gets(db: &Database, generator: &mut Generator, rows: u64, first: u64) -> f64 {
    let mut found = 0;
    let start = Instant::now();
    for number in 0..GETS {
        generator.make(first + mix(number + 1) % rows);
        found += u64::from(db.get(generator.key.as_bytes()).unwrap().is_some());
    }
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(found, if first == 0 { GETS } else { 0 });
    seconds * 1e6 / GETS as f64
}

/// The values of many records in the order of addresses, asked for one by one and together.
fn race_values(db: &Database) {
    let records: Vec<_> = db.iter().take(GATHERED).map(Result::unwrap).collect();
    let count = records.len() as f64;
    let mut together = vec![Vec::new(); records.len()];
    let start = Instant::now();
    db.for_each_value(&records, |place, value| {
        together[place] = value.to_vec();
        Ok(ControlFlow::Continue(()))
    })
    .unwrap();
    let of_all = start.elapsed().as_secs_f64();
    let start = Instant::now();
    let alone: Vec<_> = records.iter().map(|record| db.value(record).unwrap()).collect();
    let of_each = start.elapsed().as_secs_f64();
    assert_eq!(together, alone);
    println!(
        "    {count} values in the order of addresses: {:.2} us each one by one, {:.2} us together: {:.1} times",
        of_each * 1e6 / count,
        of_all * 1e6 / count,
        of_each / of_all
    );
}

fn bulk(path: &Path, rows: u64, values: Values, index: IndexOptions, budget: usize) -> f64 {
    let db = Database::create(path, Options::new().index(index).background(false)).unwrap();
    let start = Instant::now();
    let stages = std::sync::Arc::new(parking_lot::Mutex::new(Vec::<(BulkStage, f64)>::new()));
    let seen = std::sync::Arc::clone(&stages);
    let options = BulkOptions::new().memory_budget(budget).progress(move |progress| {
        let mut seen = seen.lock();
        if !seen.iter().any(|(stage, _)| *stage == progress.stage) {
            seen.push((progress.stage, start.elapsed().as_secs_f64()));
        }
    });
    let mut loader = db.bulk_loader(options).unwrap();
    let mut generator = Generator::new(values);
    for number in 0..rows {
        generator.make(number);
        let (address, code) = (Generator::address(number), Generator::code(number));
        loader.put(generator.key.as_bytes(), address, &code, &generator.value).unwrap();
    }
    let put = start.elapsed().as_secs_f64();
    let report = loader.finish().unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(report.inserted, rows);
    println!(
        "    put {put:.1} s; {}; {} runs, {} segments",
        stages
            .lock()
            .iter()
            .map(|(stage, at)| format!("{stage:?} from {at:.1} s"))
            .collect::<Vec<_>>()
            .join(", "),
        report.runs,
        report.segments
    );
    seconds
}

fn batches(path: &Path, rows: u64, values: Values) -> f64 {
    let db = Database::create(path, Options::new()).unwrap();
    let mut generator = Generator::new(values);
    let start = Instant::now();
    let mut batch = WriteBatch::new();
    for number in 0..rows {
        generator.make(number);
        let (address, code) = (Generator::address(number), Generator::code(number));
        batch.put(generator.key.as_bytes(), address, code, &generator.value);
        if batch.len() as u64 == BATCH || number + 1 == rows {
            db.write(std::mem::take(&mut batch), WriteOptions { sync: false }).unwrap();
        }
    }
    db.sync().unwrap();
    start.elapsed().as_secs_f64()
}

fn main() {
    let variable = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let rows = variable("HASHDB_BENCH_ROWS", 1_000_000);
    let budget = usize::try_from(variable("HASHDB_BENCH_MEMORY", 1024)).unwrap() << 20;
    let parent =
        std::env::var_os("HASHDB_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    let wanted: Vec<_> = std::env::args().skip(1).filter(|name| !name.starts_with('-')).collect();
    let wants = |name: &str| {
        wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str()))
    };

    let mut generator = Generator::new(Values::Text);
    let start = Instant::now();
    for number in 0..rows {
        generator.make(number);
        std::hint::black_box((Generator::address(number), Generator::code(number)));
    }
    println!(
        "{rows} records; making them takes {:.2} s of each case",
        start.elapsed().as_secs_f64()
    );

    let none = IndexOptions::none();
    let cases = [
        ("batches-text", Values::Text, None),
        ("bulk-text", Values::Text, Some(none)),
        ("bulk-noise", Values::Noise, Some(none)),
        ("bulk-codes", Values::None, Some(none)),
        ("bulk-text-indexes", Values::Text, Some(IndexOptions::default())),
    ];
    let mut baseline = None;
    for (name, values, index) in cases {
        if !wants(name) {
            continue;
        }
        let folder = tempfile::tempdir_in(&parent).unwrap();
        let path = folder.path().join("db");
        forget_peak();
        let seconds = match index {
            Some(index) => bulk(&path, rows, values, index, budget),
            None => batches(&path, rows, values),
        };
        let peak = peak_mib();
        check(&path, rows, values);
        #[expect(clippy::cast_precision_loss, reason = "for people")]
        let rate = rows as f64 / seconds;
        let ratio = baseline
            .map_or(String::new(), |base: f64| format!(", {:.1} times batches-text", rate / base));
        if name == "batches-text" {
            baseline = Some(rate);
        }
        println!(
            "{name:<18} {seconds:>7.2} s  {rate:>10.0} records/s{ratio}; peak {peak} MiB, on disk {} MiB",
            folder_mib(&path)
        );
    }
}
