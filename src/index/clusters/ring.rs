//! How the distances of a list to its centroid are spread, in 32 bytes: enough to tell which
//! entries can lie within a ring without reading the distances of all of them.

use std::ops::Range;

/// Distances that are kept of a list.
const MARKS: usize = 16;

/// The distances of [`MARKS`] entries at equal steps, the first and the last among them.
///
/// The marks of an empty list are the largest number: it lies in no ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ring {
    marks: [u16; MARKS],
}

impl Ring {
    /// Reads the ascending distances of a list.
    pub(super) fn new(distances: &[[u8; 2]]) -> Self {
        let mut marks = [u16::MAX; MARKS];
        for (index, mark) in marks.iter_mut().enumerate() {
            if let Some(distance) = distances.get(position(index, distances.len())) {
                *mark = u16::from_le_bytes(*distance);
            }
        }
        Self { marks }
    }

    /// The largest distance; of an empty list larger than any.
    pub(super) fn reach(&self) -> u32 {
        u32::from(self.marks[MARKS - 1])
    }

    /// The entries of the list, of `length`, that can lie at `nearest` to `farthest` from the
    /// centroid, and up to a fifteenth of the list at either end that does not.
    #[inline]
    pub(super) fn within(&self, nearest: u16, farthest: u16, length: usize) -> Range<usize> {
        // Counts of sixteen bits fill one vector; there are no branches to miss.
        let below: u16 = self.marks.iter().map(|mark| u16::from(*mark < nearest)).sum();
        let up_to: u16 = self.marks.iter().map(|mark| u16::from(*mark <= farthest)).sum();
        let (below, up_to) = (usize::from(below), usize::from(up_to));
        let start = if below == 0 { 0 } else { position(below - 1, length) + 1 };
        let end = if up_to == MARKS { length } else { position(up_to, length) };
        start..end.max(start)
    }
}

/// The entry at which mark `index` stands in a list of `length`.
#[inline]
fn position(index: usize, length: usize) -> usize {
    index * length.saturating_sub(1) / (MARKS - 1)
}
