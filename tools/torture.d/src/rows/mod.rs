//! The rows: each tries one kind of misfortune many times.

mod backups;
mod blocks;
mod enospc;
mod failpoint;
mod flip;
pub(crate) mod kill;
mod power;
mod repair;
mod rocksdb_io;
mod seals;
mod sections;
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
    ("repair", repair::run),
    ("power", power::run),
    ("blocks", blocks::run),
    ("flip", flip::run),
    ("truncate", truncate::run),
    ("enospc", enospc::run),
    ("nthio", nth_io),
    ("seals", seals::run),
    ("rocksdb-io", rocksdb_io::run),
    ("soak", soak::run),
];

/// What `--help` says about them.
pub(crate) const HELP: &str = "Rows:
  kill        SIGKILL at random times; every sixth database is loaded first
  failpoint   death in every named place of the library, times 1 to 3
  repair      death in every named place that a repair comes by, on seven kinds of damage
  power       ext4 and xfs are shut down under a writer; controls without sync must lose (root)
  blocks      disk states out of a log of all writes and flushes below ext4 (root, FUSE)
  flip        1 to 8 bits of files of every kind: database, weights, indexes, backup folder
  truncate    cuts, junk at the end, segments in each other's place
  enospc      the disk is full while writing, sealing, compacting, backing up (root)
  nthio       says where it is done: the library's own tests
  seals       a segment for every small batch: 1,000 quick, 100,000 full
  rocksdb-io  calls of the operating system fail at random (libfiu)
  upgrade     death in every named place that opening an older format comes by
  soak        a mixed load with kills: 8 seconds quick, an hour full; --seconds, --plot";

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
