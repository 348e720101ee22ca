//! `hashdb delete`: records by their keys.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::Result;
use hashdb::{WriteBatch, WriteOptions};
use serde_json::json;

use crate::exit::Exit;
use crate::output::Output;

/// Delete records; all of them or, on an error, none
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// The keys of the records; a key without a record is counted, not an error
    #[arg(required = true)]
    keys: Vec<OsString>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Deletes in one batch and prints how many there were.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let db = super::open(&args.db)?;
    let keys: BTreeSet<&OsString> = args.keys.iter().collect();
    let mut batch = WriteBatch::new();
    for key in &keys {
        batch.delete(key.as_encoded_bytes());
    }
    let deleted = db.write(batch, WriteOptions::default())?.deleted;
    let absent = keys.len() as u64 - deleted;
    let mut output = Output::new();
    if args.json {
        output.json(&json!({ "deleted": deleted, "absent": absent }))?;
    } else {
        output.line(format_args!("deleted {deleted}, absent {absent}"))?;
    }
    output.finish()?;
    Ok(Exit::Done)
}
