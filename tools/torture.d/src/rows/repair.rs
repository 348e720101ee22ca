//! `repair`: a repair dies in each named place that it comes by, on databases damaged in different
//! ways. What it leaves opens with the right answers or is refused; the next repair ends where the
//! first would have, asks for no more leave than it, and no damaged original is ever gone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use hashdb::{Database, Readable as _, RepairOptions, RepairReport, WriteOptions};

use crate::Context;
use crate::model::{Model, Records, read};
use crate::plan::{Flavour, Plan, generator};
use crate::report::Outcome;
use crate::rows::kill::create;
use crate::{mend, points, still};

/// What is done to a sound database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    Segments,
    Superblock,
    Log,
    Manifest,
    /// Blocks of a table that held what can be derived.
    Derivable,
    /// Blocks of a table that held records or values.
    Lossy,
    /// A log; and the repair was killed between the two renames that put the salvaged store in place.
    Halfway,
}

const DAMAGES: [Damage; 7] = [
    Damage::Segments,
    Damage::Superblock,
    Damage::Log,
    Damage::Manifest,
    Damage::Derivable,
    Damage::Lossy,
    Damage::Halfway,
];

/// Places that only a repair comes by.
pub(crate) fn is_ours(point: &str) -> bool {
    point.starts_with("repair.") || point.starts_with("salvage.")
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let rounds = context.rounds(1, 10);
    let mut outcome = Outcome::default();
    let mut silent: BTreeSet<_> = points::ALL.iter().filter(|point| is_ours(point)).collect();
    for round in 0..rounds {
        for damage in DAMAGES {
            if context.stopped() {
                return Ok(outcome);
            }
            let seed = context.seed.wrapping_add(round);
            let folder = context.folder_in_memory()?;
            match Bench::new(folder.path(), seed, damage) {
                Ok(bench) => {
                    silent.retain(|point| bench.counts.get(**point).is_none_or(|&n| n == 0));
                    bench.run(context, &mut outcome);
                }
                Err(error) => outcome.fail(format!("{damage:?}, seed {seed}: {error:#}")),
            }
        }
    }
    for point in silent {
        outcome.fail(format!("{point}: no repair came by"));
    }
    let ours = points::ALL.iter().filter(|point| is_ours(point)).count();
    outcome.note(format!("{ours} places of repair and those it shares, {} damages", DAMAGES.len()));
    Ok(outcome)
}

/// A damaged database, and what becomes of it if nobody disturbs its repair.
struct Bench<'a> {
    folder: &'a Path,
    seed: u64,
    damage: Damage,
    accept_loss: bool,
    /// Whether a copy takes the place of the record store.
    replaced: bool,
    model: Model,
    /// What was there before the damage.
    before: Records,
    repaired: Records,
    counts: BTreeMap<&'static str, u64>,
    originals: Vec<(PathBuf, Vec<u8>)>,
}

impl<'a> Bench<'a> {
    fn new(folder: &'a Path, seed: u64, damage: Damage) -> Result<Self> {
        let (whole, damaged) = (folder.join("whole"), folder.join("damaged"));
        let model = make(seed, &whole)?;
        still::copy(&whole, &damaged)?;
        let accept_loss = harm(&damaged, folder, seed, damage)?;
        let path = folder.join("db");
        still::copy(&damaged, &path)?;
        let counts = mend::count(&path, accept_loss)?;
        let replaced = damage == Damage::Halfway || counts.get("repair.away") > Some(&0);
        let db = Database::open(&path, model.plan.options()).context("open what was repaired")?;
        let repaired = read(&db)?;
        let kept = model.records.iter().filter(|record| repaired.get(record.0) == Some(record.1));
        if accept_loss {
            ensure!(kept.count() > 0, "a repair that keeps nothing shows little");
        } else {
            ensure!(repaired == model.records, "something is gone that nobody gave leave to lose");
        }
        let originals = originals(&damaged, replaced)?;
        let mut model = model;
        let before = std::mem::replace(&mut model.records, repaired.clone());
        Ok(Self {
            folder,
            seed,
            damage,
            accept_loss,
            replaced,
            model,
            before,
            repaired,
            counts,
            originals,
        })
    }

    fn run(&self, context: &Context, outcome: &mut Outcome) {
        let most = if context.full { 3 } else { 1 };
        for (number, (&point, &count)) in self.counts.iter().enumerate() {
            // Each place is come by after several damages: a quick run takes half of them.
            let is_chosen = (number + self.damage as usize).is_multiple_of(2) && is_ours(point);
            if !context.full && !is_chosen {
                continue;
            }
            for hit in 1..=count.min(most) {
                if context.stopped() {
                    return;
                }
                outcome.round();
                if let Err(error) = self.die(point, hit) {
                    outcome.lost += 1;
                    let (damage, seed) = (self.damage, self.seed);
                    outcome.fail(format!("{damage:?}, {point}, hit {hit}, seed {seed}: {error:#}"));
                }
            }
        }
    }

    fn die(&self, point: &str, hit: u64) -> Result<()> {
        let path = self.folder.join("db");
        still::replace(&self.folder.join("damaged"), &path)?;
        mend::die(&path, self.accept_loss, point, hit)?;
        self.originals_are_kept(&path).context("after the kill")?;
        let options = self.model.plan.options().background(false);
        // Whoever looks at it now.
        self.look(Database::open_read_only(&path, options.clone())).context("read-only")?;
        let mut random = generator(self.seed, hit << 8 | point.len() as u64);
        let is_opened = random.bool();
        if is_opened {
            self.look(Database::open(&path, options.clone())).context("opened in between")?;
        }
        let report = repair(&path, self.accept_loss).context("the next repair")?;
        ensure!(report.remaining.is_empty(), "the next repair left {:?}", report.remaining);
        // Who opens it for writing works on it: the record store merges its tables.
        if !is_opened {
            self.originals_are_kept(&path).context("after the next repair")?;
        }
        ensure!(!path.join("salvage").exists(), "salvage is still there");
        let db = Database::open(&path, options).context("open what was repaired")?;
        let mut model = self.model.clone();
        if self.damage == Damage::Lossy && is_opened {
            // Opened for writing, the record store merges and removes tables: other records come back.
            model.records = read(&db)?;
            let found = model.records.len() as u64;
            let told = report.records_after;
            ensure!(found == told, "the report says {told} records, there are {found}");
            let kept =
                self.before.iter().filter(|record| model.records.get(record.0) == Some(record.1));
            ensure!(kept.count() > 0, "nothing is as it was before the damage");
        } else {
            ensure!(read(&db)? == self.repaired, "the next repair ended elsewhere");
        }
        model.check(&db)?;
        let step = model.plan.step(model.steps);
        db.write(step.batch(), WriteOptions::default()).context("go on")?;
        db.compact().context("go on")?;
        model.records = read(&db)?;
        model.check(&db).context("after going on")
    }

    /// What opens between two repairs may name damage, but shows nothing else than what is there in
    /// the end.
    fn look(&self, opened: hashdb::Result<Database>) -> Result<()> {
        let Ok(db) = opened else { return Ok(()) };
        if db.verify().is_ok_and(|report| report.is_clean()) {
            ensure!(read(&db)? == self.repaired, "it opens with other records");
        }
        if db.len() == self.repaired.len() as u64 {
            self.model.ask(&db, self.seed, |_| Ok(()))?;
        }
        Ok(())
    }

    /// Every segment file and, where a copy takes its place, every file of the record store lies where
    /// it lay or in `damaged`.
    fn originals_are_kept(&self, path: &Path) -> Result<()> {
        let mut places = vec![path.to_path_buf()];
        let aside = path.join("damaged");
        if aside.exists() {
            let entries = std::fs::read_dir(&aside).context("list damaged")?;
            places.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
        for (name, bytes) in &self.originals {
            let is_there = places
                .iter()
                .any(|place| std::fs::read(place.join(name)).is_ok_and(|found| found == *bytes));
            ensure!(is_there, "{} is nowhere as it was ({} bytes)", name.display(), bytes.len());
        }
        // Each for itself is not enough: a store is set aside whole.
        let store = |place: &PathBuf| {
            let names = self.originals.iter().map(|(name, _)| name);
            names.filter(|name| name.starts_with("records")).all(|name| place.join(name).exists())
        };
        ensure!(!self.replaced || places.iter().any(store), "the store was torn apart");
        Ok(())
    }
}

/// A database with three segments, deleted rows, pending records, tables, blobs and a log.
fn make(seed: u64, path: &Path) -> Result<Model> {
    let plan = Plan::new(seed, Flavour::Synced);
    let mut model = create(&plan, path)?;
    for part in 0..4 {
        // Opening writes what the log holds into tables.
        let db = Database::open(path, plan.options().background(false)).context("open")?;
        for _ in 0..40 {
            let step = model.advance();
            db.write(step.batch(), WriteOptions { sync: true }).context("write")?;
        }
        if part < 3 {
            db.seal().context("seal")?;
        }
    }
    Ok(model)
}

fn repair(path: &Path, accept_loss: bool) -> Result<RepairReport> {
    Ok(Database::repair(path, RepairOptions::new().accept_loss(accept_loss))?)
}

/// Damages a database; says whether its repair takes leave to lose something.
fn harm(path: &Path, folder: &Path, seed: u64, damage: Damage) -> Result<bool> {
    let of_kind = |kind: &str| -> Result<Vec<PathBuf>> {
        let files = still::files(path)?;
        let found: Vec<_> = files.into_iter().filter(|f| still::kind_of(f) == kind).collect();
        ensure!(!found.is_empty(), "there is no {kind}");
        Ok(found)
    };
    match damage {
        Damage::Segments => of_kind("seg")?.iter().try_for_each(|file| flip(file, 2))?,
        Damage::Superblock => std::fs::write(path.join("SUPERBLOCK"), [0x5a; 8192])?,
        Damage::Log => of_kind("log")?.last().map_or(Ok(()), |file| flip(file, 2))?,
        Damage::Manifest => of_kind("manifest")?.iter().try_for_each(|file| flip(file, 20))?,
        Damage::Derivable | Damage::Lossy => {
            // Which family a table is of, its name does not say: they are tried.
            let mut tables = of_kind("sst")?;
            generator(seed, 1 << 47).shuffle(&mut tables);
            let trial = folder.join("trial");
            for table in tables {
                let before = std::fs::read(&table).context("read a table")?;
                flip(&table, 1000)?;
                still::replace(path, &trial)?;
                let done = Database::repair(&trial, RepairOptions::new());
                let lossy = matches!(done, Err(hashdb::Error::WouldLose { .. }));
                if lossy == (damage == Damage::Lossy) && (lossy || done.is_ok()) {
                    return Ok(lossy);
                }
                std::fs::write(&table, before).context("mend a table")?;
            }
            bail!("no table is of that kind: this database shows little");
        }
        Damage::Halfway => {
            of_kind("log")?.last().map_or(Ok(()), |file| flip(file, 2))?;
            mend::die(path, true, "repair.away", 1)?;
        }
    }
    Ok(matches!(damage, Damage::Log | Damage::Manifest | Damage::Halfway))
}

/// Flips a bit at a part of a file's length.
fn flip(file: &Path, part: usize) -> Result<()> {
    let mut bytes = std::fs::read(file).context("read a file")?;
    let at = bytes.len() / part;
    bytes[at] ^= 0x10;
    std::fs::write(file, bytes).context("damage a file")
}

/// What must never be gone, with its content.
fn originals(path: &Path, replaced: bool) -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut originals = Vec::new();
    for file in still::files(path)? {
        let name = file.strip_prefix(path).context("a file inside")?.to_path_buf();
        let kind = still::kind_of(&file);
        // A store that was halfway in place lies in `damaged` already.
        let of_store = name.starts_with("records") && replaced && kind != "messages";
        let is_kept = name.starts_with("damaged") && kind != "messages";
        if kind == "seg" || of_store || is_kept {
            originals.push((name, std::fs::read(&file).context("read a file")?));
        }
    }
    Ok(originals)
}
