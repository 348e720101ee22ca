//! `blocks`: all that reaches the disk below ext4 is recorded while a child works; then the disk is made
//! as a loss of power may have left it, at moments around each flush and between, whole or with writes
//! lost and torn that no flush had followed. ext4 recovers, the database opens, and holds a state no
//! older than the last that was promised by then.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hashdb::Database;

use crate::Context;
use crate::blocklog::{Recorder, Replay};
use crate::child::Args;
use crate::crash::{Told, Worker};
use crate::disk::{Mounted, cannot_mount, has, make_image_with};
use crate::model::{Model, check_copies};
use crate::plan::{Flavour, Plan, generator};
use crate::report::Outcome;
use crate::rows::kill::create;

/// Small, since each state is written out.
const DISK_BYTES: u64 = 128 << 20;
/// States of one recording.
const STATES_A_RECORDING: u64 = 50;
/// What a file system writes at once decides which ends of files can be missing: small disks get the
/// first by themselves, large ones the second. Recordings take turns.
const BLOCK_SIZES: [&str; 2] = ["1024", "4096"];

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    if let Some(reason) = cannot_mount() {
        return Ok(Outcome::skipped(reason));
    }
    if !Path::new("/dev/fuse").exists() || !has("mkfs.ext4") {
        return Ok(Outcome::skipped("needs /dev/fuse and mkfs.ext4"));
    }
    let rounds = context.rounds(16, 5000);
    let mut outcome = Outcome::default();
    let (mut recordings, mut events) = (0, 0);
    while outcome.rounds < rounds && !context.stopped() {
        let states = STATES_A_RECORDING.min(rounds.div_ceil(2)).min(rounds - outcome.rounds);
        let seed = context.seed.wrapping_add(recordings);
        // Flavours follow the seed in turns too: every pair of them comes up in four recordings.
        let block_size = BLOCK_SIZES[usize::from((recordings + recordings / 2) % 2 == 1)];
        match Recording::make(context, seed, block_size) {
            Ok(mut recording) => {
                events += recording.replay.len();
                recording.try_states(context, states, &mut outcome);
            }
            Err(error) => {
                outcome.fail(format!("the recording of seed {seed}: {error:#}"));
                return Ok(outcome);
            }
        }
        recordings += 1;
    }
    outcome.note(format!("{recordings} recordings, {events} writes and flushes"));
    Ok(outcome)
}

/// What a child did to a disk, and what it was promised when.
struct Recording {
    folder: tempfile::TempDir,
    block_size: &'static str,
    plan: Plan,
    begun: Model,
    replay: Replay,
    told: Told,
    /// Events when it was heard that so many steps are durable: they were so before.
    promises: Vec<(usize, u64)>,
}

impl Recording {
    fn make(context: &Context, seed: u64, block_size: &'static str) -> Result<Self> {
        let folder = context.folder_in_memory()?;
        let image = folder.path().join("image");
        let (served, at) = (folder.path().join("served"), folder.path().join("mount"));
        for place in [&served, &at] {
            std::fs::create_dir(place).context("make a mount point")?;
        }
        make_image_with("ext4", &image, DISK_BYTES, &["-b", block_size])?;
        let plan =
            Plan::new(seed, if seed.is_multiple_of(2) { Flavour::Mixed } else { Flavour::Synced });
        let mounted = Mounted::image(&image, &at)?;
        let begun = create(&plan, &at.join("db"))?;
        mounted.unmount()?;
        let content = std::fs::read(&image).context("read the image")?;

        let recorder = Recorder::serve(content.clone(), &served)?;
        let (log, promises) = (recorder.log(), Arc::new(Mutex::new(Vec::new())));
        let mounted = Mounted::served(recorder.file(), &at)?;
        let heard = Arc::clone(&promises);
        let worker =
            Worker::start_watched(&Args::new(&at.join("db"), &plan, 0), &[], move |durable| {
                let moment = log.len();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push((moment, durable));
            })?;
        if !worker.wait_until_open() {
            let (status, told) = worker.kill()?;
            bail!("the child did not open the database: {status}, {:?}", told.failure);
        }
        std::thread::sleep(Duration::from_millis(generator(seed, 1 << 53).u64(300..1500)));
        worker.wait_for(20);
        let (status, told) = worker.kill()?;
        mounted.unmount()?;
        let mut replay = recorder.finish();
        replay.from(content);
        if let Some(failure) = told.failure {
            bail!("a call failed: {failure} ({status})");
        }
        let promises =
            std::mem::take(&mut *promises.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Self { folder, block_size, plan, begun, replay, told, promises })
    }

    /// Half of the moments lie around flushes, half anywhere; of each half every other state lacks writes.
    fn try_states(&mut self, context: &Context, states: u64, outcome: &mut Outcome) {
        let mut random = generator(self.plan.seed, 1 << 54);
        let flushes = self.replay.around_flushes();
        let mut moments: Vec<_> = (0..states)
            .map(|number| {
                if number.is_multiple_of(2) && !flushes.is_empty() {
                    flushes[random.usize(..flushes.len())]
                } else {
                    random.usize(..=self.replay.len())
                }
            })
            .collect();
        moments.sort_unstable();
        for moment in moments {
            if context.stopped() {
                return;
            }
            outcome.round();
            let lossy = random.bool();
            let state = self.replay.state(moment, lossy.then_some(&mut random));
            if let Err(error) = self.try_state(&state, moment) {
                outcome.lost += 1;
                let (seed, all) = (self.plan.seed, self.replay.len());
                let how = if lossy { "with writes lost" } else { "whole" };
                let block = self.block_size;
                outcome.fail(format!(
                    "{moment} of {all} events {how}, blocks of {block}, seed {seed}: {error:#}"
                ));
                if let Some(folder) = &context.keep {
                    let kept = folder.join(format!("ext4-{seed}-{moment}"));
                    match std::fs::write(&kept, &state) {
                        Ok(()) => outcome.note(format!("kept as {}", kept.display())),
                        Err(error) => outcome.note(format!("not kept: {error}")),
                    }
                }
            }
        }
    }

    fn try_state(&self, state: &[u8], moment: usize) -> Result<()> {
        let (image, at) = (self.folder.path().join("state"), self.folder.path().join("mount"));
        std::fs::write(&image, state).context("write the state")?;
        let heard = self.promises.iter().take_while(|(heard, _)| *heard <= moment).last();
        let least = heard.map_or(0, |(_, durable)| *durable);
        let mounted = Mounted::image(&image, &at).context("ext4 does not recover")?;
        let path = at.join("db");
        let judged = Database::open(&path, self.plan.options())
            .context("open")
            .and_then(|db| {
                let mut model = self.begun.clone();
                model.recover(&db, least, self.told.attempted)?;
                model.check(&db)
            })
            .and_then(|()| check_copies(&self.plan, &path, self.told.attempted));
        mounted.unmount()?;
        judged
    }
}
