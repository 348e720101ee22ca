//! `hashdb check`: reads every byte of a database and holds its parts against each other.

use std::path::{Path, PathBuf};

use anyhow::Result;
use hashdb::model::{DeviceChoice, Model, ModelError};
use hashdb::{Damage, Database, Error, Options, VerifyReport};
use serde::Serialize;

use crate::damages::{self, DamageLine};
use crate::encoder::matching;
use crate::exit::Exit;
use crate::output::{Output, note};
use crate::text;

/// Read every byte of a database and report all damage
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Look at the files before the database is opened, too: a log that ends in half a record, as a
    /// crash leaves it, and files that do not belong there count as damage
    #[arg(long)]
    strict: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The answer in JSON.
#[derive(Debug, Serialize)]
struct Answer {
    path: String,
    clean: bool,
    read_only: bool,
    records: u64,
    values: u64,
    segments: u64,
    segment_rows: u64,
    bytes: u64,
    damages: Vec<DamageLine>,
}

/// Checks the database and lists what is wrong with it.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    // Opening for writing tidies away what this looks for.
    let before = if args.strict { Database::check_files(&args.db)? } else { Vec::new() };
    let (mut report, read_only) = match examine(&args.db) {
        Ok(examined) => examined,
        Err(error) if error.is_corruption() => (unreadable(&args.db, &error), true),
        Err(error) => return Err(error.into()),
    };
    for damage in before {
        if !report.damages.contains(&damage) {
            report.damages.push(damage);
        }
    }
    let answer = Answer::new(&args.db, &report, read_only);
    let mut output = Output::new();
    if args.json {
        output.json(&answer)?;
    } else {
        show(&mut output, &answer)?;
    }
    output.finish()?;
    if answer.clean {
        return Ok(Exit::Done);
    }
    note(&format!(
        "{} is damaged; run hashdb repair --dry-run to see what can be done, or restore a backup",
        text::one_line(&answer.path)
    ));
    Ok(Exit::Damaged)
}

/// Verifies the database, alone with it if possible: beside a writer files come and go, and what was
/// durable at which moment cannot be told exactly.
fn examine(path: &Path) -> Result<(VerifyReport, bool), Error> {
    let (db, read_only) = match Database::open(path, Options::new().background(false)) {
        Ok(db) => (db, false),
        Err(error) if error.is_corruption() => return Err(error),
        // Locked by a writer, or a disk that is full or read-only.
        Err(Error::Locked { .. } | Error::Io { .. } | Error::Records { .. }) => {
            (Database::open_read_only(path, Options::new())?, true)
        }
        Err(error) => return Err(error),
    };
    let mut report = db.verify()?;
    report.damages.extend(model_damage(&db)?);
    Ok((report, read_only))
}

/// What is wrong with the weights of the database's encoder. That they are there, the engine knows.
fn model_damage(db: &Database) -> Result<Option<Damage>, Error> {
    let Some(expected) = db.encoder() else {
        return Ok(None);
    };
    let path = db.stats().path.join("models").join(format!("{expected}.safetensors"));
    let Ok(weights) = db.read_model() else {
        return Ok(None);
    };
    let encoder = Model::from_bytes(&weights, DeviceChoice::Cpu);
    let description = match encoder.and_then(|encoder| matching(encoder, expected)) {
        Err(ModelError::OtherEncoder { found, .. }) => {
            format!("its fingerprint is {found}, expected {expected}")
        }
        Err(error) => error.to_string(),
        Ok(_) => return Ok(None),
    };
    Ok(Some(Damage { path, description }))
}

/// The report on a database that is too damaged to be opened.
fn unreadable(path: &Path, error: &Error) -> VerifyReport {
    let path = match error {
        Error::Corruption { path, .. } | Error::Records { path, .. } => path,
        _ => path,
    };
    let (path, description) = (path.to_path_buf(), error.to_string());
    VerifyReport { damages: vec![Damage { path, description }], ..VerifyReport::default() }
}

impl Answer {
    fn new(path: &Path, report: &VerifyReport, read_only: bool) -> Self {
        Self {
            path: path.display().to_string(),
            clean: report.is_clean(),
            read_only,
            records: report.records,
            values: report.values,
            segments: report.segments,
            segment_rows: report.segment_rows,
            bytes: report.bytes,
            damages: damages::lines(&report.damages),
        }
    }
}

fn show(output: &mut Output, answer: &Answer) -> Result<()> {
    damages::show(output, &answer.damages)?;
    let (records, segments) = (text::count(answer.records), text::count(answer.segments));
    let (rows, bytes) = (text::count(answer.segment_rows), text::bytes(answer.bytes));
    let damages = match answer.damages.len() {
        0 => "no damage".to_owned(),
        count => format!("damage in {count} places"),
    };
    let beside = if answer.read_only { " (read-only)" } else { "" };
    output.line(format_args!(
        "{damages}: read {records} records, {segments} segments with {rows} rows, {bytes}{beside}"
    ))
}
