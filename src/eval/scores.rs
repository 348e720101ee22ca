//! The scores of many queries: their means, and how far off a mean may be with other queries.
//!
//! The interval is the percentile bootstrap over queries (`Efron`, 1979): queries are drawn again, with
//! replacement and from a seed, and the middle 95 % of the means of these draws is the interval. It says how
//! much another set of queries might change, and nothing about another training run.

use super::ranking::{Harmonic, Tie, real, relevant_within};
use crate::linear::Draws;

/// The places at which precision is given by itself.
pub const PLACES: [u64; 4] = [1, 10, 100, 1000];
/// The cut of the literature's mean average precision on CIFAR-10.
pub const CUT: u64 = 1000;
/// Draws of the bootstrap.
const DRAWS: usize = 1000;

/// What one query is worth. All numbers are from 0 to 1 and means over the orders of tied items.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryScore {
    /// Average precision within the first [`CUT`] places.
    pub cut: f64,
    /// Average precision over the whole ranking.
    pub all: f64,
    /// Precision at each of [`PLACES`].
    pub precision: [f64; PLACES.len()],
    /// Relevant items among the first places, for each place of the curve.
    found: Vec<f64>,
    /// Relevant items there are.
    relevant: f64,
}

/// Scores rankings of one database.
#[derive(Debug, Clone)]
pub struct Scorer {
    harmonic: Harmonic,
    items: u64,
    places: Vec<u64>,
}

impl Scorer {
    /// For a database of so many items.
    #[must_use]
    pub fn new(items: u64) -> Self {
        let mut places: Vec<u64> = (0..20)
            .flat_map(|power| [1, 2, 5].map(|lead| lead * 10_u64.pow(power)))
            .take_while(|&places| places < items)
            .collect();
        places.push(items);
        Self { harmonic: Harmonic::new(items), items, places }
    }

    /// The places of the curves: 1, 2, 5, 10, and so on, and the last one.
    #[must_use]
    pub fn places(&self) -> &[u64] {
        &self.places
    }

    /// Scores one ranking.
    #[must_use]
    pub fn score(&self, ties: &[Tie]) -> QueryScore {
        let within = |places| relevant_within(ties, places);
        QueryScore {
            cut: self.harmonic.average_precision(ties, CUT),
            all: self.harmonic.average_precision(ties, self.items),
            precision: PLACES.map(|places| within(places) / real(places)),
            found: self.places.iter().map(|&places| within(places)).collect(),
            relevant: ties.iter().map(|tie| real(tie.relevant)).sum(),
        }
    }

    /// Scores a ranking that leaves items out: `relevant` is how many relevant ones there are in all. What is
    /// left out counts as never found.
    #[must_use]
    pub fn score_part(&self, ties: &[Tie], relevant: u64) -> QueryScore {
        let mut score = self.score(ties);
        let found = score.relevant;
        score.relevant = real(relevant);
        score.all *= if relevant > 0 { found / score.relevant } else { 0.0 };
        score
    }

    /// The means over all queries; the seed decides the draws of the intervals.
    #[must_use]
    pub fn summary(&self, scores: &[QueryScore], seed: u64) -> Summary {
        let over = |score: fn(&QueryScore) -> f64| {
            Estimate::of(&scores.iter().map(score).collect::<Vec<_>>(), seed)
        };
        let mean = |each: &dyn Fn(&QueryScore) -> f64| {
            scores.iter().map(each).sum::<f64>() / real(scores.len().max(1) as u64)
        };
        let curve = self.places.iter().enumerate().map(|(at, &places)| CurvePoint {
            places,
            precision: mean(&|score| score.found[at] / real(places)),
            recall: mean(&|score| {
                if score.relevant > 0.0 { score.found[at] / score.relevant } else { 0.0 }
            }),
        });
        Summary {
            queries: scores.len() as u64,
            items: self.items,
            map_cut: over(|score| score.cut),
            map_all: over(|score| score.all),
            precision: [
                over(|score| score.precision[0]),
                over(|score| score.precision[1]),
                over(|score| score.precision[2]),
                over(|score| score.precision[3]),
            ],
            curve: curve.collect(),
        }
    }
}

/// A mean and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The mean over the queries.
    pub mean: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Estimate {
    fn of(values: &[f64], seed: u64) -> Self {
        let Some(count) = std::num::NonZeroU64::new(values.len() as u64) else {
            return Self { mean: 0.0, low: 0.0, high: 0.0 };
        };
        let mean = values.iter().sum::<f64>() / real(count.get());
        let mut random = Draws::new(seed);
        let mut means: Vec<f64> = (0..DRAWS)
            .map(|_| {
                let sum: f64 = values.iter().map(|_| values[random.below(values.len())]).sum();
                sum / real(count.get())
            })
            .collect();
        means.sort_by(f64::total_cmp);
        Self { mean, low: means[DRAWS / 40], high: means[DRAWS - 1 - DRAWS / 40] }
    }
}

/// One place of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CurvePoint {
    /// The first so many places.
    pub places: u64,
    /// The mean share of relevant items in them.
    pub precision: f64,
    /// The mean share of all relevant items that is in them.
    pub recall: f64,
}

/// What all queries are worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// How many queries.
    pub queries: u64,
    /// How many items each ranked.
    pub items: u64,
    /// Mean average precision at [`CUT`].
    pub map_cut: Estimate,
    /// Mean average precision over whole rankings.
    pub map_all: Estimate,
    /// Mean precision at each of [`PLACES`].
    pub precision: [Estimate; PLACES.len()],
    /// Precision and recall by places.
    pub curve: Vec<CurvePoint>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tie(items: u64, relevant: u64) -> Tie {
        Tie { items, relevant }
    }

    #[test]
    fn a_perfect_and_a_useless_query_average_to_one_half() {
        let scorer = Scorer::new(20);
        let perfect = scorer.score(&[tie(2, 2), tie(18, 0)]);
        assert_eq!((perfect.cut, perfect.all), (1.0, 1.0));
        assert_eq!(perfect.precision, [1.0, 0.2, 0.02, 0.002]);
        let useless = scorer.score(&[tie(20, 0)]);
        let summary = scorer.summary(&[perfect, useless], 7);
        assert_eq!(summary.map_cut.mean, 0.5);
        assert_eq!((summary.map_cut.low, summary.map_cut.high), (0.0, 1.0));
        assert_eq!(scorer.places(), [1, 2, 5, 10, 20]);
        let precisions: Vec<_> = summary.curve.iter().map(|point| point.precision).collect();
        assert_eq!(precisions, [0.5, 0.5, 0.2, 0.1, 0.05]);
        let recalls: Vec<_> = summary.curve.iter().map(|point| point.recall).collect();
        assert_eq!(recalls, [0.25, 0.5, 0.5, 0.5, 0.5]);
    }

    /// For the mean of many values between 0 and 1 the interval is close to the normal one.
    #[test]
    fn intervals_are_as_wide_as_the_spread_over_queries_says() {
        let mut random = Draws::new(3);
        let values: Vec<f64> =
            (0..2000).map(|_| real(random.below(1001) as u64) / 1000.0).collect();
        let Estimate { mean, low, high } = Estimate::of(&values, 11);
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2000.0;
        let expected = 2.0 * 1.96 * (variance / 2000.0).sqrt();
        assert!(low < mean && mean < high, "{low} {mean} {high}");
        assert!(((high - low) / expected - 1.0).abs() < 0.1, "{} {expected}", high - low);
        assert_eq!(
            Estimate::of(&values, 11),
            Estimate { mean, low, high },
            "one seed, one interval"
        );
        assert_eq!(Estimate::of(&[], 1).mean, 0.0);
    }
}
