//! k-means in Hamming space: each code goes to its nearest centroid, each centroid becomes the
//! majority of its codes (S. P. Lloyd, "Least Squares Quantization in PCM", 1982, with the median
//! of each unit in place of the mean).

use super::majority::Majority;
use crate::hamming::{self, Level};
use crate::index::workers::{self, Workers};

/// Codes of a job that looks for their centroids.
const BATCH: usize = 1 << 12;

/// Centroids of a job that moves them.
const TOGETHER: usize = 256;

/// Up to `count` codes at equal steps.
pub(super) fn spaced(codes: &[u8], code_bytes: usize, count: usize) -> Vec<u8> {
    let rows = codes.len() / code_bytes;
    let count = count.min(rows);
    let code = |index: usize| &codes[index * rows / count * code_bytes..][..code_bytes];
    (0..count).flat_map(code).copied().collect()
}

/// Moves the centroids over some rounds, and tells which of them each code is nearest to; none if the workers were
/// stopped, here and below.
pub(super) fn lloyd(
    workers: &dyn Workers,
    level: Level,
    codes: &[u8],
    code_bytes: usize,
    centroids: &mut [u8],
    rounds: usize,
) -> Option<Vec<u32>> {
    for _ in 0..rounds {
        let lists = assign(workers, level, codes, code_bytes, centroids)?;
        update(workers, codes, code_bytes, &lists, centroids)?;
    }
    assign(workers, level, codes, code_bytes, centroids)
}

/// The nearest centroid of each code, of equals the first; there are at most 65,536.
pub(super) fn assign(
    workers: &dyn Workers,
    level: Level,
    codes: &[u8],
    code_bytes: usize,
    centroids: &[u8],
) -> Option<Vec<u32>> {
    let mut lists = vec![0; codes.len() / code_bytes];
    let parts = codes.chunks(BATCH * code_bytes).zip(lists.chunks_mut(BATCH));
    workers::each(workers, parts, |_, (codes, lists)| {
        hamming::nearest(level, code_bytes, codes, centroids, lists);
        // The distance stands above.
        lists.iter_mut().for_each(|list| *list &= 0xffff);
    })?;
    Some(lists)
}

/// Moves each centroid to the majority of its codes; one that has none stays.
pub(super) fn update(
    workers: &dyn Workers,
    codes: &[u8],
    code_bytes: usize,
    lists: &[u32],
    centroids: &mut [u8],
) -> Option<()> {
    let (starts, order) = group(lists, centroids.len() / code_bytes);
    let parts = centroids.chunks_mut(TOGETHER * code_bytes);
    workers::each(workers, parts, |part, centroids| {
        let mut majority = Majority::new(code_bytes);
        let starts = &starts[part * TOGETHER..];
        for (centroid, bounds) in centroids.chunks_mut(code_bytes).zip(starts.windows(2)) {
            for row in &order[bounds[0]..bounds[1]] {
                majority.add(&codes[*row as usize * code_bytes..][..code_bytes]);
            }
            majority.take(centroid);
        }
    })
}

/// Sorts positions by list: where each list begins and the last ends, and the positions, ascending
/// within a list.
pub(super) fn group(lists: &[u32], count: usize) -> (Vec<usize>, Vec<u32>) {
    let mut starts = vec![0; count + 1];
    for list in lists {
        starts[*list as usize + 1] += 1;
    }
    for list in 0..count {
        starts[list + 1] += starts[list];
    }
    let (mut next, mut order) = (starts.clone(), vec![0; lists.len()]);
    for (position, list) in (0_u32..).zip(lists) {
        let next = &mut next[*list as usize];
        order[*next] = position;
        *next += 1;
    }
    (starts, order)
}
