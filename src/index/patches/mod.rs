//! Multiple semantic hashing: records that carry many addresses, one a patch of a picture, and are ranked by
//! how many of a query's patches they come near to (A. Krizhevsky, G. E. Hinton, "Using Very Deep
//! Autoencoders for Content-Based Image Retrieval", 2011).
//!
//! [`PatchLists`] hold the patch addresses of rows, [`PatchTable`] finds the rows that have one in a ball, a
//! [`PatchTally`] sums what they score, and [`RankSums`] join that with the ranking by codes.

mod build;
mod join;
mod lists;
mod table;
mod tally;

#[cfg(test)]
mod tests;

pub use build::{PatchSide, PatchSideColumns};
pub use join::RankSums;
pub use lists::{PatchLists, fingerprint};
pub use table::PatchTable;
pub use tally::{PatchCounting, PatchTally, distinct_patches};

/// Most patch addresses of a record and of a query.
pub const MAX_PATCHES: usize = 256;
/// Largest radius around a query's patch: a score must fit into its place.
pub const MAX_PATCH_RADIUS: u32 = 8;
