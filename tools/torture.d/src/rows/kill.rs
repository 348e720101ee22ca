//! `kill`: a child is killed with SIGKILL at a random time, again and again on the same database.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hashdb::Database;

use crate::Context;
use crate::child::Args;
use crate::crash::Worker;
use crate::exam::encoder_model;
use crate::model::{Model, check_copies, read};
use crate::plan::{Flavour, Plan, Then, generator};
use crate::report::Outcome;

/// Kills of one database before a new one is begun.
const ROUNDS_A_DATABASE: u64 = 25;
/// Every so many databases one is loaded first.
const LOADED_EVERY: u64 = 6;

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let rounds = context.rounds(100, 5000);
    let mut outcome = Outcome::default();
    let (mut steps, mut databases, mut loaded) = (0, 0, 0);
    while outcome.rounds < rounds && !context.stopped() {
        // The second one, so that a short run has one too.
        let is_loaded = databases % LOADED_EVERY == 1;
        let flavour = if is_loaded { Flavour::Loaded } else { Flavour::Mixed };
        let plan = Plan::new(context.seed.wrapping_add(databases), flavour);
        let campaign = Campaign { context, plan, rounds: rounds - outcome.rounds };
        steps += campaign.run(&mut outcome)?;
        databases += 1;
        loaded += u64::from(is_loaded);
    }
    outcome.note(format!(
        "{databases} databases, {loaded} of them with 20,000 records and all indexes but the \
         multi-index; {steps} steps"
    ));
    if steps < outcome.rounds {
        outcome.fail(format!("only {steps} steps were done: this shows little"));
    }
    Ok(outcome)
}

/// The life of one database.
struct Campaign<'a> {
    context: &'a Context,
    plan: Plan,
    rounds: u64,
}

impl Campaign<'_> {
    /// Returns how many steps were done.
    fn run(&self, outcome: &mut Outcome) -> Result<u64> {
        let folder = self.context.folder()?;
        let path = folder.path().join("db");
        let mut model = create(&self.plan, &path)?;
        let loaded = self.plan.flavour == Flavour::Loaded;
        let most = if loaded { 1500 } else { 150 };
        let rounds = if loaded { 10 } else { ROUNDS_A_DATABASE };
        for round in 0..rounds.min(self.rounds) {
            if self.context.stopped() {
                break;
            }
            let millis = generator(self.plan.seed, 1 << 40 | round).u64(..most);
            outcome.round();
            if let Err(error) = self.round(&path, &mut model, Duration::from_millis(millis)) {
                outcome.lost += 1;
                let kept = folder.keep();
                let seed = self.plan.seed;
                outcome.fail(format!(
                    "kill {round} of the database of seed {seed} after {millis} ms: {error:#} \
                     (kept in {})",
                    kept.display()
                ));
                return Ok(model.steps);
            }
        }
        Ok(model.steps)
    }

    fn round(&self, path: &std::path::Path, model: &mut Model, time: Duration) -> Result<()> {
        let worker = Worker::start(&Args::new(path, &self.plan, model.steps), &[])?;
        if !worker.wait_until_open() {
            let (status, told) = worker.kill()?;
            bail!("the child did not open the database: {status}, {:?}", told.failure);
        }
        std::thread::sleep(time);
        let (status, told) = worker.kill()?;
        if let Some(failure) = told.failure {
            bail!("a call failed before the kill: {failure} ({status})");
        }
        let db = Database::open(path, self.plan.options()).context("open after the kill")?;
        model.recover(&db, told.acknowledged, told.attempted)?;
        model.check(&db)?;
        drop(db);
        if model.steps.is_multiple_of(4) {
            check_copies(&self.plan, path, told.attempted)?;
        }
        Ok(())
    }
}

/// Makes a database and does the bulk load of its plan.
pub(crate) fn create(plan: &Plan, path: &std::path::Path) -> Result<Model> {
    let mut options = plan.options();
    if plan.flavour == Flavour::Still {
        options = options.encoder(encoder_model(plan.seed)?);
    }
    let db = Database::create(path, options).context("create")?;
    let mut model = Model::new(*plan);
    while model.steps < plan.loaded_steps() {
        let step = model.advance();
        debug_assert_eq!(step.then, Then::Nothing);
        step.apply(&db).context("load")?;
    }
    anyhow::ensure!(read(&db)? == model.records, "the load itself went wrong");
    Ok(model)
}
