//! The rows: each tries one kind of misfortune many times.

mod enospc;
mod failpoint;
mod flip;
pub(crate) mod kill;
mod power;
mod rocksdb_io;
pub(crate) mod soak;
mod truncate;
pub(crate) mod upgrade;

use anyhow::{Result, bail};

use crate::Context;
use crate::report::Outcome;

/// What runs a row.
pub(crate) type Run = fn(&Context) -> Result<Outcome>;

/// All rows.
const ALL: &[(&str, Run)] = &[
    ("kill", kill::run),
    ("failpoint", failpoint::run),
    ("upgrade", upgrade::run),
    ("power", power::run),
    ("flip", flip::run),
    ("truncate", truncate::run),
    ("enospc", enospc::run),
    ("nthio", nth_io),
    ("rocksdb-io", rocksdb_io::run),
    ("soak", soak::run),
];

/// The trait that all file operations of the library's own go through is not for others to implement.
fn nth_io(_: &Context) -> Result<Outcome> {
    Ok(Outcome::skipped(
        "the library's own tests do it: cargo test -p hashdb --features __internals --lib faults",
    ))
}

/// The rows of these names, all if none is named.
pub(crate) fn choose(names: &[String]) -> Result<Vec<(&'static str, Run)>> {
    for name in names {
        if !ALL.iter().any(|(row, _)| row == name) {
            let known: Vec<_> = ALL.iter().map(|(row, _)| *row).collect();
            bail!("there is no row {name}; there are {}", known.join(", "));
        }
    }
    let wanted = |row: &str| names.is_empty() || names.iter().any(|name| name == row);
    Ok(ALL.iter().filter(|(row, _)| wanted(row)).copied().collect())
}
