//! Threads that build the indexes of a segment, how many of them there are, and who watches them.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::error::{Error, Result};
use crate::index::Workers;

/// Who wants to know how far a segment is while it is written, and may stop it.
pub(crate) trait Watch: Sync {
    /// Whether nobody wants the segment any more. Once so, always so.
    fn stopped(&self) -> bool;

    /// So many steps of equal worth are done, of so many.
    fn done(&self, steps: usize, of: usize);
}

/// So many threads, the caller's among them. They live as long as their jobs.
#[derive(Clone, Copy)]
pub(crate) struct Threads<'a> {
    count: usize,
    watch: Option<&'a dyn Watch>,
}

impl<'a> Threads<'a> {
    /// The caller and others, `count` in all, one at least.
    pub(crate) fn of(count: usize) -> Self {
        Self { count: count.max(1), watch: None }
    }

    /// The same under somebody's eyes.
    pub(crate) fn watched(self, watch: &'a dyn Watch) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// Tells who watches of steps that are done.
    ///
    /// # Errors
    ///
    /// [`Error::Cancelled`] if they stop the work.
    pub(crate) fn done(&self, steps: usize, of: usize) -> Result<()> {
        self.watch.inspect(|watch| watch.done(steps, of));
        if self.stopped() { Err(Error::Cancelled) } else { Ok(()) }
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

impl Workers for Threads<'_> {
    fn stopped(&self) -> bool {
        self.watch.is_some_and(Watch::stopped)
    }

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
