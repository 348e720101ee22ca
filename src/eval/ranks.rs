//! Rankings of labelled codes by Hamming distance, as counts: how many items lie at each distance, and how
//! many of them have the label of the query. Nothing is sorted and no item is named, so all scores of
//! 10,000 queries against 50,000 items take seconds.

use super::ranking::Tie;
use super::scores::{QueryScore, Scorer};
use crate::hamming::{Level, distances};

/// Rows whose distances are counted at once: they stay in the nearest cache.
const BLOCK: usize = 1024;

/// What becomes of the query where it is an item of the database itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Own {
    /// It is none.
    Absent,
    /// It is one, and finds itself: what a leak looks like.
    Found,
    /// It is one, and is passed over.
    PassedOver,
}

/// The addresses that the first of two stages lets through.
#[derive(Debug, Clone, Copy)]
pub struct Ball<'a> {
    /// The address of the query, as many bytes as the items' have.
    pub centre: &'a [u8],
    /// Bits that may differ, inclusive.
    pub radius: u32,
}

/// Codes with a label each.
#[derive(Debug, Clone)]
pub struct LabelledCodes {
    /// Bytes of a code, a multiple of eight.
    width: usize,
    /// The codes, those of one label together.
    codes: Vec<u8>,
    /// For each label, where its codes end, in rows.
    ends: Vec<usize>,
}

impl LabelledCodes {
    /// Codes of `width` bytes each, one after the other, and a label for each; a width that is no multiple
    /// of eight bytes is filled up with zeros. Rows without a label and labels without a row are left out.
    #[must_use]
    pub fn new(codes: &[u8], width: usize, labels: &[u16]) -> Self {
        let padded = width.max(1).next_multiple_of(8);
        let classes = labels.iter().max().map_or(0, |&most| usize::from(most) + 1);
        let mut groups = vec![Vec::new(); classes];
        for (row, &label) in codes.chunks_exact(width.max(1)).zip(labels) {
            groups[usize::from(label)].extend_from_slice(&filled(row, padded));
        }
        let mut codes = Vec::new();
        let mut ends = Vec::new();
        for group in groups {
            codes.extend(group);
            ends.push(codes.len() / padded);
        }
        Self { width: padded, codes, ends }
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        (self.codes.len() / self.width) as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.codes.is_empty()
    }

    /// How many items have a label.
    #[must_use]
    pub fn relevant(&self, label: u16) -> u64 {
        let class = usize::from(label);
        let begin =
            class.checked_sub(1).map_or(0, |before| self.ends.get(before).copied().unwrap_or(0));
        self.ends.get(class).map_or(0, |end| (end - begin) as u64)
    }

    /// Ranks all items by their distance to a query of the same width; relevant are those of its label.
    /// One entry a distance, the nearest first, those of distances that no item has too.
    #[must_use]
    pub fn rank(&self, level: Level, query: &[u8], label: u16, own: Own) -> Vec<Tie> {
        let query = filled(query, self.width);
        let mut ties = self.no_ties();
        let mut found = [0; BLOCK];
        self.for_each_block(|rows, class| {
            let found = &mut found[..rows.len()];
            distances(
                level,
                &query,
                &self.codes[rows.start * self.width..rows.end * self.width],
                found,
            );
            for &mut distance in found {
                ties[distance as usize].add(class == label);
            }
        });
        if own == Own::PassedOver
            && let Some(first) = ties.first_mut()
        {
            first.items = first.items.saturating_sub(1);
            first.relevant = first.relevant.saturating_sub(1);
        }
        ties
    }

    /// Ranks as [`rank`](Self::rank) does, but the items alone whose addresses lie within a ball: the two
    /// stages of Krizhevsky and Hinton 2011, section 5. `addresses` are those of the same items, made of
    /// the same labels.
    #[must_use]
    pub fn rank_in_ball(
        &self,
        level: Level,
        addresses: &Self,
        ball: Ball<'_>,
        query: &[u8],
        label: u16,
    ) -> Vec<Tie> {
        let query = filled(query, self.width);
        let centre = filled(ball.centre, addresses.width);
        let mut ties = self.no_ties();
        let (mut near, mut found) = ([0; BLOCK], [0; BLOCK]);
        self.for_each_block(|rows, class| {
            let (near, found) = (&mut near[..rows.len()], &mut found[..rows.len()]);
            let of = |width| rows.start * width..rows.end * width;
            distances(level, &centre, &addresses.codes[of(addresses.width)], near);
            distances(level, &query, &self.codes[of(self.width)], found);
            for (_, &distance) in near.iter().zip(&*found).filter(|(near, _)| **near <= ball.radius)
            {
                ties[distance as usize].add(class == label);
            }
        });
        ties
    }

    fn no_ties(&self) -> Vec<Tie> {
        vec![Tie { items: 0, relevant: 0 }; 8 * self.width + 1]
    }

    /// Visits the items block by block, each with the label of its items.
    fn for_each_block(&self, mut visit: impl FnMut(std::ops::Range<usize>, u16)) {
        let mut begin = 0;
        for (class, &end) in (0..=u16::MAX).zip(&self.ends) {
            for first in (begin..end).step_by(BLOCK) {
                visit(first..end.min(first + BLOCK), class);
            }
            begin = end;
        }
    }

    /// Scores every query: codes of `width` bytes, one after the other, and a label for each.
    #[must_use]
    pub fn scores(
        &self,
        level: Level,
        queries: &[u8],
        width: usize,
        labels: &[u16],
        own: Own,
    ) -> Vec<QueryScore> {
        let ranked = match own {
            Own::PassedOver => self.len().saturating_sub(1),
            Own::Absent | Own::Found => self.len(),
        };
        let scorer = Scorer::new(ranked);
        let queries = queries.chunks_exact(width.max(1)).zip(labels);
        queries.map(|(query, &label)| scorer.score(&self.rank(level, query, label, own))).collect()
    }
}

fn filled(code: &[u8], width: usize) -> Vec<u8> {
    let mut filled = code.to_vec();
    filled.resize(width, 0);
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tie(items: u64, relevant: u64) -> Tie {
        Tie { items, relevant }
    }

    #[test]
    fn every_item_is_counted_once_at_its_distance() {
        let codes = [0b0000, 0b0001, 0b0011, 0b0111, 0b0000_u8];
        let items = LabelledCodes::new(&codes, 1, &[0, 2, 0, 2, 2]);
        assert_eq!(items.len(), 5);
        let ties = items.rank(Level::best(), &[0], 2, Own::Absent);
        assert_eq!(ties[..4], [tie(2, 1), tie(1, 1), tie(1, 0), tie(1, 1)]);
        assert!(ties[4..].iter().all(|&far| far == tie(0, 0)));
        let ties = items.rank(Level::best(), &[0], 2, Own::PassedOver);
        assert_eq!(ties[0], tie(1, 0));
        assert!(LabelledCodes::new(&[], 4, &[]).is_empty());
    }

    #[test]
    fn a_ball_lets_through_what_lies_within_its_radius() {
        let (codes, labels) = ([0b0000, 0b0001, 0b0011, 0b0111, 0b0001_u8], [0, 2, 0, 2, 2]);
        let addresses = [0b1111, 0b1110, 0b0000, 0b1100, 0b0001_u8];
        let items = LabelledCodes::new(&codes, 1, &labels);
        let stage = LabelledCodes::new(&addresses, 1, &labels);
        let rank = |radius| {
            let ball = Ball { centre: &[0b1111], radius };
            items.rank_in_ball(Level::best(), &stage, ball, &[0], 2)
        };
        assert_eq!(rank(0)[..4], [tie(1, 0), tie(0, 0), tie(0, 0), tie(0, 0)]);
        assert_eq!(rank(1)[..4], [tie(1, 0), tie(1, 1), tie(0, 0), tie(0, 0)]);
        assert_eq!(rank(2)[..4], [tie(1, 0), tie(1, 1), tie(0, 0), tie(1, 1)]);
        assert_eq!(rank(3)[..4], [tie(1, 0), tie(2, 2), tie(0, 0), tie(1, 1)]);
        assert_eq!(rank(4), items.rank(Level::best(), &[0], 2, Own::Absent));
        assert_eq!([0, 1, 2, 3].map(|label| items.relevant(label)), [2, 0, 3, 0]);
    }

    #[test]
    fn every_kernel_counts_the_same_as_distance_by_distance() {
        let mut state = 1_u64;
        let mut byte = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let [.., low, high] = state.to_le_bytes();
            low & high
        };
        let (width, rows) = (32, 2500);
        let codes: Vec<u8> = (0..width * rows).map(|_| byte()).collect();
        let labels: Vec<u16> = (0..rows).map(|_| u16::from(byte() % 7)).collect();
        let query: Vec<u8> = (0..width).map(|_| byte()).collect();
        let mut expected = vec![tie(0, 0); 257];
        for (row, &label) in codes.chunks_exact(width).zip(&labels) {
            let apart: u32 = row.iter().zip(&query).map(|(a, b)| (a ^ b).count_ones()).sum();
            expected[apart as usize].items += 1;
            expected[apart as usize].relevant += u64::from(label == 3);
        }
        let items = LabelledCodes::new(&codes, width, &labels);
        for level in Level::available() {
            assert_eq!(items.rank(level, &query, 3, Own::Absent), expected, "{level:?}");
        }
    }
}
