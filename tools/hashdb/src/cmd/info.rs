//! `hashdb info`: what a database is, as it was created.

use std::path::PathBuf;

use anyhow::Result;
use hashdb::{Database, FORMAT_VERSION};
use serde::Serialize;

use crate::exit::Exit;
use crate::output::Output;
use crate::text;

/// Show what a database is: widths, encoder, format
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Debug, Serialize)]
struct Info {
    path: String,
    database_id: String,
    format: u16,
    code_bits: u16,
    address_bits: u8,
    indexes: String,
    encoder: Option<String>,
    encoder_bytes: Option<usize>,
    records: u64,
}

/// Prints the facts.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let db = super::open_read_only(&args.db)?;
    let info = gather(&db)?;
    let mut output = Output::new();
    if args.json {
        output.json(&info)?;
    } else {
        show(&mut output, &info)?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

fn gather(db: &Database) -> Result<Info> {
    let stats = db.stats();
    let weights = db.encoder().map(|_| db.read_model()).transpose()?;
    Ok(Info {
        path: stats.path.display().to_string(),
        database_id: stats.database_id,
        format: FORMAT_VERSION,
        code_bits: stats.code_bits,
        address_bits: stats.address_bits,
        indexes: stats.index.to_string(),
        encoder: stats.encoder,
        encoder_bytes: weights.map(|weights| weights.len()),
        records: stats.records,
    })
}

fn show(output: &mut Output, info: &Info) -> Result<()> {
    let weights =
        info.encoder_bytes.map(|length| format!(" ({} of weights)", text::bytes(length as u64)));
    let encoder = info.encoder.as_deref().unwrap_or("none");
    output.facts(&[
        ("path", text::one_line(&info.path)),
        ("database id", info.database_id.clone()),
        ("format", info.format.to_string()),
        ("code", format!("{} bits", info.code_bits)),
        ("address", format!("{} bits", info.address_bits)),
        ("indexes", info.indexes.clone()),
        ("encoder", format!("{encoder}{}", weights.unwrap_or_default())),
        ("records", text::count(info.records)),
    ])
}
