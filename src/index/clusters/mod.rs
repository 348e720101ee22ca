//! Cluster lists: codes in lists around centroids, for the nearest neighbours without a scan.
//!
//! Every row stands in the list of one centroid, sorted by its distance to it, with a copy of its
//! code, so that a list is read at memory speed. Two searches use that:
//!
//! - [`Clusters::scan_lists`] compares the rows of the lists nearest to the query and no others
//!   (an inverted file: J. Sivic, A. Zisserman, "Video Google", 2003). It is approximate; how many
//!   lists a recall needs was measured on the segment's own rows when it was built
//!   ([`Clusters::budget`]).
//! - [`Clusters::scan_rings`] compares every row that the triangle inequality cannot rule out: what
//!   lies within `t` of the query is as far from a centroid as the query is, give or take `t` (W. A.
//!   Burkhard, R. M. Keller, "Some Approaches to Best-Match File Searching", 1973). It is exact,
//!   whatever the lists are, as long as the columns agree with the rows.
//!
//! Lists are trained as majorities of bits ([`ClusterColumns::build`] describes the columns).

mod build;
mod calibration;
mod kmeans;
mod majority;
mod nearest;
mod probe;
mod ring;
mod search;
mod train;

#[cfg(test)]
mod tests;

pub use build::ClusterColumns;
pub use calibration::Budget;
pub use probe::Probe;

use calibration::Calibration;
use ring::Ring;

use super::Rows;
use super::columns::{check_length, check_offsets};
use crate::code::Code;
use crate::error::Corruption;
use crate::hamming;

/// With fewer rows a scan is done before the centroids are compared and the lists are found.
const MIN_ROWS: u32 = 16_384;

/// The cluster lists over the bytes of a segment.
#[derive(Debug, Clone)]
pub struct Clusters<'a> {
    centroids: &'a [u8],
    /// Where each list begins among the entries, and the end of the last.
    offsets: &'a [[u8; 4]],
    /// The row of each entry.
    rows: &'a [[u8; 4]],
    /// The distance of each entry to its centroid.
    distances: &'a [[u8; 2]],
    /// The code of each entry.
    codes: &'a [u8],
    code_bytes: usize,
    /// How the distances of each list are spread.
    rings: Vec<Ring>,
    /// The distance of the farthest entry of each list.
    reaches: Vec<u32>,
    calibration: Calibration,
}

impl<'a> Clusters<'a> {
    /// Whether lists over `rows` rows are worth their place.
    #[must_use]
    pub fn worthwhile(rows: u32) -> bool {
        rows >= MIN_ROWS
    }

    /// Takes the columns of [`ClusterColumns::build`] as they were stored for `rows` rows.
    ///
    /// That centroids and codes are those of the rows is not checked, see [`Clusters::matches`]: if
    /// they are not, answers are wrong or short, and nothing else happens.
    ///
    /// Cost: reads everything but the codes once.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if a column has the wrong length, offsets do not rise from 0 to `rows`, an
    /// entry names a row that is not there or that another one names, distances descend in a list
    /// or exceed the width, the calibration breaks its format, or codes cannot have this width.
    pub fn open(
        columns: ClusterColumns<&'a [u8]>,
        rows: u32,
        code_bytes: usize,
    ) -> Result<Self, Corruption> {
        if !Code::is_width(code_bytes) {
            return Err(Corruption::OutOfRange { field: "code bytes", value: code_bytes as u64 });
        }
        let ClusterColumns { centroids, offsets, rows: entries, distances, codes, calibration } =
            columns;
        let lists = centroids.len() / code_bytes;
        check_length("cluster centroids", centroids, lists, code_bytes)?;
        check_length("cluster offsets", offsets, lists + 1, 4)?;
        check_length("cluster rows", entries, rows as usize, 4)?;
        check_length("cluster distances", distances, rows as usize, 2)?;
        check_length("cluster codes", codes, rows as usize, code_bytes)?;
        let (offsets, entries) = (offsets.as_chunks().0, entries.as_chunks().0);
        let distances = distances.as_chunks().0;
        check_offsets("cluster offsets", offsets, rows)?;
        if offsets.windows(2).any(|pair| pair[0] == pair[1]) {
            // What a query costs grows with the lists: an empty one is never written.
            return Err(Corruption::Unsorted { field: "cluster offsets" });
        }
        check_rows(entries)?;
        let rings = checked_rings(offsets, distances, code_bytes * 8)?;
        Ok(Self {
            centroids,
            offsets,
            rows: entries,
            distances,
            codes,
            code_bytes,
            reaches: rings.iter().map(Ring::reach).collect(),
            rings,
            calibration: Calibration::parse(calibration, lists)?,
        })
    }

    /// How many lists there are; none if there are no rows.
    #[must_use]
    pub fn lists(&self) -> usize {
        self.rings.len()
    }

    /// How many rows the lists hold together.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    #[must_use]
    #[cfg(any(test, feature = "__internals"))]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many lists [`Clusters::scan_lists`] must scan so that on average it finds `recall` of the
    /// `k` nearest, as measured when the lists were built, with a margin for the error of that
    /// measurement. A row counts as found if it is no further than the k-th nearest, whichever of
    /// equals it is.
    ///
    /// `None` if `k` is 0 or above 100, or the recall was not reached: then only an exact search
    /// keeps the promise.
    #[must_use]
    pub fn budget(&self, k: usize, recall: f64) -> Option<Budget> {
        self.calibration.budget(k, recall)
    }

    /// Whether the copies of the codes are those of `rows`, and the distances those to the
    /// centroids.
    ///
    /// Cost: reads everything once, the codes of `rows` in random order.
    #[must_use]
    pub fn matches(&self, rows: &Rows<'_>) -> bool {
        let same_height = rows.len() == self.len() && rows.code_bytes() == self.code_bytes;
        let matches = |list: usize, entry: usize| {
            let code = &self.codes[entry * self.code_bytes..][..self.code_bytes];
            let centroid = &self.centroids[list * self.code_bytes..][..self.code_bytes];
            let distance = u32::from(u16::from_le_bytes(self.distances[entry]));
            code == rows.code(u32::from_le_bytes(self.rows[entry]) as usize)
                && distance == hamming::distance(centroid, code)
        };
        let list_matches = |list| self.entries(list).all(|entry| matches(list, entry));
        same_height && (0..self.lists()).all(list_matches)
    }

    /// The entries of a list.
    #[inline]
    fn entries(&self, list: usize) -> std::ops::Range<usize> {
        let at = |index: usize| u32::from_le_bytes(self.offsets[index]) as usize;
        at(list)..at(list + 1)
    }

    /// The list that an entry stands in.
    fn list_of(&self, entry: usize) -> usize {
        let begun = |offset: &[u8; 4]| u32::from_le_bytes(*offset) as usize <= entry;
        self.offsets.partition_point(begun) - 1
    }
}

/// Checks that every row is named once.
fn check_rows(rows: &[[u8; 4]]) -> Result<(), Corruption> {
    let mut seen = vec![0_u64; rows.len().div_ceil(64)];
    for row in rows {
        let row = u32::from_le_bytes(*row);
        let (word, bit) = (row as usize / 64, 1 << (row % 64));
        let free = seen.get_mut(word).filter(|word| **word & bit == 0);
        let Some(word) = free.filter(|_| (row as usize) < rows.len()) else {
            return Err(Corruption::OutOfRange { field: "cluster rows", value: row.into() });
        };
        *word |= bit;
    }
    Ok(())
}

/// The ring of each list, if its distances rise and none exceeds the width.
fn checked_rings(
    offsets: &[[u8; 4]],
    distances: &[[u8; 2]],
    bits: usize,
) -> Result<Vec<Ring>, Corruption> {
    let field = "cluster distances";
    let mut rings = Vec::with_capacity(offsets.len() - 1);
    let mut rest = distances;
    for bounds in offsets.windows(2) {
        let length = u32::from_le_bytes(bounds[1]) - u32::from_le_bytes(bounds[0]);
        let (list, behind) = rest.split_at(length as usize);
        rest = behind;
        if !list.is_sorted_by_key(|distance| u16::from_le_bytes(*distance)) {
            return Err(Corruption::Unsorted { field });
        }
        let largest = list.last().map_or(0, |distance| u16::from_le_bytes(*distance));
        if usize::from(largest) > bits {
            return Err(Corruption::OutOfRange { field, value: largest.into() });
        }
        rings.push(Ring::new(list));
    }
    Ok(rings)
}
