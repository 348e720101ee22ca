//! The `hashdb` command: every operation of the library for people and scripts.
//!
//! Results go to standard output, as a table or, with `--json`, as one object or one object a line.
//! Progress, notes and errors go to standard error; an error is one sentence. Exit codes are in
//! [`exit`].

mod chart;
mod cmd;
mod damages;
mod decoding;
mod encoder;
mod exit;
mod files;
mod indexes;
mod lists;
mod npy;
mod output;
mod patches;
mod progress;
mod recent;
mod request;
mod sheet;
mod signals;
mod size;
mod stored;
mod table;
mod text;
mod threads;
mod vectors;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::exit::Exit;

/// Embedded, persistent key-value engine keyed by short binary codes.
#[derive(Debug, Parser)]
#[command(name = "hashdb", version, after_help = exit::HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Create(cmd::create::Args),
    Info(cmd::info::Args),
    Stats(cmd::stats::Args),
    Put(cmd::put::Args),
    Get(cmd::get::Args),
    Delete(cmd::delete::Args),
    Ingest(cmd::ingest::Args),
    Load(cmd::load::Args),
    Dump(cmd::dump::Args),
    Train(cmd::train::Args),
    Encode(cmd::encode::Args),
    Eval(cmd::eval::Args),
    Query(cmd::query::Args),
    Bench(cmd::bench::Args),
    DeviceCheck(cmd::device_check::Args),
    Scan(cmd::scan::Args),
    Check(cmd::check::Args),
    Repair(cmd::repair::Args),
    RecoverSpace(cmd::recover_space::Args),
    Compact(cmd::compact::Args),
    Backup(cmd::backup::Args),
    Restore(cmd::restore::Args),
    Completions(cmd::completions::Args),
}

fn main() -> ExitCode {
    signals::make_file_size_limit_an_error();
    let cli = Cli::parse();
    run(cli.command).unwrap_or_else(|error| exit::report(&error)).into()
}

fn run(command: Command) -> anyhow::Result<Exit> {
    match command {
        Command::Create(args) => cmd::create::run(&args),
        Command::Info(args) => cmd::info::run(&args),
        Command::Stats(args) => cmd::stats::run(&args),
        Command::Put(args) => cmd::put::run(&args),
        Command::Get(args) => cmd::get::run(&args),
        Command::Delete(args) => cmd::delete::run(&args),
        Command::Ingest(args) => cmd::ingest::run(&args),
        Command::Load(args) => cmd::load::run(&args),
        Command::Dump(args) => cmd::dump::run(&args),
        Command::Train(args) => cmd::train::run(&args),
        Command::Encode(args) => cmd::encode::run(&args),
        Command::Eval(args) => cmd::eval::run(&args),
        Command::Query(args) => cmd::query::run(&args),
        Command::Bench(args) => cmd::bench::run(&args),
        Command::DeviceCheck(args) => cmd::device_check::run(&args),
        Command::Scan(args) => cmd::scan::run(&args),
        Command::Check(args) => cmd::check::run(&args),
        Command::Repair(args) => cmd::repair::run(&args),
        Command::RecoverSpace(args) => cmd::recover_space::run(&args),
        Command::Compact(args) => cmd::compact::run(&args),
        Command::Backup(args) => cmd::backup::run(&args),
        Command::Restore(args) => cmd::restore::run(&args),
        Command::Completions(args) => cmd::completions::run(&args),
    }
}
