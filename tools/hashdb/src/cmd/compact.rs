//! `hashdb compact`: one segment, without what was deleted.

use std::path::PathBuf;

use anyhow::Result;
use hashdb::{Database, Stats};
use serde_json::json;

use crate::exit::Exit;
use crate::indexes::IndexChoice;
use crate::output::Output;
use crate::text;

/// Merge all segments into one and give back the space of deleted records
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Change the indexes over codes from now on: a list of multi, clusters and prefix, or all, or
    /// none
    #[arg(long, value_name = "LIST")]
    index: Option<IndexChoice>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Compacts and prints the sizes before and after.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let db = super::open(&args.db)?;
    let before = Size::of(&db);
    if let Some(IndexChoice(index)) = args.index {
        db.set_index(index)?;
    }
    db.compact()?;
    let after = Size::of(&db);
    let mut output = Output::new();
    if args.json {
        output.json(&json!({
            "records": after.records,
            "segments_before": before.segments,
            "segments": after.segments,
            "bytes_before": before.bytes,
            "bytes": after.bytes,
        }))?;
    } else {
        let segments = format!("{} -> {}", before.segments, after.segments);
        let (old, new) = (text::bytes(before.bytes), text::bytes(after.bytes));
        output.facts(&[
            ("records", text::count(after.records)),
            ("segments", segments),
            ("bytes", format!("{old} -> {new}")),
        ])?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

/// How large a database is.
struct Size {
    records: u64,
    segments: usize,
    bytes: u64,
}

impl Size {
    fn of(db: &Database) -> Self {
        let Stats { records, segments, record_bytes, .. } = db.stats();
        let segment_bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        Self { records, segments: segments.len(), bytes: record_bytes + segment_bytes }
    }
}
