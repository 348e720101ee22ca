//! The patch addresses of rows, one list after the other: what the memtable scans and segments are built from.

use super::PatchTally;
use crate::hamming::{self, Level};

/// Distances that are worked out at once.
const BLOCK: usize = 4096;

/// A list of patch addresses for each row, ascending; rows behind the last one that has any take no room.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchLists {
    /// Where the list of each row ends.
    ends: Vec<usize>,
    /// Little-endian.
    addresses: Vec<[u8; 4]>,
}

impl PatchLists {
    /// Adds the list of a row, which is behind all rows that have one.
    pub fn push(&mut self, row: usize, patches: impl IntoIterator<Item = u32>) {
        let start = self.addresses.len();
        self.addresses.extend(patches.into_iter().map(u32::to_le_bytes));
        if self.addresses.len() > start {
            self.addresses[start..].sort_unstable_by_key(|address| u32::from_le_bytes(*address));
            self.ends.resize(row, start);
            self.ends.push(self.addresses.len());
        }
    }

    /// Lists that were counted before they are filled: as many addresses as `counts` says for each row.
    pub(super) fn of_parts(ends: Vec<usize>, addresses: Vec<[u8; 4]>) -> Self {
        Self { ends, addresses }
    }

    /// Adds the lists of the rows of another, which begin at `row`.
    pub fn extend(&mut self, row: usize, other: &Self) {
        if other.addresses.is_empty() {
            return;
        }
        let start = self.addresses.len();
        self.ends.resize(row, start);
        self.ends.extend(other.ends.iter().map(|end| end + start));
        self.addresses.extend_from_slice(&other.addresses);
    }

    /// The lists of the rows from `row` on.
    #[must_use]
    pub fn tail(&self, row: usize) -> Self {
        if row >= self.ends.len() {
            return Self::default();
        }
        let start = self.start(row);
        let ends = self.ends[row..].iter().map(|end| end - start).collect();
        Self { ends, addresses: self.addresses[start..].to_vec() }
    }

    /// Forgets all lists and keeps their room.
    pub fn clear(&mut self) {
        self.ends.clear();
        self.addresses.clear();
    }

    fn start(&self, row: usize) -> usize {
        row.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or(0)
    }

    /// The list of a row, ascending.
    #[must_use]
    pub fn of(&self, row: usize) -> impl ExactSizeIterator<Item = u32> + '_ {
        let range = self.ends.get(row).map_or(0..0, |end| self.start(row)..*end);
        self.addresses[range].iter().map(|address| u32::from_le_bytes(*address))
    }

    /// The lists with their rows; rows without any may be left out.
    pub(super) fn each(&self) -> impl Iterator<Item = (usize, &[[u8; 4]])> {
        let mut start = 0;
        self.ends.iter().enumerate().map(move |(row, end)| {
            let list = &self.addresses[start..*end];
            start = *end;
            (row, list)
        })
    }

    /// How many addresses there are in all.
    #[must_use]
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether no row has any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Tells `tally` of every address within its radius of `address`. Cost: reads all of them.
    pub fn near(&self, level: Level, address: u32, tally: &mut PatchTally) {
        let mut distances = [0; BLOCK];
        let (mut row, mut first) = (0, 0);
        for block in self.addresses.chunks(BLOCK) {
            let distances = &mut distances[..block.len()];
            hamming::distances_u32(level, address, block.as_flattened(), distances);
            hamming::at_most(level, distances, tally.radius(), |position| {
                // Positions rise, so the row that a place belongs to is never behind.
                while self.ends.get(row).is_some_and(|end| *end <= first + position) {
                    row += 1;
                }
                tally.hit(row, distances[position]);
            });
            first += block.len();
        }
    }
}

/// A number that stands for a list of patch addresses, in whatever order they come: 0 for none.
///
/// Two lists that differ have the same one in 2^64 cases.
#[must_use]
pub fn fingerprint(patches: impl IntoIterator<Item = u32>) -> u64 {
    patches.into_iter().map(mixed).fold(0, u64::wrapping_add)
}

/// splitmix64 of an address: differs in all bits where addresses differ in one.
#[inline]
pub(super) fn mixed(address: u32) -> u64 {
    let mut mixed = (u64::from(address) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
