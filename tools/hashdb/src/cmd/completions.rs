//! `hashdb completions`: what a shell needs to complete the command line.

use anyhow::Result;
use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::exit::Exit;
use crate::output::Output;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    shell: Shell,
}

/// Prints the script.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    // The generator panics where its writer fails, so it gets one that cannot.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "hashdb", &mut script);
    let mut output = Output::new();
    output.bytes(&script)?;
    output.finish()?;
    Ok(Exit::Done)
}
