//! `hashdb recover-space`: room to write on a disk that has run full.

use std::path::PathBuf;

use anyhow::Result;
use hashdb::{Database, Options};
use serde_json::json;

use crate::exit::Exit;
use crate::output::Output;
use crate::text;

/// Make room on a full disk: give back the reserve, recover, and reclaim the space of deleted records
///
/// Reading commands need no room. The reserve is taken again by a later seal or `hashdb compact`, when
/// there is room for it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory
    db: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Gives the reserve back and says how much is free.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let report = Database::recover_space(&args.db, Options::new())?;
    let mut output = Output::new();
    if args.json {
        output.json(&json!({
            "released": report.released,
            "free_before": report.free_before,
            "free": report.free,
            "not_compacted": report.not_compacted,
        }))?;
    } else {
        let compacted = report.not_compacted.unwrap_or_else(|| "yes".to_owned());
        output.facts(&[
            ("reserve given back", text::bytes(report.released)),
            (
                "free",
                format!("{} -> {}", text::bytes(report.free_before), text::bytes(report.free)),
            ),
            ("compacted", text::one_line(&compacted)),
        ])?;
    }
    output.finish()?;
    Ok(Exit::Done)
}
