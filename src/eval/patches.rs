//! Rankings by the addresses of patches (multiple semantic hashing), alone and joined with those by codes.
//!
//! Scores and sums of ranks come from the structures that searches of the engine use, so that what is scored here
//! is what `Readable::search_patches` answers; but for the order of equals, which an evaluation takes the mean over.

use super::EvalError;
use super::ranking::Tie;
use crate::code::Address;
use crate::error::Corruption;
use crate::hamming::{self, Level};
use crate::index::{
    Counters, HalfBalls, PatchCounting, PatchLists, PatchSide, PatchSideColumns, PatchTable,
    PatchTally, RankSums, distinct_patches,
};

/// Items with a label, a code and the addresses of their patches.
#[derive(Debug)]
pub struct LabelledPatches {
    high: PatchSideColumns,
    low: PatchSideColumns,
    patch_bits: u8,
    balls: HalfBalls,
    /// Codes of `width` bytes each, a multiple of eight.
    codes: Vec<u8>,
    width: usize,
    labels: Vec<u16>,
}

/// How patches score, and what the ranks are worth where they are joined: see
/// [`PatchQuery`](crate::PatchQuery).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatchRule {
    /// The largest distance of patches that scores, 0 to [`MAX_PATCH_RADIUS`](crate::MAX_PATCH_RADIUS).
    pub radius: u32,
    /// What an item scores of which several patches lie near one of the query.
    pub counting: PatchCounting,
    /// The weight of the rank by patches.
    pub patch_weight: f64,
    /// The weight of the rank by codes.
    pub code_weight: f64,
}

/// A picture that asks.
#[derive(Debug, Clone, Copy)]
pub struct PatchAsker<'a> {
    /// The addresses of its patches.
    pub patches: &'a [u32],
    /// Its code, as many bytes as those of the items.
    pub code: &'a [u8],
    /// Relevant are the items of this label.
    pub label: u16,
}

/// The rankings of all items for one query, the best first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchRanking {
    /// By the score of their patches. Those that score nothing are one tie at the end.
    pub by_patches: Vec<Tie>,
    /// By the sum of both ranks.
    pub joined: Vec<Tie>,
    /// Items that score anything.
    pub scored: u64,
}

impl LabelledPatches {
    /// Items of `width` bytes of code and `count` patch addresses of `patch_bits` bits each, one item after the
    /// other, and a label for each. What is left over of one of the three is left out.
    ///
    /// # Errors
    /// [`EvalError::Patches`] if an address is wider than that, or there are more than `u32::MAX` of them.
    pub fn new(
        (patches, count, patch_bits): (&[u32], usize, u8),
        (codes, width): (&[u8], usize),
        labels: &[u16],
    ) -> Result<Self, EvalError> {
        let mut lists = PatchLists::default();
        let mut kept = Vec::new();
        let (width, padded) = (width.max(1), width.max(1).next_multiple_of(8));
        let items = codes.chunks_exact(width).zip(patches.chunks_exact(count.max(1)));
        for (row, (code, patches)) in items.take(labels.len()).enumerate() {
            lists.push(row, patches.iter().copied());
            kept.extend_from_slice(code);
            kept.resize((row + 1) * padded, 0);
        }
        let rows = kept.len() / padded;
        let build = |side| PatchSideColumns::build(&lists, rows, patch_bits, side);
        let (high, low) = (build(PatchSide::High)?, build(PatchSide::Low)?);
        let (balls, labels) = (HalfBalls::new(patch_bits), labels[..rows].to_vec());
        Ok(Self { high, low, patch_bits, balls, codes: kept, width: padded, labels })
    }

    /// How many items there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.labels.len() as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Ranks all items for a query.
    ///
    /// # Errors
    /// [`EvalError::Patches`] if an address of the query is wider than those of the items.
    pub fn rank(
        &self,
        level: Level,
        query: PatchAsker<'_>,
        rule: PatchRule,
    ) -> Result<PatchRanking, EvalError> {
        let scores = self.scores(level, query.patches, rule)?;
        let mut code = query.code.to_vec();
        code.resize(self.width, 0);
        let mut distances = vec![0; scores.len()];
        hamming::distances(level, &code, &self.codes, &mut distances);
        let mut sums = RankSums::new(rule.patch_weight, rule.code_weight);
        for (&score, &distance) in scores.iter().zip(&distances) {
            sums.count(score, distance);
        }
        sums.settle();
        let scored = scores.iter().filter(|score| **score > 0).count() as u64;
        let relevant = || self.labels.iter().map(|label| *label == query.label);
        let by_patches = scores.iter().map(|&score| u64::from(u32::MAX - score));
        let both = scores.iter().zip(&distances);
        // Sums are not negative, and of such numbers the bits are in the order of the numbers.
        let joined = both.map(|(&score, &distance)| sums.sum(score, distance).to_bits());
        let by_patches = ties(by_patches.zip(relevant()));
        Ok(PatchRanking { by_patches, joined: ties(joined.zip(relevant())), scored })
    }

    /// The score of each item, as a search of the engine counts it.
    fn scores(
        &self,
        level: Level,
        patches: &[u32],
        rule: PatchRule,
    ) -> Result<Vec<u32>, EvalError> {
        let (most, rows) = (Address::max_value(self.patch_bits), self.labels.len());
        if let Some(&wide) = patches.iter().find(|patch| **patch > most) {
            let value = wide.into();
            return Err(Corruption::OutOfRange { field: "patch address", value }.into());
        }
        let columns = [
            &self.high.offsets,
            &self.high.suffixes,
            &self.high.rows,
            &self.low.offsets,
            &self.low.suffixes,
            &self.low.rows,
        ];
        let table = PatchTable::open(columns.map(Vec::as_slice), rows, self.patch_bits)?;
        let mut tally = PatchTally::new(rows, rule.radius, rule.counting);
        let (mut hits, mut counters) = (Default::default(), Counters::default());
        for (patch, times) in distinct_patches(patches.iter().copied()) {
            table.near(level, &self.balls, patch, &mut tally, &mut hits, &mut counters);
            tally.count(level, times);
        }
        let beyond = |row: u32| Corruption::OutOfRange { field: "patch row", value: row.into() };
        Ok(tally.finish().map_err(beyond)?)
    }
}

impl From<Corruption> for EvalError {
    fn from(cause: Corruption) -> Self {
        Self::Patches { cause }
    }
}

/// Counts items by key, the least first.
fn ties(items: impl Iterator<Item = (u64, bool)>) -> Vec<Tie> {
    // Half the numbers to be moved of pairs. No key has its highest bit.
    let mut sorted: Vec<u64> =
        items.map(|(key, is_relevant)| key << 1 | u64::from(is_relevant)).collect();
    sorted.sort_unstable();
    let same = sorted.chunk_by(|one, other| one >> 1 == other >> 1);
    same.map(|items| {
        let relevant = items.iter().filter(|item| **item & 1 == 1).count() as u64;
        Tie { items: items.len() as u64, relevant }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Code;
    use crate::db::{
        Database, Options, PatchMatch, Query, Readable as _, WriteBatch, WriteOptions,
    };
    use crate::linear::Draws;

    const COUNT: usize = 5;
    const WIDTH: usize = 8;
    const BITS: u8 = 9;
    const COUNTINGS: [PatchCounting; 2] = [PatchCounting::Closest, PatchCounting::Every];

    /// Patches about a few patterns, codes of few bits, and labels, so that scores and distances tie often.
    struct Items {
        patches: Vec<u32>,
        codes: Vec<u8>,
        labels: Vec<u16>,
    }

    fn items(count: usize, seed: u64) -> Items {
        let mut draws = Draws::new(seed);
        let mut below = |most| u32::try_from(draws.below(most)).unwrap();
        let patches =
            (0..count * COUNT).map(|_| ((below(4) * 0x71) & 0x1ff) ^ (1 << below(9))).collect();
        let codes = (0..count * WIDTH).map(|_| u8::try_from(below(2)).unwrap()).collect();
        let labels = (0..count).map(|_| u16::try_from(below(3)).unwrap()).collect();
        Items { patches, codes, labels }
    }

    impl Items {
        fn labelled(&self) -> LabelledPatches {
            let patches = (&self.patches[..], COUNT, BITS);
            LabelledPatches::new(patches, (&self.codes, WIDTH), &self.labels).unwrap()
        }

        fn asker(&self, number: usize) -> PatchAsker<'_> {
            let patches = &self.patches[number * COUNT..][..COUNT];
            let (code, label) = (&self.codes[number * WIDTH..][..WIDTH], self.labels[number]);
            PatchAsker { patches, code, label }
        }

        /// The score of each item by its definition.
        fn scores(&self, asked: &[u32], rule: PatchRule) -> Vec<u32> {
            let worth = |distance: u32| {
                if distance <= rule.radius { 1 << (rule.radius - distance) } else { 0 }
            };
            let of = |own: &[u32]| -> u32 {
                let each = |asked: &u32| -> u32 {
                    let worths = own.iter().map(|own| worth((own ^ asked).count_ones()));
                    match rule.counting {
                        PatchCounting::Closest => worths.max().unwrap(),
                        PatchCounting::Every => worths.sum(),
                    }
                };
                asked.iter().map(each).sum()
            };
            self.patches.chunks(COUNT).map(of).collect()
        }

        fn distances(&self, asked: &[u8]) -> Vec<u32> {
            let of = |own: &[u8]| own.iter().zip(asked).map(|(a, b)| (a ^ b).count_ones()).sum();
            self.codes.chunks(WIDTH).map(of).collect()
        }

        /// Ties by whatever number, least first, found by looking at all items for each number.
        fn ties(&self, keys: &[f64], label: u16) -> Vec<Tie> {
            let mut found = keys.to_vec();
            found.sort_by(f64::total_cmp);
            found.dedup();
            let tie = |value: f64| {
                let same = || keys.iter().zip(&self.labels).filter(|(key, _)| **key == value);
                let relevant = same().filter(|(_, of)| **of == label).count() as u64;
                Tie { items: same().count() as u64, relevant }
            };
            found.into_iter().map(tie).collect()
        }
    }

    fn rules() -> impl Iterator<Item = PatchRule> {
        (0..5).flat_map(|radius| {
            COUNTINGS.into_iter().flat_map(move |counting| {
                [(1.0, 1.0), (0.3, 2.0), (0.0, 1.0), (1.0, 0.0)].map(
                    |(patch_weight, code_weight)| PatchRule {
                        radius,
                        counting,
                        patch_weight,
                        code_weight,
                    },
                )
            })
        })
    }

    #[test]
    fn rankings_are_those_of_brute_force() {
        let (items, queries) = (items(70, 1), items(6, 2));
        let labelled = items.labelled();
        assert_eq!(labelled.len(), 70);
        for rule in rules() {
            for number in 0..6 {
                let asker = queries.asker(number);
                let scores = items.scores(asker.patches, rule);
                let distances = items.distances(asker.code);
                let falling: Vec<f64> = scores.iter().map(|score| -f64::from(*score)).collect();
                let rank_sum = |row: usize| {
                    let by_score = 1 + scores.iter().filter(|other| **other > scores[row]).count();
                    let better = |other: &&u32| **other < distances[row];
                    let by_distance = 1 + distances.iter().filter(better).count();
                    rule.patch_weight * by_score as f64 + rule.code_weight * by_distance as f64
                };
                let sums: Vec<f64> = (0..70).map(rank_sum).collect();
                let expected = PatchRanking {
                    by_patches: items.ties(&falling, asker.label),
                    joined: items.ties(&sums, asker.label),
                    scored: scores.iter().filter(|score| **score > 0).count() as u64,
                };
                for level in Level::available() {
                    let found = labelled.rank(level, asker, rule).unwrap();
                    assert_eq!(found, expected, "{rule:?}, {level:?}");
                }
            }
        }
    }

    /// What is scored must be what a search answers: the engine's order, cut into its ties.
    #[test]
    fn rankings_are_those_of_the_engine() {
        let (items, queries) = (items(60, 3), items(4, 4));
        let labelled = items.labelled();
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new().code_bits(64).address_bits(BITS);
        let db = Database::create(folder.path().join("db"), options).unwrap();
        let addresses = |patches: &[u32]| -> Vec<Address> {
            patches.iter().map(|&patch| Address::new(patch, BITS).unwrap()).collect()
        };
        let (mut batch, address) = (WriteBatch::new(), Address::new(0, BITS).unwrap());
        for row in 0..60 {
            let PatchAsker { patches, code, .. } = items.asker(row);
            let (key, code) = (row.to_string(), Code::from_bytes(code).unwrap());
            batch.put_with_patches(key.as_bytes(), address, code, b"", &addresses(patches));
        }
        db.write(batch, WriteOptions::default()).unwrap();
        for rule in rules() {
            for number in 0..4 {
                let asker = queries.asker(number);
                let query = || {
                    let query = Query::patches(addresses(asker.patches)).k(60);
                    query.radius(rule.radius).counting(rule.counting)
                };
                let found = labelled.rank(Level::best(), asker, rule).unwrap();
                let is_relevant = |found: &PatchMatch| {
                    let record = db.record(&found.neighbor()).unwrap();
                    let row: usize = std::str::from_utf8(&record.key).unwrap().parse().unwrap();
                    items.labels[row] == asker.label
                };
                let matches = db.search_patches(&query()).unwrap().matches;
                assert_eq!(matches.len() as u64, found.scored);
                let same = matches.chunk_by(|one, other| one.score == other.score);
                let same = same.map(|same| Tie {
                    items: same.len() as u64,
                    relevant: same.iter().filter(|found| is_relevant(found)).count() as u64,
                });
                let same: Vec<_> = same.collect();
                assert_eq!(same[..], found.by_patches[..same.len()], "{rule:?}");
                let code = Code::from_bytes(asker.code).unwrap();
                let query = query().joined_with(code, rule.patch_weight, rule.code_weight);
                let matches = db.search_patches(&query).unwrap().matches;
                let sum = |found: &PatchMatch| found.joined.unwrap().1;
                let same = matches.chunk_by(|one, other| sum(one) == sum(other));
                let same = same.map(|same| Tie {
                    items: same.len() as u64,
                    relevant: same.iter().filter(|found| is_relevant(found)).count() as u64,
                });
                assert_eq!(same.collect::<Vec<_>>(), found.joined, "{rule:?}");
            }
        }
    }

    #[test]
    fn an_address_that_is_too_wide_is_refused() {
        let items = items(3, 5);
        let narrow = (&items.patches[..], COUNT, 8);
        assert!(LabelledPatches::new(narrow, (&items.codes, WIDTH), &items.labels).is_err());
        let labelled = items.labelled();
        let asker = PatchAsker { patches: &[1 << BITS], ..items.asker(0) };
        let rule = rules().next().unwrap();
        let error = labelled.rank(Level::best(), asker, rule).unwrap_err();
        assert!(error.to_string().contains("patch address"), "{error}");
        assert!(labelled.rank(Level::best(), items.asker(0), rule).is_ok());
    }
}
