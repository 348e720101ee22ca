//! The patch table: the rows that have a patch within a radius of an address.
//!
//! It is the pair table of `index/table` over all patch addresses of a segment, with the row of each entry on
//! both sides, so that a hit leads to its row in one step.

use super::lists::mixed;
use super::{PatchLists, PatchTally};
use crate::error::Corruption;
use crate::hamming::{self, Hit, Level};
use crate::index::Counters;
use crate::index::columns::check_length;
use crate::index::table::{HalfBalls, Order, Sides};

/// Bytes of a row's number where there are `rows` rows.
pub(super) fn row_bytes(rows: usize) -> usize {
    match rows {
        0..=0x1_0000 => 2,
        0x1_0001..=0x100_0000 => 3,
        _ => 4,
    }
}

/// Row numbers of one width.
#[derive(Debug, Clone, Copy)]
enum RowColumn<'a> {
    Two(&'a [[u8; 2]]),
    Three(&'a [[u8; 3]]),
    Four(&'a [[u8; 4]]),
}

impl<'a> RowColumn<'a> {
    fn new(bytes: &'a [u8], rows: usize) -> Self {
        match row_bytes(rows) {
            2 => Self::Two(bytes.as_chunks().0),
            3 => Self::Three(bytes.as_chunks().0),
            _ => Self::Four(bytes.as_chunks().0),
        }
    }

    #[inline]
    fn row(&self, entry: usize) -> u32 {
        match self {
            Self::Two(rows) => u16::from_le_bytes(rows[entry]).into(),
            Self::Three(rows) => {
                let [a, b, c] = rows[entry];
                u32::from_le_bytes([a, b, c, 0])
            }
            Self::Four(rows) => u32::from_le_bytes(rows[entry]),
        }
    }

    #[inline]
    fn prefetch(&self, level: Level, entry: u32) {
        let entry = entry as usize;
        match self {
            Self::Two(rows) => hamming::prefetch_line(level, &rows[entry]),
            Self::Three(rows) => hamming::prefetch_line(level, &rows[entry]),
            Self::Four(rows) => hamming::prefetch_line(level, &rows[entry]),
        }
    }
}

/// A patch table over the bytes of a segment.
#[derive(Debug, Clone, Copy)]
pub struct PatchTable<'a> {
    sides: Sides<'a>,
    high_rows: RowColumn<'a>,
    low_rows: RowColumn<'a>,
    rows: usize,
}

impl<'a> PatchTable<'a> {
    /// Takes the columns of both sides as they were stored for `rows` rows: offsets, suffixes and rows of the
    /// high side, then of the low one.
    ///
    /// Cost: reads the offsets once. That entries are in order and their rows in range shows where they are
    /// read, and [`PatchTable::verify`] looks at all of them.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if a column has the wrong length, offsets do not rise from 0 to the number of entries,
    /// or addresses cannot have this width.
    pub fn open(columns: [&'a [u8]; 6], rows: usize, address_bits: u8) -> Result<Self, Corruption> {
        let [high_offsets, low_suffixes, high_rows, low_offsets, high_suffixes, low_rows] = columns;
        let entries = low_suffixes.len() / 2;
        let Ok(count) = u32::try_from(entries) else {
            return Err(Corruption::OutOfRange { field: "patches", value: entries as u64 });
        };
        let columns = [high_offsets, low_suffixes, low_offsets, high_suffixes];
        let sides = Sides::open(columns, count, address_bits)?;
        check_length("patch rows", high_rows, entries, row_bytes(rows))?;
        check_length("patch rows", low_rows, entries, row_bytes(rows))?;
        let (high_rows, low_rows) =
            (RowColumn::new(high_rows, rows), RowColumn::new(low_rows, rows));
        Ok(Self { sides, high_rows, low_rows, rows })
    }

    /// How many patches there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sides.by_high.suffixes.len()
    }

    /// Whether there is none.
    #[must_use]
    #[cfg(any(test, feature = "__internals"))]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Tells `tally` of every patch within its radius of `address`, each once. `balls` are those of this
    /// table's address width, and `hits` is room to work in.
    ///
    /// Cost: that of a ball by the pair table, and a cache line a patch that was found.
    pub fn near(
        &self,
        level: Level,
        balls: &HalfBalls,
        address: u32,
        tally: &mut PatchTally,
        hits: &mut [Vec<Hit>; 2],
        counters: &mut Counters,
    ) {
        let mut batches = self.sides.batches(level, balls, address, tally.radius(), counters);
        let [earlier, newer] = hits;
        earlier.clear();
        let mut before = Order::High;
        let mut next = batches.next();
        while let Some((order, batch)) = next {
            // The cache lines of the batch behind are under way while this one is scanned, and those of the
            // rows of this one while the rows of the one before are taken.
            next = batches.next();
            newer.clear();
            hamming::collect_u16(level, batch.bands(), newer);
            let rows = self.rows_of(order);
            for hit in newer.iter() {
                rows.prefetch(level, hit.row);
            }
            self.take(before, earlier, tally);
            before = order;
            std::mem::swap(earlier, newer);
        }
        self.take(before, earlier, tally);
    }

    fn rows_of(&self, order: Order) -> &RowColumn<'a> {
        match order {
            Order::High => &self.high_rows,
            Order::Low => &self.low_rows,
        }
    }

    fn take(&self, order: Order, hits: &[Hit], tally: &mut PatchTally) {
        let rows = self.rows_of(order);
        for hit in hits {
            tally.hit(rows.row(hit.row as usize) as usize, hit.distance);
        }
    }

    /// Shows `visit` the row and the address of every entry of a side, in the order of the side.
    fn each(
        &self,
        order: Order,
        mut visit: impl FnMut(usize, u32) -> Result<(), Corruption>,
    ) -> Result<(), Corruption> {
        let (split, rows) = (self.sides.split, self.rows_of(order));
        let (side, other_bits) = match order {
            Order::High => (&self.sides.by_high, split.low_bits),
            Order::Low => (&self.sides.by_low, split.high_bits),
        };
        let address = |half, other| match order {
            Order::High => split.address(half, other),
            Order::Low => split.address(other, half),
        };
        for (half, entries) in side.buckets() {
            for entry in entries {
                let row = rows.row(entry) as usize;
                if row >= self.rows {
                    let value = row as u64;
                    return Err(Corruption::OutOfRange { field: "patch row", value });
                }
                let other = u16::from_le_bytes(side.suffixes[entry]);
                if u32::from(other) >> other_bits != 0 {
                    let value = other.into();
                    return Err(Corruption::OutOfRange { field: "patch suffix", value });
                }
                visit(row, address(half, other))?;
            }
        }
        Ok(())
    }

    /// The patches of each row: what the table was built from.
    ///
    /// Cost: two passes; takes four bytes a patch.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if an entry names a row that is not there.
    pub fn lists(&self) -> Result<PatchLists, Corruption> {
        let mut next = vec![0_usize; self.rows + 1];
        self.each(Order::High, |row, _| {
            next[row + 1] += 1;
            Ok(())
        })?;
        for row in 0..self.rows {
            next[row + 1] += next[row];
        }
        let mut addresses = vec![[0; 4]; self.len()];
        self.each(Order::High, |row, address| {
            // Buckets rise, and a row's entries in them: lists come out ascending.
            addresses[next[row]] = address.to_le_bytes();
            next[row] += 1;
            Ok(())
        })?;
        // Each row now stands where it ends.
        next.truncate(self.rows);
        Ok(PatchLists::of_parts(next, addresses))
    }

    /// Whether each row has any patch. Cost: one pass.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if an entry names a row that is not there.
    pub fn patched_rows(&self) -> Result<Vec<bool>, Corruption> {
        let mut patched = vec![false; self.rows];
        self.each(Order::High, |row, _| {
            patched[row] = true;
            Ok(())
        })?;
        Ok(patched)
    }

    /// Holds both sides against each other: the entries of each are in their order, and of every row both have
    /// the same. Returns the [`fingerprint`](super::fingerprint) of each row's patches.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if they do not.
    pub fn verify(&self) -> Result<Vec<u64>, Corruption> {
        let high = self.fingerprints(Order::High)?;
        if self.fingerprints(Order::Low)? != high {
            return Err(Corruption::Unsorted { field: "patches of the low side" });
        }
        Ok(high)
    }

    fn fingerprints(&self, order: Order) -> Result<Vec<u64>, Corruption> {
        let mut sums = vec![0_u64; self.rows];
        let mut before = None;
        let split = self.sides.split;
        self.each(order, |row, address| {
            let (high, low) = split.halves(address);
            let here = match order {
                Order::High => (high, row, low),
                Order::Low => (low, row, high),
            };
            if before.is_some_and(|before| before > here) {
                return Err(Corruption::Unsorted { field: "patches" });
            }
            before = Some(here);
            sums[row] = sums[row].wrapping_add(mixed(address));
            Ok(())
        })?;
        Ok(sums)
    }
}
