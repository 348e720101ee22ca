//! `soak`: one database under a steady mixed load for a long time, whose process is killed with SIGKILL
//! again and again, closed at times, and left alone for one long life. After each end the prefix rule
//! and `verify`; over the whole, whether memory, open files and the disk stay as they are.

mod ask;
mod child;
mod curves;
mod heap;
mod load;
mod plot;
mod sample;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use fastrand::Rng;
use hashdb::{Database, Readable as _};

pub(crate) use child::{Args, run as run_child};

use crate::Context;
use crate::crash::Worker;
use crate::plan::generator;
use crate::report::Outcome;
use child::CHANGES_A_SECOND;
use curves::{Life, Soak};
use load::{Load, Model};
use sample::Sample;

/// From so many seconds on a soak is a long one: twenty times the records, and its slopes are judged.
const LONG_SECONDS: u64 = 1800;
/// Longest life but for the long one, in seconds.
const LONGEST_SHORT_LIFE: f64 = 60.0;
/// The share of the time that the long life takes, in the middle.
const LONG_LIFE: f64 = 0.45;
/// When it begins, as a share of the time.
const LONG_LIFE_FROM: f64 = 0.3;

/// Samples as they come, in memory and in a file.
struct Recorder {
    begin: Instant,
    samples: Vec<Sample>,
    file: File,
    failed: Option<String>,
}

impl Recorder {
    fn take(&mut self, line: &str) {
        let Some(mut sample) = Sample::parse(line) else {
            self.failed = Some(format!("a sample that is none: {line}"));
            return;
        };
        sample.at = self.begin.elapsed().as_secs_f64();
        if let Err(error) = writeln!(self.file, "{}", sample.line()) {
            self.failed = Some(format!("write a sample: {error}"));
        }
        self.samples.push(sample);
    }
}

pub(crate) fn run(context: &Context) -> Result<Outcome> {
    let seconds = context.seconds.unwrap_or(if context.full { 3600 } else { 8 });
    let long = seconds >= LONG_SECONDS;
    let load = Load { seed: context.seed, slots: if long { 400_000 } else { 20_000 } };
    let folder = context.folder()?;
    let csv = folder.path().join("soak.csv");
    let mut file = File::create(&csv).context("make the file of samples")?;
    writeln!(file, "{}", Sample::header()).context("write the file of samples")?;
    let recorder = Recorder { begin: Instant::now(), samples: Vec::new(), file, failed: None };
    let mut run = Run {
        context,
        seconds: seconds as f64,
        path: folder.path().join("db"),
        model: Model::new(load),
        random: generator(context.seed, 1 << 52),
        recorder: Arc::new(Mutex::new(recorder)),
        lives: Vec::new(),
        had_long_life: false,
    };
    let mut outcome = Outcome::default();
    drop(Database::create(&run.path, load.options()).context("create")?);
    let lived = run.live(&mut outcome);
    if let Err(error) = lived {
        outcome.lost += 1;
        outcome.fail(format!("life {}: {error:#}", run.lives.len()));
    }
    let samples = std::mem::take(&mut run.recorder()?.samples);
    let soak = Soak { samples, lives: run.lives, long };
    soak.print();
    soak.judge(&mut outcome);
    if let Some(plot) = &context.plot {
        plot::draw(&soak, plot).with_context(|| format!("draw {}", plot.display()))?;
        std::fs::copy(&csv, plot.with_extension("csv")).context("copy the samples")?;
    }
    if !outcome.failures.is_empty() {
        eprintln!("   kept in {}", folder.keep().display());
    }
    Ok(outcome)
}

/// How a life is to end.
#[derive(Debug, Clone, Copy)]
struct Fate {
    seconds: f64,
    killed: bool,
    long: bool,
}

struct Run<'a> {
    context: &'a Context,
    seconds: f64,
    path: PathBuf,
    model: Model,
    random: Rng,
    recorder: Arc<Mutex<Recorder>>,
    lives: Vec<Life>,
    had_long_life: bool,
}

impl Run<'_> {
    fn recorder(&self) -> Result<MutexGuard<'_, Recorder>> {
        self.recorder.lock().map_err(|_| anyhow!("the reader of a child panicked"))
    }

    fn elapsed(&self) -> Result<f64> {
        Ok(self.recorder()?.begin.elapsed().as_secs_f64())
    }

    fn live(&mut self, outcome: &mut Outcome) -> Result<()> {
        while (self.left()? > 0.0 || !self.had_long_life) && !self.context.stopped() {
            let fate = self.fate()?;
            outcome.rounds += u64::from(fate.killed);
            self.live_once(fate)?;
            let recorder = self.recorder()?;
            if let Some(failed) = &recorder.failed {
                bail!("{failed}");
            }
        }
        ensure!(self.lives.len() > 1, "nothing but the loading was done: this shows nothing");
        Ok(())
    }

    /// Seconds until the end; the loading does not count.
    fn left(&self) -> Result<f64> {
        let from = match self.lives.first() {
            Some(loading) => loading.end + loading.judged,
            None => self.elapsed()?,
        };
        Ok(from + self.seconds - self.elapsed()?)
    }

    fn fate(&mut self) -> Result<Fate> {
        let left = self.left()?;
        if left < self.seconds * (1.0 - LONG_LIFE_FROM) && !self.had_long_life {
            self.had_long_life = true;
            return Ok(Fate { seconds: self.seconds * LONG_LIFE, killed: true, long: true });
        }
        let longest = (self.seconds / 10.0).min(LONGEST_SHORT_LIFE);
        let seconds = (self.random.f64() * longest).max(0.2);
        if self.had_long_life && seconds >= left {
            return Ok(Fate { seconds: left, killed: false, long: false });
        }
        Ok(Fate { seconds, killed: self.random.u8(..5) > 0, long: false })
    }

    fn live_once(&mut self, fate: Fate) -> Result<()> {
        let number = u32::try_from(self.lives.len())?;
        let is_loading = self.model.steps < self.model.load.loading_steps();
        let begin = self.elapsed()?;
        let worker = self.start(number)?;
        if !worker.wait_until_open() {
            let (status, told) = worker.kill()?;
            bail!("the child did not open the database: {status}, {:?}", told.failure);
        }
        let opened = self.elapsed()?;
        if is_loading {
            // The first life is the loading.
            while !worker.has_ended() && !self.context.stopped() && !self.is_loaded(&worker) {
                std::thread::sleep(Duration::from_millis(20));
            }
        } else {
            while !worker.has_ended()
                && !self.context.stopped()
                && self.elapsed()? < opened + fate.seconds
            {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let killed = fate.killed && !is_loading;
        let (status, told) = if killed { worker.kill()? } else { worker.finish()? };
        let end = self.elapsed()?;
        if let Some(failure) = told.failure {
            bail!("a call failed or an answer was wrong: {failure} ({status})");
        }
        ensure!(killed || status.success(), "the child did not end well: {status}");
        let steps = told.acknowledged - self.model.steps;
        let judged = Instant::now();
        self.judge(told.acknowledged, told.attempted, killed)?;
        let judged = judged.elapsed().as_secs_f64();
        let life = Life {
            number,
            begin,
            opened,
            end,
            killed,
            long: fate.long && !is_loading,
            steps,
            judged,
        };
        println!("   {life}");
        self.lives.push(life);
        Ok(())
    }

    fn is_loaded(&self, worker: &Worker) -> bool {
        worker.acknowledged() >= self.model.load.loading_steps()
    }

    fn start(&self, number: u32) -> Result<Worker> {
        let Load { seed, slots } = self.model.load;
        let args = Args {
            path: self.path.clone(),
            seed,
            slots,
            from: self.model.steps,
            life: number,
            rate: CHANGES_A_SECOND,
        };
        let mut command =
            Command::new(std::env::current_exe().context("the path of this program")?);
        command.arg("soaked").args(args.words()).stdin(Stdio::piped());
        // What docs/reliability.md advises programs that live long: the pieces that glibc's allocator keeps
        // otherwise look like a leak.
        command.envs([("MALLOC_MMAP_THRESHOLD_", "262144"), ("MALLOC_ARENA_MAX", "4")]);
        let recorder = Arc::clone(&self.recorder);
        Worker::follow(command, args.from, move |word, line| {
            if let ("s", Ok(mut recorder)) = (word, recorder.lock()) {
                recorder.take(line);
            }
        })
    }

    /// Opens what was left, which must be the state after an acknowledged step or the one begun, and clean.
    fn judge(&mut self, acknowledged: u64, attempted: u64, killed: bool) -> Result<()> {
        let part = self.random.u32(..16);
        let most = if killed { attempted } else { acknowledged };
        let db =
            Database::open(&self.path, self.model.load.options()).context("open after the end")?;
        self.model.recover(&db, (acknowledged, most), |slot| slot % 16 == part)?;
        let report = db.verify().context("verify")?;
        ensure!(report.is_clean(), "verify: {:?}", report.damages);
        ensure!(report.records == db.len(), "verify read {} of {}", report.records, db.len());
        let broken = db.stats().maintenance_error;
        ensure!(broken.is_none(), "maintenance failed: {broken:?}");
        Ok(())
    }
}
