//! Rows on their way into a database: read batch by batch, sorted, committed at once.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use hashdb::{
    Address, BulkLoader, BulkOptions, BulkProgress, BulkReport, BulkStage, Code, Database, Error,
};
use parking_lot::Mutex;
use serde::Serialize;

use super::Args;
use super::source::Source;
use crate::progress::{Meter, State};
use crate::signals::Interrupt;
use crate::table::Rows;
use crate::text;
use crate::vectors;

/// A load under way.
pub(super) struct Load {
    source: Source,
    code_bits: u16,
    address_bits: u8,
    meter: Arc<Mutex<Meter>>,
    started: Instant,
    total: Option<u64>,
    pub(super) read: u64,
}

impl Load {
    /// Begins at the row that the user named.
    pub(super) fn new(args: &Args, db: &Database, source: Source) -> Self {
        let stats = db.stats();
        Self {
            code_bits: stats.code_bits,
            address_bits: stats.address_bits,
            meter: Arc::new(Mutex::new(Meter::new(args.progress))),
            started: Instant::now(),
            total: source.total(),
            source,
            read: 0,
        }
    }

    /// Loads all rows; none if the user wants to stop, and nothing is in then.
    pub(super) fn run(
        &mut self,
        args: &Args,
        db: &Database,
        interrupt: &Interrupt,
    ) -> Result<Option<BulkReport>> {
        let (meter, started) = (Arc::clone(&self.meter), self.started);
        let options = BulkOptions::new()
            .memory_budget(args.memory.bytes())
            .duplicates(args.duplicates.into())
            .cancel(interrupt.shared())
            .progress(move |at| meter.lock().show(&Shown::writing(at, started)));
        let loader = db.bulk_loader(options)?;
        let done = self.read(loader, interrupt);
        self.meter.lock().finish(&self.shown());
        match done {
            Err(error) if matches!(error.downcast_ref(), Some(Error::Cancelled)) => Ok(None),
            done => done,
        }
    }

    fn read(
        &mut self,
        mut loader: BulkLoader,
        interrupt: &Interrupt,
    ) -> Result<Option<BulkReport>> {
        while let Some(rows) = self.source.next(self.code_bits, self.address_bits)? {
            if interrupt.is_set() {
                return Ok(None);
            }
            self.read += put(&mut loader, rows, self.address_bits)?;
            self.meter.lock().show(&self.shown());
        }
        Ok(Some(loader.finish()?))
    }

    fn shown(&self) -> Shown {
        let seconds = self.started.elapsed().as_secs_f64();
        let rate = self.read as f64 / seconds.max(1e-9);
        Shown { stage: "read", done: self.read, rows: self.total, seconds, rows_per_second: rate }
    }

    pub(super) fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

/// Puts some rows; says how many.
fn put(loader: &mut BulkLoader, rows: &Rows, address_bits: u8) -> Result<u64, Error> {
    let before = loader.len();
    for row in rows.iter() {
        let derived = || vectors::top_bits(row.code, address_bits);
        let address = Address::new(row.address.unwrap_or_else(derived), address_bits)?;
        let patches = row.patches().map(|patch| Address::new(patch, address_bits));
        let (code, patches) =
            (Code::from_bytes(row.code)?, patches.collect::<Result<Vec<_>, _>>()?);
        loader.put_with_patches(row.key, address, &code, row.value, &patches)?;
    }
    Ok(loader.len() - before)
}

/// The progress of a load as it is shown.
#[derive(Debug, Serialize)]
struct Shown {
    stage: &'static str,
    done: u64,
    rows: Option<u64>,
    seconds: f64,
    rows_per_second: f64,
}

impl Shown {
    fn writing(at: BulkProgress, started: Instant) -> Self {
        let stage = match at.stage {
            BulkStage::Keys => "sort keys",
            BulkStage::Records => "write records",
            BulkStage::Segments => "write segments",
            _ => "commit",
        };
        let seconds = started.elapsed().as_secs_f64();
        let rate = at.total as f64 / seconds.max(1e-9);
        Self { stage, done: at.done, rows: Some(at.total), seconds, rows_per_second: rate }
    }
}

impl State for Shown {
    fn line(&self) -> String {
        let of = self.rows.map_or_else(String::new, |rows| format!(" of {}", text::count(rows)));
        let (done, rate) = (text::count(self.done), self.rows_per_second);
        match self.stage {
            "read" => format!("{}: {done}{of} rows, {rate:.0}/s", self.stage),
            stage => format!("{stage}: {done}{of} rows"),
        }
    }

    fn fraction(&self) -> Option<f64> {
        self.rows.map(|rows| self.done as f64 / rows.max(1) as f64)
    }
}
