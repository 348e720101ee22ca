//! Makes the columns of cluster lists from the codes of a segment.

use super::nearest::Nearest;
use super::{Clusters, calibration, kmeans, train};
use crate::code::Code;
use crate::error::Corruption;
use crate::hamming::Level;
use crate::index::columns::check_length;
use crate::index::workers::{self, Workers};

/// Rows of the sample for each list that is trained.
const SAMPLE: usize = 64;

/// Lists that one job sorts, and entries that one job writes.
const LISTS: usize = 256;
const ENTRIES: usize = 1 << 14;

/// Lists at most: more would take longer to choose from than to read.
const MAX_LISTS: usize = 1 << 16;

/// The columns of cluster lists, as they are stored or borrowed. All integers are little-endian.
///
/// With `n` rows, codes of `c` bytes and `l` lists, none of them empty:
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ClusterColumns<B = Vec<u8>> {
    /// `c l` bytes: the centroid of each list, a code.
    pub centroids: B,
    /// `4 (l + 1)` bytes, `u32`: the first entry of each list, and `n`.
    pub offsets: B,
    /// `4 n` bytes, `u32`: the row of each entry, every row once. The entries of a list are sorted by
    /// their distance to the centroid, then by row.
    pub rows: B,
    /// `2 n` bytes, `u16`: the distance of each entry to the centroid of its list, in bits.
    pub distances: B,
    /// `c n` bytes: the code of each entry.
    pub codes: B,
    /// 16 bytes a step: `u32`, a number of lists, larger than that of the step before and at most
    /// `l`; then for k = 1, 10 and 100 two `u16` each, the mean share of the `k` nearest rows that
    /// so many nearest lists hold, and the standard error of that mean, both in units of 1/65535.
    pub calibration: B,
}

impl ClusterColumns {
    /// Builds the columns for codes of `code_bytes` bytes each.
    ///
    /// There are about eight times as many lists as the root of the number of rows. The same codes
    /// give the same columns on every machine and at every level.
    ///
    /// Cost: about a microsecond a row, growing with the fourth root of the number of rows; the columns
    /// take the bytes of a code and 6 more a row.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if codes cannot have this width, the last is cut, or there are more than
    /// `u32::MAX`.
    #[cfg(any(test, feature = "__internals"))]
    pub fn build(level: Level, codes: &[u8], code_bytes: usize) -> Result<Self, Corruption> {
        // Who is alone is not stopped.
        Self::build_by(&crate::index::Alone, level, codes, code_bytes)
            .map(Option::unwrap_or_default)
    }

    /// The same columns, made by `workers`; none if they were stopped.
    ///
    /// # Errors
    ///
    /// As [`ClusterColumns::build`].
    pub fn build_by(
        workers: &dyn Workers,
        level: Level,
        codes: &[u8],
        code_bytes: usize,
    ) -> Result<Option<Self>, Corruption> {
        if !Code::is_width(code_bytes) {
            return Err(Corruption::OutOfRange { field: "code bytes", value: code_bytes as u64 });
        }
        let rows = codes.len() / code_bytes;
        check_length("codes", codes, rows, code_bytes)?;
        let Ok(height) = u32::try_from(rows) else {
            return Err(Corruption::OutOfRange { field: "rows", value: rows as u64 });
        };
        let count = (8 * rows.isqrt()).clamp(1, MAX_LISTS).min(rows);
        let sample = sample(codes, code_bytes, count * SAMPLE);
        let centroids = train::train(workers, level, &sample, code_bytes, count);
        drop(sample);
        let columns = centroids.and_then(|centroids| {
            Self::with_centroids(workers, level, codes, code_bytes, &centroids)
        });
        let Some(mut columns) = columns else { return Ok(None) };
        let clusters = Clusters::open(columns.borrow(), height, code_bytes)?;
        let Some(calibration) = calibration::measure(workers, &clusters, level) else {
            return Ok(None);
        };
        columns.calibration = calibration;
        Ok(Some(columns))
    }

    /// Lends the columns.
    #[must_use]
    pub fn borrow(&self) -> ClusterColumns<&[u8]> {
        ClusterColumns {
            centroids: &self.centroids,
            offsets: &self.offsets,
            rows: &self.rows,
            distances: &self.distances,
            codes: &self.codes,
            calibration: &self.calibration,
        }
    }

    /// Puts every row into the list of its nearest centroid; lists that stay empty are left out. None if the workers
    /// were stopped.
    fn with_centroids(
        workers: &dyn Workers,
        level: Level,
        codes: &[u8],
        code_bytes: usize,
        centroids: &[u8],
    ) -> Option<Self> {
        let nearest = Nearest::new(workers, level, centroids, code_bytes)?;
        let found = nearest.find(workers, codes)?;
        let (lists, distances): (Vec<_>, Vec<_>) = found.into_iter().unzip();
        let (starts, mut order) = kmeans::group(&lists, centroids.len() / code_bytes);
        drop(lists);

        let mut columns = Self::default();
        columns.offsets.extend_from_slice(&0_u32.to_le_bytes());
        for (centroid, bounds) in centroids.chunks(code_bytes).zip(starts.windows(2)) {
            if bounds[0] < bounds[1] {
                columns.centroids.extend_from_slice(centroid);
                // Rows, and so entries, are numbered in 32 bits.
                let end = u32::try_from(bounds[1]).unwrap_or(u32::MAX);
                columns.offsets.extend_from_slice(&end.to_le_bytes());
            }
        }
        let mut rest = &mut order[..];
        let parts = starts.windows(2).map(|bounds| {
            let (list, behind) = std::mem::take(&mut rest).split_at_mut(bounds[1] - bounds[0]);
            rest = behind;
            list
        });
        let parts: Vec<_> = parts.collect();
        let mut parts = parts.into_iter();
        let jobs = std::iter::from_fn(|| {
            let part: Vec<_> = parts.by_ref().take(LISTS).collect();
            (!part.is_empty()).then_some(part)
        });
        workers::each(workers, jobs, |_, lists| {
            for list in lists {
                list.sort_unstable_by_key(|row| (distances[*row as usize], *row));
            }
        })?;
        columns.rows = vec![0; order.len() * 4];
        columns.distances = vec![0; order.len() * 2];
        columns.codes = vec![0; codes.len()];
        let outs =
            columns.rows.chunks_mut(4 * ENTRIES).zip(columns.distances.chunks_mut(2 * ENTRIES));
        let outs = outs.zip(columns.codes.chunks_mut(code_bytes * ENTRIES));
        workers::each(
            workers,
            order.chunks(ENTRIES).zip(outs),
            |_, (order, ((rows, near), out))| {
                let columns = rows.as_chunks_mut().0.iter_mut().zip(near.as_chunks_mut().0);
                for ((row, (number, distance)), out) in
                    order.iter().zip(columns).zip(out.chunks_exact_mut(code_bytes))
                {
                    *number = row.to_le_bytes();
                    *distance = distances[*row as usize].to_le_bytes();
                    out.copy_from_slice(&codes[*row as usize * code_bytes..][..code_bytes]);
                }
            },
        )?;
        Some(columns)
    }
}

/// Up to `count` codes of even rows, at equal steps: the odd ones serve as queries later.
fn sample(codes: &[u8], code_bytes: usize, count: usize) -> Vec<u8> {
    let even = (codes.len() / code_bytes).div_ceil(2);
    let count = count.min(even);
    let code = |index: usize| &codes[index * even / count * 2 * code_bytes..][..code_bytes];
    (0..count).flat_map(code).copied().collect()
}
