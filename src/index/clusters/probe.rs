//! The coarse step: how far the query is from every centroid, and which centroids are nearest.

use super::Clusters;
use crate::hamming::{self, Level};

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
    /// Distances are small numbers: counting them tells where to cut, and few are sorted.
    pub(super) fn nearest(&self, count: usize) -> Vec<Near> {
        let limit = self.limit(count);
        let mut nearest = Vec::with_capacity(count.min(self.distances.len()) + 32);
        hamming::at_most(self.level, &self.distances, limit, |list| {
            nearest.extend(self.near(list));
        });
        nearest.sort_unstable();
        nearest.truncate(count);
        nearest
    }

    /// The least distance within which there are `count` centroids, or all.
    fn limit(&self, count: usize) -> u32 {
        // Two counters a distance, so that equal neighbours do not wait for each other.
        let mut counts = vec![[0_u32; 2]; self.query.len() * 8 + 1];
        for (index, distance) in self.distances.iter().enumerate() {
            counts[*distance as usize][index % 2] += 1;
        }
        let mut within = 0;
        for (distance, [even, odd]) in (0..).zip(counts) {
            within += (even + odd) as usize;
            if within >= count {
                return distance;
            }
        }
        u32::MAX
    }
}
