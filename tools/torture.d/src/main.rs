//! `hashdb-torture`: kills, power cuts, flipped bits, cut files and full disks, and after each of them
//! the question whether the database keeps what it promised: it opens or names the damage, it holds
//! the state after some step no older than the last that was promised, `verify` is clean, and every
//! kind of answer is that of brute force.
//!
//! `tools/torture` builds and runs it. Everything follows from a seed, which is printed.
#![expect(clippy::disallowed_methods, reason = "it makes and damages files itself")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its results go to a terminal")]

mod blocklog;
mod child;
mod crash;
mod disk;
mod exam;
#[path = "../../../tests/fixtures/mod.rs"]
#[expect(dead_code, reason = "some of it only the library's tests ask for")]
mod fixtures;
mod judge;
mod mend;
mod model;
mod plan;
mod points;
mod report;
mod rows;
mod still;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};

use crate::report::{Outcome, Row};

/// Tries what hashdb promises in the worst of cases.
#[derive(Debug, Parser)]
#[command(
    name = "hashdb-torture",
    version,
    args_conflicts_with_subcommands = true,
    after_help = rows::HELP
)]
struct Cli {
    /// Few rounds of every row, some minutes in all (the default)
    #[arg(long)]
    quick: bool,
    /// As many rounds as a night has room for
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Only these rows
    #[arg(long = "row", value_name = "NAME")]
    rows: Vec<String>,
    /// The seed that everything follows from; the one that was printed replays a run
    #[arg(long, alias = "replay")]
    seed: Option<u64>,
    /// Rounds of each row, instead of its own number
    #[arg(long)]
    rounds: Option<u64>,
    /// How long the row `soak` runs after the loading, instead of 8 seconds, or an hour with --full
    #[arg(long, value_parser = clap::value_parser!(u64).range(5..))]
    seconds: Option<u64>,
    /// Where the row `soak` draws its curves, a PNG file; the samples go beside it, as CSV
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Where the row `blocks` keeps the disks that it finds fault with
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
    /// Where databases are made, instead of the folder for temporary files
    #[arg(long)]
    dir: Option<PathBuf>,
    #[command(subcommand)]
    inner: Option<Inner>,
}

/// What the program asks of itself.
#[derive(Debug, Subcommand)]
enum Inner {
    #[command(hide = true)]
    Child(child::Args),
    #[command(hide = true)]
    Judge(judge::Args),
    #[command(hide = true)]
    Upgrade(rows::upgrade::Args),
    #[command(hide = true)]
    Soaked(rows::soak::Args),
    #[command(hide = true)]
    Mend(mend::Args),
}

/// What every row is given.
#[derive(Debug)]
struct Context {
    seed: u64,
    full: bool,
    rounds: Option<u64>,
    seconds: Option<u64>,
    plot: Option<PathBuf>,
    keep: Option<PathBuf>,
    dir: PathBuf,
    stop: Arc<AtomicBool>,
}

impl Context {
    /// How many rounds a row runs.
    fn rounds(&self, quick: u64, full: u64) -> u64 {
        self.rounds.unwrap_or(if self.full { full } else { quick })
    }

    /// Whether the user wants to stop.
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// A folder for databases, kept if something fails.
    fn folder(&self) -> Result<tempfile::TempDir> {
        let made = tempfile::Builder::new().prefix("hashdb-torture-").tempdir_in(&self.dir);
        made.with_context(|| format!("make a folder in {}", self.dir.display()))
    }

    /// The same in memory, where it does not matter that a power cut would lose it.
    fn folder_in_memory(&self) -> Result<tempfile::TempDir> {
        let memory = PathBuf::from("/dev/shm");
        let builder = || tempfile::Builder::new().prefix("hashdb-torture-").to_owned();
        if memory.is_dir()
            && let Ok(folder) = builder().tempdir_in(&memory)
        {
            return Ok(folder);
        }
        self.folder()
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("hashdb-torture: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.inner {
        Some(Inner::Child(args)) => return child::run(&args).map(|()| ExitCode::SUCCESS),
        Some(Inner::Judge(args)) => return judge::run(&args).map(|()| ExitCode::SUCCESS),
        Some(Inner::Upgrade(args)) => {
            return rows::upgrade::child(&args).map(|()| ExitCode::SUCCESS);
        }
        Some(Inner::Soaked(args)) => {
            return rows::soak::run_child(&args).map(|()| ExitCode::SUCCESS);
        }
        Some(Inner::Mend(args)) => return mend::run(&args).map(|()| ExitCode::SUCCESS),
        None => {}
    }
    let seed = cli.seed.unwrap_or_else(|| fastrand::u64(..1 << 40));
    let stop = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&stop);
    ctrlc::set_handler(move || seen.store(true, Ordering::SeqCst)).context("watch for Ctrl-C")?;
    let Cli { full, rounds, seconds, plot, keep, .. } = cli;
    let dir = cli.dir.unwrap_or_else(std::env::temp_dir);
    let context = Context { seed, full, rounds, seconds, plot, keep, dir, stop };
    let chosen = rows::choose(&cli.rows)?;
    println!("hashdb-torture {} seed {seed}", if full { "--full" } else { "--quick" });
    let mut done = Vec::new();
    for (name, row) in chosen {
        println!("== {name} (replay: --row {name} --seed {seed})");
        let begin = Instant::now();
        let outcome = row(&context).unwrap_or_else(|error| {
            let mut outcome = Outcome::default();
            outcome.fail(format!("the row itself: {error:#}"));
            outcome
        });
        if let Some(reason) = &outcome.skipped {
            println!("   SKIPPED {name}: {reason}");
        }
        done.push(Row { name, outcome, took: begin.elapsed() });
        if context.stopped() {
            println!("stopped");
            break;
        }
    }
    report::print(&done);
    let passed = done.iter().all(Row::passed) && !context.stopped();
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
