//! Iteration over records in address order.

use std::ops::ControlFlow;

use crate::db::record::{Location, Record, decode_record};
use crate::db::snapshot::Snapshot;
use crate::error::{Error, Result};
use crate::storage::records::Family;

/// Records that are read at once: one seek is spread over them.
const CHUNK: usize = 512;

/// The records of one state by address, then id. It owns its snapshot, so it may outlive the
/// handle it came from. After an error it ends.
#[derive(Debug)]
pub struct Iter {
    snapshot: Snapshot,
    /// Where the next chunk begins; `None` when there is none.
    next: Option<Location>,
    chunk: std::vec::IntoIter<Record>,
}

impl Iter {
    pub(crate) fn new(snapshot: Snapshot, from: Location) -> Self {
        Self { snapshot, next: Some(from), chunk: Vec::new().into_iter() }
    }

    fn read_chunk(&mut self, from: Location) -> Result<(), Error> {
        let (schema, records) = (&self.snapshot.tools.schema, &self.snapshot.view.records);
        let mut chunk = Vec::with_capacity(CHUNK);
        let mut next = None;
        records.scan(Family::Records, &from.encode(), |key, value| {
            let damage = |what| records.damage(&what);
            let location = Location::decode(key).map_err(damage)?;
            if chunk.len() == CHUNK {
                next = Some(location);
                return Ok(ControlFlow::Break(()));
            }
            chunk.push(decode_record(schema, location, value).map_err(damage)?);
            Ok(ControlFlow::Continue(()))
        })?;
        self.next = next;
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
