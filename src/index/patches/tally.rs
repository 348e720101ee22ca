//! The score of each row: what its patches are worth to the patches of a query.

use super::MAX_PATCH_RADIUS;
use crate::hamming::{self, Level};

/// What a record scores for one patch of the query, of which several of its own lie within the radius.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum PatchCounting {
    /// The closest one counts: 2^(radius - distance).
    #[default]
    Closest,
    /// Each one counts, and they are summed.
    Every,
}

/// The patches of a query, ascending, and how often it has each: a plain sky is looked up once.
#[must_use]
pub fn distinct_patches(patches: impl IntoIterator<Item = u32>) -> Vec<(u32, u32)> {
    let mut sorted: Vec<_> = patches.into_iter().collect();
    sorted.sort_unstable();
    let mut distinct: Vec<(u32, u32)> = Vec::with_capacity(sorted.len());
    for patch in sorted {
        match distinct.last_mut() {
            Some((last, times)) if *last == patch => *times += 1,
            _ => distinct.push((patch, 1)),
        }
    }
    distinct
}

/// Bits of a cell that hold the score; those above hold the last patch that counted.
const SCORE_BITS: u32 = 23;
const SCORE_MASK: u32 = (1 << SCORE_BITS) - 1;
/// Rows whose cells are asked for before they are changed.
const AHEAD: usize = 16;

/// Scores of rows under way.
#[derive(Debug)]
pub struct PatchTally {
    radius: u32,
    counting: PatchCounting,
    /// For [`PatchCounting::Every`] the score, which is at most 2^24. For the other way the score, at most
    /// 2^16, and above it the number of the last patch that counted, so that it counts once: at most 256.
    cells: Vec<u32>,
    /// The number of the query's patch, from 1 on.
    patch: u32,
    /// Rows that lie near the patch, by their distance.
    near: Vec<Vec<u32>>,
    /// A row was named that there is not.
    beyond: Option<u32>,
}

impl PatchTally {
    /// Begins with nothing for `rows` rows; the radius is at most [`MAX_PATCH_RADIUS`].
    #[must_use]
    pub fn new(rows: usize, radius: u32, counting: PatchCounting) -> Self {
        let radius = radius.min(MAX_PATCH_RADIUS);
        let near = (0..=radius).map(|_| Vec::new()).collect();
        Self { radius, counting, cells: vec![0; rows], patch: 0, near, beyond: None }
    }

    /// Distances beyond it score nothing.
    #[must_use]
    pub fn radius(&self) -> u32 {
        self.radius
    }

    /// Notes that a row has a patch at a distance from the query's patch of the moment.
    #[inline]
    pub fn hit(&mut self, row: usize, distance: u32) {
        let row = u32::try_from(row).unwrap_or(u32::MAX);
        if let Some(near) = self.near.get_mut(distance as usize) {
            near.push(row);
        }
    }

    /// Counts what was noted since the last call, which is of one patch that the query has so many `times`: at
    /// most [`MAX_PATCHES`](super::MAX_PATCHES) in all calls.
    pub fn count(&mut self, level: Level, times: u32) {
        self.patch += 1;
        let stamp = self.patch << SCORE_BITS;
        // The closest come first.
        for (distance, near) in (0..).zip(&mut self.near) {
            let worth = times << (self.radius - distance);
            for (place, &row) in near.iter().enumerate() {
                if let Some(cell) =
                    near.get(place + AHEAD).and_then(|row| self.cells.get(*row as usize))
                {
                    hamming::prefetch_line(level, cell);
                }
                let Some(cell) = self.cells.get_mut(row as usize) else {
                    self.beyond = Some(row);
                    continue;
                };
                match self.counting {
                    PatchCounting::Every => *cell += worth,
                    PatchCounting::Closest if *cell & !SCORE_MASK == stamp => {}
                    PatchCounting::Closest => *cell = stamp | ((*cell & SCORE_MASK) + worth),
                }
            }
            near.clear();
        }
    }

    /// The score of each row, or the row that was named and is not there.
    ///
    /// # Errors
    ///
    /// The number of that row.
    pub fn finish(mut self) -> Result<Vec<u32>, u32> {
        if let Some(row) = self.beyond {
            return Err(row);
        }
        if self.counting == PatchCounting::Closest {
            for cell in &mut self.cells {
                *cell &= SCORE_MASK;
            }
        }
        Ok(self.cells)
    }
}
