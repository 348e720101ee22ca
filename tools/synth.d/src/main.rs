//! Records and pictures from a seed, as many as are wanted: what loads and ingests are tried with.
//!
//! Every file is a function of the arguments alone, whatever the number of threads, and has its name
//! only when it is whole.

mod draft;
mod images;
mod random;
mod records;
mod report;
mod work;

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};

/// Makes records and pictures from a seed.
#[derive(Debug, Parser)]
#[command(name = "synth", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Records(records::Args),
    Images(images::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Records(args) => records::run(&args),
        Command::Images(args) => images::run(&args),
    };
    let Err(error) = done else { return ExitCode::SUCCESS };
    let _nobody_to_tell = writeln!(io::stderr(), "synth: {error:#}");
    ExitCode::FAILURE
}

/// Makes the folder, or checks that what is in it is written anew by this run: files of an earlier one that are left
/// beside those of this one would be taken for a part of them.
#[expect(clippy::disallowed_methods, reason = "the error names the path")]
fn make_folder(folder: &Path, is_foreign: impl Fn(&str) -> bool) -> Result<()> {
    let shown = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("cannot make {shown}"))?;
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {shown}"))?;
    for entry in entries {
        let name = entry.with_context(|| format!("cannot read {shown}"))?.file_name();
        if let Some(name) = name.to_str().filter(|name| is_foreign(name)) {
            bail!("{shown} holds {name} of another run; remove it, or name another folder");
        }
    }
    Ok(())
}

/// As many threads as were asked for, or one a core.
fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| thread::available_parallelism().map_or(1, Into::into)).max(1)
}
