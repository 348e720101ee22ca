//! What a database must hold after some step, and whether one does: every record, and every kind of
//! answer against brute force over the records.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use hashdb::{Address, Backup, Code, Database, Neighbor, Readable as _};

use crate::child::{Copies, remove};
use crate::plan::{Change, Plan, Step, generator};

/// A record as it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) id: u64,
    pub(crate) address: Address,
    pub(crate) code: Code,
    pub(crate) value: Vec<u8>,
}

pub(crate) type Records = BTreeMap<Vec<u8>, Held>;

/// The state after the first `steps` steps of a plan.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) plan: Plan,
    pub(crate) steps: u64,
    pub(crate) records: Records,
    next_id: u64,
}

impl Model {
    pub(crate) fn new(plan: Plan) -> Self {
        Self { plan, steps: 0, records: Records::new(), next_id: 0 }
    }

    /// The state after one more step.
    pub(crate) fn advance(&mut self) -> Step {
        let step = self.plan.step(self.steps);
        for change in &step.changes {
            match change {
                Change::Delete { key } => {
                    self.records.remove(key);
                }
                Change::Put { key, address, code, value } => {
                    let (id, code, value) = (self.next_id, code.clone(), value.clone());
                    self.next_id += 1;
                    self.records.insert(key.clone(), Held { id, address: *address, code, value });
                }
            }
        }
        self.steps += 1;
        step
    }

    pub(crate) fn advance_to(&mut self, steps: u64) {
        while self.steps < steps {
            self.advance();
        }
    }

    /// Advances to the state that the database shows, which is that after `least` to `most` steps:
    /// the rule that what was recovered is a prefix of what was done. The next id belongs to it: of a
    /// step that puts a record and deletes it again nothing else is seen.
    pub(crate) fn recover(&mut self, db: &Database, least: u64, most: u64) -> Result<()> {
        self.advance_to(least);
        let found = read(db)?;
        let next_id = db.stats().next_id;
        let lacking = describe_difference(&self.records, &found);
        let expected = self.next_id;
        while (&found, next_id) != (&self.records, self.next_id) {
            if self.steps >= most {
                bail!(
                    "the state is that after none of the steps {least} to {most}; \
                     from the one after {least}: {lacking}, next id {next_id} for {expected}"
                );
            }
            self.advance();
        }
        // A step that changes nothing leaves the same state: it counts as done.
        while self.steps < most {
            let mut next = self.clone();
            next.advance();
            if next.records != self.records || next.next_id != self.next_id {
                break;
            }
            *self = next;
        }
        Ok(())
    }

    fn nearest(&self, distance: impl Fn(&Held) -> u32) -> Vec<Neighbor> {
        let mut all: Vec<_> = self
            .records
            .values()
            .map(|held| {
                let (distance, address) = (distance(held), held.address.value());
                Neighbor { id: held.id, address, distance }
            })
            .collect();
        all.sort_unstable_by_key(|neighbor| (neighbor.distance, neighbor.id));
        all
    }

    /// Asks a few questions of each kind. An answer that differs is an error; what the database
    /// itself reports as an error is handed to `failed`, which decides.
    pub(crate) fn ask(
        &self,
        db: &Database,
        seed: u64,
        mut failed: impl FnMut(hashdb::Error) -> Result<()>,
    ) -> Result<()> {
        let mut random = generator(self.plan.seed, seed);
        for round in 0..3 {
            let (address, code) = (self.plan.address(&mut random), self.plan.code(&mut random));
            let by_address = self.nearest(|held| held.address.distance(address));
            let by_code = self.nearest(|held| held.code.distance(&code));
            let within = |all: &[Neighbor], radius: u32| -> Vec<Neighbor> {
                all.iter().filter(|neighbor| neighbor.distance <= radius).copied().collect()
            };
            let radius = random.u32(..5);
            match db.ball(address, radius) {
                Ok(found) => same("a ball", round, &found, &within(&by_address, radius))?,
                Err(error) => failed(error)?,
            }
            let k = random.usize(1..20);
            match db.knn(&code, k) {
                Ok(found) => same("k-NN", round, &found, &by_code[..k.min(by_code.len())])?,
                Err(error) => failed(error)?,
            }
            for radius in [random.u32(..12), u32::from(self.plan.code_bits) / 2] {
                match db.range_search(&code, radius) {
                    Ok(found) => same("a range", round, &found, &within(&by_code, radius))?,
                    Err(error) => failed(error)?,
                }
            }
        }
        Ok(())
    }

    /// Holds the database against this state: its length, its answers, `verify`.
    pub(crate) fn check(&self, db: &Database) -> Result<()> {
        ensure!(
            db.len() == self.records.len() as u64,
            "{} records, len says {}",
            self.records.len(),
            db.len()
        );
        self.ask(db, self.steps, |error| Err(error.into()))?;
        let report = db.verify().context("verify")?;
        ensure!(report.is_clean(), "verify: {:?}", report.damages);
        ensure!(report.records == db.len(), "verify read {} of {}", report.records, db.len());
        let broken = db.stats().maintenance_error;
        ensure!(broken.is_none(), "maintenance failed: {broken:?}");
        Ok(())
    }
}

fn same(what: &str, round: usize, found: &[Neighbor], expected: &[Neighbor]) -> Result<()> {
    ensure!(
        found == expected,
        "{what} (question {round}) has {} neighbours, brute force {}",
        found.len(),
        expected.len()
    );
    Ok(())
}

/// Every record, with its value, and by its key once more.
pub(crate) fn read(db: &Database) -> Result<Records> {
    let mut records = Records::new();
    for record in db.iter() {
        let record = record.context("iteration")?;
        let value = db.value(&record).context("a value")?;
        let by_key = db.get(&record.key).context("a look-up")?;
        ensure!(by_key.as_ref() == Some(&record), "key {:?} has another record", record.key);
        let held = Held { id: record.id, address: record.address, code: record.code, value };
        ensure!(records.insert(record.key, held).is_none(), "a key twice");
    }
    Ok(records)
}

/// Where two states differ, in a line.
fn describe_difference(expected: &Records, found: &Records) -> String {
    let name = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    let missing: Vec<_> = expected.keys().filter(|key| !found.contains_key(*key)).collect();
    let extra: Vec<_> = found.keys().filter(|key| !expected.contains_key(*key)).collect();
    let other = expected.iter().filter(|(key, held)| found.get(*key).is_some_and(|f| f != *held));
    let first = |keys: &[&Vec<u8>]| keys.first().map_or(String::new(), |key| name(key));
    format!(
        "{} of {} missing ({}), {} too many ({}), {} different",
        missing.len(),
        expected.len(),
        first(&missing),
        extra.len(),
        first(&extra),
        other.count()
    )
}

/// Judges what a child that was killed left of copies: a checkpoint and a restored database are whole or
/// no databases, every generation in the backup folder is whole, and what they hold is the state after
/// some step up to `most`. What was judged is removed, but for the backups.
pub(crate) fn check_copies(plan: &Plan, path: &Path, most: u64) -> Result<()> {
    let copies = Copies::of(path);
    let judge = |copy: &Path, what: &'static str| -> Result<()> {
        if Database::exists(copy) {
            let mut model = Model::new(*plan);
            let db = Database::open(copy, plan.options()).context(what)?;
            model.recover(&db, plan.loaded_steps(), most).context(what)?;
            model.check(&db).context(what)?;
        }
        remove(copy)
    };
    judge(&copies.checkpoint, "the checkpoint")?;
    judge(&copies.restored, "the restored database")?;
    if !copies.backups.exists() {
        return Ok(());
    }
    let backup = Backup::at(&copies.backups);
    let generations = match backup.list() {
        // Killed while it made the folder.
        Err(hashdb::Error::NotABackup { .. }) => Vec::new(),
        listed => listed.context("the backup folder")?,
    };
    if !generations.is_empty() {
        let report = backup.verify().context("verify the backups")?;
        ensure!(report.is_clean(), "the backups: {report:?}");
    }
    if let Some(generation) = generations.last() {
        let target = path.with_extension(format!("generation-{}", generation.number));
        backup.restore(Some(generation.number), &target).context("restore")?;
        judge(&target, "a restored generation")?;
    }
    Ok(())
}
