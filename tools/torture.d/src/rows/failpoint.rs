//! `failpoint`: a child dies in each named place of the library, when it comes by for the first, the
//! second and the third time. A place that nobody comes by is a failure of this tool.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use hashdb::Database;

use crate::Context;
use crate::child::Args;
use crate::crash::Worker;
use crate::model::{Model, check_copies};
use crate::plan::{Flavour, Plan};
use crate::points;
use crate::report::Outcome;
use crate::rows::kill::create;
use crate::rows::repair::is_ours;

const HITS: u64 = 3;
/// Steps within which every place is come by three times.
const STEPS: u64 = 300;

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    // More rounds are more databases, each killed in every place.
    let rounds = context.rounds(1, 3);
    let mut outcome = Outcome::default();
    let mut silent: BTreeMap<&str, u64> = BTreeMap::new();
    for round in 0..rounds {
        for point in points::ALL.iter().filter(|point| !is_ours(point)) {
            // A child creates one database.
            let hits = if point.starts_with("create.") { 1 } else { HITS };
            for hit in 1..=hits {
                if context.stopped() {
                    return Ok(outcome);
                }
                let seed = context.seed.wrapping_add(round << 8 | hit);
                outcome.round();
                match die(context, seed, point, hit) {
                    Ok(true) => {}
                    Ok(false) => *silent.entry(point).or_default() += 1,
                    Err(error) => {
                        outcome.lost += 1;
                        outcome.fail(format!("{point}, hit {hit}, seed {seed}: {error:#}"));
                    }
                }
            }
        }
    }
    for (point, times) in silent {
        outcome.fail(format!("{point}: nobody came by, {times} times"));
    }
    let places = points::ALL.iter().filter(|point| !is_ours(point)).count();
    outcome.note(format!("{places} places, hits 1 to {HITS}; those of repair are in its own row"));
    Ok(outcome)
}

/// Has a child die in a place and judges what it left; says whether it died.
fn die(context: &Context, seed: u64, point: &str, hit: u64) -> Result<bool> {
    let folder = context.folder()?;
    let path = folder.path().join("db");
    let plan = Plan::new(seed, Flavour::Busy);
    let mut args = Args::new(&path, &plan, 0);
    args.to = STEPS;
    args.point = Some(point.to_owned());
    args.hit = hit;
    let (status, told) = Worker::start(&args, &[])?.wait()?;
    if let Some(failure) = told.failure {
        bail!("a call failed: {failure}");
    }
    if status.success() {
        return Ok(false);
    }
    ensure!(status.code().is_none(), "the child ended with {status}");
    let judged = judge(&path, &plan, told.acknowledged, told.attempted)
        .and_then(|()| check_copies(&plan, &path, told.attempted));
    if judged.is_err() {
        let kept = folder.keep();
        judged.with_context(|| format!("kept in {}", kept.display()))?;
    }
    Ok(true)
}

fn judge(path: &Path, plan: &Plan, least: u64, most: u64) -> Result<()> {
    if !Database::exists(path) {
        ensure!(least == 0, "no database is there, {least} steps were acknowledged");
        // What a creation that was killed left may be removed.
        if path.exists() {
            std::fs::remove_dir_all(path).context("remove half a database")?;
        }
        return create(plan, path).map(|_| ());
    }
    let mut model = Model::new(*plan);
    let db = Database::open(path, plan.options()).context("open after the kill")?;
    ensure!(!path.join("BALLAST.tmp").exists(), "half a reserve is still there");
    model.recover(&db, least, most)?;
    model.check(&db)?;
    // It goes on.
    let step = model.advance();
    step.apply(&db).context("go on")?;
    db.compact().context("go on")?;
    model.check(&db).context("after going on")
}
