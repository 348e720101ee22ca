//! `hashdb stats`: figures about a database.

use std::path::PathBuf;

use anyhow::Result;
use hashdb::{Readable as _, Snapshot, Stats};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::Output;
use crate::progress::{Meter, Mode, State};
use crate::text;

/// Show figures about a database: records, segments, bytes, instruction set
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Read all records and show their digest: databases with the same widths, keys, addresses,
    /// codes, values and patch addresses have the same one, whatever their ids and history
    #[arg(long)]
    digest: bool,
    /// Threads that read for the digest [default: one a core]
    #[arg(
        long,
        value_name = "N",
        requires = "digest",
        default_value_t = 0,
        hide_default_value = true
    )]
    threads: usize,
    /// How to show the progress of the digest [default: bar on a terminal, plain otherwise]
    #[arg(long, value_enum, requires = "digest")]
    progress: Option<Mode>,
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
    patched_records: u64,
    patches: u64,
    patch_bytes: u64,
    segments: Vec<Segment>,
    segment_bytes: u64,
    record_bytes: u64,
    sequence: u64,
    simd: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

#[derive(Debug, Serialize)]
struct Segment {
    number: u64,
    rows: u64,
    bytes: u64,
}

/// Prints the figures.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let db = super::open_read_only(&args.db)?;
    let mut figures = Figures::from(db.stats());
    if figures.patches > 0 {
        figures.patched_records = db.patched_records()?;
    }
    if args.digest {
        figures.digest = Some(digest(&db.snapshot(), args)?);
    }
    let mut output = Output::new();
    if args.json {
        output.json(&figures)?;
    } else {
        show(&mut output, &figures)?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

/// Reads all records.
fn digest(snapshot: &Snapshot, args: &Args) -> Result<String> {
    let mut meter = Meter::new(args.progress);
    let mut shown = Shown { hashed: 0, records: snapshot.len() };
    let found = snapshot.digest(args.threads, &mut |hashed| {
        shown.hashed = hashed;
        meter.show(&shown);
    });
    meter.finish(&shown);
    Ok(found?.to_string())
}

/// The progress of a digest as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    hashed: u64,
    records: u64,
}

impl State for Shown {
    fn line(&self) -> String {
        let (hashed, records) = (text::count(self.hashed), text::count(self.records));
        format!("{hashed} of {records} records hashed")
    }

    fn fraction(&self) -> Option<f64> {
        Some(self.hashed as f64 / self.records.max(1) as f64)
    }
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
            patched_records: 0,
            patches: stats.patches,
            patch_bytes: stats.patch_bytes,
            segments: segments.collect(),
            segment_bytes: stats.segments.iter().map(|segment| segment.bytes).sum(),
            record_bytes: stats.record_bytes,
            sequence: stats.sequence,
            simd: stats.simd.to_string(),
            digest: None,
        }
    }
}

fn show(output: &mut Output, figures: &Figures) -> Result<()> {
    let mut facts = vec![
        ("records", text::count(figures.records)),
        ("next id", text::count(figures.next_id)),
        ("memtable rows", text::count(figures.memtable_rows)),
        ("deleted rows", text::count(figures.deleted_rows)),
        ("segments", text::count(figures.segments.len() as u64)),
        ("segment bytes", text::bytes(figures.segment_bytes)),
        ("record bytes", text::bytes(figures.record_bytes)),
        ("sequence", text::count(figures.sequence)),
        ("distances by", figures.simd.clone()),
    ];
    if figures.patches > 0 {
        facts.extend([
            ("with patches", text::count(figures.patched_records)),
            ("patches", text::count(figures.patches)),
            ("patch bytes", text::bytes(figures.patch_bytes)),
        ]);
    }
    facts.extend(figures.digest.iter().map(|digest| ("digest", digest.clone())));
    output.facts(&facts)?;
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
