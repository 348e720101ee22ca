//! The state of a database at one moment, as readers see it.
//!
//! A view never changes. Each commit, seal and compaction publishes a new one, which shares what
//! did not change; a reader keeps the view it began with. It carries the record store's snapshot
//! of the same moment, so records, segments and memtable always agree.

use std::sync::Arc;

use crate::db::deleted::DeletedIds;
use crate::db::memtable::Memtable;
use crate::db::segment::Segment;
use crate::storage::manifest::State;
use crate::storage::records::RecordsSnapshot;

/// One published state.
#[derive(Debug)]
pub(crate) struct View {
    /// Live segments, ascending by number.
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) memtable: Memtable,
    /// Ids deleted but still in a segment or in the memtable.
    pub(crate) deleted: DeletedIds,
    pub(crate) state: State,
    /// While a bulk load is under way: the first of the ids that are kept for it. Its records will be new,
    /// though ids behind them have been given.
    pub(crate) kept_from: Option<u64>,
    /// Last, since the directory's lock goes with it: obsolete segment files are removed before.
    pub(crate) records: RecordsSnapshot,
}

impl View {
    /// Records that are still to come have this id or a larger one.
    pub(crate) fn new_from(&self) -> u64 {
        self.kept_from.unwrap_or(self.state.next_id)
    }

    /// The same segments, rows and deleted ids over the record store as it is now, with other counters.
    pub(crate) fn with_state(&self, state: State, kept_from: Option<u64>) -> Self {
        Self {
            segments: self.segments.clone(),
            memtable: self.memtable.clone(),
            deleted: self.deleted.clone(),
            state,
            kept_from,
            records: self.records.records().snapshot(),
        }
    }

    /// Whether a row of a segment or of the memtable is a record.
    pub(crate) fn is_live(&self, id: u64) -> bool {
        !self.deleted.contains(id)
    }
}
