//! Scans: every row is compared. The plan of small segments and of the memtable, the upper bound of
//! every other plan, and the oracle of the tests.
//!
//! Distances are computed block by block into a buffer that stays in the L1 cache; whether a record
//! lives is asked only of rows that would enter the answer.

use super::{Counters, Hit, Neighbor, Rows, TopK};
use crate::code::Code;
use crate::hamming::{self, Level};

/// Rows of a block: their distances take 4 KiB.
const BLOCK: usize = 1024;

/// Rows that are gathered before they are compared.
const GATHER: usize = 64;

/// Distances that are looked at together: most groups hold nothing and are skipped at once.
const GROUP: usize = 32;

/// Offers to `top` every live row, by the distance of its code to `query`.
///
/// Cost: reads every code once.
///
/// # Panics
///
/// If the query has another width than the codes.
pub fn knn(
    rows: &Rows<'_>,
    level: Level,
    query: &[u8],
    top: &mut TopK,
    live: impl Fn(u64) -> bool,
    counters: &mut Counters,
) {
    if top.is_void() {
        return;
    }
    let mut block = [0; BLOCK];
    let bytes = BLOCK * rows.code_bytes();
    for (index, codes) in rows.codes().chunks(bytes).enumerate() {
        let distances = &mut block[..codes.len() / rows.code_bytes()];
        hamming::distances(level, query, codes, distances);
        offer(
            rows,
            distances,
            |position| index * BLOCK + position,
            top,
            &live,
        );
    }
    counters.distances += rows.len() as u64;
}

/// Appends to `out` every live row whose code lies within `radius` of `query`, in row order.
///
/// Cost: reads every code once.
///
/// # Panics
///
/// If the query has another width than the codes.
pub fn range(
    rows: &Rows<'_>,
    level: Level,
    query: &[u8],
    radius: u32,
    live: impl Fn(u64) -> bool,
    out: &mut Vec<Neighbor>,
    counters: &mut Counters,
) {
    let mut block = [0; BLOCK];
    let bytes = BLOCK * rows.code_bytes();
    for (index, codes) in rows.codes().chunks(bytes).enumerate() {
        let distances = &mut block[..codes.len() / rows.code_bytes()];
        hamming::distances(level, query, codes, distances);
        collect(rows, distances, index * BLOCK, radius, &live, out);
    }
    counters.distances += rows.len() as u64;
}

/// Appends to `out` every live row whose address lies within `radius` of `address`, in row order.
///
/// Cost: reads every address once.
pub fn ball_scan(
    rows: &Rows<'_>,
    level: Level,
    address: u32,
    radius: u32,
    live: impl Fn(u64) -> bool,
    out: &mut Vec<Neighbor>,
    counters: &mut Counters,
) {
    let mut block = [0; BLOCK];
    for (index, addresses) in rows
        .addresses()
        .chunks(BLOCK * size_of::<u32>())
        .enumerate()
    {
        let distances = &mut block[..addresses.len() / size_of::<u32>()];
        hamming::distances_u32(level, address, addresses, distances);
        collect(rows, distances, index * BLOCK, radius, &live, out);
    }
    counters.distances += rows.len() as u64;
}

/// Appends to `hits` every row whose address lies within `radius` of `address`, deleted ones
/// included, in row order: what [`PairTable::ball`](super::PairTable::ball) answers.
///
/// Cost: reads every address once.
pub fn ball_rows(
    rows: &Rows<'_>,
    level: Level,
    address: u32,
    radius: u32,
    hits: &mut Vec<Hit>,
    counters: &mut Counters,
) {
    let mut block = [0; BLOCK];
    for (index, addresses) in rows
        .addresses()
        .chunks(BLOCK * size_of::<u32>())
        .enumerate()
    {
        let distances = &mut block[..addresses.len() / size_of::<u32>()];
        hamming::distances_u32(level, address, addresses, distances);
        for (chunk, group) in distances.chunks(GROUP).enumerate() {
            if all_beyond(group, radius) {
                continue;
            }
            let first = index * BLOCK + chunk * GROUP;
            for (row, &distance) in (first..).zip(group) {
                if let (true, Ok(row)) = (distance <= radius, u32::try_from(row)) {
                    hits.push(Hit { row, distance });
                }
            }
        }
    }
    counters.distances += rows.len() as u64;
}

/// Offers to `top` the live ones among some rows, by the distance of their codes to `query`.
///
/// Rows that do not exist are passed over. Ascending rows are the fastest.
///
/// # Panics
///
/// If the query has another width than the codes.
pub fn rerank(
    rows: &Rows<'_>,
    level: Level,
    query: &[u8],
    positions: impl IntoIterator<Item = u32>,
    top: &mut TopK,
    live: impl Fn(u64) -> bool,
    counters: &mut Counters,
) {
    let mut positions = positions
        .into_iter()
        .filter(|row| (*row as usize) < rows.len());
    // The copies are independent of each other, so that the processor has many cache misses under
    // way at once; the kernel then runs over a block that is at hand.
    let (mut codes, mut gathered) = ([0; GATHER * Code::MAX_BYTES], [0; GATHER]);
    let mut distances = [0; GATHER];
    loop {
        let mut count = 0;
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
        offer(rows, distances, |position| gathered[position], top, &live);
        counters.candidates += count as u64;
    }
}

/// Offers the rows of a block to `top`; `row_of` tells the row of a position.
fn offer(
    rows: &Rows<'_>,
    distances: &[u32],
    row_of: impl Fn(usize) -> usize,
    top: &mut TopK,
    live: &impl Fn(u64) -> bool,
) {
    for (index, group) in distances.chunks(GROUP).enumerate() {
        if all_beyond(group, limit(top)) {
            continue;
        }
        for (position, &distance) in group.iter().enumerate() {
            if distance <= limit(top) {
                let row = row_of(index * GROUP + position);
                let id = rows.id(row);
                if live(id) {
                    top.push(Neighbor {
                        distance,
                        id,
                        address: rows.address(row),
                    });
                }
            }
        }
    }
}

/// The distance that a neighbour must not exceed to enter.
fn limit(top: &TopK) -> u32 {
    top.limit().unwrap_or(u32::MAX)
}

/// Appends the rows of a block that lie within the radius.
fn collect(
    rows: &Rows<'_>,
    distances: &[u32],
    first: usize,
    radius: u32,
    live: &impl Fn(u64) -> bool,
    out: &mut Vec<Neighbor>,
) {
    for (index, group) in distances.chunks(GROUP).enumerate() {
        if all_beyond(group, radius) {
            continue;
        }
        for (position, &distance) in group.iter().enumerate() {
            let row = first + index * GROUP + position;
            if distance <= radius && live(rows.id(row)) {
                out.push(Neighbor {
                    distance,
                    id: rows.id(row),
                    address: rows.address(row),
                });
            }
        }
    }
}

/// Whether every distance exceeds the limit.
///
/// Distances are below 2^31, so `limit - distance` has its top bit set just where the distance is
/// greater. The conjunction over a group compiles to vector code on every processor, which
/// comparisons of unsigned numbers do not.
#[inline]
fn all_beyond(distances: &[u32], limit: u32) -> bool {
    let limit = limit.min(u32::MAX >> 1);
    let differences = distances
        .iter()
        .fold(u32::MAX, |all, d| all & limit.wrapping_sub(*d));
    differences >> 31 == 1
}
