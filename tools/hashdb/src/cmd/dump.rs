//! `hashdb dump`: records as a table of another program.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, anyhow};
use hashdb::{Readable as _, Record, Snapshot, Stats};
use serde::Serialize;
use serde_json::json;

use crate::exit::Exit;
use crate::output::{Output, note};
use crate::progress::{Meter, Mode, State};
use crate::recent::Recent;
use crate::signals::Interrupt;
use crate::table::write::{self, STDOUT, Shape, Sink};
use crate::table::{Format, Rows};
use crate::text;

/// Write records to a table that hashdb load takes: numpy, Parquet, Arrow IPC, CSV, JSON lines
///
/// One state of the database is written, in the order of addresses, also while another process writes
/// to it. The table gets its name when it is whole; until then, and if the command is killed, it is FILE.*.tmp. numpy: FILE becomes a folder of .npy files. A column of
/// patch addresses is there if a record may have some.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// The table to write, which must not be there; - for standard output, with --format csv or
    /// jsonl
    file: PathBuf,
    /// The format [default: as the name tells]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Write only the records whose keys begin with this text
    #[arg(long, value_name = "TEXT")]
    filter_prefix: Option<OsString>,
    /// Write only the records with these ids, a list with commas
    #[arg(long, value_name = "IDS", value_delimiter = ',')]
    ids: Option<Vec<u64>>,
    /// How to show progress [default: bar on a terminal, plain otherwise]
    #[arg(long, value_enum)]
    progress: Option<Mode>,
    /// Print one JSON object at the end, unless the table goes to standard output
    #[arg(long)]
    json: bool,
}

/// Records whose values are looked up together, at first and at most: those that lie in one block are read with it.
const FIRST_GATHERED: usize = 1 << 12;
const MOST_GATHERED: usize = 1 << 19;
/// Bytes of records that are gathered, about, and of values at most: one beyond them is looked up by itself.
const GATHERED_BYTES: usize = 64 << 20;
/// Values between two looks whether the user wants to stop.
const LOOK: usize = 256;

/// What a dump did.
#[derive(Debug, Serialize)]
struct Report {
    records: u64,
    seconds: f64,
}

/// Writes the records.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let db = super::open_read_only(&args.db)?;
    let (stats, snapshot) = (db.stats(), db.snapshot());
    let Stats { code_bits, address_bits, patches, .. } = stats;
    let shape = Shape { code_bits, address_bits, has_patches: patches > 0 };
    let mut sink = write::create(&args.file, args.format, shape)?;
    let interrupt = Interrupt::install()?;
    let started = Instant::now();
    let mut shown = Shown::new(snapshot.len());
    let mut meter = Meter::new(args.progress);
    let dumped = copy(args, &snapshot, sink.as_mut(), &interrupt, |read, dumped| {
        shown.learn(read, dumped);
        meter.show(&shown);
    });
    meter.finish(&shown);
    let Some(records) = dumped? else {
        drop(sink);
        note(&match args.file.as_os_str() == STDOUT {
            true => "interrupted; standard output ends in the middle".to_owned(),
            false => format!("interrupted; {} was not written", args.file.display()),
        });
        return Ok(Exit::Interrupted);
    };
    sink.finish()?;
    if args.file.as_os_str() == STDOUT {
        return Ok(Exit::Done);
    }
    let report = Report { records, seconds: started.elapsed().as_secs_f64() };
    let mut output = Output::new();
    if args.json {
        output.json(&report)?;
    } else {
        let (records, file) = (text::count(records), args.file.display());
        output
            .line(format_args!("wrote {records} records to {file} in {:.1} s", report.seconds))?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

/// Records on their way from the database into the table.
struct Copy<'a> {
    snapshot: &'a Snapshot,
    sink: &'a mut dyn Sink,
    interrupt: &'a Interrupt,
    /// Those that pass the filters and were not written, and about how many bytes they take.
    records: Vec<Record>,
    bytes: usize,
    /// How many of them are gathered: as many as fit into memory with their values, by those that were met.
    most: usize,
    rows: Rows,
    dumped: u64,
}

/// Copies the records that pass the filters; says how many, or nothing if the user stopped it.
fn copy(
    args: &Args,
    snapshot: &Snapshot,
    sink: &mut dyn Sink,
    interrupt: &Interrupt,
    mut progress: impl FnMut(u64, u64),
) -> Result<Option<u64>> {
    let ids: Option<BTreeSet<u64>> = args.ids.as_ref().map(|ids| ids.iter().copied().collect());
    let prefix = args.filter_prefix.as_deref().unwrap_or_default().as_encoded_bytes();
    let passes = |record: &Record| {
        record.key.starts_with(prefix) && ids.as_ref().is_none_or(|ids| ids.contains(&record.id))
    };
    let mut copy = Copy {
        snapshot,
        sink,
        interrupt,
        records: Vec::new(),
        bytes: 0,
        most: FIRST_GATHERED,
        rows: Rows::default(),
        dumped: 0,
    };
    let mut read = 0;
    for record in snapshot.iter() {
        let record = record?;
        read += 1;
        if passes(&record) {
            copy.gather(record);
        }
        if copy.is_full() {
            // What is gathered is read when it is written.
            copy.write(|dumped, left| progress(read - left, dumped))?;
        }
        if read % 4096 == 0 {
            progress(read - copy.records.len() as u64, copy.dumped);
        }
        if interrupt.is_set() {
            return Ok(None);
        }
    }
    copy.write(|dumped, left| progress(read - left, dumped))?;
    if interrupt.is_set() {
        return Ok(None);
    }
    progress(read, copy.dumped);
    if let Some(ids) = ids
        && prefix.is_empty()
        && let Some(unknown @ 1..) = (ids.len() as u64).checked_sub(copy.dumped)
    {
        note(&format!("no record has {} of the ids", text::count(unknown)));
    }
    Ok(Some(copy.dumped))
}

impl Copy<'_> {
    fn gather(&mut self, record: Record) {
        let patches = size_of_val(record.patches.as_slice());
        self.bytes +=
            size_of::<Record>() + record.key.len() + record.code.as_bytes().len() + patches;
        self.records.push(record);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.most || self.bytes > GATHERED_BYTES
    }

    /// Writes the records that were gathered, as long as the user wants it, and tells how many were written by then and
    /// how many of them are left.
    fn write(&mut self, mut progress: impl FnMut(u64, u64)) -> Result<()> {
        let records = std::mem::take(&mut self.records);
        let (mut values, value_bytes) = self.values(&records)?;
        let taken = (std::mem::take(&mut self.bytes) + value_bytes).max(1);
        let fitting = records.len().saturating_mul(GATHERED_BYTES) / taken;
        self.most = fitting.clamp(LOOK, (self.most * 4).min(MOST_GATHERED));
        self.rows.clear(self.dumped);
        for (place, record) in records.iter().enumerate() {
            if place % LOOK == 0 && self.interrupt.is_set() {
                return Ok(());
            }
            let value = match values.get_mut(place).and_then(Option::take) {
                Some(value) => value,
                // One of none costs nothing.
                None => self.snapshot.value(record)?,
            };
            self.push(record, &value)?;
            if self.rows.room() == 0 || place + 1 == records.len() {
                self.sink.write(&self.rows)?;
                self.dumped += self.rows.len() as u64;
                self.rows.clear(self.dumped);
                progress(self.dumped, (records.len() - place - 1) as u64);
            }
        }
        Ok(())
    }

    /// The values of records by their places, as many as fit into memory, and their bytes.
    fn values(&self, records: &[Record]) -> Result<(Vec<Option<Vec<u8>>>, usize)> {
        let (mut values, mut bytes, mut count) = (vec![None; records.len()], 0, 0);
        self.snapshot.for_each_value(records, |place, value| {
            bytes += value.len() + size_of::<Vec<u8>>();
            count += 1;
            values[place] = Some(value.to_vec());
            let is_enough = bytes > GATHERED_BYTES;
            Ok(if is_enough || (count % LOOK == 0 && self.interrupt.is_set()) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok((values, bytes))
    }

    /// Appends a row.
    fn push(&mut self, record: &Record, value: &[u8]) -> Result<()> {
        let rows = &mut self.rows;
        rows.keys.push(&record.key);
        rows.addresses.push(record.address.value());
        rows.values.push(value);
        let patches = record.patches.iter().flat_map(|patch| patch.value().to_le_bytes());
        rows.patches.push(&patches.collect::<Vec<_>>());
        // The database's own codes have the width of all of them.
        rows.push_code(record.code.as_bytes()).map_err(|what| anyhow!("{what}"))
    }
}

/// The progress of a dump as it is shown.
#[derive(Debug)]
struct Shown {
    read: u64,
    records: u64,
    dumped: u64,
    recent: Recent,
}

impl Shown {
    fn new(records: u64) -> Self {
        Self { read: 0, records, dumped: 0, recent: Recent::starting(Instant::now()) }
    }

    fn learn(&mut self, read: u64, dumped: u64) {
        (self.read, self.dumped) = (read, dumped);
        self.recent.learn(Instant::now(), read);
    }

    fn seconds_left(&self) -> Option<u64> {
        let left = self.recent.left(self.records.saturating_sub(self.read));
        left.map(|left| left.as_secs())
    }
}

impl Serialize for Shown {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "read": self.read,
            "records": self.records,
            "dumped": self.dumped,
            "records_per_second": self.recent.rate(),
            "seconds_left": self.seconds_left(),
        })
        .serialize(serializer)
    }
}

impl State for Shown {
    fn line(&self) -> String {
        let [read, records, dumped] = [self.read, self.records, self.dumped].map(text::count);
        let mut line = format!("{read} of {records} records read, {dumped} written");
        if self.read < self.records {
            line += &format!(", {:.0}/s", self.recent.rate());
            if let Some(left) = self.seconds_left() {
                line += &format!(", {} left", text::seconds(left));
            }
        }
        line
    }

    fn fraction(&self) -> Option<f64> {
        Some(self.read as f64 / self.records.max(1) as f64)
    }
}
