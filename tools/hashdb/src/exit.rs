//! Exit codes, and errors on their way to one sentence on standard error.

use std::fmt;
use std::process::ExitCode;

use crate::output::{self, Closed};
use crate::text;

/// The exit codes, as the help of the command lists them.
pub(crate) const HELP: &str = "Exit codes: 0 done, 1 error, 2 usage, 3 damage found (check, backup --verify, \
    restore) or left (repair), 4 finished but some inputs were rejected, 130 interrupted.";

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

impl Exit {
    /// Done, but for so many inputs that were rejected on the way.
    pub(crate) fn but_for(rejected: u64) -> Self {
        if rejected > 0 { Self::Rejected } else { Self::Done }
    }
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
    let sentence = format!("{error}{}", error.downcast_ref().map_or("", way_out));
    output::note(&text::one_line(&sentence));
    match error.downcast_ref() {
        Some(hashdb::Error::WouldLose { .. }) => Exit::Damaged,
        _ if error.is::<Usage>() => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// What to do about an error of the engine, where that is not in it.
fn way_out(error: &hashdb::Error) -> &'static str {
    match error {
        hashdb::Error::WouldLose { .. } => {
            "; nothing was changed: restore a backup, or run hashdb repair --accept-loss"
        }
        hashdb::Error::NotADatabase { path } if path.symlink_metadata().is_err() => {
            "; hashdb create makes a new one"
        }
        hashdb::Error::NotADatabase { path } if path.join("records").is_dir() => {
            "; if it was one, hashdb repair saves what is left of it"
        }
        hashdb::Error::DamagedBackup { whole, .. } if whole.is_empty() => {
            "; no generation is whole: as long as the database is there, hashdb backup makes a new one"
        }
        hashdb::Error::DamagedBackup { .. } => "; --generation restores one that is whole",
        error if error.is_corruption() => {
            "; run hashdb check, then hashdb repair, or restore a backup"
        }
        error if error.is_disk_full() => {
            "; the disk is full: reading still works, and hashdb recover-space makes room to write"
        }
        _ => "",
    }
}

/// The exit of a command that named `rejected` of `total` inputs on standard error.
pub(crate) fn of_rejects(rejected: usize, total: usize) -> Exit {
    match rejected {
        0 => Exit::Done,
        all if all == total => Exit::Failed,
        _ => Exit::Rejected,
    }
}
