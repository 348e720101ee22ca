//! Jobs of a builder that may run side by side. This floor has no threads: whoever builds brings them.
//!
//! What a job gives depends on its number alone, and results come in the order of the numbers: so the
//! columns are the same whatever the number of threads.

use std::sync::{Mutex, OnceLock, PoisonError};

/// Whoever runs the jobs of a builder.
pub trait Workers: Sync {
    /// Runs `job` for 0 to `count - 1`, each once, in any order, and returns when all are done.
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync));

    /// Whether nobody wants the result any more: jobs that have not begun are left out then, and the builder gives
    /// nothing. Once so, always so.
    fn stopped(&self) -> bool {
        false
    }
}

/// The caller itself, one job after the other.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

impl Workers for Alone {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        (0..count).for_each(job);
    }
}

/// The results of all jobs, in their order; none if they were stopped.
pub(super) fn map<T: Send + Sync>(
    workers: &dyn Workers,
    count: usize,
    job: impl Fn(usize) -> T + Sync,
) -> Option<Vec<T>> {
    let slots: Vec<OnceLock<T>> = (0..count).map(|_| OnceLock::new()).collect();
    workers.run(count, &|number| {
        if !workers.stopped() {
            slots[number].get_or_init(|| job(number));
        }
    });
    // A job that was not run is made up for.
    let made_up = |number| (!workers.stopped()).then(|| job(number));
    let result =
        |(number, slot): (usize, OnceLock<T>)| slot.into_inner().or_else(|| made_up(number));
    slots.into_iter().enumerate().map(result).collect()
}

/// Hands each part to a job of its own; none if they were stopped.
pub(super) fn each<P: Send>(
    workers: &dyn Workers,
    parts: impl Iterator<Item = P>,
    job: impl Fn(usize, P) + Sync,
) -> Option<()> {
    let slots: Vec<_> = parts.map(|part| Mutex::new(Some(part))).collect();
    let run = |number: usize| {
        if workers.stopped() {
            return;
        }
        let part = slots[number].lock().unwrap_or_else(PoisonError::into_inner).take();
        part.into_iter().for_each(|part| job(number, part));
    };
    workers.run(slots.len(), &run);
    (0..slots.len()).for_each(run);
    (!workers.stopped()).then_some(())
}
