//! The coarse step: how far the query is from every centroid, and which centroids are nearest.

use super::Clusters;
use crate::hamming::{self, Level};

/// One of so many centroids is counted to tell where the nearest end; a few more are asked for than
/// it takes on average, so that it rarely has to be done again with all.
const STEP: usize = 4;
const SLACK: usize = 3;

/// A query and its distances to all centroids.
#[derive(Debug, Clone)]
pub struct Probe<'q> {
    pub(super) level: Level,
    pub(super) query: &'q [u8],
    distances: Vec<u32>,
}

/// A list and how far its centroid is from the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Near {
    pub(super) distance: u32,
    pub(super) list: u32,
}

impl Clusters<'_> {
    /// Compares `query` with every centroid.
    ///
    /// Cost: reads the centroids once.
    ///
    /// # Panics
    ///
    /// If the query has another width than the codes.
    #[must_use]
    pub fn probe<'q>(&self, level: Level, query: &'q [u8]) -> Probe<'q> {
        assert_eq!(query.len(), self.code_bytes, "a query is as wide as the codes");
        let mut distances = vec![0; self.lists()];
        hamming::distances(level, query, self.centroids, &mut distances);
        Probe { level, query, distances }
    }
}

impl Probe<'_> {
    /// How many lists it was compared with.
    pub(super) fn lists(&self) -> usize {
        self.distances.len()
    }

    /// All lists, in order.
    #[inline]
    pub(super) fn all(&self) -> impl Iterator<Item = Near> {
        (0..).zip(&self.distances).map(|(list, distance)| Near { distance: *distance, list })
    }

    /// A list by its number.
    #[inline]
    pub(super) fn near(&self, list: usize) -> Option<Near> {
        let distance = *self.distances.get(list)?;
        Some(Near { distance, list: u32::try_from(list).ok()? })
    }

    /// The `count` nearest lists, nearest first, of equals the first; fewer if there are fewer.
    ///
    /// Distances are small numbers: counting some of them tells where to cut, and few are sorted.
    pub(super) fn nearest(&self, count: usize) -> Vec<Near> {
        let count = count.min(self.lists());
        let mut nearest = self.up_to(self.limit(count / STEP + SLACK, STEP), count);
        if nearest.len() < count {
            nearest = self.up_to(self.limit(count, 1), count);
        }
        nearest.sort_unstable();
        nearest.truncate(count);
        nearest
    }

    /// The lists within a distance, of which `count` or a few more are expected.
    fn up_to(&self, limit: u32, count: usize) -> Vec<Near> {
        let mut lists = Vec::with_capacity(count + STEP * SLACK * 2);
        hamming::at_most(self.level, &self.distances, limit, |list| {
            lists.extend(self.near(list));
        });
        lists
    }

    /// The least distance within which there are `count` of every `step`-th centroid, or all.
    fn limit(&self, count: usize, step: usize) -> u32 {
        let mut counts = vec![0_u32; self.query.len() * 8 + 1];
        for distance in self.distances.iter().step_by(step) {
            counts[*distance as usize] += 1;
        }
        let mut within = 0;
        for (distance, here) in (0..).zip(counts) {
            within += here as usize;
            if within >= count {
                return distance;
            }
        }
        u32::MAX
    }
}
