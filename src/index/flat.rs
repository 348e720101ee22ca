//! Scans: every row is compared. The plan of small segments and of the memtable, the upper bound of
//! every other plan, and the oracle of the tests.
//!
//! The kernel reports the few rows that come near. Their ids and addresses lie far apart, so they
//! are fetched a group at a time: the cache misses of a group are under way together. Whether a
//! record lives is asked only of rows that would enter the answer.

use super::{Collect, Counters, Hit, Neighbor, Rows};
use crate::code::Code;
use crate::hamming::{self, Level};

/// Addresses of a block: their distances take 4 KiB.
const BLOCK: usize = 1024;

/// Rows that are fetched together.
const GROUP: usize = 64;

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
    assert_eq!(query.len(), rows.code_bytes(), "a query is as wide as the codes");
    if into.is_void() {
        return;
    }
    let mut near = Near::new();
    hamming::rows_within(level, query, rows.codes(), into.limit(), |row, distance| {
        if near.push(row, distance) {
            near.offer(rows, into, &live);
        }
        into.limit()
    });
    near.offer(rows, into, &live);
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
    let mut gathered = Gathered::new(rows, level, query);
    for row in positions {
        let row = row as usize;
        if row < rows.len() && gathered.push(row) {
            gathered.offer(into, &live, counters);
        }
    }
    gathered.offer(into, &live, counters);
}

/// Rows whose codes are copied together and then compared: the copies are independent of each
/// other, so that the processor has many cache misses under way at once.
pub(super) struct Gathered<'a> {
    rows: &'a Rows<'a>,
    level: Level,
    query: &'a [u8],
    codes: [u8; GROUP * Code::MAX_BYTES],
    positions: [usize; GROUP],
    count: usize,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(rows: &'a Rows<'a>, level: Level, query: &'a [u8]) -> Self {
        assert_eq!(query.len(), rows.code_bytes(), "a query is as wide as the codes");
        let codes = [0; GROUP * Code::MAX_BYTES];
        Self { rows, level, query, codes, positions: [0; GROUP], count: 0 }
    }

    /// Takes a row; whether the group is full.
    #[inline]
    pub(super) fn push(&mut self, row: usize) -> bool {
        self.positions[self.count] = row;
        let width = self.query.len();
        self.codes[self.count * width..][..width].copy_from_slice(self.rows.code(row));
        self.count += 1;
        self.count == GROUP
    }

    /// Offers the live rows of the group and empties it.
    pub(super) fn offer(
        &mut self,
        into: &mut impl Collect,
        live: &impl Fn(u64) -> bool,
        counters: &mut Counters,
    ) {
        let codes = &self.codes[..self.count * self.query.len()];
        let mut near = Near::new();
        hamming::rows_within(self.level, self.query, codes, into.limit(), |index, distance| {
            near.push(self.positions[index], distance);
            into.limit()
        });
        near.offer(self.rows, into, live);
        counters.distances += self.count as u64;
        self.count = 0;
    }
}

/// Rows that are near enough for what was known when they were seen.
struct Near {
    rows: [(usize, u32); GROUP],
    count: usize,
}

impl Near {
    fn new() -> Self {
        Self { rows: [(0, 0); GROUP], count: 0 }
    }

    /// Takes a row; whether the group is full.
    #[inline]
    fn push(&mut self, row: usize, distance: u32) -> bool {
        self.rows[self.count] = (row, distance);
        self.count += 1;
        self.count == GROUP
    }

    /// Offers the live rows of the group and empties it.
    fn offer(&mut self, rows: &Rows<'_>, into: &mut impl Collect, live: &impl Fn(u64) -> bool) {
        let mut neighbors = [Neighbor { distance: 0, id: 0, address: 0 }; GROUP];
        let near = &self.rows[..self.count];
        // Nothing is decided here, so no load waits for another.
        for (neighbor, &(row, distance)) in neighbors.iter_mut().zip(near) {
            *neighbor = Neighbor { distance, id: rows.id(row), address: rows.address(row) };
        }
        for neighbor in &neighbors[..self.count] {
            if into.admits(neighbor) && live(neighbor.id) {
                into.push(*neighbor);
            }
        }
        self.count = 0;
    }
}
