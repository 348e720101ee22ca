//! `rocksdb-io`: RocksDB's own calls of the operating system fail at random, by libfiu, which stands
//! between a child and its C library.

use std::time::Duration;

use anyhow::{Context as _, Result};
use hashdb::Database;

use crate::Context;
use crate::child::Args;
use crate::crash::Worker;
use crate::disk::has;
use crate::plan::{Flavour, Plan, generator};
use crate::report::Outcome;
use crate::rows::kill::create;

/// What fails: fsync with EIO, write with ENOSPC and with EIO.
const FAULTS: &[(&str, u32)] = &[
    ("posix/io/sync/*", 5),
    ("posix/io/rw/write", 28),
    ("posix/io/rw/pwrite", 5),
    ("posix/io/rw/pread", 5),
];

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    if !has("fiu-run") {
        return Ok(Outcome::skipped("there is no fiu-run (Debian: fiu-utils)"));
    }
    let rounds = context.rounds(24, 1000);
    let mut outcome = Outcome::default();
    let mut failed = 0;
    for round in 0..rounds {
        if context.stopped() {
            break;
        }
        let seed = context.seed.wrapping_add(round);
        let fault = FAULTS[usize::try_from(round)? % FAULTS.len()];
        outcome.round();
        match fault_of(context, seed, fault) {
            Ok(was) => failed += u64::from(was),
            Err(error) => {
                outcome.lost += 1;
                outcome.fail(format!("{} with errno {}, seed {seed}: {error:#}", fault.0, fault.1));
            }
        }
    }
    outcome.note(format!("in {failed} of {} rounds a call of the library failed", outcome.rounds));
    if failed == 0 {
        outcome.fail("no call failed: this shows nothing".to_owned());
    }
    Ok(outcome)
}

/// Says whether a call of the library failed.
fn fault_of(context: &Context, seed: u64, (name, errno): (&str, u32)) -> Result<bool> {
    let folder = context.folder()?;
    let path = folder.path().join("db");
    let plan = Plan::new(seed, Flavour::Mixed);
    let mut model = create(&plan, &path)?;
    let probability = [0.002, 0.01, 0.05][usize::try_from(seed % 3)?];
    let spec = format!("enable_random name={name},probability={probability},failinfo={errno}");
    let mut args = Args::new(&path, &plan, 0);
    args.to = 400;
    let worker = Worker::start(&args, &["fiu-run", "-x", "-c", &spec])?;
    if worker.wait_until_open() {
        std::thread::sleep(Duration::from_millis(generator(seed, 1 << 45).u64(50..400)));
    }
    let (_, told) = worker.kill()?;
    let db = Database::open(&path, plan.options()).context("open without faults")?;
    model.recover(&db, told.acknowledged, told.attempted)?;
    model.check(&db)?;
    Ok(told.failure.is_some())
}
