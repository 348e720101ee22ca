//! The rows: each tries one kind of misfortune many times.

mod flip;
pub(crate) mod kill;
mod truncate;

use anyhow::{Result, bail};

use crate::Context;
use crate::report::Outcome;

/// What runs a row.
pub(crate) type Run = fn(&Context) -> Result<Outcome>;

/// All rows, the quickest judges first.
const ALL: &[(&str, Run)] =
    &[("kill", kill::run), ("flip", flip::run), ("truncate", truncate::run)];

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
