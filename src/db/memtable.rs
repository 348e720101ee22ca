//! Records that no segment holds yet, in runs that never change once they are published.
//!
//! Each commit appends a run and merges it with its smaller neighbours, as a binary counter
//! carries: a record is copied O(log n) times, a memtable of n records has O(log n) runs, and a
//! view shares the runs it saw. So readers need no lock and a snapshot costs nothing.

use std::sync::Arc;

use crate::db::columns::Columns;
use crate::index::Rows;

/// The runs, oldest first; ids rise through all of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Memtable {
    runs: Vec<Arc<Columns>>,
}

impl Memtable {
    /// Rows in all runs, deleted ones included.
    pub(crate) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.len()).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// The runs as rows to search.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Rows<'_>> {
        self.runs.iter().map(|run| run.rows())
    }

    /// The runs themselves.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Columns> {
        self.runs.iter().map(Arc::as_ref)
    }

    /// Adds rows whose ids are above all others.
    pub(crate) fn append(&mut self, mut added: Columns) {
        if added.is_empty() {
            return;
        }
        while let Some(last) = self.runs.pop_if(|last| last.len() <= added.len()) {
            let mut merged = Arc::unwrap_or_clone(last);
            merged.extend(&added);
            added = merged;
        }
        self.runs.push(Arc::new(added));
    }

    /// What is left when all rows below `bound` have gone into a segment.
    pub(crate) fn split_off(&self, bound: u64) -> Self {
        let mut left = Self::default();
        for run in &self.runs {
            let from = run.lower_bound(bound);
            if from == 0 {
                left.runs.push(Arc::clone(run));
            } else {
                left.append(run.tail(from));
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use super::Memtable;
    use crate::db::columns::Columns;

    fn run(ids: std::ops::Range<u64>) -> Columns {
        let mut columns = Columns::new(8);
        for id in ids {
            columns.push(id, 1, &id.to_be_bytes());
        }
        columns
    }

    fn ids(memtable: &Memtable) -> Vec<u64> {
        memtable
            .rows()
            .flat_map(|rows| (0..rows.len()).map(|row| rows.id(row)).collect::<Vec<_>>())
            .collect()
    }

    #[test]
    fn runs_stay_logarithmic_and_in_order() {
        let mut memtable = Memtable::default();
        for id in 0..1000 {
            memtable.append(run(id..id + 1));
            assert!(memtable.runs.len() <= 11);
        }
        assert_eq!(ids(&memtable), (0..1000).collect::<Vec<_>>());
        assert_eq!(memtable.len(), 1000);
    }

    #[test]
    fn a_published_view_keeps_its_rows_while_the_memtable_grows() {
        let mut memtable = Memtable::default();
        memtable.append(run(0..5));
        let frozen = memtable.clone();
        memtable.append(run(5..20));
        assert_eq!(ids(&frozen), (0..5).collect::<Vec<_>>());
        assert_eq!(ids(&memtable), (0..20).collect::<Vec<_>>());
    }

    #[test]
    fn splitting_drops_exactly_what_was_sealed() {
        for bound in 0..=20 {
            let mut memtable = Memtable::default();
            for id in 0..20 {
                memtable.append(run(id..id + 1));
            }
            assert_eq!(ids(&memtable.split_off(bound)), (bound..20).collect::<Vec<_>>());
        }
    }
}
