//! Both orders of a pair table: which buckets a ball looks up on each side.

use super::HalfBalls;
use super::side::{Batch, PROBES, Side, Target};
use super::split::Split;
use crate::code::Address;
use crate::error::Corruption;
use crate::hamming::Level;
use crate::index::Counters;
use crate::index::columns::{check_length, check_offsets};
use crate::index::radii::Radii;

/// The two orders of the entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::index) enum Order {
    High,
    Low,
}

/// Entries by the high half of their address, and the same by the low half.
#[derive(Debug, Clone, Copy)]
pub(in crate::index) struct Sides<'a> {
    pub(in crate::index) split: Split,
    pub(in crate::index) by_high: Side<'a>,
    pub(in crate::index) by_low: Side<'a>,
}

impl<'a> Sides<'a> {
    /// Takes offsets and suffixes of the high side, then of the low one, for `entries` entries.
    pub(in crate::index) fn open(
        columns: [&'a [u8]; 4],
        entries: u32,
        address_bits: u8,
    ) -> Result<Self, Corruption> {
        let [high_offsets, low_suffixes, low_offsets, high_suffixes] = columns;
        if !Address::is_width(address_bits) {
            let value = address_bits.into();
            return Err(Corruption::OutOfRange { field: "address bits", value });
        }
        let split = Split::new(address_bits);
        check_length("low suffixes", low_suffixes, entries as usize, 2)?;
        check_length("high suffixes", high_suffixes, entries as usize, 2)?;
        let by_high = Side {
            offsets: checked_offsets("high offsets", high_offsets, split.high_bits, entries)?,
            suffixes: low_suffixes.as_chunks().0,
        };
        let by_low = Side {
            offsets: checked_offsets("low offsets", low_offsets, split.low_bits, entries)?,
            suffixes: high_suffixes.as_chunks().0,
        };
        Ok(Self { split, by_high, by_low })
    }

    /// Looks up the buckets of a ball, a few at a time.
    pub(in crate::index) fn batches<'t>(
        &'t self,
        level: Level,
        balls: &'t HalfBalls,
        address: u32,
        radius: u32,
        counters: &'t mut Counters,
    ) -> impl Iterator<Item = (Order, Batch<'a>)> + 't {
        let (high, low) = self.split.halves(address);
        let radii = Radii::new(radius);
        let masks = balls.high.within(radii.first);
        let by_high = Target { bucket: high, suffix: low, least: 0, radius, masks };
        let masks = radii.second.map_or(&[][..], |radius| balls.low.within(radius));
        let by_low = Target { bucket: low, suffix: high, least: radii.first + 1, radius, masks };
        counters.probes += (by_high.masks.len() + by_low.masks.len()) as u64;

        let first = by_high.masks.chunks(PROBES).map(|masks| (Order::High, masks));
        let second = by_low.masks.chunks(PROBES).map(|masks| (Order::Low, masks));
        first.chain(second).map(move |(order, masks)| {
            let batch = match order {
                Order::High => self.by_high.gather(level, &by_high, masks),
                Order::Low => self.by_low.gather(level, &by_low, masks),
            };
            counters.candidates += batch.entries();
            (order, batch)
        })
    }

    /// How many suffixes a ball compares, told by the offsets alone.
    pub(in crate::index) fn cost(&self, balls: &HalfBalls, address: u32, radius: u32) -> u64 {
        let (high, low) = self.split.halves(address);
        let radii = Radii::new(radius);
        let by_low =
            radii.second.map_or(0, |radius| self.by_low.cost(low, balls.low.within(radius)));
        self.by_high.cost(high, balls.high.within(radii.first)) + by_low
    }
}

/// The offsets of a side, if they rise from 0 to `entries`.
fn checked_offsets<'a>(
    field: &'static str,
    column: &'a [u8],
    bits: u8,
    entries: u32,
) -> Result<&'a [[u8; 4]], Corruption> {
    check_length(field, column, (1 << bits) + 1, 4)?;
    let (offsets, _) = column.as_chunks();
    check_offsets(field, offsets, entries)?;
    Ok(offsets)
}
