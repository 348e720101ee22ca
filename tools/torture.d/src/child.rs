//! The child: does the steps of a plan until it is killed, and says what it tries and what was
//! acknowledged. Lines: `o` the database is open, `t N` step N begins, `a N` it was acknowledged,
//! `d N` everything up to it is durable, `f TEXT` a call failed, which ends the child.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use hashdb::{Backup, Database};

use crate::plan::{Flavour, Plan, Then};

/// What the parent tells its child.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The database
    pub(crate) path: PathBuf,
    #[arg(long)]
    pub(crate) seed: u64,
    #[arg(long)]
    pub(crate) flavour: Flavour,
    /// The first step
    #[arg(long)]
    pub(crate) from: u64,
    /// The step to end before
    #[arg(long, default_value_t = u64::MAX)]
    pub(crate) to: u64,
    /// The failpoint to die at
    #[arg(long)]
    pub(crate) point: Option<String>,
    /// At which time of coming by
    #[arg(long, default_value_t = 1)]
    pub(crate) hit: u64,
}

impl Args {
    pub(crate) fn new(path: &Path, plan: &Plan, from: u64) -> Self {
        let (path, seed, flavour) = (path.to_path_buf(), plan.seed, plan.flavour);
        Self { path, seed, flavour, from, to: u64::MAX, point: None, hit: 1 }
    }

    /// The same as words of a command line.
    pub(crate) fn words(&self) -> Vec<String> {
        use clap::ValueEnum as _;
        let flavour = self.flavour.to_possible_value();
        let flavour = flavour.map_or(String::new(), |value| value.get_name().to_owned());
        let mut words = vec![self.path.to_string_lossy().into_owned()];
        let options = [
            ("--seed", self.seed.to_string()),
            ("--flavour", flavour),
            ("--from", self.from.to_string()),
            ("--to", self.to.to_string()),
            ("--hit", self.hit.to_string()),
        ];
        for (name, value) in options {
            words.extend([name.to_owned(), value]);
        }
        if let Some(point) = &self.point {
            words.extend(["--point".to_owned(), point.clone()]);
        }
        words
    }
}

fn say(line: &str) -> Result<()> {
    // Straight to the pipe: what was said before a kill has been said.
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("the parent is gone")
}

/// Runs the child.
pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(point) = &args.point {
        crate::points::die_at(point, args.hit)?;
    }
    let done = work(args);
    if let Err(error) = &done {
        let told = format!("{error:#}").replace('\n', " ");
        say(&format!("f {told}\n"))?;
    }
    done
}

fn work(args: &Args) -> Result<()> {
    let plan = Plan::new(args.seed, args.flavour);
    // A failpoint may lie in the creation.
    let there = args.point.is_none() || Database::exists(&args.path);
    let mut db = if there {
        Database::open(&args.path, plan.options()).context("open")?
    } else {
        Database::create(&args.path, plan.options()).context("create")?
    };
    let copies = Copies::of(&args.path);
    say("o\n")?;
    for number in args.from..args.to {
        let step = plan.step(number);
        say(&format!("t {number}\n"))?;
        step.apply(&db).context(if step.load { "load" } else { "write" })?;
        say(&format!("{} {number}\n", if step.sync { 'd' } else { 'a' }))?;
        let durable = match step.then {
            Then::Nothing => false,
            Then::Sync => db.sync().context("sync").map(|()| true)?,
            Then::Seal => db.seal().context("seal")?,
            Then::Compact => db.compact().context("compact").map(|()| true)?,
            Then::SetIndex(index) => db.set_index(index).context("set_index").map(|()| true)?,
            Then::Reopen => {
                drop(db);
                db = Database::open(&args.path, plan.options()).context("reopen")?;
                false
            }
            Then::RecoverSpace => {
                drop(db);
                Database::recover_space(&args.path, plan.options()).context("recover_space")?;
                db = Database::open(&args.path, plan.options()).context("reopen")?;
                false
            }
            Then::Checkpoint => {
                remove(&copies.checkpoint)?;
                db.checkpoint(&copies.checkpoint).context("checkpoint").map(|_| false)?
            }
            Then::Backup => {
                let backup = Backup::at(&copies.backups).keep(2);
                db.backup(&backup).context("backup").map(|_| false)?
            }
            Then::Restore => {
                remove(&copies.restored)?;
                let backup = Backup::at(&copies.backups);
                // The first backup may have been killed.
                if backup.list().is_ok_and(|generations| !generations.is_empty()) {
                    backup.restore(None, &copies.restored).context("restore")?;
                }
                false
            }
        };
        if durable {
            say(&format!("d {number}\n"))?;
        }
    }
    Ok(())
}

/// Where a child puts copies of its database.
#[derive(Debug)]
pub(crate) struct Copies {
    pub(crate) checkpoint: PathBuf,
    pub(crate) backups: PathBuf,
    pub(crate) restored: PathBuf,
}

impl Copies {
    pub(crate) fn of(database: &Path) -> Self {
        let beside = |name: &str| database.with_extension(name);
        let (checkpoint, restored) = (beside("checkpoint"), beside("restored"));
        Self { checkpoint, backups: beside("backups"), restored }
    }
}

/// Removes a database, if there is one.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        // The superblock first: what a kill leaves of the rest must be no database.
        let superblock = folder.join("SUPERBLOCK");
        if superblock.exists() {
            std::fs::remove_file(&superblock).context("remove a copy")?;
        }
        std::fs::remove_dir_all(folder).context("remove a copy")?;
    }
    Ok(())
}
