//! `seals`: a segment for every batch of one to six changes. Merging keeps the number of segments
//! logarithmic; files, handles, memory and the record store's manifest stay small, and in the end every
//! answer is right. Opening what was left takes little: it took memory with the square of the number of
//! seals, 22 GB after 100,000, while each seal deleted the range of all pending entries there ever were.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use hashdb::Database;

use crate::Context;
use crate::child::Args;
use crate::crash::Worker;
use crate::model::check_copies;
use crate::plan::{Flavour, Plan};
use crate::report::Outcome;
use crate::rows::kill::create;
use crate::still;

/// Four of a size become one, so there are at most three of each size in the end.
const MOST_SEGMENTS: u64 = 60;
/// Seals wait for merges from 128 on; files that were merged wait to be removed.
const MOST_FILES: u64 = 300;
/// RocksDB's tables and logs, segments, pipes.
const MOST_HANDLES: u64 = 200;
const MOST_MANIFEST_BYTES: u64 = 16 << 20;
/// How much more memory the last tenth may take than the second: RocksDB's write buffers fill meanwhile.
const MOST_GROWTH: u64 = 256 << 20;
/// A child that seals nothing for so long hangs.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long the background may take to merge what is left.
const MOST_PATIENCE: Duration = Duration::from_secs(60);
/// Of some thousand records, on a loaded machine.
const MOST_OPENING: Duration = Duration::from_secs(5);
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// What was there at some moment, or the most of it.
#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    segments: u64,
    handles: u64,
    memory: u64,
    manifest: u64,
    disk: u64,
}

impl Sample {
    fn of(pid: u32, path: &Path) -> Result<Self> {
        let entries = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count) as u64;
        let mut sample = Self {
            segments: entries(&path.join("segments")),
            handles: entries(Path::new(&format!("/proc/{pid}/fd"))),
            ..Self::default()
        };
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = resident.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok());
        sample.memory = kilobytes.unwrap_or(0) * 1024_u64;
        // Files go while they are counted.
        for file in still::files(path).unwrap_or_default() {
            let length = file.metadata().map_or(0, |metadata| metadata.len());
            sample.disk += length;
            if still::kind_of(&file) == "manifest" {
                sample.manifest = sample.manifest.max(length);
            }
        }
        Ok(sample)
    }

    fn most(self, other: Self) -> Self {
        Self {
            segments: self.segments.max(other.segments),
            handles: self.handles.max(other.handles),
            memory: self.memory.max(other.memory),
            manifest: self.manifest.max(other.manifest),
            disk: self.disk.max(other.disk),
        }
    }
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let seals = context.rounds(1000, 100_000);
    let mut outcome = Outcome::default();
    // Syncs cost nothing there; how long one takes on a disk is not the question.
    let folder = context.folder_in_memory()?;
    let path = folder.path().join("db");
    let plan = Plan::new(context.seed, Flavour::Seals);
    let mut model = create(&plan, &path)?;
    let mut args = Args::new(&path, &plan, 0);
    args.to = seals;
    let worker = Worker::start(&args, &[])?;
    let tenths = sample(context, &worker, &path, seals, &mut outcome)?;
    if context.stopped() {
        return Ok(outcome);
    }
    let (status, told) = worker.wait()?;
    if let Some(failure) = told.failure {
        bail!("a call failed: {failure} ({status})");
    }
    let begin = Instant::now();
    let db = Database::open(&path, plan.options()).context("open")?;
    let opening = begin.elapsed();
    model.recover(&db, seals, seals)?;
    model.check(&db)?;
    // The background merges them as it gets to it.
    let patience = Instant::now();
    let segments = loop {
        let segments = db.stats().segments.len() as u64;
        if segments <= MOST_SEGMENTS || patience.elapsed() > MOST_PATIENCE {
            break segments;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    drop(db);
    check_copies(&plan, &path, seals)?;
    judge(&tenths, &mut outcome);
    if seals <= 10_000 && opening > MOST_OPENING {
        outcome.fail(format!("opening took {opening:?}"));
    }
    outcome.note(format!(
        "{segments} segments and {} records in the end, opened in {opening:.1?}",
        model.records.len()
    ));
    ensure!(segments <= MOST_SEGMENTS, "{segments} segments are left");
    Ok(outcome)
}

/// The most there was in each tenth of the work.
fn sample(
    context: &Context,
    worker: &Worker,
    path: &Path,
    seals: u64,
    outcome: &mut Outcome,
) -> Result<Vec<(Sample, Duration)>> {
    let mut tenths = Vec::new();
    let (mut most, mut begin, mut moved) = (Sample::default(), Instant::now(), Instant::now());
    while !worker.has_ended() && !context.stopped() {
        std::thread::sleep(SAMPLE_EVERY);
        let done = worker.acknowledged();
        if done > outcome.rounds {
            moved = Instant::now();
        }
        ensure!(moved.elapsed() < PATIENCE, "nothing was sealed for two minutes, after {done}");
        while outcome.rounds < done {
            outcome.round();
        }
        most = most.most(Sample::of(worker.pid(), path)?);
        if done * 10 >= seals * (tenths.len() as u64 + 1) {
            tenths.push((std::mem::take(&mut most), begin.elapsed()));
            begin = Instant::now();
        }
    }
    while outcome.rounds < worker.acknowledged() {
        outcome.round();
    }
    // What is seen of a child that has ended says nothing.
    if most.handles > 0 {
        tenths.push((most, begin.elapsed()));
    }
    Ok(tenths)
}

fn judge(tenths: &[(Sample, Duration)], outcome: &mut Outcome) {
    let all = tenths.iter().fold(Sample::default(), |most, (sample, _)| most.most(*sample));
    let bounds = [
        ("segment files", all.segments, MOST_FILES),
        ("open handles", all.handles, MOST_HANDLES),
        ("bytes of the record store's manifest", all.manifest, MOST_MANIFEST_BYTES),
    ];
    for (what, found, bound) in bounds {
        if found > bound {
            outcome.fail(format!("{found} {what}, more than {bound}"));
        }
    }
    let memory = |tenth: usize| tenths.get(tenth).map_or(0, |(sample, _)| sample.memory);
    let last = tenths.len().saturating_sub(1);
    if tenths.len() > 5 && memory(last) > memory(1) + MOST_GROWTH {
        outcome.fail(format!("memory grew from {} to {} bytes", memory(1), memory(last)));
    }
    for (number, (sample, took)) in tenths.iter().enumerate() {
        let Sample { segments, handles, memory, manifest, disk } = sample;
        outcome.note(format!(
            "part {}: {:.1} s; at most {segments} files of segments, {handles} handles, {} MiB of \
             memory, {manifest} bytes of manifest, {} KiB on the disk",
            number + 1,
            took.as_secs_f64(),
            memory >> 20,
            disk >> 10
        ));
    }
}
