//! Iteration over records in address order.

use std::ops::ControlFlow;

use crate::db::record::{Location, Record, decode_record};
use crate::db::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::storage::records::Family;

/// Records that are read at once, so that one seek is spread over them: few at first, and more the longer it goes on.
const FIRST_CHUNK: usize = 512;
const LARGEST_CHUNK: usize = 8192;

/// The records of one state by address, then id. It owns its snapshot, so it may outlive the
/// handle it came from. After an error it ends.
#[derive(Debug)]
pub struct Iter {
    snapshot: Snapshot,
    /// Where the next chunk begins; `None` when there is none.
    next: Option<Location>,
    chunk_records: usize,
    chunk: std::vec::IntoIter<Record>,
}

impl Iter {
    pub(crate) fn new(snapshot: Snapshot, from: Location) -> Self {
        let chunk = Vec::new().into_iter();
        Self { snapshot, next: Some(from), chunk_records: FIRST_CHUNK, chunk }
    }

    fn read_chunk(&mut self, from: Location) -> Result<(), Error> {
        let (schema, records) = (&self.snapshot.tools.schema, &self.snapshot.view.records);
        let most = self.chunk_records;
        let mut chunk = Vec::with_capacity(most);
        let mut next = None;
        records.scan(Family::Records, &from.encode(), |key, value| {
            let damage = |what| records.damage(&what);
            let location = Location::decode(key).map_err(damage)?;
            if chunk.len() == most {
                next = Some(location);
                return Ok(ControlFlow::Break(()));
            }
            chunk.push(decode_record(schema, location, value).map_err(damage)?);
            Ok(ControlFlow::Continue(()))
        })?;
        self.next = next;
        self.chunk_records = LARGEST_CHUNK.min(most * 2);
        self.chunk = chunk.into_iter();
        Ok(())
    }
}

impl Iterator for Iter {
    type Item = Result<Record>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(record) = self.chunk.next() {
            return Some(Ok(record));
        }
        let from = self.next.take()?;
        match self.read_chunk(from) {
            Ok(()) => self.chunk.next().map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}
