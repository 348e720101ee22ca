//! Rows on their way into a database: read batch by batch, sorted, committed at once.

use std::sync::Arc;

use anyhow::Result;
use hashdb::{Address, BulkLoader, BulkOptions, BulkReport, Code, Database, Error};
use parking_lot::Mutex;

use super::Args;
use super::board::Board;
use super::source::Source;
use crate::indexes::IndexChoice;
use crate::progress::Meter;
use crate::signals::Interrupt;
use crate::table::Rows;
use crate::vectors;

/// A load under way.
pub(super) struct Load {
    source: Source,
    code_bits: u16,
    address_bits: u8,
    shown: Arc<Mutex<(Meter, Board)>>,
    pub(super) read: u64,
}

impl Load {
    /// Begins at the row that the user named.
    pub(super) fn new(args: &Args, db: &Database, source: Source) -> Self {
        let stats = db.stats();
        Self {
            code_bits: stats.code_bits,
            address_bits: stats.address_bits,
            shown: Arc::new(Mutex::new((Meter::new(args.progress), Board::new(source.total())))),
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
        let shown = Arc::clone(&self.shown);
        let options = match &args.index {
            Some(IndexChoice(index)) => BulkOptions::new().index(*index),
            None => BulkOptions::new(),
        };
        let options = options
            .memory_budget(args.memory.bytes())
            .duplicates(args.duplicates.into())
            .cancel(interrupt.shared())
            .progress(move |at| {
                let (meter, board) = &mut *shown.lock();
                board.written(at);
                meter.show(board);
            });
        let loader = db.bulk_loader(options)?;
        let done = self.read(loader, interrupt);
        let (meter, board) = &mut *self.shown.lock();
        meter.finish(board);
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
        loop {
            let next = self.source.next(self.code_bits, self.address_bits);
            // What reading says then is that a pipe was waited for, or that its writer was stopped too.
            if interrupt.is_set() {
                return Ok(None);
            }
            let Some(rows) = next? else { break };
            self.read += put(&mut loader, rows, self.address_bits)?;
            let (meter, board) = &mut *self.shown.lock();
            board.read(self.read);
            meter.show(board);
        }
        self.shown.lock().1.all_read();
        Ok(Some(loader.finish()?))
    }

    pub(super) fn seconds(&self) -> f64 {
        self.shown.lock().1.started().elapsed().as_secs_f64()
    }
}

/// Puts some rows; says how many.
fn put(loader: &mut BulkLoader, rows: &Rows, address_bits: u8) -> Result<u64, Error> {
    let before = loader.len();
    let Some(first) = rows.iter().next() else { return Ok(0) };
    let (mut code, mut patches) = (Code::from_bytes(first.code)?, Vec::new());
    for row in rows.iter() {
        let derived = || vectors::top_bits(row.code, address_bits);
        let address = Address::new(row.address.unwrap_or_else(derived), address_bits)?;
        code.set_bytes(row.code)?;
        patches.clear();
        for patch in row.patches() {
            patches.push(Address::new(patch, address_bits)?);
        }
        loader.put_with_patches(row.key, address, &code, row.value, &patches)?;
    }
    Ok(loader.len() - before)
}
