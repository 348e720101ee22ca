//! The state of a database at one moment, as readers see it.
//!
//! A view never changes. Each commit, seal and compaction publishes a new one, which shares what
//! did not change; a reader keeps the view it began with. It carries the record store's snapshot
//! of the same moment, so records, segments and memtable always agree.

use std::ops::Range;
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
    /// While a bulk load is under way: the ids that are kept for it. Only the load's commit counts them as used, so
    /// that one which is killed costs none.
    pub(crate) kept: Option<Range<u64>>,
    /// Last, since the directory's lock goes with it: obsolete segment files are removed before.
    pub(crate) records: RecordsSnapshot,
}

impl View {
    /// Records that are still to come have this id or a larger one: a load's may have smaller ones than those that
    /// were written beside it.
    pub(crate) fn new_from(&self) -> u64 {
        self.kept.as_ref().map_or(self.state.next_id, |kept| kept.start)
    }

    /// The id of the next record that does not come through a load.
    pub(crate) fn next_id(&self) -> u64 {
        let next_id = self.state.next_id;
        self.kept.as_ref().map_or(next_id, |kept| next_id.max(kept.end))
    }

    /// The same segments, rows and deleted ids over the record store as it is now, with other counters.
    pub(crate) fn with_state(&self, state: State, kept: Option<Range<u64>>) -> Self {
        Self {
            segments: self.segments.clone(),
            memtable: self.memtable.clone(),
            deleted: self.deleted.clone(),
            state,
            kept,
            records: self.records.records().snapshot(),
        }
    }

    /// Whether a row of a segment or of the memtable is a record.
    pub(crate) fn is_live(&self, id: u64) -> bool {
        !self.deleted.contains(id)
    }
}
