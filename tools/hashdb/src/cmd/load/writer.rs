//! Rows on their way into a database, batch by batch.

use std::time::Instant;

use anyhow::Result;
use hashdb::{Database, WriteOptions};
use serde::Serialize;

use super::Args;
use super::source::Source;
use crate::progress::{Meter, State};
use crate::signals::Interrupt;
use crate::text;

/// Records of a write: large enough to share its cost, small enough to stop soon.
const BATCH_ROWS: usize = 20_000;

/// A load under way.
pub(super) struct Load<'a> {
    db: &'a Database,
    source: Source,
    address_bits: u8,
    meter: Meter,
    pub(super) started: Instant,
    first: usize,
    pub(super) total: usize,
    pub(super) loaded: usize,
    pub(super) inserted: u64,
    pub(super) replaced: u64,
}

impl<'a> Load<'a> {
    /// Begins at the row that the user named.
    pub(super) fn new(args: &Args, db: &'a Database, source: Source) -> Self {
        Self {
            db,
            address_bits: db.stats().address_bits,
            meter: Meter::new(args.progress),
            started: Instant::now(),
            first: args.from,
            total: source.rows() - args.from,
            source,
            loaded: 0,
            inserted: 0,
            replaced: 0,
        }
    }

    /// Writes batch after batch; says whether all rows are in.
    pub(super) fn run(&mut self, interrupt: &Interrupt) -> Result<bool> {
        let end = self.first + self.total;
        while self.loaded < self.total {
            if interrupt.is_set() {
                return Ok(false);
            }
            let start = self.first + self.loaded;
            let rows = start..end.min(start + BATCH_ROWS);
            let batch = self.source.batch(rows.clone(), self.address_bits)?;
            // One sync at the end is enough: after a crash the first rows are there, or all.
            let written = self.db.write(batch, WriteOptions { sync: false })?;
            self.loaded += rows.len();
            self.inserted += written.inserted;
            self.replaced += written.replaced;
            self.meter.show(&self.shown());
        }
        Ok(true)
    }

    fn shown(&self) -> Shown {
        let seconds = self.started.elapsed().as_secs_f64();
        let rows_per_second = self.loaded as f64 / seconds.max(1e-9);
        Shown { loaded: self.loaded, rows: self.total, seconds, rows_per_second }
    }

    /// Shows the last state.
    pub(super) fn finish(&mut self) {
        let shown = self.shown();
        self.meter.finish(&shown);
    }
}

/// The progress of a load as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    loaded: usize,
    rows: usize,
    seconds: f64,
    rows_per_second: f64,
}

impl State for Shown {
    fn line(&self) -> String {
        let (loaded, rows) = (text::count(self.loaded as u64), text::count(self.rows as u64));
        format!("{loaded} of {rows} rows, {:.0}/s", self.rows_per_second)
    }

    fn fraction(&self) -> Option<f64> {
        Some(self.loaded as f64 / self.rows.max(1) as f64)
    }
}
