//! A cursor: the entries of one family of a frozen store, in key order, asked for by rising keys.

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use crate::error::Result;
use crate::storage::records::{Family, RecordsSnapshot, scan_options};

/// Entries that are stepped over before the cursor seeks: a step costs a fraction of a seek.
const STEPS: usize = 16;

/// Stands before, on or behind the entries of a family.
pub(crate) struct Cursor<'a> {
    snapshot: &'a RecordsSnapshot,
    entries: DBRawIteratorWithThreadMode<'a, DB>,
    placed: bool,
}

impl RecordsSnapshot {
    /// A cursor on a family, most of whose entries are asked for.
    pub(crate) fn cursor(&self, family: Family) -> Result<Cursor<'_>> {
        self.cursor_with(family, scan_options())
    }

    /// A cursor for keys with anything between them: it reads ahead only where blocks turn out to follow each other.
    pub(crate) fn sparse_cursor(&self, family: Family) -> Result<Cursor<'_>> {
        let mut options = scan_options();
        options.set_readahead_size(0);
        self.cursor_with(family, options)
    }

    fn cursor_with(&self, family: Family, mut options: ReadOptions) -> Result<Cursor<'_>> {
        // It comes by once, and shall not drive out what look-ups come back to.
        options.fill_cache(false);
        let handle = self.records().family(family)?;
        let entries = self.frozen().raw_iterator_cf_opt(handle, options);
        Ok(Cursor { snapshot: self, entries, placed: false })
    }
}

impl Cursor<'_> {
    /// The value of a key, if it is there; keys are asked for in rising order.
    pub(crate) fn find(&mut self, key: &[u8]) -> Result<Option<&[u8]>> {
        self.find_behind(key, 1)
    }

    /// The same where at most so many entries begin behind the last key that was asked for, up to this one: if they
    /// are many, they are not stepped over, since each step reads a value.
    pub(crate) fn find_behind(&mut self, key: &[u8], entries: u64) -> Result<Option<&[u8]>> {
        let most = if entries <= STEPS as u64 { STEPS } else { 0 };
        let mut steps = 0;
        while self.placed && self.entries.key().is_some_and(|at| at < key) && steps < most {
            self.entries.next();
            steps += 1;
        }
        if !self.placed || self.entries.key().is_some_and(|at| at < key) {
            self.entries.seek(key);
            self.placed = true;
        }
        if self.entries.valid() {
            return Ok(self.entries.item().filter(|(at, _)| *at == key).map(|(_, value)| value));
        }
        // Behind the last entry, unless a block could not be read.
        self.entries.status().map_err(|error| self.snapshot.records().fail(&error))?;
        Ok(None)
    }
}
