//! `hashdb restore`: a generation of a backup becomes a database.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use hashdb::Backup;
use serde_json::json;

use crate::cmd::backup::Watched;
use crate::exit::{self, Exit};
use crate::output::Output;
use crate::progress::Mode;
use crate::text;

/// Make a database of a generation in a backup folder
///
/// Every byte is checked on the way. A generation that is damaged is refused, and those that are whole
/// are named; what was written until then is removed again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The backup folder
    dir: PathBuf,
    /// The database directory to make; it must be absent or empty
    db: PathBuf,
    /// The generation [default: the newest]
    #[arg(long, value_name = "N")]
    generation: Option<u64>,
    /// How to show progress [default: bar on a terminal, plain otherwise]
    #[arg(long, value_enum)]
    progress: Option<Mode>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Restores and says what.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let started = Instant::now();
    let watched = Watched::new(args.progress, "restored");
    let backup = watched.watch(&Backup::at(&args.dir));
    let generation = match backup.restore(args.generation, &args.db) {
        Err(error) if error.is_corruption() => {
            exit::report(&error.into());
            return Ok(Exit::Damaged);
        }
        restored => watched.finish(restored)?,
    };
    let seconds = started.elapsed().as_secs_f64();
    let mut output = Output::new();
    if args.json {
        output.json(&json!({
            "path": args.db.display().to_string(),
            "generation": generation.number,
            "created_unix": generation.created,
            "sequence": generation.sequence,
            "records": generation.records,
            "files": generation.files,
            "bytes": generation.bytes,
            "seconds": seconds,
        }))?;
    } else {
        output.line(format_args!(
            "restored generation {}: {} records, {}, in {seconds:.1} s",
            generation.number,
            text::count(generation.records),
            text::bytes(generation.bytes)
        ))?;
    }
    output.finish()?;
    Ok(Exit::Done)
}
