//! Makes the columns of a pair table from the addresses of a segment: two counting sorts.

use super::Split;
use crate::code::Address;
use crate::error::Corruption;
use crate::index::columns::check_length;

/// The columns of a pair table as they are stored. All integers are little-endian.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairTableColumns {
    /// `u32`: the first row of each high half, and the number of rows.
    pub high_offsets: Vec<u8>,
    /// `u16`: the low half of each row.
    pub low_suffixes: Vec<u8>,
    /// `u32`: the first entry of each low half, and the number of rows.
    pub low_offsets: Vec<u8>,
    /// `u16`: the high half of each entry; entries are sorted by low half, then by row.
    pub high_suffixes: Vec<u8>,
    /// `u32`: the row of each entry.
    pub positions: Vec<u8>,
}

impl PairTableColumns {
    /// Builds the columns for ascending addresses (little-endian `u32`) of `address_bits` bits.
    ///
    /// Cost: two passes over the addresses; the columns take 8 bytes a row and at most 512 KiB.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if the addresses descend somewhere, exceed the width or end inside a value, if
    /// there are more than `u32::MAX`, or if addresses cannot have this width.
    pub fn build(addresses: &[u8], address_bits: u8) -> Result<Self, Corruption> {
        let addresses = checked(addresses, address_bits)?;
        let split = Split::new(address_bits);
        let mut high = Offsets::new(split.high_bits);
        let mut low = Offsets::new(split.low_bits);
        let mut low_suffixes = Vec::with_capacity(addresses.len());
        for address in addresses {
            let (high_half, low_half) = split.halves(u32::from_le_bytes(*address));
            high.count(high_half);
            low.count(low_half);
            low_suffixes.push(low_half.to_le_bytes());
        }
        let (high_offsets, low_offsets) = (high.finish(), low.finish());

        let mut next: Vec<_> = low_offsets.iter().map(|start| u32::from_le_bytes(*start)).collect();
        let mut high_suffixes = vec![[0; 2]; addresses.len()];
        let mut positions = vec![[0; 4]; addresses.len()];
        for (row, address) in (0_u32..).zip(addresses) {
            let (high_half, low_half) = split.halves(u32::from_le_bytes(*address));
            let next = &mut next[usize::from(low_half)];
            let entry = *next as usize;
            *next += 1;
            high_suffixes[entry] = high_half.to_le_bytes();
            positions[entry] = row.to_le_bytes();
        }
        Ok(Self {
            high_offsets: high_offsets.into_flattened(),
            low_suffixes: low_suffixes.into_flattened(),
            low_offsets: low_offsets.into_flattened(),
            high_suffixes: high_suffixes.into_flattened(),
            positions: positions.into_flattened(),
        })
    }
}

/// The addresses, if they are what a table can be built from.
fn checked(addresses: &[u8], address_bits: u8) -> Result<&[[u8; 4]], Corruption> {
    if !Address::is_width(address_bits) {
        return Err(Corruption::OutOfRange { field: "address bits", value: address_bits.into() });
    }
    let rows = addresses.len() / 4;
    check_length("addresses", addresses, rows, 4)?;
    if u32::try_from(rows).is_err() {
        return Err(Corruption::OutOfRange { field: "rows", value: rows as u64 });
    }
    let (addresses, _) = addresses.as_chunks();
    if !addresses.is_sorted_by_key(|address| u32::from_le_bytes(*address)) {
        return Err(Corruption::Unsorted { field: "addresses" });
    }
    let largest = addresses.last().map_or(0, |address| u32::from_le_bytes(*address));
    if largest > Address::max_value(address_bits) {
        return Err(Corruption::OutOfRange { field: "addresses", value: largest.into() });
    }
    Ok(addresses)
}

/// Counts halves and becomes the offsets of their buckets.
struct Offsets {
    counts: Vec<u32>,
}

impl Offsets {
    /// For the halves of `bits` bits.
    fn new(bits: u8) -> Self {
        Self { counts: vec![0; 1 << bits] }
    }

    /// Counts one half.
    #[inline]
    fn count(&mut self, half: u16) {
        self.counts[usize::from(half)] += 1;
    }

    /// Where each bucket begins, and the end of the last.
    fn finish(self) -> Vec<[u8; 4]> {
        let mut offsets = Vec::with_capacity(self.counts.len() + 1);
        let mut end = 0_u32;
        offsets.push(end.to_le_bytes());
        for count in self.counts {
            end += count;
            offsets.push(end.to_le_bytes());
        }
        offsets
    }
}
