//! The distances that the right answers have.

use std::path::Path;

use anyhow::{Result, bail};
use hashdb::Neighbor;

use crate::npy::{Kind, Npy};

/// For each query the distance of its `k`-th nearest record: whatever lies as near is right, so
/// that ties cost nothing.
#[derive(Debug)]
pub(super) struct Truth {
    farthest: Vec<i32>,
    k: usize,
}

impl Truth {
    /// Reads a file with a row for each query and at least `k` distances in it.
    pub(super) fn open(path: &Path, queries: usize, k: usize) -> Result<Self> {
        let npy = Npy::open(path, &[Kind::Distances])?;
        if npy.rows() != queries || npy.columns() < k {
            let (path, rows, columns) = (path.display(), npy.rows(), npy.columns());
            bail!(
                "{path} has shape ({rows}, {columns}), expected ({queries}, {k}): the distances \
                 of the {k} nearest, a row a query"
            );
        }
        let distances = npy.read_i32()?;
        let rows = distances.chunks_exact(npy.columns().max(1));
        let farthest = rows.filter_map(|row| row.get(k.checked_sub(1)?).copied()).collect();
        Ok(Self { farthest, k })
    }

    /// How many of the neighbours of a query are right.
    pub(super) fn matches(&self, query: usize, neighbors: &[Neighbor]) -> u64 {
        let Some(&farthest) = self.farthest.get(query) else {
            return 0;
        };
        let right = |neighbor: &&Neighbor| i64::from(neighbor.distance) <= i64::from(farthest);
        neighbors.iter().take(self.k).filter(right).count() as u64
    }

    /// The recall of `queries` queries with `matches` right neighbours; none where there is
    /// nothing to find.
    pub(super) fn recall(&self, matches: u64, queries: usize) -> Option<f64> {
        let wanted = self.k * queries;
        (wanted > 0).then(|| matches as f64 / wanted as f64)
    }
}
