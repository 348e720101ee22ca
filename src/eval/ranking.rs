//! What a ranking with ties is worth: precision and average precision, as the mean over all orders in
//! which items of the same distance may stand.
//!
//! Hamming distances tie all the time, and code that breaks ties by the order of an array reports what
//! that order happens to be (labels that are sorted are worth much). The mean over all orders depends on
//! nothing but the distances (`McSherry` and `Najork`, ECIR 2008). Average precision at a cut is that of the
//! hashing literature: the mean of the precisions at the relevant items inside the cut, divided by how many
//! are inside, not by how many there could be; a query that finds none counts 0.

/// Of what is less likely than that, beside the likeliest, nothing is left in a sum of doubles.
const NEGLIGIBLE: f64 = 1e-18;

/// Items that are as far from the query as each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tie {
    /// How many there are.
    pub items: u64,
    /// How many of them are relevant, at most `items`.
    pub relevant: u64,
}

impl Tie {
    /// One item more.
    pub(super) fn add(&mut self, is_relevant: bool) {
        self.items += 1;
        self.relevant += u64::from(is_relevant);
    }
}

/// Sums of 1/1, 1/2, and so on, which averages over ties are made of.
#[derive(Debug, Clone)]
pub struct Harmonic(Vec<f64>);

impl Harmonic {
    /// For rankings of at most so many items.
    #[must_use]
    pub fn new(items: u64) -> Self {
        let mut sum = 0.0;
        let mut sums = vec![0.0];
        sums.extend((1..=items).map(|rank| {
            sum += 1.0 / real(rank);
            sum
        }));
        Self(sums)
    }

    /// The sum of 1/(from + 1) to 1/to.
    fn between(&self, from: u64, to: u64) -> f64 {
        let at = |rank: u64| usize::try_from(rank).ok().and_then(|rank| self.0.get(rank).copied());
        match (at(from), at(to)) {
            (Some(from), Some(to)) => to - from,
            // Longer than was promised: still right, but slow.
            _ => (from + 1..=to).map(|rank| 1.0 / real(rank)).sum(),
        }
    }

    /// Average precision within the first `cut` places, from 0 to 1; ties in the order of their distance.
    ///
    /// Source of the formula without ties: the evaluation that `CIBHash`, `DeepHash` and `SPQ` share.
    #[must_use]
    pub fn average_precision(&self, ties: &[Tie], cut: u64) -> f64 {
        let mut before = Before::default();
        for &tie in ties {
            let room = cut - before.items;
            if tie.items > room {
                return self.cut_through(&before, tie, room);
            }
            before.sum += self.precisions(&before, tie.items, real(tie.relevant));
            before.items += tie.items;
            before.relevant += tie.relevant;
        }
        before.mean(0.0, 0.0)
    }

    /// The mean sum of the precisions at `relevant` items that lie anywhere among the next `places`.
    ///
    /// The one at place j is relevant with probability relevant/places, and then of the j - 1 places before
    /// it (relevant - 1)/(places - 1) each.
    fn precisions(&self, before: &Before, places: u64, relevant: f64) -> f64 {
        if places == 0 || relevant == 0.0 {
            return 0.0;
        }
        let inverse = self.between(before.items, before.items + places);
        // (j - 1)/(items + j) is 1 - (items + 1)/(items + j).
        let earlier = real(places) - real(before.items + 1) * inverse;
        let each = if places > 1 { (relevant - 1.0) / real(places - 1) } else { 0.0 };
        relevant / real(places) * (real(before.relevant + 1) * inverse + each * earlier)
    }

    /// The cut goes through a tie: how many relevant items come before it is a hypergeometric number.
    fn cut_through(&self, before: &Before, tie: Tie, room: u64) -> f64 {
        let least = room.saturating_sub(tie.items - tie.relevant);
        let most = room.min(tie.relevant);
        let (items, relevant, places) = (real(tie.items), real(tie.relevant), real(room));
        // Each probability by the one beside it, from the likeliest on, which is taken for 1.
        let likeliest = ((places + 1.0) * (relevant + 1.0) / (items + 2.0)).floor();
        let likeliest = likeliest.clamp(real(least), real(most));
        let up = |inside: f64| {
            (relevant - inside) * (places - inside)
                / ((inside + 1.0) * (items - relevant - places + inside + 1.0))
        };
        let (mut weights, mut mean) = (0.0, 0.0);
        let mut add = |inside: f64, weight: f64| {
            let sum = self.precisions(before, room, inside);
            weights += weight;
            mean += weight * before.mean(sum, inside);
        };
        let (mut inside, mut weight) = (likeliest, 1.0);
        while inside <= real(most) && weight > NEGLIGIBLE {
            add(inside, weight);
            weight *= up(inside);
            inside += 1.0;
        }
        (inside, weight) = (likeliest, 1.0);
        while inside > real(least) {
            inside -= 1.0;
            weight /= up(inside);
            if weight <= NEGLIGIBLE {
                break;
            }
            add(inside, weight);
        }
        mean / weights
    }
}

/// What came before a tie.
#[derive(Debug, Default)]
struct Before {
    items: u64,
    relevant: u64,
    /// Of the precisions at the relevant ones.
    sum: f64,
}

impl Before {
    /// The mean precision with so much more at so many more relevant items.
    fn mean(&self, sum: f64, relevant: f64) -> f64 {
        let relevant = real(self.relevant) + relevant;
        // Rounding must not make a perfect ranking better than perfect.
        if relevant > 0.0 { ((self.sum + sum) / relevant).min(1.0) } else { 0.0 }
    }
}

/// The relevant items that are expected among the first `places`.
#[must_use]
pub fn relevant_within(ties: &[Tie], places: u64) -> f64 {
    let (mut seen, mut found) = (0, 0.0);
    for tie in ties {
        let taken = tie.items.min(places - seen);
        if taken == 0 && tie.items > 0 {
            break;
        }
        if tie.items > 0 {
            found += real(tie.relevant) * real(taken) / real(tie.items);
        }
        seen += taken;
    }
    found
}

/// The share of relevant items among the first `places`, from 0 to 1; places that nothing fills count as
/// not relevant.
#[must_use]
pub fn precision_at(ties: &[Tie], places: u64) -> f64 {
    if places == 0 { 0.0 } else { relevant_within(ties, places) / real(places) }
}

/// A count as a real number; exact below 2^53.
#[expect(clippy::cast_precision_loss, reason = "counts of items in memory")]
pub(super) fn real(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Average precision of one order, item by item.
    fn plain(order: &[bool], cut: usize) -> f64 {
        let (mut found, mut sum) = (0.0, 0.0);
        for (place, &relevant) in order.iter().take(cut).enumerate() {
            if relevant {
                found += 1.0;
                sum += found / real(place as u64 + 1);
            }
        }
        if found > 0.0 { sum / found } else { 0.0 }
    }

    fn items(tie: Tie) -> Vec<bool> {
        (0..tie.items).map(|item| item < tie.relevant).collect()
    }

    /// All orders of the items, one after the other.
    fn orders(items: &[bool]) -> Vec<Vec<bool>> {
        if items.is_empty() {
            return vec![Vec::new()];
        }
        let mut all = Vec::new();
        for first in 0..items.len() {
            let mut rest = items.to_vec();
            let item = rest.remove(first);
            all.extend(orders(&rest).into_iter().map(|order| [vec![item], order].concat()));
        }
        all
    }

    /// The mean over all orders of every tie.
    fn by_hand(ties: &[Tie], cut: usize) -> f64 {
        let mut whole = vec![Vec::new()];
        for &tie in ties {
            let orders = orders(&items(tie));
            let longer = |start: &Vec<bool>| {
                let start = start.clone();
                orders.iter().map(move |order| [start.clone(), order.clone()].concat())
            };
            whole = whole.iter().flat_map(longer).collect();
        }
        whole.iter().map(|order| plain(order, cut)).sum::<f64>() / real(whole.len() as u64)
    }

    const RANKINGS: [&[(u64, u64)]; 9] = [
        &[(1, 1), (1, 0), (1, 1)],
        &[(3, 1), (2, 2)],
        &[(5, 2)],
        &[(2, 0), (4, 3), (1, 1)],
        &[(1, 0), (1, 0)],
        &[(0, 0), (3, 3), (0, 0), (2, 1)],
        &[(4, 1), (3, 2)],
        &[(6, 6)],
        &[],
    ];

    fn ties(pairs: &[(u64, u64)]) -> Vec<Tie> {
        pairs.iter().map(|&(items, relevant)| Tie { items, relevant }).collect()
    }

    #[test]
    fn the_mean_over_all_orders_is_that_of_every_order_written_out() {
        let harmonic = Harmonic::new(8);
        for pairs in RANKINGS {
            let ties = ties(pairs);
            for cut in 0..9 {
                let expected = by_hand(&ties, cut);
                let found = harmonic.average_precision(&ties, cut as u64);
                assert!((found - expected).abs() < 1e-12, "{pairs:?} at {cut}: {found} {expected}");
            }
        }
    }

    #[test]
    fn precision_counts_what_is_expected_inside() {
        let ties = ties(&[(2, 1), (4, 3), (0, 0), (2, 2)]);
        assert_eq!(precision_at(&ties, 1), 0.5);
        assert_eq!(precision_at(&ties, 2), 0.5);
        assert_eq!(precision_at(&ties, 4), (1.0 + 1.5) / 4.0);
        assert_eq!(relevant_within(&ties, 100), 6.0);
        assert_eq!(precision_at(&ties, 16), 6.0 / 16.0);
        assert_eq!(precision_at(&ties, 0), 0.0);
        assert_eq!(precision_at(&[], 5), 0.0);
    }

    /// With large ties the numbers of a hypergeometric distribution leave the range of doubles unless they
    /// are taken one by the other.
    #[test]
    fn large_ties_stay_finite_and_right() {
        let harmonic = Harmonic::new(50_000);
        // All tied, a tenth relevant: about what random ranking gives.
        let all = [Tie { items: 50_000, relevant: 5000 }];
        let random = harmonic.average_precision(&all, 1000);
        assert!((0.105..0.108).contains(&random), "{random}");
        let whole = harmonic.average_precision(&all, 50_000);
        assert!((0.1..0.1005).contains(&whole), "{whole}");
        // A cut beside the end of a tie says nearly the same as one at its end.
        let split = [Tie { items: 1001, relevant: 300 }, Tie { items: 48_999, relevant: 4700 }];
        let (through, whole) =
            (harmonic.average_precision(&split, 1000), harmonic.average_precision(&split, 1001));
        assert!((through - whole).abs() < 1e-4, "{through} {whole}");
        // A table that is too short is made up for.
        let short = Harmonic::new(10).average_precision(&split, 1000);
        assert!((short - through).abs() < 1e-12);
    }
}
