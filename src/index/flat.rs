//! Scans: every row is compared. The plan of small segments and of the memtable, the upper bound of
//! every other plan, and the oracle of the tests.
//!
//! Distances are computed block by block into a buffer that stays in the L1 cache; whether a record
//! lives is asked only of rows that would enter the answer.

use super::{Collect, Counters, Hit, Neighbor, Rows};
use crate::code::Code;
use crate::hamming::{self, Level};

/// Rows of a block: their distances take 4 KiB.
const BLOCK: usize = 1024;

/// Rows that are gathered before they are compared.
const GATHER: usize = 64;

/// Offers to `into` every live row, by the distance of its code to `query`.
///
/// Cost: reads every code once.
///
/// # Panics
///
/// If the query has another width than the codes.
pub fn scan(
    rows: &Rows<'_>,
    level: Level,
    query: &[u8],
    into: &mut impl Collect,
    live: impl Fn(u64) -> bool,
    counters: &mut Counters,
) {
    if into.is_void() {
        return;
    }
    let mut block = [0; BLOCK];
    let bytes = BLOCK * rows.code_bytes();
    for (index, codes) in rows.codes().chunks(bytes).enumerate() {
        let distances = &mut block[..codes.len() / rows.code_bytes()];
        hamming::distances(level, query, codes, distances);
        offer(rows, level, distances, |position| index * BLOCK + position, into, &live);
    }
    counters.distances += rows.len() as u64;
}

/// Appends to `hits` every row whose address lies within `radius` of `address`, deleted ones
/// included, in row order: what [`PairTable::ball`](super::PairTable::ball) answers by look-up.
///
/// Cost: reads every address once.
pub fn ball_scan(
    rows: &Rows<'_>,
    level: Level,
    address: u32,
    radius: u32,
    hits: &mut Vec<Hit>,
    counters: &mut Counters,
) {
    let mut block = [0; BLOCK];
    let mut first = 0;
    for addresses in rows.addresses().chunks(BLOCK * size_of::<u32>()) {
        let distances = &mut block[..addresses.len() / size_of::<u32>()];
        hamming::distances_u32(level, address, addresses, distances);
        hamming::at_most(level, distances, radius, |position| {
            // Rows are numbered in 32 bits: `Rows` holds no more.
            if let Ok(row) = u32::try_from(first + position) {
                hits.push(Hit { row, distance: distances[position] });
            }
        });
        first += distances.len();
    }
    counters.distances += rows.len() as u64;
}

/// Offers to `into` the live ones among some rows, by the distance of their codes to `query`.
///
/// Rows that do not exist are passed over. Each row comes once; ascending rows are the fastest.
///
/// Cost: one cache miss or more a row, many of them under way at once.
///
/// # Panics
///
/// If the query has another width than the codes.
pub fn rerank(
    rows: &Rows<'_>,
    level: Level,
    query: &[u8],
    positions: impl IntoIterator<Item = u32>,
    into: &mut impl Collect,
    live: impl Fn(u64) -> bool,
    counters: &mut Counters,
) {
    let mut positions = positions.into_iter().filter(|row| (*row as usize) < rows.len());
    // The copies are independent of each other, so that the processor has many cache misses under
    // way at once; the kernel then runs over a block that is at hand.
    let (mut codes, mut gathered) = ([0; GATHER * Code::MAX_BYTES], [0; GATHER]);
    let mut distances = [0; GATHER];
    loop {
        let mut count = 0;
        // The slots come first: where they end, no position is lost.
        for (slot, row) in gathered.iter_mut().zip(&mut positions) {
            *slot = row as usize;
            let at = count * rows.code_bytes();
            codes[at..at + rows.code_bytes()].copy_from_slice(rows.code(*slot));
            count += 1;
        }
        if count == 0 {
            return;
        }
        let distances = &mut distances[..count];
        hamming::distances(level, query, &codes[..count * rows.code_bytes()], distances);
        offer(rows, level, distances, |position| gathered[position], into, &live);
        counters.distances += count as u64;
    }
}

/// Offers the rows of a block; `row_of` tells the row of a position.
fn offer(
    rows: &Rows<'_>,
    level: Level,
    distances: &[u32],
    row_of: impl Fn(usize) -> usize,
    into: &mut impl Collect,
    live: &impl Fn(u64) -> bool,
) {
    hamming::at_most(level, distances, into.limit(), |position| {
        let row = row_of(position);
        let (id, address) = (rows.id(row), rows.address(row));
        let neighbor = Neighbor { distance: distances[position], id, address };
        if into.admits(&neighbor) && live(id) {
            into.push(neighbor);
        }
    });
}
