//! `enospc`: the disk is full while a database is written, sealed, compacted and backed up. Nothing that was
//! acknowledged is lost, reading goes on, and so does everything once there is room again.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use hashdb::{Backup, Database, Readable as _};

use crate::Context;
use crate::child::Copies;
use crate::disk::{Mounted, cannot_mount};
use crate::model::{Model, check_copies, read};
use crate::plan::{Flavour, Plan, generator};
use crate::report::Outcome;

/// The whole disk.
const DISK_BYTES: u64 = 64 << 20;

/// Where the disk runs full.
#[derive(Debug, Clone, Copy)]
enum During {
    Write,
    Seal,
    Compact,
    Backup,
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    if let Some(reason) = cannot_mount() {
        return Ok(Outcome::skipped(reason));
    }
    let rounds = context.rounds(12, 120);
    let mut outcome = Outcome::default();
    let mut full = 0;
    for round in 0..rounds {
        if context.stopped() {
            break;
        }
        let places = [During::Write, During::Seal, During::Compact, During::Backup];
        let during = places[usize::try_from(round % 4)?];
        let seed = context.seed.wrapping_add(round);
        outcome.round();
        match fill(context, seed, during) {
            Ok(failed) => full += u64::from(failed),
            Err(error) => {
                outcome.lost += 1;
                outcome.fail(format!("{during:?}, seed {seed}: {error:#}"));
            }
        }
    }
    outcome.note(format!("in {full} of {} rounds a call failed for want of room", outcome.rounds));
    if full * 2 < outcome.rounds {
        outcome.fail("the disk was hardly ever full: this shows little".to_owned());
    }
    Ok(outcome)
}

/// Says whether a call failed.
fn fill(context: &Context, seed: u64, during: During) -> Result<bool> {
    let folder = context.folder()?;
    let disk = Mounted::memory(folder.path(), DISK_BYTES)?;
    let judged = fill_disk(disk.path(), seed, during);
    disk.unmount()?;
    judged
}

fn fill_disk(disk: &Path, seed: u64, during: During) -> Result<bool> {
    let (path, filler) = (disk.join("db"), disk.join("filler"));
    // Nobody seals but who is told to: the place where the disk runs full is the one that is asked for.
    let plan = Plan::new(seed, Flavour::Heavy);
    let options = || plan.options().background(false);
    let mut model = Model::new(plan);
    let db = Database::create(&path, options()).context("create")?;
    let write = |model: &mut Model| {
        let step = model.advance();
        step.apply(&db)
    };
    while model.steps < 60 {
        write(&mut model).context("before the disk was full")?;
        if model.steps.is_multiple_of(20) {
            db.seal().context("before the disk was full")?;
        }
    }
    // On the same disk, so that the next one runs out of room; one that is whole is there before.
    let backup = Backup::at(Copies::of(&path).backups);
    if matches!(during, During::Backup) {
        db.backup(&backup).context("before the disk was full")?;
        for _ in 0..20 {
            write(&mut model).context("before the disk was full")?;
        }
    }
    fill_up(&filler, disk, spare(seed, during))?;
    let mut acknowledged = model.steps;
    let failed = match during {
        During::Write => loop {
            if write(&mut model).is_err() {
                break true;
            }
            acknowledged = model.steps;
            ensure!(model.steps < 5000, "the disk does not run full");
        },
        During::Seal => db.seal().is_err(),
        During::Compact => db.compact().is_err(),
        During::Backup => db.backup(&backup).is_err(),
    };
    // Readers of the open handle go on.
    ensure!(read(&db)?.len() as u64 == db.len(), "the open handle reads other than it counts");
    drop(db);
    let attempted = model.steps;

    let judge = |db: &Database, what: &'static str| -> Result<Model> {
        let mut model = Model::new(plan);
        model.recover(db, acknowledged, attempted).context(what)?;
        model.check(db).context(what)?;
        Ok(model)
    };
    {
        let db = Database::open_read_only(&path, options()).context("read-only, on a full disk")?;
        judge(&db, "read-only, on a full disk")?;
    }
    if matches!(during, During::Backup) {
        let report = backup.verify().context("verify the backups on a full disk")?;
        ensure!(report.is_clean(), "the backups on a full disk: {report:?}");
    }
    // Opening for writing may need room; it must not make anything worse.
    drop(Database::open(&path, options()));
    std::fs::remove_file(&filler).context("make room")?;
    let db = Database::open(&path, options()).context("open when there is room again")?;
    let mut model = judge(&db, "when there is room again")?;
    for _ in 0..5 {
        let step = model.advance();
        step.apply(&db).context("go on")?;
    }
    db.seal().context("go on")?;
    db.compact().context("go on")?;
    model.check(&db).context("after going on")?;
    if matches!(during, During::Backup) {
        db.backup(&backup).context("a backup when there is room again")?;
        check_copies(&plan, &path, model.steps)?;
    }
    Ok(failed)
}

/// Room that is left, so that the failure comes early or late in the work.
fn spare(seed: u64, during: During) -> u64 {
    let most = match during {
        During::Write => 4 << 20,
        // A seal writes rows without their values, which is little.
        During::Seal => 8 << 10,
        During::Compact | During::Backup => 96 << 10,
    };
    generator(seed, 1 << 44).u64(..most)
}

/// Takes all room but `spare` bytes.
fn fill_up(filler: &Path, disk: &Path, spare: u64) -> Result<()> {
    let room = rustix::fs::statvfs(disk).context("ask for free room")?;
    let bytes = (room.f_bavail * room.f_frsize).saturating_sub(spare);
    std::fs::write(filler, vec![1; usize::try_from(bytes)?]).context("fill the disk")
}
