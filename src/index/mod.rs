//! Searchable structures over borrowed bytes. No file, no thread, no clock: `db` brings the bytes
//! of a segment or of the memtable and merges the answers.
//!
//! Four conventions hold for every search in this crate:
//!
//! 1. A radius is inclusive: `distance <= radius`.
//! 2. A distance is a `u32`, a count of differing bits.
//! 3. Answers are ordered by distance, then by id; of equals at the edge the lower ids stay.
//! 4. A short answer is a short list, never padding.
//!
//! Columns are little-endian and may lie at any byte. Whoever opens a structure gets a
//! [`Corruption`](crate::Corruption) for bytes that contradict each other; after that no byte
//! pattern panics or reads out of range.

mod batch;
mod clusters;
mod collect;
mod columns;
mod flat;
mod multi;
mod neighbor;
mod patches;
mod prefix;
mod radii;
mod rows;
mod table;
mod top_k;
mod workers;

#[cfg(test)]
mod random;
#[cfg(test)]
mod tests;

pub use batch::scan_batch;
pub use clusters::{Budget, ClusterColumns, Clusters, Probe};
pub use collect::{Collect, Within};
pub use flat::{ball_scan, rerank, scan};
pub use multi::{MOST_SORTERS, MultiCost, MultiIndex, MultiIndexColumns, Prepared};
pub use neighbor::Neighbor;
pub use patches::{
    MAX_PATCH_RADIUS, MAX_PATCHES, PatchCounting, PatchLists, PatchSide, PatchSideColumns,
    PatchTable, PatchTally, RankSums, distinct_patches, fingerprint,
};
pub use prefix::{PrefixColumn, Prefixes};
pub use rows::Rows;
pub use table::{HalfBalls, PairTable, PairTableColumns};
pub use top_k::TopK;
#[cfg(any(test, feature = "__internals"))]
pub use workers::Alone;
pub use workers::Workers;

pub use crate::hamming::Hit;

/// What a search did, summed over all it touched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Buckets that were looked up.
    pub probes: u64,
    /// Rows that were compared by a part: entries of those buckets, each by the half of an address
    /// that it carries, and rows that passed a filter.
    pub candidates: u64,
    /// Whole codes or addresses that were compared.
    pub distances: u64,
}
