//! Makes the columns of a patch table, one side at a time: each is one counting sort.

use super::PatchLists;
use super::table::row_bytes;
use crate::code::Address;
use crate::error::Corruption;
use crate::index::table::Split;

/// The two orders of the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchSide {
    /// By the high half of the address.
    High,
    /// By the low half.
    Low,
}

/// The columns of one side as they are stored. All integers are little-endian.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PatchSideColumns {
    /// `u32`: the first entry of each half, and the number of entries.
    pub offsets: Vec<u8>,
    /// `u16`: the other half of each entry; those of one half are sorted by row, then by the other half.
    pub suffixes: Vec<u8>,
    /// The row of each entry, in `row_bytes` bytes.
    pub rows: Vec<u8>,
}

impl PatchSideColumns {
    /// Builds a side for the lists of `rows` rows, whose addresses have `address_bits` bits.
    ///
    /// Cost: two passes over the addresses; the columns take 4 to 6 bytes an address.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if an address exceeds the width, there are more than `u32::MAX` of them, a row has a
    /// list that is not among `rows`, or addresses cannot have this width.
    pub fn build(
        lists: &PatchLists,
        rows: usize,
        address_bits: u8,
        side: PatchSide,
    ) -> Result<Self, Corruption> {
        if !Address::is_width(address_bits) {
            let value = address_bits.into();
            return Err(Corruption::OutOfRange { field: "address bits", value });
        }
        let (entries, largest) = (lists.len(), Address::max_value(address_bits));
        if u32::try_from(entries).is_err() {
            return Err(Corruption::OutOfRange { field: "patches", value: entries as u64 });
        }
        let split = Split::new(address_bits);
        let halves = |address: &[u8; 4]| {
            let (high, low) = split.halves(u32::from_le_bytes(*address));
            if side == PatchSide::High { (high, low) } else { (low, high) }
        };
        let bits = if side == PatchSide::High { split.high_bits } else { split.low_bits };
        let mut next = vec![0_u32; (1 << bits) + 1];
        for (row, list) in lists.each() {
            if row >= rows && !list.is_empty() {
                return Err(Corruption::OutOfRange { field: "patch row", value: row as u64 });
            }
            for address in list {
                if u32::from_le_bytes(*address) > largest {
                    let value = u32::from_le_bytes(*address).into();
                    return Err(Corruption::OutOfRange { field: "patch address", value });
                }
                next[usize::from(halves(address).0) + 1] += 1;
            }
        }
        let mut end = 0;
        for next in &mut next {
            end += *next;
            *next = end;
        }
        let offsets = next.iter().flat_map(|offset| offset.to_le_bytes()).collect();

        let width = row_bytes(rows);
        let mut suffixes = vec![[0; 2]; entries];
        let mut columns = vec![0; entries * width];
        for (row, list) in lists.each() {
            let row = u32::try_from(row).unwrap_or(u32::MAX).to_le_bytes();
            for address in list {
                let (bucket, suffix) = halves(address);
                let next = &mut next[usize::from(bucket)];
                let entry = *next as usize;
                *next += 1;
                suffixes[entry] = suffix.to_le_bytes();
                columns[entry * width..][..width].copy_from_slice(&row[..width]);
            }
        }
        Ok(Self { offsets, suffixes: suffixes.into_flattened(), rows: columns })
    }
}
