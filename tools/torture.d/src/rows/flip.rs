//! `flip`: one to eight bits of one file of a closed database are flipped. It must not matter, or be
//! named; no answer may be wrong, nothing silently gone, nothing may crash or hang.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use fastrand::Rng;

use crate::Context;
use crate::child::Args;
use crate::crash::Worker;
use crate::judge::{Judge, Verdict};
use crate::model::Model;
use crate::plan::{Flavour, Plan, generator};
use crate::report::Outcome;
use crate::rows::backups::Folder;
use crate::rows::kill::create;
use crate::rows::sections::Large;
use crate::still;

/// Flips of one database before another is made.
const ROUNDS_A_DATABASE: u64 = 500;
/// Every so many rounds the database is opened for writing, on a copy.
const WRITE_EVERY: u64 = 4;

/// What was found in files of one kind.
#[derive(Debug, Default)]
struct Tally {
    flips: u64,
    harmless: u64,
    refused: u64,
    damaged: u64,
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let rounds = context.rounds(400, 20_000);
    let mut outcome = Outcome::default();
    let mut tallies = BTreeMap::new();
    let mut databases = 0;
    while outcome.rounds < rounds && !context.stopped() {
        // A large one now and then, whose segment has cluster lists and prefixes.
        let (flavour, most) = match databases % 3 {
            1 => (Flavour::Loaded, 50),
            _ => (Flavour::Still, ROUNDS_A_DATABASE),
        };
        let most = if context.full { most } else { most.min(rounds.div_ceil(3)) };
        let seed = context.seed.wrapping_add(databases);
        let most = most.min(rounds - outcome.rounds);
        let flipped = flip(context, seed, flavour, most, &mut outcome, &mut tallies);
        if let Err(error) = flipped {
            // What was found so far is told all the same.
            outcome.fail(format!("a database of the row itself, seed {seed}: {error:#}"));
            break;
        }
        databases += 1;
    }
    let parts = flip_open_logs(context, rounds / 10, &mut outcome)
        .and_then(|()| Large::make(context)?.flips(context, rounds / 8, &mut outcome))
        .and_then(|()| Folder::make(context)?.flips(context, rounds / 16, &mut outcome));
    if let Err(error) = parts {
        outcome.fail(format!("a part of the row itself: {error:#}"));
    }
    for (kind, Tally { flips, harmless, refused, damaged }) in tallies {
        outcome.note(format!(
            "{kind}: {flips} flips, {refused} refused at open, {damaged} named, {harmless} harmless"
        ));
    }
    Ok(outcome)
}

fn flip(
    context: &Context,
    seed: u64,
    flavour: Flavour,
    rounds: u64,
    outcome: &mut Outcome,
    tallies: &mut BTreeMap<&'static str, Tally>,
) -> Result<()> {
    let folder = context.folder_in_memory()?;
    let (whole, scratch) = (folder.path().join("whole"), folder.path().join("db"));
    let model = still::make(seed, flavour, &whole)?;
    let mut judge = Judge::of(&model);
    let names = by_kind(&whole)?;
    still::replace(&whole, &scratch)?;
    for round in 0..rounds {
        if context.stopped() {
            break;
        }
        let mut random = generator(seed, 1 << 41 | round);
        let kinds: Vec<_> = names.keys().copied().collect();
        let kind = kinds[random.usize(..kinds.len())];
        let of_kind = &names[kind];
        let name = &of_kind[random.usize(..of_kind.len())];
        let write = round % WRITE_EVERY == 0 && flavour == Flavour::Still;
        if write {
            still::replace(&whole, &scratch)?;
        }
        let file = scratch.join(name);
        let bytes = std::fs::read(whole.join(name)).context("read the file")?;
        let (flipped, what) = flip_bits(&bytes, &mut random);
        std::fs::write(&file, &flipped).context("write the damaged file")?;
        let verb = if write { "write" } else { "read" };
        let verdict = judge.ask(verb, &scratch)?;
        if write {
            still::replace(&whole, &scratch)?;
        } else {
            std::fs::write(&file, &bytes).context("mend the file")?;
        }
        let told = format!("{verb} {}, {what} (seed {seed}, {round})", name.display());
        // Every byte of a segment and of the superblock is held by a checksum or a rule. Opening for
        // writing mends a slot of the superblock.
        let must = matches!(kind, "seg" | "superblock") && !write;
        note(outcome, tallies.entry(kind).or_default(), must, verdict, &told);
    }
    Ok(())
}

/// Takes in a verdict; `must` says that the damage has to be noticed.
fn note(outcome: &mut Outcome, tally: &mut Tally, must: bool, verdict: Verdict, told: &str) {
    outcome.round();
    tally.flips += 1;
    let wrong = match verdict {
        Verdict::Clean if !must => {
            tally.harmless += 1;
            return;
        }
        Verdict::Refused(text) if !text.is_empty() => {
            tally.refused += 1;
            outcome.damaged += 1;
            return;
        }
        Verdict::Damaged(_) => {
            tally.damaged += 1;
            outcome.damaged += 1;
            return;
        }
        Verdict::Clean => "not noticed".to_owned(),
        Verdict::Refused(_) => "refused without a word".to_owned(),
        Verdict::Wrong(text) => text,
        Verdict::Short(steps) => format!("{steps} steps are silently gone"),
        Verdict::Crashed(text) => format!("crashed: {text}"),
    };
    outcome.lost += 1;
    outcome.fail(format!("{told}: {wrong}"));
}

/// Flips bits in the log of a database that was killed. What was written since its superblock was is
/// only there, so a damage that looks like a write that was cut short may take the newest steps: it
/// is counted and told. Holes and wrong answers are failures here as everywhere.
fn flip_open_logs(context: &Context, rounds: u64, outcome: &mut Outcome) -> Result<()> {
    let (mut found, mut harmless, mut short) = (0, 0, 0);
    let folder = context.folder_in_memory()?;
    let mut database = None;
    for round in 0..rounds {
        if context.stopped() {
            break;
        }
        if round % 100 == 0 {
            database = Some(killed(context, round, folder.path())?);
        }
        let Some((model, judge)) = database.as_mut() else { break };
        let (whole, scratch) = (folder.path().join("whole"), folder.path().join("db"));
        let mut random = generator(context.seed, 1 << 46 | round);
        let files = by_kind(&whole)?;
        let log = files.get("log").and_then(|logs| logs.last()).context("a log")?;
        let bytes = std::fs::read(whole.join(log)).context("read the log")?;
        let (flipped, what) = flip_bits(&bytes, &mut random);
        std::fs::write(scratch.join(log), &flipped).context("write the damaged log")?;
        outcome.round();
        match judge.ask("prefix", &scratch)? {
            Verdict::Clean => harmless += 1,
            Verdict::Short(_) => short += 1,
            Verdict::Refused(_) | Verdict::Damaged(_) => {
                outcome.damaged += 1;
                found += 1;
            }
            Verdict::Wrong(text) | Verdict::Crashed(text) => {
                outcome.lost += 1;
                outcome.fail(format!(
                    "log of a killed database, {what} ({round}, {} steps): {text}",
                    model.steps
                ));
            }
        }
    }
    outcome.note(format!(
        "log of killed databases: {rounds} flips, {found} found, {harmless} harmless, {short} took the \
         newest steps and were not noticed"
    ));
    Ok(())
}

/// Makes a database that was killed while it was written, twice: `whole` and `db`.
fn killed(context: &Context, round: u64, folder: &std::path::Path) -> Result<(Model, Judge)> {
    let plan = Plan::new(context.seed.wrapping_add(round), Flavour::Unsynced);
    let (whole, scratch) = (folder.join("whole"), folder.join("db"));
    crate::child::remove(&whole)?;
    let mut model = create(&plan, &whole)?;
    let worker = Worker::start(&Args::new(&whole, &plan, 0), &[])?;
    worker.wait_until_open();
    std::thread::sleep(std::time::Duration::from_millis(60));
    // A loaded machine may not have let it write anything.
    worker.wait_for(20);
    let (_, told) = worker.kill()?;
    // The copy that is opened to learn how far it came is not the one that is damaged.
    still::replace(&whole, &scratch)?;
    let db = hashdb::Database::open(&scratch, plan.options()).context("open after the kill")?;
    model.recover(&db, told.acknowledged, told.attempted)?;
    drop(db);
    still::replace(&whole, &scratch)?;
    let judge = Judge::of(&model);
    Ok((model, judge))
}

/// The names of the files that are not empty, by kind.
fn by_kind(root: &std::path::Path) -> Result<BTreeMap<&'static str, Vec<std::path::PathBuf>>> {
    let mut names: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for file in still::files(root)? {
        if file.metadata().context("the file's length")?.len() > 0 {
            let name = file.strip_prefix(root).context("a file inside")?.to_path_buf();
            names.entry(still::kind_of(&file)).or_default().push(name);
        }
    }
    Ok(names)
}

/// Flips one to eight bits, together or anywhere; says which.
pub(crate) fn flip_bits(bytes: &[u8], random: &mut Rng) -> (Vec<u8>, String) {
    let mut flipped = bytes.to_vec();
    let (count, together) = (random.usize(1..9), random.bool());
    let begin = random.usize(..bytes.len());
    let mut places = Vec::new();
    for _ in 0..count {
        let at = if together {
            (begin + random.usize(..4)).min(bytes.len() - 1)
        } else {
            random.usize(..bytes.len())
        };
        let bit = random.u8(..8);
        if !places.contains(&(at, bit)) {
            flipped[at] ^= 1 << bit;
            places.push((at, bit));
        }
    }
    let what = format!("bits {places:?} of {} bytes", bytes.len());
    (flipped, what)
}
