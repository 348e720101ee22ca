//! One of the two orders of a pair table: buckets by one half of the address, the other half as a
//! column of 16-bit suffixes.

use std::ops::Range;

use crate::hamming::{self, Level, Run};
use crate::index::Counters;

/// Buckets that are looked up before they are scanned, so that their cache lines are on the way.
const PROBES: usize = 32;

/// Offsets and suffixes; [`check_offsets`](super::check_offsets) has passed them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side<'a> {
    /// Where each bucket begins, and at last where the last one ends.
    pub(super) offsets: &'a [[u8; 4]],
    /// The other half of each entry.
    pub(super) suffixes: &'a [[u8; 2]],
}

/// What is looked for on one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    /// The half that selects buckets.
    pub(super) bucket: u16,
    /// The half that suffixes are compared with.
    pub(super) suffix: u16,
    /// The largest distance of both halves together.
    pub(super) radius: u32,
    /// What is applied to `bucket`; of weights up to `radius`.
    pub(super) masks: &'a [u32],
}

/// An entry within the radius.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Its place in the order of this side.
    pub(super) entry: usize,
    /// The distance of both halves together.
    pub(super) distance: u32,
    /// The distance of the suffix.
    pub(super) suffix_distance: u32,
}

impl<'a> Side<'a> {
    /// Calls `found` for every entry of the target's buckets that lies within its radius.
    #[inline]
    pub(super) fn search(
        &self,
        level: Level,
        target: &Target<'_>,
        counters: &mut Counters,
        mut found: impl FnMut(Found),
    ) {
        for masks in target.masks.chunks(PROBES) {
            let mut firsts = [0; PROBES];
            let mut runs = [Run::default(); PROBES];
            for ((run, first), mask) in runs.iter_mut().zip(&mut firsts).zip(masks) {
                let entries = self.bucket(u32::from(target.bucket) ^ mask);
                *first = entries.start;
                run.column = self.column(entries);
                run.query = target.suffix;
                run.radius = target.radius.saturating_sub(mask.count_ones());
                counters.candidates += run.column.len() as u64;
            }
            hamming::within_u16(
                level,
                &runs[..masks.len()],
                |run, position, suffix_distance| {
                    let distance = masks[run].count_ones() + suffix_distance;
                    found(Found {
                        entry: firsts[run] + position,
                        distance,
                        suffix_distance,
                    });
                },
            );
        }
        counters.probes += target.masks.len() as u64;
    }

    /// How many entries the buckets of some masks hold.
    pub(super) fn cost(&self, bucket: u16, masks: &[u32]) -> u64 {
        masks
            .iter()
            .map(|mask| self.bucket(u32::from(bucket) ^ mask).len() as u64)
            .sum()
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

    /// The suffixes of a bucket.
    #[inline]
    fn column(&self, entries: Range<usize>) -> &'a [[u8; 2]] {
        self.suffixes.get(entries).unwrap_or_default()
    }
}
