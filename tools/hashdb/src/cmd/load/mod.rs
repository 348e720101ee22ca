//! `hashdb load`: records of the user's own, millions of them, from tables of several formats.

mod board;
mod source;
mod writer;

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use hashdb::{BulkReport, Database, Duplicates, IndexOptions, Options, Readable as _};
use serde::Serialize;

use crate::exit::{Exit, Usage};
use crate::files;
use crate::indexes::IndexChoice;
use crate::output::{Output, note};
use crate::progress::Mode;
use crate::signals::Interrupt;
use crate::size::Size;
use crate::table::Format;
use crate::text;
use source::Source;
use writer::Load;

/// Put the rows of tables into a database: numpy, Parquet, Arrow IPC, CSV, JSON lines
///
/// A database that is not there is created with the widths of the tables. Rows are sorted within --memory,
/// and in parts on the disk where that is too little, and all of them become part of the database at once: an
/// error, Ctrl-C or a crash before leaves it as it was, and the same command begins anew.
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
    /// Insist on a new database, or one without records
    #[arg(long)]
    create: bool,
    /// Bits of a code of a new database, 64 to 1024 in steps of 64 [default: as the table tells]
    #[arg(long, value_name = "BITS")]
    code_bits: Option<u16>,
    /// Bits of an address of a new database, 8 to 32 [default: as the table tells, see below]
    #[arg(long, value_name = "BITS")]
    address_bits: Option<u8>,
    /// Indexes over codes of a new database: a list of multi, clusters and prefix, or all, or none
    /// [default: multi,clusters]
    #[arg(long, value_name = "LIST")]
    index: Option<IndexChoice>,
    /// Begin at this row, counted from 0; what rows before it hold is not looked at
    #[arg(long, value_name = "ROW", default_value_t = 0)]
    from: u64,
    /// What happens to a key that is there already, in the database or earlier in the tables
    #[arg(long, value_enum, default_value_t)]
    duplicates: OnDuplicate,
    /// Memory to sort in and to build segments in, as 512MiB or 4GiB; more of it makes fewer segments
    #[arg(long, value_name = "SIZE", default_value = "1GiB")]
    memory: Size,
    /// How to show progress [default: bar on a terminal, plain otherwise]
    #[arg(long, value_enum)]
    progress: Option<Mode>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// The columns of a table, as the help explains them.
const COLUMNS: &str = "\
Columns: key, code, and optionally address, value and patches; others are passed over.
  Parquet, Arrow IPC  key: utf8, binary or an integer; code: fixed-size binary, binary or a fixed-size
                      list of uint8; address: an integer; value: binary or utf8, null for none; patches: a
                      list of an integer, the record's patch addresses
  CSV                 a header; key or key_base64; code in hexadecimal; address as a number or as 0x and
                      hexadecimal digits; value or value_base64; patches: addresses, spaces between them
  JSON lines          an object a line with members as the columns of CSV; patches: a list of addresses
  numpy               files codes.npy, addresses.npy, keys.txt or keys.npy, and values.npy of one
                      folder; keys.npy and values.npy are uint8 of shape (bytes,) beside an uint32 of
                      the lengths in keys.lengths.npy and values.lengths.npy, values.npy also uint8 of
                      shape (rows, bytes); patches.npy: uint32 beside patches.lengths.npy
All rows of a table have an address, or none has: each takes the first bits of its code then. A new
database has addresses of as many bits as the table tells: those that Parquet, Arrow and numpy tables of
hashdb dump name, in CSV and JSON lines those that address_bits names in the first row, or those of the
digits of its address behind 0x, those that the largest address of addresses.npy needs in whole
hexadecimal digits, and 28 without addresses; else --address-bits must say.";

/// What happens to a key that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum OnDuplicate {
    /// The load fails and changes nothing
    Error,
    /// What is there stays
    Skip,
    /// The new record takes the place of the old one
    #[default]
    Replace,
}

impl From<OnDuplicate> for Duplicates {
    fn from(choice: OnDuplicate) -> Self {
        match choice {
            OnDuplicate::Error => Self::Error,
            OnDuplicate::Skip => Self::Skip,
            OnDuplicate::Replace => Self::Replace,
        }
    }
}

/// What merging a row takes at most: bytes, and lengths of its code.
const MERGE_BYTES: u64 = 32;
const MERGE_CODES: u64 = 5;

/// What a load did.
#[derive(Debug, Serialize)]
struct Report {
    created: bool,
    loaded: u64,
    inserted: u64,
    replaced: u64,
    skipped: u64,
    seconds: f64,
    records_per_second: f64,
    records: u64,
    segments: usize,
}

/// Loads the rows, or as many of them as the user lets it.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let interrupt = Interrupt::install()?;
    let source = match Source::open(args, &interrupt) {
        // A pipe was waited for.
        Err(_) if interrupt.is_set() => return given_up(Ok(None), 0, false),
        source => source?,
    };
    let created = !Database::exists(&args.db);
    let db = if created { create(args, &source)? } else { open(args, &source)? };
    let mut load = Load::new(args, &db, source);
    let done = load.run(args, &db, &interrupt);
    if created && !matches!(done, Ok(Some(_))) && db.is_empty() {
        // The same command shall find what it found.
        drop(db);
        files::remove_database(&args.db);
        return given_up(done, load.read, false);
    }
    let Ok(Some(done)) = done else {
        // Only a commit that failed leaves it open what is on the disk.
        let in_doubt = matches!(db.sync(), Err(hashdb::Error::Poisoned));
        return given_up(done, load.read, in_doubt);
    };
    if let Some(IndexChoice(index)) = args.index.filter(|_| !created) {
        db.set_index(index)?;
    }
    let (seconds, stats) = (load.seconds(), db.stats());
    let BulkReport { inserted, replaced, skipped, .. } = done;
    let loaded = inserted + replaced;
    let report = Report {
        created,
        loaded,
        inserted,
        replaced,
        skipped,
        seconds,
        records_per_second: loaded as f64 / seconds.max(1e-9),
        records: stats.records,
        segments: stats.segments.len(),
    };
    tell(args, &report)?;
    Ok(Exit::Done)
}

/// Says what became of a load that did not come to its end.
fn given_up(done: Result<Option<BulkReport>>, read: u64, in_doubt: bool) -> Result<Exit> {
    let read = text::count(read);
    match done {
        Ok(_) => {
            note(&format!(
                "interrupted after {read} rows; nothing was loaded, and the same command begins anew"
            ));
            Ok(Exit::Interrupted)
        }
        Err(error) => {
            let state =
                if in_doubt { "see hashdb stats for what is in" } else { "nothing was loaded" };
            let sentence = format!("{error}; {read} rows were read, {state}");
            Err(error.context(sentence))
        }
    }
}

/// Creates the database with the widths of the files.
fn create(args: &Args, source: &Source) -> Result<Database> {
    let code_bits = match args.code_bits {
        Some(bits) if !(64..=1024).contains(&bits) || !bits.is_multiple_of(64) => {
            let sentence = format!("--code-bits must be 64 to 1024 in steps of 64, not {bits}");
            return Err(Usage(sentence).into());
        }
        Some(bits) => bits,
        None => source.code_bits()?,
    };
    let address_bits = args.address_bits.or_else(|| source.address_bits()).ok_or_else(|| {
        let db = args.db.display();
        Usage(format!("{db} is new and the table does not tell how wide its addresses are; give --address-bits"))
    })?;
    if !(8..=32).contains(&address_bits) {
        return Err(Usage(format!("--address-bits must be 8 to 32, not {address_bits}")).into());
    }
    source.check(code_bits, address_bits)?;
    let index = args.index.map_or_else(IndexOptions::default, |IndexChoice(index)| index);
    let options = options(args, code_bits).address_bits(address_bits).index(index);
    let db = Database::create(&args.db, options)?;
    let path = args.db.display();
    note(&format!("created {path}: {code_bits}-bit codes, {address_bits}-bit addresses"));
    Ok(db)
}

/// Options under which the background merges nothing that takes more memory than the load may: it would
/// begin on the new segments as soon as they are there.
fn options(args: &Args, code_bits: u16) -> Options {
    let merged = Options::new().code_bits(code_bits);
    let row = MERGE_BYTES + u64::from(code_bits) / 8 * MERGE_CODES;
    let rows = args.memory.bytes() as u64 / row;
    merged.segment_records(rows.min(1 << 24))
}

/// Opens the database that is there.
fn open(args: &Args, source: &Source) -> Result<Database> {
    // A table without rows does not say, and brings nothing to merge.
    let code_bits = source.code_bits().unwrap_or(256);
    let db = Database::open(&args.db, options(args, code_bits))?;
    let (stats, path) = (db.stats(), args.db.display());
    // One without records may be what a load left that was killed before it was through, and is as good as new.
    if args.create && stats.records > 0 {
        bail!("{path} already exists and holds {} records", text::count(stats.records));
    }
    match args.index {
        // It is changed with the load.
        Some(_) if stats.records == 0 => {}
        None => {}
        Some(_) => {
            let sentence =
                format!("{path} is there already; hashdb compact --index changes its indexes");
            return Err(Usage(sentence).into());
        }
    }
    let asked = [
        ("--code-bits", args.code_bits, stats.code_bits),
        ("--address-bits", args.address_bits.map(u16::from), stats.address_bits.into()),
    ];
    for (option, asked, bits) in asked {
        if let Some(asked) = asked.filter(|asked| *asked != bits) {
            let sentence = format!("{option} {asked} contradicts {path}, which has {bits} bits");
            return Err(Usage(sentence).into());
        }
    }
    source.check(stats.code_bits, stats.address_bits)?;
    Ok(db)
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
    if report.skipped > 0 {
        output.line(format_args!("{} were left out for others", text::count(report.skipped)))?;
    }
    output.finish()
}
