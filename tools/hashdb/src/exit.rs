//! Exit codes, and errors on their way to one sentence on standard error.

use std::fmt;
use std::process::ExitCode;

use crate::output::{self, Closed};
use crate::text;

/// The exit codes, as the help of the command lists them.
pub(crate) const HELP: &str = "Exit codes: 0 done, 1 error, 2 usage, 3 damage found, \
    4 finished but some inputs were rejected, 130 interrupted.";

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All that was asked for was done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The arguments contradict each other.
    Usage = 2,
    /// The database is damaged.
    Damaged = 3,
    /// It finished, but some inputs were rejected.
    Rejected = 4,
    /// It was interrupted and stopped cleanly.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Arguments that contradict each other, where that shows only after the parser is done.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl fmt::Display for Usage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Tells the user about an error and chooses the exit code. A reader that went away, as `head`
/// does, is no error.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    if error.is::<Closed>() {
        return Exit::Done;
    }
    output::note(&text::one_line(&error.to_string()));
    if error.is::<Usage>() { Exit::Usage } else { Exit::Failed }
}

/// The exit of a command that named `rejected` of `total` inputs on standard error.
pub(crate) fn of_rejects(rejected: usize, total: usize) -> Exit {
    match rejected {
        0 => Exit::Done,
        all if all == total => Exit::Failed,
        _ => Exit::Rejected,
    }
}
