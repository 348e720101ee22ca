//! Ids whose rows are still in a memtable run or a segment but are deleted.
//!
//! The same binary counter as in `memtable`, over sorted lists: adding costs O(log n) copies, and
//! a view shares the lists it saw. A search asks only about rows that passed its bound.

use std::sync::Arc;

/// A set of ids; cloning shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeletedIds {
    runs: Vec<Arc<Vec<u64>>>,
}

impl DeletedIds {
    /// Adds ids that are not in the set yet, in any order.
    pub(crate) fn insert(&mut self, mut added: Vec<u64>) {
        if added.is_empty() {
            return;
        }
        while let Some(last) = self.runs.pop_if(|last| last.len() <= added.len()) {
            added.extend_from_slice(&last);
        }
        added.sort_unstable();
        self.runs.push(Arc::new(added));
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.runs.iter().any(|run| run.binary_search(&id).is_ok())
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// All ids, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.runs.iter().flat_map(|run| run.iter().copied())
    }

    /// The ids that `keep` accepts.
    pub(crate) fn retain(&self, keep: impl Fn(u64) -> bool) -> Self {
        let mut kept = Self::default();
        kept.insert(self.iter().filter(|&id| keep(id)).collect());
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::DeletedIds;

    #[test]
    fn finds_what_was_inserted_in_any_order() {
        let mut deleted = DeletedIds::default();
        for id in [5, 3, 9, 1, 200, 7] {
            deleted.insert(vec![id]);
        }
        deleted.insert(vec![50, 40]);
        for id in 0..=200 {
            assert_eq!(deleted.contains(id), [1, 3, 5, 7, 9, 40, 50, 200].contains(&id), "{id}");
        }
        assert_eq!(deleted.len(), 8);
        let small = deleted.retain(|id| id < 9);
        assert_eq!((small.len(), small.contains(7), small.contains(9)), (4, true, false));
    }
}
