//! `hashdb ingest`: pictures into a database.

mod shown;
mod watcher;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use hashdb::ingest::{
    ITEM_TIMEOUT, IngestOptions, Redo, Report, Siblings, check_sources, ingest_in_flight,
};
use hashdb::model::{DeviceChoice, Precision};
use hashdb::{Database, Options};
use serde_json::json;

use crate::encoder::BatchChoice;
use crate::exit::{Exit, Usage};
use crate::output::{Output, note};
use crate::patches::PatchChoice;
use crate::progress::Mode;
use crate::signals::Interrupt;
use crate::stored::Stored;
use crate::table::read::ImageColumns;
use crate::{encoder, lists, text, threads};
use watcher::Watcher;

/// Put pictures into a database: folders, files, shards, what a pattern matches, lists
///
/// A record's key is the path of the picture as given; for an entry of a shard it is the path of
/// the shard, a slash, and the entry's name. A broken picture never stops the run. A run that was stopped, by
/// whatever, is gone on with by the same command: what is done or was rejected is passed over.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Folders (searched recursively), picture files, shards (.tar, .tar.gz, .tgz, .tar.zst, .tzst, .zip,
    /// .parquet), in quotes patterns of their paths ('photos/**/*.jpg'), and @FILE or @- for --list FILE or
    /// --list - where nothing has the name @FILE itself
    #[arg(required_unless_present = "list", value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Read more paths from this file, one a line, or from standard input (-). They are no patterns; one that is
    /// not there is a reject. Relative ones begin at the current folder
    #[arg(long, value_name = "FILE")]
    list: Vec<PathBuf>,
    /// In lists paths end with a NUL byte and not with a line, as `find -print0` writes them
    #[arg(short = '0', long)]
    null: bool,
    /// Write every reject with its cause to this file, one JSON object a line; those of earlier runs too
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Try again what earlier runs rejected
    #[arg(long)]
    retry_rejects: bool,
    /// Read files and shards again that changed since: in size or time, and files in content or in the siblings that
    /// are asked for. What did not change keeps the value it has, also where --siblings is left out or a shard would be
    /// read with others or by other columns
    #[arg(long)]
    update: bool,
    /// Read everything again; after one over the same paths that was stopped, what that did not read, and its rejects
    #[arg(long, conflicts_with_all = ["retry_rejects", "update"])]
    again: bool,
    /// Delete the records of files and shards below the paths that are no longer there, and those of entries that a
    /// shard no longer has since it was read again; not with lists and patterns
    #[arg(long, conflicts_with = "list")]
    delete_missing: bool,
    /// Make the record's value of what stands beside the picture in its shard or folder: entries or files that
    /// have the same name up to the first dot, as in `WebDataset`. All of them, or those of these endings (json,txt)
    #[arg(long, value_name = "ENDINGS", num_args = 0..=1, require_equals = true, value_delimiter = ',')]
    siblings: Option<Vec<String>>,
    #[command(flatten)]
    stored: Stored,
    #[command(flatten)]
    patches: PatchChoice,
    /// The column of images in Parquet files [default: image, or the only one of structs with a field bytes]
    #[arg(long, value_name = "COLUMN")]
    image_column: Option<String>,
    /// The column that keys of images in Parquet files end with [default: the number of the row]
    #[arg(long, value_name = "COLUMN")]
    key_column: Option<String>,
    /// Columns of Parquet files that go into the value, a JSON object by column
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    value_columns: Vec<String>,
    /// How to show progress, on standard error [default: auto]
    #[arg(long, value_enum)]
    progress: Option<Mode>,
    /// Threads that decode [default: as many as the machine runs at once]
    #[arg(long, value_name = "N", value_parser = threads::parse)]
    threads: Option<usize>,
    /// Time to decode one picture, after which it is rejected as too-slow; 0 for no limit
    #[arg(long, value_name = "SECONDS", default_value_t = ITEM_TIMEOUT.as_secs())]
    item_timeout: u64,
    /// Where to encode: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Numbers to encode with: f32, bf16 or f16; another than the database's is refused [default: the
    /// database's]
    #[arg(long)]
    precision: Option<Precision>,
    /// Pictures that are encoded and written at once, 1 to 65536, or auto: try what is fast [default: auto on a
    /// GPU, 256 on the CPU]
    #[arg(long, value_name = "N")]
    batch: Option<BatchChoice>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// Runs the ingest, or as much of it as the user lets it.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let (mut given, mut named) = (Vec::new(), args.list.clone());
    for path in &args.paths {
        match lists::named(path) {
            Some(list) => named.push(list),
            None => given.push(path.clone()),
        }
    }
    check(args, &given, &named)?;
    let store = args.stored.store(&args.value_columns)?;
    let mut listed = Vec::new();
    for list in &named {
        lists::read(list, args.null, &mut listed)?;
    }
    let db = Database::open(&args.db, Options::new())?;
    let encoder = encoder::of_database_in(&db, args.device, args.precision)?;
    let patches = args.patches.count(&db, &encoder)?;
    let interrupt = Interrupt::install()?;
    let mut options = IngestOptions::default().cancel(interrupt.flag());
    options = options.item_timeout(match args.item_timeout {
        0 => Duration::MAX,
        seconds => Duration::from_secs(seconds),
    });
    let redo = Redo { rejects: args.retry_rejects, changed: args.update, all: args.again };
    options = options.redo(redo).delete_missing(args.delete_missing).listed(&listed).store(store);
    options = options.patches(patches);
    if let Some(threads) = args.threads {
        options = options.threads(threads);
    }
    options = options.batch(encoder::batch_for(&encoder, args.batch)?);
    let siblings = args.siblings.as_ref().map(|endings| match endings.as_slice() {
        [] => Siblings::all(),
        endings => Siblings::only(endings),
    });
    if let Some(siblings) = &siblings {
        options = options.siblings(siblings);
    }
    let columns = ImageColumns {
        image: args.image_column.clone(),
        key: args.key_column.clone(),
        values: args.value_columns.clone(),
    };
    options = options.format(&columns);
    // Before the file of rejects is begun anew.
    check_sources(&given, &options)?;
    let mut watcher = Watcher::new(args.progress, args.rejects.as_deref(), interrupt.clone())?;
    let submit = |pictures| encoder::submit(&encoder, pictures, patches > 0);
    let outcome = ingest_in_flight(&db, &given, &options, &submit, &mut watcher);
    // What went wrong first is told first; what was done is told, whatever becomes of the file of rejects.
    let named = watcher.finish(&db, &given, &listed);
    let report = outcome?;
    db.sync()?;
    tell(args, patches, &report)?;
    named?;
    Ok(if report.cancelled {
        note("interrupted; what was done is stored, and the same command does the rest");
        Exit::Interrupted
    } else if report.rejected_count() > 0 {
        Exit::Rejected
    } else {
        Exit::Done
    })
}

/// Refuses what makes no sense together.
fn check(args: &Args, given: &[PathBuf], lists: &[PathBuf]) -> Result<(), Usage> {
    let refuse = |sentence: &str| Err(Usage(sentence.into()));
    if args.null && lists.is_empty() {
        return refuse("-0 is for lists, and there is none");
    }
    if args.delete_missing && !lists.is_empty() {
        return refuse("--delete-missing takes paths: a list does not tell what is missing");
    }
    if args.delete_missing && given.iter().any(|path| is_pattern(path)) {
        return refuse("--delete-missing takes paths: a pattern does not tell what is missing");
    }
    Ok(())
}

/// Whether nothing is there under a path that looks like a pattern.
fn is_pattern(path: &Path) -> bool {
    let text = path.to_string_lossy();
    text.contains(['*', '?', '[', '{']) && path.symlink_metadata().is_err()
}

fn tell(args: &Args, patches: usize, report: &Report) -> Result<()> {
    if report.stored_otherwise > 0 {
        let count = text::count(report.stored_otherwise);
        note(&format!(
            "{count} files and shards that are done keep what they hold, of another --store, --patches, --siblings or \
             columns, or of siblings that changed since; --again reads them anew"
        ));
    }
    let seconds = report.elapsed.as_secs_f64();
    let rate = report.done as f64 / seconds.max(1e-9);
    let mut output = Output::new();
    if args.json {
        output.json(&json!({
            "done": report.done,
            "replaced": report.replaced,
            "rejected": report.rejected_count(),
            "rejected_by_cause": report.rejected,
            "skipped": report.skipped,
            "done_before": report.done_before,
            "stored_otherwise": report.stored_otherwise,
            "deleted": report.deleted,
            "patches": patches,
            "bytes": report.bytes,
            "seconds": seconds,
            "images_per_second": rate,
            "cancelled": report.cancelled,
        }))?;
        return output.finish();
    }
    let (done, bytes) = (text::count(report.done), text::bytes(report.bytes));
    output.line(format_args!(
        "ingested {done} images ({bytes}) in {seconds:.1} s, {rate:.0} a second"
    ))?;
    if report.replaced > 0 {
        let count = text::count(report.replaced);
        output.line(format_args!("replaced {count} records that had the same keys"))?;
    }
    if report.skipped > 0 {
        output.line(format_args!("passed over {} other files", text::count(report.skipped)))?;
    }
    if report.done_before > 0 {
        let count = text::count(report.done_before);
        output.line(format_args!("passed over {count} files and shards that are done"))?;
        if args.again {
            // Who wanted all of it in this run can have it now.
            note(
                "this went on with an --again that was stopped; the next one begins from the start",
            );
        }
    }
    if report.deleted > 0 {
        let count = text::count(report.deleted);
        output.line(format_args!("deleted {count} records whose files or entries are missing"))?;
    }
    if report.rejected_count() > 0 {
        output.line(format_args!("rejected {}:", text::count(report.rejected_count())))?;
        for (kind, count) in &report.rejected {
            output.line(format_args!("  {} {kind}", text::count(*count)))?;
        }
    }
    output.finish()
}
