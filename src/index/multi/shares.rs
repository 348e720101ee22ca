//! Which share of a radius each word takes.
//!
//! Shares grow one by one, each time where the next step is the cheapest: a word with full buckets
//! takes less, perhaps nothing. That is the cheapest division where each step of a word costs more
//! than the one before it, which holds for even buckets, and a good one elsewhere.

use super::MAX_SHARE;
use super::order::HALF_WIDTH;
use super::selectivity::{SHARES, Selectivity};
use crate::code::ball_size;
use crate::index::radii::Radii;

/// Picoseconds a probe, a posting and a candidate: fitted to searches of 1 and 10 million codes on
/// Zen 4, in pages of 4 KiB. Only their ratios matter here.
const PROBE: u64 = 50_000;
const POSTING: u64 = 300;
const CANDIDATE: u64 = 40_000;

/// The division of every radius.
#[derive(Debug, Clone)]
pub(super) struct Shares {
    words: usize,
    /// The word whose share grows, for each radius from 0 on.
    steps: Vec<u8>,
}

impl Shares {
    /// Divides by what the words read: `selectivity` has every share of every word.
    pub(super) fn new(selectivity: &[Selectivity], rows: u32) -> Self {
        let costs: Vec<_> = selectivity.chunks(SHARES).map(|word| costs(word, rows)).collect();
        let mut taken = vec![0; costs.len()];
        let mut steps = Vec::with_capacity(costs.len() * SHARES);
        // The cheapest next step of all words, until no word has one.
        let next = |taken: &[usize], word: usize| {
            let before = taken[word].checked_sub(1).map_or(0, |share| costs[word][share]);
            costs[word].get(taken[word]).map(|cost| (cost.saturating_sub(before), word))
        };
        while let Some((_, word)) = (0..taken.len()).filter_map(|word| next(&taken, word)).min() {
            taken[word] += 1;
            steps.push(u8::try_from(word).unwrap_or(u8::MAX));
        }
        Self { words: costs.len(), steps }
    }

    #[cfg(any(test, feature = "__internals"))]
    pub(super) fn max_radius(&self) -> u32 {
        u32::try_from(self.steps.len()).map_or(u32::MAX, |steps| steps.saturating_sub(1))
    }

    /// The words that take part and their shares; none beyond the largest radius.
    pub(super) fn of(&self, radius: u32) -> Option<impl Iterator<Item = (usize, u32)>> {
        let steps = self.steps.get(..=radius as usize)?;
        let mut taken = vec![0_u32; self.words];
        steps.iter().for_each(|word| taken[usize::from(*word)] += 1);
        let share = |(word, taken): (usize, u32)| Some((word, taken.checked_sub(1)?));
        Some(taken.into_iter().enumerate().filter_map(share))
    }
}

/// How many buckets a word probes.
pub(super) fn probes(share: u32) -> u64 {
    let radii = Radii::new(share.min(MAX_SHARE));
    let ball = |radius| ball_size(HALF_WIDTH, radius);
    ball(radii.first) + radii.second.map_or(0, ball)
}

/// The time that each share of a word takes, in picoseconds; rising.
fn costs(word: &[Selectivity], rows: u32) -> Vec<u64> {
    let cost = |(share, selectivity): (u32, &Selectivity)| {
        let (postings, candidates) = selectivity.of(rows);
        probes(share) * PROBE + postings * POSTING + candidates * CANDIDATE
    };
    (0..).zip(word).map(cost).collect()
}
