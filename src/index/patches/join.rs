//! The ranking by patches joined with that by codes: sums of ranks.
//!
//! The rank of a record in either is one more than the number of records that are strictly better, so that equals
//! share a rank. All records take part: those without a score share the last rank by patches. A search of the
//! engine and an evaluation rank by these same sums.

/// The weighted sums of both ranks.
#[derive(Debug)]
pub struct RankSums {
    patch_weight: f64,
    code_weight: f64,
    by_score: Ranks,
    by_distance: Ranks,
}

impl RankSums {
    /// Without any record yet.
    #[must_use]
    pub fn new(patch_weight: f64, code_weight: f64) -> Self {
        let (by_score, by_distance) = (Ranks::default(), Ranks::default());
        Self { patch_weight, code_weight, by_score, by_distance }
    }

    /// Counts a record by the score of its patches and the distance of its code.
    #[inline]
    pub fn count(&mut self, score: u32, distance: u32) {
        self.by_score.count(score);
        self.by_distance.count(distance);
    }

    /// Turns what was counted into ranks. [`sum`](Self::sum) means nothing before, and a record nothing that is
    /// counted after.
    pub fn settle(&mut self) {
        self.by_score.settle(true);
        self.by_distance.settle(false);
    }

    /// The weighted sum of the ranks of a record that was counted: the least is the best.
    #[inline]
    #[must_use]
    pub fn sum(&self, score: u32, distance: u32) -> f64 {
        self.patch_weight * self.by_score.of(score)
            + self.code_weight * self.by_distance.of(distance)
    }
}

/// Values below which their numbers stand in an array.
const SMALL: usize = 1 << 16;

/// How many records have each value, and then the rank of each value.
#[derive(Debug, Default)]
struct Ranks {
    small: Vec<u64>,
    large: std::collections::BTreeMap<u32, u64>,
}

impl Ranks {
    fn cell(&mut self, value: u32) -> &mut u64 {
        let place = value as usize;
        if place >= SMALL {
            return self.large.entry(value).or_default();
        }
        if place >= self.small.len() {
            self.small.resize(place + 1, 0);
        }
        &mut self.small[place]
    }

    fn count(&mut self, value: u32) {
        *self.cell(value) += 1;
    }

    /// Puts ranks in the place of numbers: one more than the number of those that are better, the largest
    /// first or the smallest.
    fn settle(&mut self, largest_first: bool) {
        let mut rank = 1;
        let mut set = |cell: &mut u64| {
            let count = *cell;
            *cell = rank;
            rank += count;
        };
        if largest_first {
            self.large.values_mut().rev().for_each(&mut set);
            self.small.iter_mut().rev().for_each(&mut set);
        } else {
            self.small.iter_mut().for_each(&mut set);
            self.large.values_mut().for_each(&mut set);
        }
    }

    /// The rank of a value that was counted.
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than 2^53 records")]
    fn of(&self, value: u32) -> f64 {
        let small = self.small.get(value as usize).or_else(|| self.large.get(&value));
        small.map_or(0.0, |rank| *rank as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::RankSums;

    #[test]
    fn equals_share_the_rank_behind_all_that_are_better() {
        // Scores beyond the array are those of the widest balls.
        let records = [(0, 3), (200_000, 9), (8, 3), (8, 1), (0, 0), (70_000, 3)];
        let mut sums = RankSums::new(1.0, 0.25);
        for (score, distance) in records {
            sums.count(score, distance);
        }
        sums.settle();
        for (score, distance) in records {
            let by_score = 1 + records.iter().filter(|other| other.0 > score).count();
            let by_distance = 1 + records.iter().filter(|other| other.1 < distance).count();
            let expected = by_score as f64 + 0.25 * by_distance as f64;
            assert_eq!(sums.sum(score, distance), expected, "{score} {distance}");
        }
    }
}
