//! k-means in Hamming space: each code goes to its nearest centroid, each centroid becomes the
//! majority of its codes (S. P. Lloyd, "Least Squares Quantization in PCM", 1982, with the median
//! of each unit in place of the mean).

use super::majority::Majority;
use crate::hamming::{self, Level};

/// Codes that are compared with the centroids together.
const BATCH: usize = 256;

/// Up to `count` codes at equal steps.
pub(super) fn spaced(codes: &[u8], code_bytes: usize, count: usize) -> Vec<u8> {
    let rows = codes.len() / code_bytes;
    let count = count.min(rows);
    let code = |index: usize| &codes[index * rows / count * code_bytes..][..code_bytes];
    (0..count).flat_map(code).copied().collect()
}

/// Moves the centroids over some rounds, and tells which of them each code is nearest to.
pub(super) fn lloyd(
    level: Level,
    codes: &[u8],
    code_bytes: usize,
    centroids: &mut [u8],
    rounds: usize,
) -> Vec<u32> {
    for _ in 0..rounds {
        let lists = assign(level, codes, code_bytes, centroids);
        update(codes, code_bytes, &lists, centroids);
    }
    assign(level, codes, code_bytes, centroids)
}

/// The nearest centroid of each code, of equals the first.
pub(super) fn assign(level: Level, codes: &[u8], code_bytes: usize, centroids: &[u8]) -> Vec<u32> {
    let mut lists = Vec::with_capacity(codes.len() / code_bytes);
    for codes in codes.chunks(BATCH * code_bytes) {
        let count = codes.len() / code_bytes;
        let (mut limits, mut nearest) = ([u32::MAX; BATCH], [(u32::MAX, 0); BATCH]);
        let limits = &mut limits[..count];
        hamming::batch_within(
            level,
            code_bytes,
            codes,
            centroids,
            limits,
            |code, list, distance| {
                // None is nearer than 0, where the limit cannot tell equals apart.
                if distance < nearest[code].0 {
                    nearest[code] = (distance, list);
                }
                distance.saturating_sub(1)
            },
        );
        lists.extend(nearest[..count].iter().map(|(_, list)| u32::try_from(*list).unwrap_or(0)));
    }
    lists
}

/// Moves each centroid to the majority of its codes; one that has none stays.
pub(super) fn update(codes: &[u8], code_bytes: usize, lists: &[u32], centroids: &mut [u8]) {
    let (starts, order) = group(lists, centroids.len() / code_bytes);
    let mut majority = Majority::new(code_bytes);
    for (centroid, bounds) in centroids.chunks_mut(code_bytes).zip(starts.windows(2)) {
        for row in &order[bounds[0]..bounds[1]] {
            majority.add(&codes[*row as usize * code_bytes..][..code_bytes]);
        }
        majority.take(centroid);
    }
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
