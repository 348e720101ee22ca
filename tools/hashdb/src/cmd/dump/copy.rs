//! Records on their way into a table: many are gathered, and their values are looked up together.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use anyhow::{Result, anyhow};
use hashdb::{Readable as _, Record, Snapshot};

use super::Args;
use crate::output::note;
use crate::signals::Interrupt;
use crate::table::Rows;
use crate::table::write::Sink;
use crate::text;

/// Records whose values are looked up together, at first and at most: those that lie in one block are read with it.
const FIRST_GATHERED: usize = 1 << 12;
const MOST_GATHERED: usize = 1 << 19;
/// Bytes of records that are gathered, about, and of values at most: one beyond them is looked up by itself.
const GATHERED_BYTES: usize = 64 << 20;
/// Values between two looks whether the user wants to stop.
const LOOK: usize = 256;

/// Records on their way from the database into the table.
struct Copy<'a> {
    snapshot: &'a Snapshot,
    sink: &'a mut dyn Sink,
    interrupt: &'a Interrupt,
    /// Those that pass the filters and were not written, and about how many bytes they take.
    records: Vec<Record>,
    bytes: usize,
    /// How many of them are gathered: as many as fit into memory with their values, by those that were met.
    most: usize,
    rows: Rows,
    dumped: u64,
}

/// Copies the records that pass the filters; says how many, or nothing if the user stopped it.
pub(super) fn copy(
    args: &Args,
    snapshot: &Snapshot,
    sink: &mut dyn Sink,
    interrupt: &Interrupt,
    mut progress: impl FnMut(u64, u64),
) -> Result<Option<u64>> {
    let ids: Option<BTreeSet<u64>> = args.ids.as_ref().map(|ids| ids.iter().copied().collect());
    let prefix = args.filter_prefix.as_deref().unwrap_or_default().as_encoded_bytes();
    let passes = |record: &Record| {
        record.key.starts_with(prefix) && ids.as_ref().is_none_or(|ids| ids.contains(&record.id))
    };
    let mut copy = Copy {
        snapshot,
        sink,
        interrupt,
        records: Vec::new(),
        bytes: 0,
        most: FIRST_GATHERED,
        rows: Rows::default(),
        dumped: 0,
    };
    let mut read = 0;
    for record in snapshot.iter() {
        let record = record?;
        read += 1;
        if passes(&record) {
            copy.gather(record);
        }
        if copy.is_full() {
            // What is gathered is read when it is written.
            copy.write(|dumped, left| progress(read - left, dumped))?;
        }
        if read % 4096 == 0 {
            progress(read - copy.records.len() as u64, copy.dumped);
        }
        if interrupt.is_set() {
            return Ok(None);
        }
    }
    copy.write(|dumped, left| progress(read - left, dumped))?;
    if interrupt.is_set() {
        return Ok(None);
    }
    progress(read, copy.dumped);
    if let Some(ids) = ids
        && prefix.is_empty()
        && let Some(unknown @ 1..) = (ids.len() as u64).checked_sub(copy.dumped)
    {
        note(&format!("no record has {} of the ids", text::count(unknown)));
    }
    Ok(Some(copy.dumped))
}

impl Copy<'_> {
    fn gather(&mut self, record: Record) {
        let patches = size_of_val(record.patches.as_slice());
        self.bytes +=
            size_of::<Record>() + record.key.len() + record.code.as_bytes().len() + patches;
        self.records.push(record);
    }

    fn is_full(&self) -> bool {
        self.records.len() >= self.most || self.bytes > GATHERED_BYTES
    }

    /// Writes the records that were gathered, as long as the user wants it, and tells how many were written by then and
    /// how many of them are left.
    fn write(&mut self, mut progress: impl FnMut(u64, u64)) -> Result<()> {
        let records = std::mem::take(&mut self.records);
        let (mut values, value_bytes) = self.values(&records)?;
        let taken = (std::mem::take(&mut self.bytes) + value_bytes).max(1);
        let fitting = records.len().saturating_mul(GATHERED_BYTES) / taken;
        self.most = fitting.clamp(LOOK, (self.most * 4).min(MOST_GATHERED));
        self.rows.clear(self.dumped);
        for (place, record) in records.iter().enumerate() {
            if place % LOOK == 0 && self.interrupt.is_set() {
                return Ok(());
            }
            let value = match values.get_mut(place).and_then(Option::take) {
                Some(value) => value,
                // One of none costs nothing.
                None => self.snapshot.value(record)?,
            };
            self.push(record, &value)?;
            if self.rows.room() == 0 || place + 1 == records.len() {
                self.sink.write(&self.rows)?;
                self.dumped += self.rows.len() as u64;
                self.rows.clear(self.dumped);
                progress(self.dumped, (records.len() - place - 1) as u64);
            }
        }
        Ok(())
    }

    /// The values of records by their places, as many as fit into memory, and their bytes.
    fn values(&self, records: &[Record]) -> Result<(Vec<Option<Vec<u8>>>, usize)> {
        let (mut values, mut bytes, mut count) = (vec![None; records.len()], 0, 0);
        self.snapshot.for_each_value(records, |place, value| {
            bytes += value.len() + size_of::<Vec<u8>>();
            count += 1;
            values[place] = Some(value.to_vec());
            let is_enough = bytes > GATHERED_BYTES;
            Ok(if is_enough || (count % LOOK == 0 && self.interrupt.is_set()) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok((values, bytes))
    }

    /// Appends a row.
    fn push(&mut self, record: &Record, value: &[u8]) -> Result<()> {
        let rows = &mut self.rows;
        rows.keys.push(&record.key);
        rows.addresses.push(record.address.value());
        rows.values.push(value);
        let patches = record.patches.iter().flat_map(|patch| patch.value().to_le_bytes());
        rows.patches.push(&patches.collect::<Vec<_>>());
        // The database's own codes have the width of all of them.
        rows.push_code(record.code.as_bytes()).map_err(|what| anyhow!("{what}"))
    }
}
