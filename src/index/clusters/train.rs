//! Where the centroids of a segment come from: a few coarse ones are trained on a sample of its
//! codes, then some among the codes of each of them, as many as its share of the sample. That is
//! fast, and it keeps the lists of like length.

use super::kmeans::{assign, group, lloyd, spaced, update};
use super::nearest::Nearest;
use crate::hamming::Level;
use crate::index::workers::{self, Alone, Workers};

/// Rounds of each step, and over all centroids together at the end.
const COARSE_ROUNDS: usize = 6;
const FINE_ROUNDS: usize = 5;
const LAST_ROUNDS: usize = 2;

/// Codes of the sample that each coarse centroid is trained on, at most.
const COARSE_SAMPLE: usize = 256;

/// Trains `count` centroids or fewer on `sample`; without any if there is no code. None if the
/// workers were stopped.
pub(super) fn train(
    workers: &dyn Workers,
    level: Level,
    sample: &[u8],
    code_bytes: usize,
    count: usize,
) -> Option<Vec<u8>> {
    let rows = sample.len() / code_bytes;
    let coarse_count = count.isqrt().max(1);
    let mut coarse = spaced(sample, code_bytes, coarse_count);
    let coarse_sample = spaced(sample, code_bytes, coarse_count * COARSE_SAMPLE);
    lloyd(workers, level, &coarse_sample, code_bytes, &mut coarse, COARSE_ROUNDS)?;
    let lists = assign(workers, level, sample, code_bytes, &coarse)?;
    let (starts, order) = group(&lists, coarse.len() / code_bytes);

    let fine = workers::map(workers, starts.len() - 1, |list| {
        let members = &order[starts[list]..starts[list + 1]];
        let code = |row: &u32| &sample[*row as usize * code_bytes..][..code_bytes];
        let codes: Vec<u8> = members.iter().flat_map(code).copied().collect();
        let share = (members.len() * count).div_ceil(rows.max(1));
        let mut fine = spaced(&codes, code_bytes, share);
        lloyd(&Alone, level, &codes, code_bytes, &mut fine, FINE_ROUNDS);
        fine
    });
    let mut centroids = fine?.concat();
    for _ in 0..LAST_ROUNDS {
        let nearest = Nearest::new(workers, level, &centroids, code_bytes)?;
        let lists: Vec<_> =
            nearest.find(workers, sample)?.into_iter().map(|(list, _)| list).collect();
        update(workers, sample, code_bytes, &lists, &mut centroids)?;
    }
    Some(centroids)
}
