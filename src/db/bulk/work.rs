//! Jobs that are dealt to threads, and what they share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;

use super::options::{BulkOptions, BulkProgress, BulkStage};
use crate::db::threads::Watch;
use crate::error::{Error, Result};

/// Records between two looks at the flag that stops a load.
pub(super) const LOOK_EVERY: u64 = 1 << 16;

/// Runs `job` for 0 to `count - 1`, on so many threads; the first error ends it.
pub(super) fn deal<T: Send>(
    threads: usize,
    count: usize,
    job: impl Fn(usize) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, Result<T>)>> = Mutex::new(Vec::with_capacity(count));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let result = job(number);
            if result.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            results.lock().push((number, result));
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            // Where the system gives no more threads, those that are there do the work.
            let thread = std::thread::Builder::new().name("hashdb-load".to_owned());
            let _fewer = thread.spawn_scoped(scope, work);
        }
        work();
    });
    let mut results = results.into_inner();
    results.sort_unstable_by_key(|(number, _)| *number);
    results.into_iter().map(|(_, result)| result).collect()
}

/// Names for the files of a load.
#[derive(Debug)]
pub(super) struct Names {
    folder: PathBuf,
    next: AtomicU64,
}

impl Names {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder, next: AtomicU64::new(0) }
    }

    pub(super) fn next(&self, kind: &str) -> PathBuf {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.folder.join(format!("{number:06}.{kind}"))
    }
}

/// Counts the records of a stage, tells of them, and sees whether the load shall stop.
pub(super) struct Meter<'a> {
    options: &'a BulkOptions,
    stage: BulkStage,
    total: u64,
    done: AtomicU64,
}

impl<'a> Meter<'a> {
    pub(super) fn new(options: &'a BulkOptions, stage: BulkStage, total: u64) -> Self {
        let meter = Self { options, stage, total, done: AtomicU64::new(0) };
        meter.tell(0);
        meter
    }

    /// Records that go through the stage.
    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// Counts for one thread.
    pub(super) fn counter(&self) -> Counter<'_, 'a> {
        Counter { meter: self, since: 0 }
    }

    pub(super) fn tell(&self, done: u64) {
        if let Some(progress) = &self.options.progress {
            progress(BulkProgress { stage: self.stage, done, total: self.total });
        }
    }
}

/// How far the indexes of one segment are.
pub(super) struct SegmentMeter<'m, 'a> {
    pub(super) meter: &'m Meter<'a>,
    /// Records of segments that are written, and of this one.
    pub(super) before: u64,
    pub(super) rows: u64,
}

impl Watch for SegmentMeter<'_, '_> {
    fn stopped(&self) -> bool {
        check_cancelled(self.meter.options.cancel.as_ref()).is_err()
    }

    fn done(&self, steps: usize, of: usize) {
        self.meter.tell(self.before + self.rows * steps as u64 / of.max(1) as u64);
    }
}

/// What one thread has done since it last told.
pub(super) struct Counter<'m, 'a> {
    meter: &'m Meter<'a>,
    since: u64,
}

impl Counter<'_, '_> {
    #[inline]
    pub(super) fn step(&mut self) -> Result<()> {
        self.since += 1;
        if self.since < LOOK_EVERY { Ok(()) } else { self.look() }
    }

    /// Tells what was done and fails if the load shall stop.
    pub(super) fn look(&mut self) -> Result<()> {
        let done = self.meter.done.fetch_add(self.since, Ordering::Relaxed) + self.since;
        self.since = 0;
        self.meter.tell(done);
        check_cancelled(self.meter.options.cancel.as_ref())
    }
}

pub(super) fn check_cancelled(flag: Option<&Arc<AtomicBool>>) -> Result<()> {
    if flag.is_some_and(|flag| flag.load(Ordering::Relaxed)) {
        return Err(Error::Cancelled);
    }
    Ok(())
}
