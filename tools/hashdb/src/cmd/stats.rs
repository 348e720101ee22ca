//! `hashdb stats`: figures about a database.

use std::path::PathBuf;

use anyhow::Result;
use hashdb::Stats;
use serde::Serialize;

use crate::exit::Exit;
use crate::output::Output;
use crate::text;

/// Show figures about a database: records, segments, bytes, instruction set
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The answer in JSON.
#[derive(Debug, Serialize)]
struct Figures {
    records: u64,
    next_id: u64,
    memtable_rows: u64,
    deleted_rows: u64,
    segments: Vec<Segment>,
    segment_bytes: u64,
    record_bytes: u64,
    sequence: u64,
    simd: String,
}

#[derive(Debug, Serialize)]
struct Segment {
    number: u64,
    rows: u64,
    bytes: u64,
}

/// Prints the figures.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let figures = Figures::from(super::open_read_only(&args.db)?.stats());
    let mut output = Output::new();
    if args.json {
        output.json(&figures)?;
    } else {
        show(&mut output, &figures)?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

impl From<Stats> for Figures {
    fn from(stats: Stats) -> Self {
        let segments = stats.segments.iter().map(|segment| Segment {
            number: segment.number,
            rows: segment.rows,
            bytes: segment.bytes,
        });
        Self {
            records: stats.records,
            next_id: stats.next_id,
            memtable_rows: stats.memtable_rows,
            deleted_rows: stats.deleted_rows,
            segments: segments.collect(),
            segment_bytes: stats.segments.iter().map(|segment| segment.bytes).sum(),
            record_bytes: stats.record_bytes,
            sequence: stats.sequence,
            simd: stats.simd.to_string(),
        }
    }
}

fn show(output: &mut Output, figures: &Figures) -> Result<()> {
    output.facts(&[
        ("records", text::count(figures.records)),
        ("next id", text::count(figures.next_id)),
        ("memtable rows", text::count(figures.memtable_rows)),
        ("deleted rows", text::count(figures.deleted_rows)),
        ("segments", text::count(figures.segments.len() as u64)),
        ("segment bytes", text::bytes(figures.segment_bytes)),
        ("record bytes", text::bytes(figures.record_bytes)),
        ("sequence", text::count(figures.sequence)),
        ("distances by", figures.simd.clone()),
    ])?;
    if figures.segments.is_empty() {
        return Ok(());
    }
    output.line("")?;
    let rows = figures.segments.iter().map(|segment| {
        let (rows, bytes) = (text::count(segment.rows), text::bytes(segment.bytes));
        vec![segment.number.to_string(), rows, bytes]
    });
    output.table(&[">segment", ">rows", ">bytes"], rows.collect())
}
