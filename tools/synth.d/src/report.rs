//! What was made and how fast, on standard error.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

/// Time between two lines.
const INTERVAL: Duration = Duration::from_secs(5);

/// The progress of one run.
#[derive(Debug)]
pub(crate) struct Report {
    what: &'static str,
    total: u64,
    done: u64,
    started: Instant,
    shown: Instant,
}

impl Report {
    pub(crate) fn new(what: &'static str, total: u64) -> Self {
        let now = Instant::now();
        Self { what, total, done: 0, started: now, shown: now }
    }

    /// Counts what was made since.
    pub(crate) fn add(&mut self, count: u64) {
        self.done += count;
        if self.shown.elapsed() >= INTERVAL {
            self.shown = Instant::now();
            self.line("");
        }
    }

    /// Tells the end, and what else there is to say.
    pub(crate) fn finish(self, more: &str) {
        self.line(&format!("; {more}"));
    }

    fn line(&self, more: &str) {
        let Self { what, total, done, .. } = self;
        let rate = *done as f64 / self.started.elapsed().as_secs_f64().max(1e-9);
        // Progress that cannot be shown must not stop the work.
        let _not_shown =
            writeln!(io::stderr(), "synth: {done} of {total} {what}, {rate:.0}/s{more}");
    }
}
