//! Ids whose rows are still in a memtable run or a segment but are deleted.
//!
//! The same binary counter as in `memtable`, over compressed sets: adding costs O(log n) unions, and
//! a view shares the sets it saw. A search asks only about rows that passed its bound. Ids that follow each
//! other, as those of a whole collection that was replaced, take a bit each, others two bytes and more.

use std::sync::Arc;

use roaring::RoaringTreemap;

/// A set of ids; cloning shares it.
#[derive(Debug, Clone, Default)]
pub(crate) struct DeletedIds {
    runs: Vec<Arc<Run>>,
}

#[derive(Debug, Default)]
struct Run {
    ids: RoaringTreemap,
    /// Counted once: the set would count its parts each time.
    len: usize,
}

impl DeletedIds {
    /// Adds ids that are not in the set yet, in any order.
    pub(crate) fn insert(&mut self, mut added: Vec<u64>) {
        added.sort_unstable();
        self.insert_set(added.into_iter().collect());
    }

    /// The same for ids that are a set already.
    pub(crate) fn insert_set(&mut self, ids: RoaringTreemap) {
        let len = usize::try_from(ids.len()).unwrap_or(usize::MAX);
        if len == 0 {
            return;
        }
        let mut added = Run { ids, len };
        while let Some(last) = self.runs.pop_if(|last| last.len <= added.len) {
            added.ids |= &last.ids;
            added.len += last.len;
        }
        self.runs.push(Arc::new(added));
    }

    pub(crate) fn contains(&self, id: u64) -> bool {
        self.runs.iter().any(|run| run.ids.contains(id))
    }

    pub(crate) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len).sum()
    }

    /// All ids, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        self.runs.iter().flat_map(|run| run.ids.iter())
    }

    /// The ids that are not in `gone`.
    pub(crate) fn without(&self, gone: &RoaringTreemap) -> Self {
        let mut kept = Self::default();
        for run in &self.runs {
            kept.insert_set(&run.ids - gone);
        }
        kept
    }

    /// The ids that `keep` accepts.
    pub(crate) fn retain(&self, keep: impl Fn(u64) -> bool) -> Self {
        let mut kept = Self::default();
        for run in &self.runs {
            kept.insert_set(run.ids.iter().filter(|&id| keep(id)).collect());
        }
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
        let mut found: Vec<_> = deleted.iter().collect();
        found.sort_unstable();
        assert_eq!(found, [1, 3, 5, 7, 9, 40, 50, 200]);
        let small = deleted.retain(|id| id < 9);
        assert_eq!((small.len(), small.contains(7), small.contains(9)), (4, true, false));
        let large = deleted.without(&[1, 3, 5, 7, 8].into_iter().collect());
        assert_eq!((large.len(), large.contains(7), large.contains(9)), (4, false, true));
    }
}
