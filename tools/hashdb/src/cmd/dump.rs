//! `hashdb dump`: records as a table of another program.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, anyhow};
use hashdb::{Readable as _, Record, Snapshot, Stats};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Output, note};
use crate::progress::{Meter, Mode, State};
use crate::signals::Interrupt;
use crate::table::write::{self, STDOUT, Shape, Sink};
use crate::table::{Format, Rows};
use crate::text;

/// Write records to a table that hashdb load takes: numpy, Parquet, Arrow IPC, CSV, JSON lines
///
/// One state of the database is written, in the order of addresses, also while another process writes
/// to it. The table gets its name when it is whole. numpy: FILE becomes a folder of .npy files. A column of
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
    let mut shown = Shown { read: 0, records: snapshot.len(), dumped: 0 };
    let mut meter = Meter::new(args.progress);
    let dumped = copy(args, &snapshot, sink.as_mut(), &interrupt, |read, dumped| {
        (shown.read, shown.dumped) = (read, dumped);
        meter.show(&shown);
    });
    meter.finish(&shown);
    let Some(records) = dumped? else {
        drop(sink);
        note(&format!("interrupted; {} was not written", args.file.display()));
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
    let (mut rows, mut read, mut dumped) = (Rows::default(), 0, 0);
    rows.clear(0);
    for record in snapshot.iter() {
        let record = record?;
        read += 1;
        if passes(&record) {
            dumped += 1;
            rows.keys.push(&record.key);
            rows.addresses.push(record.address.value());
            rows.values.push(&snapshot.value(&record)?);
            let patches = record.patches.iter().flat_map(|patch| patch.value().to_le_bytes());
            rows.patches.push(&patches.collect::<Vec<_>>());
            let pushed = rows.push_code(record.code.as_bytes());
            pushed.map_err(|what| anyhow!("{}: {what}", args.db.display()))?;
        }
        if rows.room() == 0 || read % 4096 == 0 {
            if interrupt.is_set() {
                return Ok(None);
            }
            progress(read, dumped);
        }
        if rows.room() == 0 {
            sink.write(&rows)?;
            rows.clear(dumped);
        }
    }
    if rows.len() > 0 {
        sink.write(&rows)?;
    }
    progress(read, dumped);
    Ok(Some(dumped))
}

/// The progress of a dump as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    read: u64,
    records: u64,
    dumped: u64,
}

impl State for Shown {
    fn line(&self) -> String {
        let [read, records, dumped] = [self.read, self.records, self.dumped].map(text::count);
        format!("{read} of {records} records read, {dumped} written")
    }

    fn fraction(&self) -> Option<f64> {
        Some(self.read as f64 / self.records.max(1) as f64)
    }
}
