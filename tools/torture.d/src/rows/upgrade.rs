//! `upgrade`: a database that another release wrote is opened for writing, sealed, compacted and closed,
//! and dies in each named place on that way, when it comes by for the first time, with `--full` for the
//! second and the third time too. What is left must answer as recorded, to a reader first, and the next
//! upgrade must finish.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use hashdb::{Database, Options};

use crate::Context;
use crate::fixtures::{self, Fixture};
use crate::points;
use crate::report::Outcome;

/// Places that an upgrade comes by: with fewer it would not have done its work.
const LEAST_PLACES: usize = 25;

/// What the parent tells its child.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    path: PathBuf,
    #[arg(long)]
    point: String,
    #[arg(long)]
    hit: u64,
}

fn options() -> Options {
    Options::new().background(false).ballast_bytes(1000)
}

/// Opens, seals, compacts, closes.
fn upgrade(path: &Path) -> Result<Database> {
    let db = Database::open(path, options()).context("open")?;
    db.seal().context("seal")?;
    db.compact().context("compact")?;
    Ok(db)
}

/// The child.
pub(crate) fn child(args: &Args) -> Result<()> {
    points::die_at(&args.point, args.hit)?;
    upgrade(&args.path).map(drop)
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures");
    if !folder.is_dir() {
        return Ok(Outcome::skipped("the fixtures are not there; it runs in a checkout"));
    }
    let all = fixtures::all(&folder).map_err(|error| anyhow!(error))?;
    ensure!(!all.is_empty(), "there are no fixtures in {}", folder.display());
    let hits = context.rounds(1, 3);
    let mut outcome = Outcome::default();
    let mut places = BTreeSet::new();
    for fixture in &all {
        for point in points::ALL {
            for hit in 1..=hits {
                if context.stopped() {
                    return Ok(outcome);
                }
                match die(context, fixture, point, hit) {
                    // Nor will it come by for another time.
                    Ok(false) => break,
                    Ok(true) => {
                        outcome.rounds += 1;
                        places.insert(point);
                    }
                    Err(error) => {
                        outcome.rounds += 1;
                        outcome.lost += 1;
                        outcome.fail(format!("{}, {point}, hit {hit}: {error:#}", fixture.name));
                    }
                }
            }
        }
    }
    if places.len() < LEAST_PLACES {
        outcome.fail(format!("an upgrade comes by {} places only", places.len()));
    }
    outcome.note(format!("{} fixtures, {} places on the way", all.len(), places.len()));
    Ok(outcome)
}

/// Has an upgrade die in a place and judges what it left; says whether it died.
fn die(context: &Context, fixture: &Fixture, point: &str, hit: u64) -> Result<bool> {
    let folder = context.folder_in_memory()?;
    let path = folder.path().join("db");
    fixture.copy_to(&path).map_err(|error| anyhow!(error))?;
    let program = std::env::current_exe().context("the path of this program")?;
    let mut command = Command::new(program);
    command.arg("upgrade").arg(&path).args(["--point", point, "--hit", &hit.to_string()]);
    let ended = command.stdin(Stdio::null()).output().context("run a child")?;
    if ended.status.success() {
        return Ok(false);
    }
    let judged = if ended.status.code().is_some() {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        Err(anyhow!("the child ended with {}: {said}", ended.status))
    } else {
        judge(fixture, &path)
    };
    if judged.is_err() {
        let kept = folder.keep();
        judged.with_context(|| format!("kept in {}", kept.display()))?;
    }
    Ok(true)
}

fn judge(fixture: &Fixture, path: &Path) -> Result<()> {
    let check = |db: &Database| fixture.check(db).map_err(|error| anyhow!(error));
    check(&Database::open_read_only(path, options()).context("read after the kill")?)?;
    let db = upgrade(path).context("go on")?;
    check(&db).context("after going on")?;
    let report = db.verify().context("verify")?;
    if !report.is_clean() {
        bail!("not clean: {report:?}");
    }
    Ok(())
}
