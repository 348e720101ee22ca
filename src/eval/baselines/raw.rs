//! Rankings of the pixels themselves, without any code: what a code has to come near to with a hundredth
//! of the bytes. Distances are whole numbers, so ties are exact.

use crate::eval::ranking::Tie;

/// Rows of the database that are compared with a group of queries while they are in the cache.
const BLOCK: usize = 32;
/// Queries that share such a block.
const GROUP: usize = 32;

/// How two rows of bytes are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// The sum of squared differences: orders as the Euclidean distance does.
    L2,
    /// The sum of absolute differences.
    L1,
}

impl Metric {
    /// The distance of two rows of the same length, at most 32,768 bytes.
    #[must_use]
    pub fn distance(self, one: &[u8], other: &[u8]) -> u32 {
        let pairs = one.iter().zip(other);
        match self {
            Self::L1 => pairs.map(|(&a, &b)| u32::from(a.abs_diff(b))).sum(),
            Self::L2 => {
                let apart = |(&a, &b): (&u8, &u8)| {
                    let apart = i32::from(i16::from(a) - i16::from(b));
                    apart * apart
                };
                pairs.map(apart).sum::<i32>().unsigned_abs()
            }
        }
    }
}

/// Rows of bytes with a label each.
#[derive(Debug, Clone, Copy)]
pub struct LabelledRows<'a> {
    rows: &'a [u8],
    width: usize,
    labels: &'a [u16],
}

impl<'a> LabelledRows<'a> {
    /// Rows of `width` bytes each, one after the other, and a label for each.
    #[must_use]
    pub fn new(rows: &'a [u8], width: usize, labels: &'a [u16]) -> Self {
        Self { rows, width: width.max(1), labels }
    }

    /// Ranks all rows for each query and its label, and hands each ranking on, in order: one entry for
    /// each distance that occurs, the nearest first.
    pub fn rank(&self, metric: Metric, queries: &Self, visit: &mut dyn FnMut(&[Tie])) {
        let count = self.labels.len();
        let groups = queries.rows.chunks(GROUP * self.width);
        for (group, labels) in groups.zip(queries.labels.chunks(GROUP)) {
            let mut found = vec![0_u64; count * labels.len()];
            let blocks = self.rows.chunks(BLOCK * self.width).zip(self.labels.chunks(BLOCK));
            for (block, (rows, classes)) in blocks.enumerate() {
                for (at, query) in group.chunks_exact(self.width).enumerate() {
                    let first = at * count + block * BLOCK;
                    let rows = rows.chunks_exact(self.width).zip(classes);
                    for (place, (row, &class)) in found[first..].iter_mut().zip(rows) {
                        let relevant = u64::from(class == labels[at]);
                        *place = u64::from(metric.distance(query, row)) << 1 | relevant;
                    }
                }
            }
            for found in found.chunks_mut(count.max(1)) {
                found.sort_unstable();
                visit(&ties(found));
            }
        }
    }
}

/// Distances with a last bit for relevance, sorted, as ties.
fn ties(found: &[u64]) -> Vec<Tie> {
    let same = found.chunk_by(|one, other| one >> 1 == other >> 1);
    let tie = |same: &[u64]| Tie {
        items: same.len() as u64,
        relevant: same.iter().map(|entry| entry & 1).sum(),
    };
    same.map(tie).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_those_by_hand() {
        assert_eq!(Metric::L1.distance(&[0, 255, 7], &[255, 0, 9]), 512);
        assert_eq!(Metric::L2.distance(&[0, 255, 7], &[255, 0, 9]), 2 * 255 * 255 + 4);
        let (black, white) = (vec![0; 3072], vec![255; 3072]);
        assert_eq!(Metric::L2.distance(&black, &white), 3072 * 255 * 255);
    }

    /// Seventy rows and forty queries, so that blocks and groups are cut; against one by one.
    #[test]
    fn rankings_are_those_of_a_plain_sort() {
        let byte = |at: usize| u8::try_from(at * at % 13).unwrap();
        let rows: Vec<u8> = (0..70 * 3).map(byte).collect();
        let labels: Vec<u16> = (0..70).map(|at| at % 4).collect();
        let asked: Vec<u8> = (0..40 * 3).map(|at| byte(at + 5)).collect();
        let wanted: Vec<u16> = (0..40).map(|at| at % 3).collect();
        let items = LabelledRows::new(&rows, 3, &labels);
        for metric in [Metric::L1, Metric::L2] {
            let mut found = Vec::new();
            let queries = LabelledRows::new(&asked, 3, &wanted);
            items.rank(metric, &queries, &mut |ties| found.push(ties.to_vec()));
            assert_eq!(found.len(), 40);
            for ((query, &label), found) in asked.chunks(3).zip(&wanted).zip(found) {
                let mut expected: std::collections::BTreeMap<u32, Tie> = Default::default();
                for (row, &class) in rows.chunks(3).zip(&labels) {
                    let distance = metric.distance(query, row);
                    let tie = expected.entry(distance).or_insert(Tie { items: 0, relevant: 0 });
                    tie.items += 1;
                    tie.relevant += u64::from(class == label);
                }
                assert_eq!(found, expected.into_values().collect::<Vec<_>>());
            }
        }
    }
}
