//! `hashdb load`: records of the user's own, millions of them, from tables of several formats.

mod source;
mod writer;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Result, anyhow};
use hashdb::{Database, IndexOptions, Options};
use serde::Serialize;

use crate::exit::{Exit, Usage};
use crate::indexes::IndexChoice;
use crate::output::{Output, note};
use crate::progress::Mode;
use crate::signals::Interrupt;
use crate::table::Format;
use crate::text;
use source::Source;
use writer::Load;

/// A quarter of the rows that a load keeps in memory before it writes a segment: 44 MB of 256-bit
/// codes in all.
const MEMTABLE_ROWS: usize = 250_000;

/// Put the rows of tables into a database: numpy, Parquet, Arrow IPC, CSV, JSON lines
///
/// A database that is not there is created with the widths of the tables. A record whose key is
/// there already is replaced. Ctrl-C stops between two batches and says how many rows are in;
/// what was reported as loaded is on the disk, and after a crash the rows that are there are the
/// first ones, without gaps.
#[derive(Debug, clap::Args)]
#[command(after_help = COLUMNS)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Tables: .parquet, .arrow, .feather, .csv, .jsonl, .npy, a folder of .npy files, or - for
    /// standard input
    #[arg(required_unless_present = "codes", conflicts_with = "codes")]
    files: Vec<PathBuf>,
    /// The format of all files [default: as their names tell]
    #[arg(long, value_enum, conflicts_with = "codes")]
    format: Option<Format>,
    /// Codes: uint8 of shape (rows, code bits / 8), as numpy.packbits packs them
    #[arg(long, value_name = "NPY")]
    codes: Option<PathBuf>,
    /// Addresses: uint32 of shape (rows,) [default: the first bits of each code]
    #[arg(long, value_name = "NPY", requires = "codes")]
    addresses: Option<PathBuf>,
    /// Keys, one a line, as many as rows, or an array of their bytes [default: the number of the
    /// row, from 0]
    #[arg(long, value_name = "FILE", requires = "codes")]
    keys: Option<PathBuf>,
    /// Values: uint8 of shape (rows, bytes), or an array of their bytes [default: none]
    #[arg(long, value_name = "NPY", requires = "codes")]
    values: Option<PathBuf>,
    /// Insist on a new database
    #[arg(long)]
    create: bool,
    /// Bits of an address of a new database, 8 to 32 [default: as the table tells, see below]
    #[arg(long, value_name = "BITS")]
    address_bits: Option<u8>,
    /// Indexes over codes of a new database: a list of multi, clusters and prefix, or all, or none
    /// [default: multi,clusters]
    #[arg(long, value_name = "LIST")]
    index: Option<IndexChoice>,
    /// Begin at this row, counted from 0
    #[arg(long, value_name = "ROW", default_value_t = 0)]
    from: u64,
    /// Leave it to later writers to merge segments; queries are slower until then
    #[arg(long)]
    no_compact: bool,
    /// How to show progress [default: bar on a terminal, plain otherwise]
    #[arg(long, value_enum)]
    progress: Option<Mode>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// The columns of a table, as the help explains them.
const COLUMNS: &str = "\
Columns: key, code, and optionally address and value; others are passed over.
  Parquet, Arrow IPC  key: utf8, binary or an integer; code: fixed-size binary, binary or a fixed-size
                      list of uint8; address: an integer; value: binary or utf8, null for none
  CSV                 a header; key or key_base64; code in hexadecimal; address as a number or as 0x and
                      hexadecimal digits; value or value_base64
  JSON lines          an object a line with members as the columns of CSV
  numpy               files codes.npy, addresses.npy, keys.txt or keys.npy, and values.npy of one
                      folder; keys.npy and values.npy are uint8 of shape (bytes,) beside an uint32 of
                      the lengths in keys.lengths.npy and values.lengths.npy, values.npy also uint8 of
                      shape (rows, bytes)
A row without an address takes the first bits of its code. A new database has addresses of as many bits
as the table tells: those that Parquet, Arrow and numpy tables of hashdb dump name, those of the digits of
the first address behind 0x, those that the largest address of addresses.npy needs in whole hexadecimal
digits, and 28 without addresses; else --address-bits must say.";

/// What a load did.
#[derive(Debug, Serialize)]
struct Report {
    created: bool,
    rows: Option<u64>,
    loaded: u64,
    inserted: u64,
    replaced: u64,
    seconds: f64,
    records_per_second: f64,
    compact_seconds: Option<f64>,
    records: u64,
    segments: usize,
    interrupted: bool,
}

/// Loads the rows, or as many of them as the user lets it.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let source = Source::open(args)?;
    let created = args.create || !Database::exists(&args.db);
    let db = if created { create(args, &source)? } else { open(args, &source)? };
    let interrupt = Interrupt::install()?;
    let mut load = Load::new(args, &db, source);
    let finished = load.run(&interrupt);
    load.finish();
    // Whatever stopped it, what was written shall stay.
    let synced = db.sync();
    let interrupted = !finished.and_then(|done| Ok(synced.map(|()| done)?)).map_err(|error| {
        let loaded = text::count(load.loaded);
        let of = load.total.map_or_else(String::new, |rows| format!(" of {}", text::count(rows)));
        anyhow!("{error}; {loaded}{of} rows were written before")
    })?;
    let seconds = load.started.elapsed().as_secs_f64();
    let compacts = !interrupted && !args.no_compact;
    let compact_seconds = compacts.then(|| compact(args, &db)).transpose()?;
    let stats = db.stats();
    let report = Report {
        created,
        rows: load.total,
        loaded: load.loaded,
        inserted: load.inserted,
        replaced: load.replaced,
        seconds,
        records_per_second: load.loaded as f64 / seconds.max(1e-9),
        compact_seconds,
        records: stats.records,
        segments: stats.segments.len(),
        interrupted,
    };
    tell(args, &report)?;
    if interrupted {
        let next = args.from + report.loaded;
        note(&format!(
            "interrupted; rows before {next} are in and on the disk, --from {next} loads the rest"
        ));
        return Ok(Exit::Interrupted);
    }
    Ok(Exit::Done)
}

/// Creates the database with the widths of the files.
fn create(args: &Args, source: &Source) -> Result<Database> {
    let code_bits = source.code_bits()?;
    let address_bits = args.address_bits.or_else(|| source.address_bits()).ok_or_else(|| {
        let db = args.db.display();
        Usage(format!("{db} is new and the table does not tell how wide its addresses are; give --address-bits"))
    })?;
    if !(8..=32).contains(&address_bits) {
        return Err(Usage(format!("--address-bits must be 8 to 32, not {address_bits}")).into());
    }
    source.check(code_bits, address_bits)?;
    let index = args.index.map_or_else(IndexOptions::default, |IndexChoice(index)| index);
    let options = options(args).code_bits(code_bits).address_bits(address_bits).index(index);
    let db = Database::create(&args.db, options)?;
    let path = args.db.display();
    note(&format!("created {path}: {code_bits}-bit codes, {address_bits}-bit addresses"));
    Ok(db)
}

/// Opens the database that is there.
fn open(args: &Args, source: &Source) -> Result<Database> {
    if args.index.is_some() {
        let db = args.db.display();
        let sentence = format!("{db} is there already; hashdb compact --index changes its indexes");
        return Err(Usage(sentence).into());
    }
    let db = Database::open(&args.db, options(args))?;
    let stats = db.stats();
    if let Some(asked) = args.address_bits
        && asked != stats.address_bits
    {
        let (db, bits) = (args.db.display(), stats.address_bits);
        let sentence = format!("--address-bits {asked} contradicts {db}, which has {bits} bits");
        return Err(Usage(sentence).into());
    }
    source.check(stats.code_bits, stats.address_bits)?;
    Ok(db)
}

/// What is merged in the end need not be merged on the way, and the fewer segments there are until
/// then, the fewer indexes are built in vain.
fn options(args: &Args) -> Options {
    match args.no_compact {
        true => Options::new(),
        false => Options::new().background(false).memtable_records(MEMTABLE_ROWS),
    }
}

/// Merges all segments and says how long that took.
fn compact(args: &Args, db: &Database) -> Result<f64> {
    if args.progress != Some(Mode::None) {
        note("all rows are in and on the disk; merging segments and building indexes");
    }
    let started = Instant::now();
    db.compact()?;
    Ok(started.elapsed().as_secs_f64())
}

fn tell(args: &Args, report: &Report) -> Result<()> {
    let mut output = Output::new();
    if args.json {
        output.json(report)?;
        return output.finish();
    }
    let Report { seconds, records_per_second, .. } = report;
    let loaded = text::count(report.loaded);
    output.line(format_args!(
        "loaded {loaded} records in {seconds:.1} s ({records_per_second:.0}/s)"
    ))?;
    if report.replaced > 0 {
        output.line(format_args!("{} took the place of others", text::count(report.replaced)))?;
    }
    if let Some(seconds) = report.compact_seconds {
        output.line(format_args!("merged into one segment in {seconds:.1} s"))?;
    }
    output.finish()
}
