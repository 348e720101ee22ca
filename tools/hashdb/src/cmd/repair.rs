//! `hashdb repair`: makes a damaged database whole again.

use std::path::PathBuf;

use anyhow::Result;
use hashdb::{Database, RepairOptions, RepairReport};
use serde_json::{Value, json};

use crate::damages;
use crate::exit::Exit;
use crate::output::{Output, note};
use crate::text;

/// Make a damaged database whole again from its records; nothing is given up without leave
///
/// Segments, keys, counters and the superblock are made anew from the records. If records or values
/// cannot be read, nothing is changed and the exit code is 3, unless --accept-loss is given. Damaged
/// files are kept in the folder `damaged` of the database.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Give up records and values that cannot be read, and say how many they are
    #[arg(long)]
    accept_loss: bool,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Repairs the database and says what became of it.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let options = RepairOptions::new().accept_loss(args.accept_loss).dry_run(args.dry_run);
    let report = Database::repair(&args.db, options)?;
    let mut output = Output::new();
    if args.json {
        output.json(&object(&report))?;
    } else {
        show(&mut output, &report)?;
    }
    output.finish()?;
    let loses = report.dry_run && report.is_lossy() && !args.accept_loss;
    if loses {
        note("hashdb repair would need --accept-loss");
    }
    let sound = report.remaining.is_empty() && !loses;
    Ok(if sound { Exit::Done } else { Exit::Damaged })
}

fn object(report: &RepairReport) -> Value {
    json!({
        "dry_run": report.dry_run,
        "was_sound": report.was_sound(),
        "damages": damages::lines(&report.damages),
        "records_before": report.records_before,
        "records": report.records_after,
        "lost_records": report.lost_records,
        "lost_values": report.lost_values,
        "notes_in_doubt": report.notes_in_doubt,
        "salvaged": report.salvaged,
        "sequence_expected": report.sequence_expected,
        "sequence_found": report.sequence_found,
        "segments_replaced": report.segments_replaced,
        "rows_rebuilt": report.rows_rebuilt,
        "records_rebuilt": report.records_rebuilt,
        "keys_rebuilt": report.keys_rebuilt,
        "superblock_rebuilt": report.superblock_rebuilt,
        "kept": report.kept.as_ref().map(|kept| kept.display().to_string()),
        "remaining": damages::lines(&report.remaining),
    })
}

fn show(output: &mut Output, report: &RepairReport) -> Result<()> {
    damages::show(output, &damages::lines(&report.damages))?;
    if report.was_sound() {
        return output.line("nothing to repair");
    }
    let count = text::count;
    let before = report.records_before.map_or_else(|| "unknown".to_owned(), count);
    let expected = report.sequence_expected.map_or_else(|| "unknown".to_owned(), count);
    let kept = report
        .kept
        .as_ref()
        .map_or_else(|| "none".to_owned(), |kept| text::one_line(&kept.display().to_string()));
    let superblock = match (report.superblock_rebuilt, report.sequence_expected) {
        (false, _) => "as it was",
        (true, Some(_)) => "one slot made anew",
        (true, None) => "made anew; whether records were rolled back cannot be told",
    };
    output.facts(&[
        ("records", format!("{before} -> {}", count(report.records_after))),
        ("lost records", count(report.lost_records)),
        ("lost values", count(report.lost_values)),
        ("notes", (if report.notes_in_doubt { "may be lost" } else { "all there" }).to_owned()),
        ("sequence", format!("{expected} -> {}", count(report.sequence_found))),
        ("record store", (if report.salvaged { "salvaged" } else { "as it was" }).to_owned()),
        ("superblock", superblock.to_owned()),
        ("segments replaced", count(report.segments_replaced)),
        ("rows rebuilt", count(report.rows_rebuilt)),
        ("records rebuilt", count(report.records_rebuilt)),
        ("keys rebuilt", count(report.keys_rebuilt)),
        ("damaged files", kept),
    ])?;
    for damage in &report.remaining {
        let line = format!("still wrong: {}: {}", damage.path.display(), damage.description);
        output.line(text::one_line(&line))?;
    }
    let done = if report.dry_run { "nothing was changed" } else { "repaired and checked" };
    output.line(done)
}
