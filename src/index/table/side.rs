//! One of the two orders of a pair table: buckets by one half of the address, the other half as a
//! column of 16-bit suffixes.

use std::ops::Range;

use crate::hamming::{self, Band, Level};

/// Buckets that are looked up together.
pub(super) const PROBES: usize = 8;

/// Offsets and suffixes, whose offsets rise to the number of suffixes.
#[derive(Debug, Clone, Copy)]
pub(in crate::index) struct Side<'a> {
    /// Where each bucket begins, and at last where the last one ends.
    pub(in crate::index) offsets: &'a [[u8; 4]],
    /// The other half of each entry.
    pub(in crate::index) suffixes: &'a [[u8; 2]],
}

/// What is looked for on one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// The half that selects buckets.
    pub(super) bucket: u16,
    /// The half that suffixes are compared with.
    pub(super) suffix: u16,
    /// The smallest distance of the suffix.
    pub(super) least: u32,
    /// The largest distance of both halves together.
    pub(super) radius: u32,
    /// What is applied to `bucket`; of weights up to `radius`.
    pub(super) masks: &'a [u32],
}

/// Buckets that were looked up and are not scanned yet.
pub(in crate::index) struct Batch<'a> {
    bands: [Band<'a>; PROBES],
    /// The half that selects each bucket.
    halves: [u16; PROBES],
    len: usize,
}

impl<'a> Batch<'a> {
    pub(in crate::index) fn bands(&self) -> &[Band<'a>] {
        &self.bands[..self.len]
    }

    /// The buckets with the half that selects each.
    pub(super) fn buckets(&self) -> impl Iterator<Item = (u16, &Band<'a>)> {
        self.halves.into_iter().zip(self.bands())
    }

    /// How many entries the buckets hold.
    pub(super) fn entries(&self) -> u64 {
        self.bands().iter().map(|band| band.column.len() as u64).sum()
    }
}

impl<'a> Side<'a> {
    /// Looks up the buckets of some masks, at most [`PROBES`], and asks for their cache lines.
    #[inline]
    pub(super) fn gather(&self, level: Level, target: &Target<'_>, masks: &[u32]) -> Batch<'a> {
        let len = masks.len().min(PROBES);
        let mut batch = Batch { bands: [Band::default(); PROBES], halves: [0; PROBES], len };
        for ((band, half), mask) in batch.bands.iter_mut().zip(&mut batch.halves).zip(masks) {
            *half = target.bucket ^ half_of(*mask);
            let entries = self.bucket(u32::from(*half));
            // Entries are numbered by offsets of 32 bits.
            band.first_row = u32::try_from(entries.start).unwrap_or(u32::MAX);
            band.column = self.suffixes.get(entries).unwrap_or_default();
            band.query = target.suffix;
            band.least = target.least;
            band.beyond = mask.count_ones();
            band.most = target.radius.saturating_sub(band.beyond);
            hamming::prefetch(level, band.column.as_flattened());
        }
        batch
    }

    /// The suffix of an entry.
    #[inline]
    pub(super) fn suffix(&self, entry: u32) -> u16 {
        u16::from_le_bytes(self.suffixes[entry as usize])
    }

    /// How many entries the buckets of some masks hold.
    pub(super) fn cost(&self, bucket: u16, masks: &[u32]) -> u64 {
        masks.iter().map(|mask| self.bucket(u32::from(bucket) ^ mask).len() as u64).sum()
    }

    /// All buckets: the half and the entries of each.
    pub(in crate::index) fn buckets(&self) -> impl Iterator<Item = (u16, Range<usize>)> {
        let halves = 0..u16::try_from(self.offsets.len().saturating_sub(2)).unwrap_or(u16::MAX);
        let last = halves.end;
        halves.chain([last]).map(|half| (half, self.bucket(half.into())))
    }

    /// The entries of a bucket; none where there is no such bucket.
    #[inline]
    fn bucket(&self, half: u32) -> Range<usize> {
        let half = half as usize;
        match self.offsets.get(half..half + 2) {
            Some([start, end]) => {
                u32::from_le_bytes(*start) as usize..u32::from_le_bytes(*end) as usize
            }
            _ => 0..0,
        }
    }
}

/// A mask of a half as such: halves have at most 16 bits.
#[expect(clippy::cast_possible_truncation, reason = "masks of halves have at most 16 bits")]
fn half_of(mask: u32) -> u16 {
    mask as u16
}
