//! The pair table: every record within a radius of an address, in a time that grows with the answer
//! rather than with the database.
//!
//! An address is split into a high and a low half. If two addresses differ in at most `r` bits and
//! `ra + rb = r - 1`, then their high halves differ in at most `ra` bits or their low halves in at
//! most `rb`: the pigeonhole principle of multi-index hashing (M. Norouzi, A. Punjani, D. J. Fleet,
//! "Fast Search in Hamming Space with Multi-Index Hashing", 2012). Rows are therefore kept in two
//! orders: by high half, which is the order of the segment, with the low halves as a column of 16
//! bits; and by low half, with the high halves and the rows they belong to. A look-up probes the
//! small ball around each half and scans the buckets it finds. The low side takes only rows whose
//! high half is further than `ra`, so that no row is found twice.

mod build;
mod side;
mod sides;
mod split;

#[cfg(test)]
mod tests;

pub use build::PairTableColumns;
pub use split::HalfBalls;

pub(super) use sides::{Order, Sides};
pub(super) use split::Split;

use super::columns::check_length;
use super::{Counters, Neighbor, Rows};
use std::slice;

use crate::error::Corruption;
use crate::hamming::{self, Hit, Level};

/// A pair table over the bytes of a segment.
#[derive(Debug, Clone, Copy)]
pub struct PairTable<'a> {
    sides: Sides<'a>,
    /// The row of each entry of the low side.
    positions: &'a [[u8; 4]],
    rows: u32,
}

impl<'a> PairTable<'a> {
    /// Whether a table over `rows` rows is worth its place: with fewer, its offsets alone take more
    /// bytes than the addresses that a scan reads.
    #[must_use]
    pub fn worthwhile(rows: u32, address_bits: u8) -> bool {
        u64::from(rows) * 4 >= 1 << Split::new(address_bits).high_bits
    }

    /// Takes the columns of [`PairTableColumns`] as they were stored for `rows` rows.
    ///
    /// Cost: reads the offsets once. That positions are in range shows where they are read.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if a column has the wrong length, offsets do not rise from 0 to `rows`, or
    /// addresses cannot have this width.
    pub fn open(
        high_offsets: &'a [u8],
        low_suffixes: &'a [u8],
        low_offsets: &'a [u8],
        high_suffixes: &'a [u8],
        positions: &'a [u8],
        rows: u32,
        address_bits: u8,
    ) -> Result<Self, Corruption> {
        let columns = [high_offsets, low_suffixes, low_offsets, high_suffixes];
        let sides = Sides::open(columns, rows, address_bits)?;
        check_length("positions", positions, rows as usize, 4)?;
        Ok(Self { sides, positions: positions.as_chunks().0, rows })
    }

    /// Appends every row whose address lies within `radius` of `address`, each once, in no
    /// particular order. `balls` are those of this table's address width.
    ///
    /// Cost: as many suffixes of two bytes as [`PairTable::cost`] says, in one run a bucket.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if an entry of the ball names a row that is not there.
    pub fn ball(
        &self,
        level: Level,
        balls: &HalfBalls,
        address: u32,
        radius: u32,
        hits: &mut Vec<Hit>,
        counters: &mut Counters,
    ) -> Result<(), Corruption> {
        let mut largest = 0;
        let mut batches = self.sides.batches(level, balls, address, radius, counters);
        // The hits from here on hold entries of the low side, which are to become rows.
        let mut entries = hits.len();
        let mut next = batches.next();
        while let Some((order, batch)) = next {
            // The cache lines of the batch behind are under way while this one is scanned.
            next = batches.next();
            let before = hits.len();
            hamming::collect_u16(level, batch.bands(), hits);
            match order {
                Order::High => entries = hits.len(),
                Order::Low => {
                    let (earlier, new) = hits[entries..].split_at_mut(before - entries);
                    for hit in new {
                        hamming::prefetch_line(level, &self.positions[hit.row as usize]);
                    }
                    largest = largest.max(self.set_rows(earlier));
                    entries = before;
                }
            }
        }
        largest = largest.max(self.set_rows(&mut hits[entries..]));
        self.check(largest)
    }

    /// Appends every record whose address lies within `radius` of `address`, each once, in no
    /// particular order. `rows` are those of the segment that the table was built from.
    ///
    /// Addresses are put together from the halves at hand, so that of a row only its id is fetched.
    ///
    /// Cost: that of [`PairTable::ball`], and a cache line a record.
    ///
    /// # Errors
    ///
    /// As [`PairTable::ball`].
    #[expect(clippy::too_many_arguments, reason = "what is asked, of what, and where it goes")]
    pub fn neighbors(
        &self,
        level: Level,
        balls: &HalfBalls,
        address: u32,
        radius: u32,
        rows: &Rows<'_>,
        found: &mut Vec<Neighbor>,
        counters: &mut Counters,
    ) -> Result<(), Corruption> {
        let (first, mut largest) = (found.len(), 0);
        let mut batches = self.sides.batches(level, balls, address, radius, counters);
        // Until their turn comes, neighbours hold in place of their ids their rows, and those from
        // here on entries of the low side.
        let (mut entries, mut hits) = (first, Vec::new());
        let mut next = batches.next();
        while let Some((order, batch)) = next {
            next = batches.next();
            let before = found.len();
            for (half, band) in batch.buckets() {
                hits.clear();
                hamming::collect_u16(level, slice::from_ref(band), &mut hits);
                match order {
                    Order::High => found.extend(hits.iter().map(|hit| {
                        let low = self.sides.by_high.suffix(hit.row);
                        rows.prefetch_id(level, hit.row);
                        near(hit, self.sides.split.address(half, low))
                    })),
                    Order::Low => found.extend(hits.iter().map(|hit| {
                        let high = self.sides.by_low.suffix(hit.row);
                        hamming::prefetch_line(level, &self.positions[hit.row as usize]);
                        near(hit, self.sides.split.address(high, half))
                    })),
                }
            }
            match order {
                Order::High => entries = found.len(),
                Order::Low => {
                    let entered = self.enter_rows(level, rows, &mut found[entries..before]);
                    largest = largest.max(entered);
                    entries = before;
                }
            }
        }
        largest = largest.max(self.enter_rows(level, rows, &mut found[entries..]));
        self.check(largest)?;
        for near in &mut found[first..] {
            near.id = rows.id(place(near));
        }
        Ok(())
    }

    /// Puts rows in the place of entries of the low side and asks for their ids; returns the largest.
    fn enter_rows(&self, level: Level, rows: &Rows<'_>, found: &mut [Neighbor]) -> u32 {
        let mut largest = 0;
        for near in found {
            let row = u32::from_le_bytes(self.positions[place(near)]);
            rows.prefetch_id(level, row);
            near.id = row.into();
            largest = largest.max(row);
        }
        largest
    }

    /// Puts rows in the place of entries of the low side; returns the largest.
    fn set_rows(&self, hits: &mut [Hit]) -> u32 {
        let mut largest = 0;
        for hit in hits {
            hit.row = u32::from_le_bytes(self.positions[hit.row as usize]);
            largest = largest.max(hit.row);
        }
        largest
    }

    /// Refuses rows that are not there, of which this is the largest.
    fn check(&self, largest: u32) -> Result<(), Corruption> {
        if largest < self.rows.max(1) {
            return Ok(());
        }
        Err(Corruption::OutOfRange { field: "positions", value: largest.into() })
    }

    /// How many suffixes [`PairTable::ball`] would compare, told by the offsets alone.
    ///
    /// A scan of the addresses compares as many values of four bytes as there are rows.
    #[must_use]
    pub fn cost(&self, balls: &HalfBalls, address: u32, radius: u32) -> u64 {
        self.sides.cost(balls, address, radius)
    }
}

/// A neighbour whose id is not known yet; its row or entry stands there.
fn near(hit: &Hit, address: u32) -> Neighbor {
    Neighbor { distance: hit.distance, id: hit.row.into(), address }
}

/// The row or entry that stands in the place of an id.
#[expect(clippy::cast_possible_truncation, reason = "rows have 32 bits")]
fn place(near: &Neighbor) -> usize {
    near.id as usize
}
