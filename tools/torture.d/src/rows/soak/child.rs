//! The process that is soaked: one thread writes, two ask and compare, one holds snapshots, one asks
//! for seals and compactions, one measures. It ends when its input ends, or when it is killed.
//!
//! It says what every child says (`child.rs`), and a line `s` with a sample every second.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use fastrand::Rng;
use hashdb::{Database, Readable as _, WriteOptions};

use super::ask::Reader;
use super::load::{Load, Model};
use super::sample::Sample;

/// What the parent tells its child.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// The database
    pub(crate) path: PathBuf,
    #[arg(long)]
    pub(crate) seed: u64,
    #[arg(long)]
    pub(crate) slots: u32,
    /// The first step
    #[arg(long)]
    pub(crate) from: u64,
    /// Which process, counted from 0
    #[arg(long)]
    pub(crate) life: u32,
    /// Changes a second
    #[arg(long, default_value_t = CHANGES_A_SECOND)]
    pub(crate) rate: u64,
}

impl Args {
    pub(super) fn words(&self) -> Vec<String> {
        let mut words = vec![self.path.to_string_lossy().into_owned()];
        let options = [
            ("--seed", self.seed),
            ("--slots", self.slots.into()),
            ("--from", self.from),
            ("--life", self.life.into()),
            ("--rate", self.rate),
        ];
        words.extend(
            options.into_iter().flat_map(|(name, value)| [name.to_owned(), value.to_string()]),
        );
        words
    }
}

/// Changes a second, well below what the engine can do: the curves are to show what a steady load leaves
/// behind, and not how fast the machine happens to be.
pub(super) const CHANGES_A_SECOND: u64 = 3000;
const READERS: u64 = 2;

/// What the threads share.
struct Soaked {
    args: Args,
    db: Database,
    /// Held while a step is written, so that whoever holds it knows what a snapshot must show.
    model: Mutex<Model>,
    stop: AtomicBool,
    changes: AtomicU64,
    answers: AtomicU64,
    snapshots: AtomicU64,
    compacting: AtomicBool,
}

fn say(line: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes()).and_then(|()| out.flush()).context("the parent is gone")
}

/// Runs the child.
pub(crate) fn run(args: &Args) -> Result<()> {
    let done = soak(args);
    if let Err(error) = &done {
        let told = format!("{error:#}").replace('\n', " ");
        say(&format!("f {told}\n"))?;
    }
    done
}

fn soak(args: &Args) -> Result<()> {
    let load = Load { seed: args.seed, slots: args.slots };
    let mut model = Model::new(load);
    model.advance_to(args.from);
    // By hand it may be run without its parent, at another rate.
    let db = if Database::exists(&args.path) {
        Database::open(&args.path, load.options()).context("open")?
    } else {
        Database::create(&args.path, load.options()).context("create")?
    };
    say("o\n")?;
    let soaked = Soaked {
        args: args.clone(),
        db,
        model: Mutex::new(model),
        stop: AtomicBool::new(false),
        changes: AtomicU64::new(0),
        answers: AtomicU64::new(0),
        snapshots: AtomicU64::new(0),
        compacting: AtomicBool::new(false),
    };
    let soaked = &soaked;
    std::thread::scope(|scope| {
        let mut work: Vec<Box<dyn FnOnce() -> Result<()> + Send + '_>> = vec![
            Box::new(|| soaked.write()),
            Box::new(|| soaked.hold_snapshots()),
            Box::new(|| soaked.maintain()),
            Box::new(|| soaked.measure()),
            Box::new(|| soaked.wait_for_the_end()),
        ];
        for reader in 0..READERS {
            work.push(Box::new(move || soaked.read(reader)));
        }
        let work: Vec<_> =
            work.into_iter().map(|work| scope.spawn(|| soaked.until_it_fails(work))).collect();
        let ended =
            work.into_iter().map(|work| work.join().map_err(|_| anyhow!("a thread panicked"))?);
        ended.collect::<Result<Vec<()>>>()
    })
    .map(|_| ())
}

impl Soaked {
    /// One thread that fails ends the others.
    fn until_it_fails(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let done = work();
        self.stop.store(true, Ordering::SeqCst);
        done
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn random(&self, thread: u64) -> Rng {
        crate::plan::generator(
            self.args.seed,
            (u64::from(self.args.life) << 8 | thread) + (1 << 50),
        )
    }

    /// Sleeps, in parts so that the end is seen.
    fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.stopped() && Instant::now() < until {
            std::thread::sleep(
                until.saturating_duration_since(Instant::now()).min(Duration::from_millis(100)),
            );
        }
    }

    fn model(&self) -> Result<std::sync::MutexGuard<'_, Model>> {
        self.model.lock().map_err(|_| anyhow!("another thread panicked"))
    }

    fn wait_for_the_end(&self) -> Result<()> {
        // Nothing is ever said: reading ends with the parent's wish, or with the parent.
        let said = std::io::stdin().lock().read_to_end(&mut Vec::new());
        said.map(|_| ()).context("wait for the end")
    }

    fn write(&self) -> Result<()> {
        let loading = self.model()?.load.loading_steps();
        let mut due = Instant::now();
        while !self.stopped() {
            let mut model = self.model()?;
            let number = model.steps;
            say(&format!("t {number}\n"))?;
            let step = model.advance();
            let (batch, changes) = (model.load.batch(&step)?, step.changes.len() as u64);
            self.db.write(batch, WriteOptions { sync: step.sync }).context("write")?;
            drop(model);
            say(&format!("a {number}\n"))?;
            self.changes.fetch_add(changes, Ordering::SeqCst);
            if number >= loading {
                // What a stall has cost is not caught up.
                due = due.max(Instant::now() - Duration::from_millis(100))
                    + Duration::from_secs(1) * u32::try_from(changes)?
                        / u32::try_from(self.args.rate)?;
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
            }
        }
        Ok(())
    }

    /// Freezes a state, asks it, and at times asks it once more when it has become old.
    fn read(&self, number: u64) -> Result<()> {
        let mut random = self.random(number);
        let mut reader = Reader::new(random.u64(..));
        // The same memory every time: what grows must be the database's.
        let mut state = self.model()?.clone();
        // At least once, however soon the end comes.
        loop {
            let snapshot = {
                let model = self.model()?;
                state.copy(&model);
                self.db.snapshot()
            };
            self.snapshots.fetch_add(1, Ordering::SeqCst);
            let mut answers = reader.ask(&snapshot, &state)?;
            if random.u8(..4) == 0 {
                self.rest(Duration::from_millis(random.u64(..8000)));
                answers += reader.ask(&snapshot, &state).context("of an old state")?;
            }
            drop(snapshot);
            self.snapshots.fetch_sub(1, Ordering::SeqCst);
            self.answers.fetch_add(answers, Ordering::SeqCst);
            self.rest(Duration::from_millis(random.u64(..400)));
            if self.stopped() {
                return Ok(());
            }
        }
    }

    /// Holds up to four snapshots for up to ten seconds each.
    fn hold_snapshots(&self) -> Result<()> {
        let mut random = self.random(20);
        let mut held = [const { None }; 4];
        while !self.stopped() {
            let place = &mut held[random.usize(..4)];
            if let Some((snapshot, records)) = place.take() {
                let snapshot: hashdb::Snapshot = snapshot;
                anyhow::ensure!(snapshot.len() == records, "a snapshot has changed");
                self.snapshots.fetch_sub(1, Ordering::SeqCst);
            } else {
                let model = self.model()?;
                *place = Some((self.db.snapshot(), model.records));
                self.snapshots.fetch_add(1, Ordering::SeqCst);
            }
            self.rest(Duration::from_millis(random.u64(..2500)));
        }
        Ok(())
    }

    /// Seals every ten seconds or so, compacts every two minutes or so, beside the background.
    fn maintain(&self) -> Result<()> {
        let mut random = self.random(21);
        while !self.stopped() {
            self.rest(Duration::from_millis(random.u64(..20_000)));
            if random.u8(..12) == 0 {
                self.compacting.store(true, Ordering::SeqCst);
                self.db.compact().context("compact")?;
                self.compacting.store(false, Ordering::SeqCst);
            } else {
                self.db.seal().context("seal")?;
            }
            let failed = self.db.stats().maintenance_error;
            anyhow::ensure!(failed.is_none(), "maintenance failed: {failed:?}");
        }
        Ok(())
    }

    fn measure(&self) -> Result<()> {
        let begin = Instant::now();
        while !self.stopped() {
            let mut sample = Sample { life: self.args.life.into(), ..Sample::default() };
            sample.age = begin.elapsed().as_secs_f64();
            sample.measure(&self.args.path)?;
            (sample.live, sample.records) = {
                let model = self.model()?;
                (model.live_bytes as f64, model.records as f64)
            };
            sample.deleted = self.db.stats().deleted_rows as f64;
            sample.changes = self.changes.load(Ordering::SeqCst) as f64;
            sample.answers = self.answers.load(Ordering::SeqCst) as f64;
            sample.snapshots = self.snapshots.load(Ordering::SeqCst) as f64;
            sample.compacting = f64::from(u8::from(self.compacting.load(Ordering::SeqCst)));
            say(&format!("s {}\n", sample.line()))?;
            self.rest(Duration::from_secs(1));
        }
        Ok(())
    }
}
