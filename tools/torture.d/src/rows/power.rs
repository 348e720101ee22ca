//! `power`: the file system under a working database is cut off, on ext4 and on xfs. What was promised
//! to be durable is there. Without a single sync the same cut must lose something, or the row shows
//! nothing.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hashdb::Database;

use crate::Context;
use crate::child::{Args, Copies, remove};
use crate::crash::{Told, Worker};
use crate::disk::{Mounted, cannot_mount, has, make_image};
use crate::model::{Model, check_copies};
use crate::plan::{Flavour, Plan, generator};
use crate::report::Outcome;
use crate::rows::kill::create;

/// Cuts of one database before a new one is begun.
const ROUNDS_A_DATABASE: u64 = 20;
/// One cycle in so many is the control.
const CONTROL_EVERY: u64 = 6;

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    if let Some(reason) = cannot_mount() {
        return Ok(Outcome::skipped(reason));
    }
    let rounds = context.rounds(40, 2000);
    let mut outcome = Outcome::default();
    let kinds = ["ext4", "xfs"];
    for kind in kinds {
        if !has(&format!("mkfs.{kind}")) {
            outcome.add(Outcome::skipped(format!("{kind}: there is no mkfs.{kind}")));
            continue;
        }
        outcome.add(on(context, kind, rounds.div_ceil(2))?);
    }
    if outcome.rounds == 0 && outcome.failures.is_empty() {
        return Ok(Outcome::skipped(outcome.notes.join("; ")));
    }
    Ok(outcome)
}

/// A file system and what is done to it.
struct Bench<'a> {
    context: &'a Context,
    kind: &'static str,
    image: &'a Path,
    at: &'a Path,
}

/// Cuts one kind of file system off.
fn on(context: &Context, kind: &'static str, rounds: u64) -> Result<Outcome> {
    let folder = context.folder()?;
    let (image, at) = (folder.path().join("image"), folder.path().join("mount"));
    std::fs::create_dir(&at).context("make the mount point")?;
    make_image(kind, &image)?;
    match Mounted::image(&image, &at) {
        Ok(mounted) => mounted.unmount()?,
        Err(error) => {
            return Ok(Outcome::skipped(format!("{kind}: cannot mount an image: {error:#}")));
        }
    }
    let bench = Bench { context, kind, image: &image, at: &at };
    let controls = rounds.div_ceil(CONTROL_EVERY);
    let mut outcome = Outcome::default();
    let mut databases = 0;
    while outcome.rounds < rounds - controls && !context.stopped() {
        let left = rounds - controls - outcome.rounds;
        bench.synced(databases, left.min(ROUNDS_A_DATABASE), &mut outcome)?;
        databases += 1;
    }
    let (mut lossy, mut tried) = (0, 0);
    while tried < controls && !context.stopped() {
        lossy += u64::from(bench.control(tried, &mut outcome)?);
        tried += 1;
        outcome.round();
    }
    outcome.note(format!(
        "{kind}: {databases} databases; without sync {lossy} of {tried} cuts lost writes"
    ));
    // Half of them where there are many; of the few of a quick run chance may spare most.
    let enough = if context.full { lossy * 2 >= tried } else { lossy > 0 || tried == 0 };
    if !enough {
        outcome.fail(format!(
            "{kind}: the control lost in {lossy} of {tried} cuts: this shows nothing"
        ));
    }
    Ok(outcome)
}

impl Bench<'_> {
    /// Cuts one database off again and again, while writes are synced or not, with maintenance.
    fn synced(&self, number: u64, rounds: u64, outcome: &mut Outcome) -> Result<()> {
        let flavour = if number.is_multiple_of(2) { Flavour::Mixed } else { Flavour::Synced };
        let plan = Plan::new(self.context.seed.wrapping_add(number), flavour);
        let mut model = self.begin(&plan)?;
        for round in 0..rounds {
            if self.context.stopped() {
                break;
            }
            outcome.round();
            let done = self.cut(&model, round).and_then(|told| {
                self.with_database(&plan, |db| {
                    model.recover(db, told.durable, told.attempted)?;
                    model.check(db)
                })?;
                self.with_copies(&plan, told.attempted)
            });
            if let Err(error) = done {
                outcome.lost += 1;
                let seed = plan.seed;
                outcome.fail(format!(
                    "{}: cut {round}, database of seed {seed}: {error:#}",
                    self.kind
                ));
                return Ok(());
            }
        }
        Ok(())
    }

    /// One cut without any sync; says whether something was lost. What is there is a prefix all the
    /// same.
    fn control(&self, number: u64, outcome: &mut Outcome) -> Result<bool> {
        let plan = Plan::new(self.context.seed.wrapping_add(number), Flavour::Unsynced);
        let mut model = self.begin(&plan)?;
        let told = self.cut(&model, number)?;
        let done = self.with_database(&plan, |db| {
            model.recover(db, 0, told.attempted)?;
            model.check(db)
        });
        if let Err(error) = done {
            outcome.fail(format!("{}: control {number}, seed {}: {error:#}", self.kind, plan.seed));
        }
        Ok(model.steps < told.acknowledged)
    }

    fn begin(&self, plan: &Plan) -> Result<Model> {
        let mounted = Mounted::image(self.image, self.at)?;
        let path = self.at.join("db");
        let Copies { checkpoint, backups, restored } = Copies::of(&path);
        for last in [&path, &checkpoint, &backups, &restored] {
            remove(last)?;
        }
        let model = create(plan, &path)?;
        mounted.unmount()?;
        Ok(model)
    }

    /// Lets a child write for a while and cuts it off.
    fn cut(&self, model: &Model, round: u64) -> Result<Told> {
        let mounted = Mounted::image(self.image, self.at)?;
        let worker =
            Worker::start(&Args::new(&mounted.path().join("db"), &model.plan, model.steps), &[])?;
        if !worker.wait_until_open() {
            let (status, told) = worker.kill()?;
            bail!("the child did not open the database: {status}, {:?}", told.failure);
        }
        let millis = generator(model.plan.seed, 1 << 43 | round).u64(10..200);
        std::thread::sleep(Duration::from_millis(millis));
        // A child that a loaded machine did not let write anything has nothing to lose.
        worker.wait_for(model.steps + 1);
        // Halted first: else an acknowledgement could overtake the cut.
        worker.halt()?;
        mounted.cut_power()?;
        let (status, told) = worker.kill()?;
        mounted.unmount()?;
        match told.failure {
            Some(failure) => bail!("a call failed before the cut: {failure} ({status})"),
            None => Ok(told),
        }
    }

    /// Judges checkpoints, restored databases and backups.
    fn with_copies(&self, plan: &Plan, most: u64) -> Result<()> {
        let mounted = Mounted::image(self.image, self.at)?;
        let judged = check_copies(plan, &mounted.path().join("db"), most);
        mounted.unmount()?;
        judged
    }

    /// Opens what is left after the file system recovered.
    fn with_database(
        &self,
        plan: &Plan,
        judge: impl FnOnce(&Database) -> Result<()>,
    ) -> Result<()> {
        let mounted = Mounted::image(self.image, self.at)?;
        let judged = Database::open(mounted.path().join("db"), plan.options())
            .context("open after the cut")
            .and_then(|db| judge(&db));
        mounted.unmount()?;
        judged
    }
}
