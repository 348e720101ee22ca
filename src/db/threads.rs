//! Threads that build the indexes of a segment, and how many of them there are.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::index::Workers;

/// So many threads, the caller's among them. They live as long as their jobs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Threads {
    count: usize,
}

impl Threads {
    /// The caller and others, `count` in all, one at least.
    pub(crate) fn of(count: usize) -> Self {
        Self { count: count.max(1) }
    }

    /// The caller alone.
    pub(crate) fn one() -> Self {
        Self::of(1)
    }

    /// As many as there are cores: for work that somebody waits for.
    pub(crate) fn foreground() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, NonZero::get))
    }

    /// Half as many as there are cores: what is done in the background leaves the others to readers.
    pub(crate) fn background() -> Self {
        Self::of(Self::foreground().count / 2)
    }
}

impl Workers for Threads {
    fn run(&self, count: usize, job: &(dyn Fn(usize) + Sync)) {
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= count {
                    return;
                }
                job(number);
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..self.count.min(count) {
                // Without another thread the work is done by those there are.
                let _fewer = std::thread::Builder::new()
                    .name("hashdb-build".to_owned())
                    .spawn_scoped(scope, work);
            }
            work();
        });
    }
}
