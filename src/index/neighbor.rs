//! One row of an answer.

/// A record and how far it lies from the query.
///
/// Ordered by distance, then by id: the order of every answer. Ids are unique in a database, so the
/// address never decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Neighbor {
    /// Bits in which it differs from the query: of the code or of the address, as was asked.
    pub distance: u32,
    /// The record.
    pub id: u64,
    /// The value of the record's address.
    pub address: u32,
}

impl Neighbor {
    /// Sorts an answer. Distance and id are compared as one number, which takes no branch.
    pub(crate) fn sort(neighbors: &mut [Self]) {
        neighbors
            .sort_unstable_by_key(|near| u128::from(near.distance) << 64 | u128::from(near.id));
    }
}
