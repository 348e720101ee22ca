//! A scan for many queries at once: each row is read once, not once a query.

use super::{Collect, Counters, Neighbor, Rows, scan};
use crate::hamming::{self, Level};

/// From so many queries on, a batch is faster than one scan after the other.
const WORTHWHILE: usize = 8;

/// Offers to each of `into` every live row, by the distance of its code to the query of the same
/// place: what [`scan`] answers one by one.
///
/// Cost: reads every code once, however many queries there are, and keeps the queries at hand.
///
/// # Panics
///
/// If there are not as many collectors as queries, or a query has another width than the codes.
pub fn scan_batch<C: Collect>(
    rows: &Rows<'_>,
    level: Level,
    queries: &[&[u8]],
    into: &mut [C],
    live: impl Fn(u64) -> bool,
    counters: &mut Counters,
) {
    assert_eq!(queries.len(), into.len(), "one collector for each query");
    if queries.len() < WORTHWHILE {
        for (query, into) in queries.iter().zip(into) {
            scan(rows, level, query, into, &live, counters);
        }
        return;
    }
    let width = rows.code_bytes();
    assert!(queries.iter().all(|query| query.len() == width), "a query is as wide as the codes");
    let (mut codes, mut limits, mut asking) = (Vec::new(), Vec::new(), Vec::new());
    for (query, into) in queries.iter().zip(into).filter(|(_, into)| !into.is_void()) {
        codes.extend_from_slice(query);
        limits.push(into.limit());
        asking.push(into);
    }
    hamming::batch_within(
        level,
        width,
        &codes,
        rows.codes(),
        &mut limits,
        |query, row, distance| {
            let (id, address) = (rows.id(row), rows.address(row));
            let (into, neighbor) = (&mut asking[query], Neighbor { distance, id, address });
            if into.admits(&neighbor) && live(id) {
                into.push(neighbor);
            }
            into.limit()
        },
    );
    counters.distances += rows.len() as u64 * asking.len() as u64;
}
