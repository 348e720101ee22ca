//! One of the two orders of a pair table: buckets by one half of the address, the other half as a
//! column of 16-bit suffixes.

use std::ops::Range;

use crate::hamming::{self, Level, Run};
use crate::index::Counters;

/// Buckets that are looked up together.
const PROBES: usize = 8;

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

/// Buckets that were looked up and are not scanned yet.
struct Batch<'a, 't> {
    masks: &'t [u32],
    runs: [Run<'a>; PROBES],
    /// The first entry of each run.
    firsts: [usize; PROBES],
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
        let mut batches =
            target.masks.chunks(PROBES).map(|masks| self.gather(level, target, masks));
        let mut next = batches.next();
        while let Some(batch) = next {
            // The cache lines of the batch behind are under way while this one is scanned.
            next = batches.next();
            let runs = &batch.runs[..batch.masks.len()];
            counters.candidates += runs.iter().map(|run| run.column.len() as u64).sum::<u64>();
            hamming::within_u16(level, runs, |run, position, suffix_distance| {
                let entry = batch.firsts[run] + position;
                let distance = batch.masks[run].count_ones() + suffix_distance;
                found(Found { entry, distance, suffix_distance });
            });
        }
        counters.probes += target.masks.len() as u64;
    }

    /// Looks up the buckets of some masks and asks for their cache lines.
    #[inline]
    fn gather<'t>(&self, level: Level, target: &Target<'_>, masks: &'t [u32]) -> Batch<'a, 't> {
        let mut batch = Batch { masks, runs: [Run::default(); PROBES], firsts: [0; PROBES] };
        for ((run, first), mask) in batch.runs.iter_mut().zip(&mut batch.firsts).zip(masks) {
            let entries = self.bucket(u32::from(target.bucket) ^ mask);
            *first = entries.start;
            run.column = self.suffixes.get(entries).unwrap_or_default();
            run.query = target.suffix;
            run.radius = target.radius.saturating_sub(mask.count_ones());
            hamming::prefetch(level, run.column.as_flattened());
        }
        batch
    }

    /// How many entries the buckets of some masks hold.
    pub(super) fn cost(&self, bucket: u16, masks: &[u32]) -> u64 {
        masks.iter().map(|mask| self.bucket(u32::from(bucket) ^ mask).len() as u64).sum()
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
