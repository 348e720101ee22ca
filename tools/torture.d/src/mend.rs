//! The mender: a child that repairs one database, says how often it comes by each named place, and
//! dies in one of them if it is told to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, anyhow, bail};
use hashdb::internals::failpoint;
use hashdb::{Database, RepairOptions};

use crate::points;

/// What the parent tells it.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The database
    path: PathBuf,
    #[arg(long)]
    accept_loss: bool,
    /// The failpoint to die at; without one it counts how often it comes by each
    #[arg(long)]
    point: Option<String>,
    /// At which time of coming by
    #[arg(long, default_value_t = 1)]
    hit: u64,
}

/// Runs the child.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut counts = BTreeMap::new();
    if let Some(point) = &args.point {
        points::die_at(point, args.hit)?;
    } else {
        for point in points::ALL {
            let count = Arc::new(AtomicU64::new(0));
            counts.insert(*point, Arc::clone(&count));
            let count_one = move || {
                count.fetch_add(1, Ordering::SeqCst);
            };
            failpoint::set(point, count_one).map_err(|message| anyhow!(message))?;
        }
    }
    Database::repair(&args.path, RepairOptions::new().accept_loss(args.accept_loss))?;
    for (point, count) in counts {
        println!("{point} {}", count.load(Ordering::SeqCst));
    }
    Ok(())
}

fn child(path: &Path, accept_loss: bool, death: Option<(&str, u64)>) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("the path of this program")?);
    command.arg("mend").arg(path).stdin(Stdio::null());
    if accept_loss {
        command.arg("--accept-loss");
    }
    if let Some((point, hit)) = death {
        command.args(["--point", point, "--hit", &hit.to_string()]);
    }
    Ok(command)
}

/// Has a child repair a database; returns how often it came by each place.
pub(crate) fn count(path: &Path, accept_loss: bool) -> Result<BTreeMap<&'static str, u64>> {
    let done = child(path, accept_loss, None)?.output().context("run a mender")?;
    if !done.status.success() {
        bail!("the repair failed: {}", String::from_utf8_lossy(&done.stderr).trim());
    }
    let mut counts = BTreeMap::new();
    for line in String::from_utf8_lossy(&done.stdout).lines() {
        let (name, count) = line.split_once(' ').context("a name and a count")?;
        let name = points::ALL.iter().find(|point| **point == name).context("a point")?;
        counts.insert(*name, count.parse().context("a count")?);
    }
    Ok(counts)
}

/// Has a child die in a repair.
pub(crate) fn die(path: &Path, accept_loss: bool, point: &str, hit: u64) -> Result<()> {
    let mut child = child(path, accept_loss, Some((point, hit)))?;
    let done = child.stderr(Stdio::piped()).output().context("run a mender")?;
    match done.status.code() {
        None => Ok(()),
        Some(_) => bail!(
            "the mender ended with {}: {}",
            done.status,
            String::from_utf8_lossy(&done.stderr).trim()
        ),
    }
}
