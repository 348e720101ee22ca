//! Rows on their way into a database, batch by batch.

use std::time::Instant;

use anyhow::Result;
use hashdb::{Address, Code, Database, WriteBatch, WriteOptions};
use serde::Serialize;

use super::Args;
use super::source::{Batch, Source};
use crate::progress::{Meter, State};
use crate::signals::Interrupt;
use crate::text;
use crate::vectors;

/// A load under way.
pub(super) struct Load<'a> {
    db: &'a Database,
    source: Source,
    code_bits: u16,
    address_bits: u8,
    meter: Meter,
    pub(super) started: Instant,
    pub(super) total: Option<u64>,
    pub(super) loaded: u64,
    pub(super) inserted: u64,
    pub(super) replaced: u64,
}

impl<'a> Load<'a> {
    /// Begins at the row that the user named.
    pub(super) fn new(args: &Args, db: &'a Database, source: Source) -> Self {
        let stats = db.stats();
        Self {
            db,
            code_bits: stats.code_bits,
            address_bits: stats.address_bits,
            meter: Meter::new(args.progress),
            started: Instant::now(),
            total: source.total(),
            source,
            loaded: 0,
            inserted: 0,
            replaced: 0,
        }
    }

    /// Writes batch after batch; says whether all rows are in.
    pub(super) fn run(&mut self, interrupt: &Interrupt) -> Result<bool> {
        loop {
            if interrupt.is_set() {
                return Ok(false);
            }
            let Some(rows) = self.source.next(self.code_bits, self.address_bits)? else {
                return Ok(true);
            };
            let batch = records(rows, self.address_bits)?;
            let count = batch.len() as u64;
            // One sync at the end is enough: after a crash the first rows are there, or all.
            let written = self.db.write(batch, WriteOptions { sync: false })?;
            self.loaded += count;
            self.inserted += written.inserted;
            self.replaced += written.replaced;
            self.meter.show(&self.shown());
        }
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

/// The records of some rows.
fn records(Batch { rows, from }: Batch<'_>, address_bits: u8) -> Result<WriteBatch> {
    let mut batch = WriteBatch::new();
    for row in rows.iter().skip(from) {
        let derived = || vectors::top_bits(row.code, address_bits);
        let address = Address::new(row.address.unwrap_or_else(derived), address_bits)?;
        batch.put(row.key, address, Code::from_bytes(row.code)?, row.value);
    }
    Ok(batch)
}

/// The progress of a load as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    loaded: u64,
    rows: Option<u64>,
    seconds: f64,
    rows_per_second: f64,
}

impl State for Shown {
    fn line(&self) -> String {
        let of = self.rows.map_or_else(String::new, |rows| format!(" of {}", text::count(rows)));
        format!("{}{of} rows, {:.0}/s", text::count(self.loaded), self.rows_per_second)
    }

    fn fraction(&self) -> Option<f64> {
        self.rows.map(|rows| self.loaded as f64 / rows.max(1) as f64)
    }
}
