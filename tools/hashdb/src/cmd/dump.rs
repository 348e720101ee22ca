//! `hashdb dump`: records as a table of another program.

mod copy;
mod shown;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use hashdb::{Readable as _, Stats};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::{Output, note};
use crate::progress::{Meter, Mode};
use crate::signals::Interrupt;
use crate::table::Format;
use crate::table::write::{self, STDOUT, Shape};
use crate::text;
use copy::copy;
use shown::Shown;

/// Write records to a table that hashdb load takes: numpy, Parquet, Arrow IPC, CSV, JSON lines
///
/// One state of the database is written, in the order of addresses, also while another process writes
/// to it. The table gets its name when it is whole; until then, and if the command is killed, it is FILE.*.tmp.
/// numpy: FILE becomes a folder of .npy files. A column of patch addresses is there if a record may have some.
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
    let interrupt = Interrupt::install()?;
    let mut sink = write::create(&args.file, args.format, shape)?;
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
