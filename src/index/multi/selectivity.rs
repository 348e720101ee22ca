//! What a look-up in a word reads on average, by the share of the radius that the word takes.
//!
//! Measured with sampled rows as queries, since codes that were learned are far from uniform. The
//! postings are known from the offsets, the candidates are counted among the sample.

use super::order::{BitOrder, HALF_WIDTH, WORD_WIDTH, halves};
use super::sample::Sample;
use super::{MAX_SHARE, OFFSETS};
use crate::code::{BallMasks, ball_size};
use crate::index::radii::Radii;
use crate::index::workers::{self, Workers};

/// Shares of a radius, from 0 on.
pub(super) const SHARES: usize = MAX_SHARE as usize + 1;

/// Sampled rows whose postings are counted.
const POSTING_QUERIES: usize = 128;

/// Sampled rows that are compared with the whole sample.
const CANDIDATE_QUERIES: usize = 1024;

/// What one word reads for one share.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Selectivity {
    /// In parts per 2^32 of the postings of both halves.
    postings: u32,
    /// In parts per 2^32 of the rows.
    candidates: u32,
}

impl Selectivity {
    /// Bytes of the stored form.
    pub(super) const BYTES: usize = 8;

    /// Postings and candidates among so many rows.
    pub(super) fn of(self, rows: u32) -> (u64, u64) {
        let part = |parts: u32, of: u64| (u64::from(parts) * of) >> 32;
        (part(self.postings, u64::from(rows) * 2), part(self.candidates, u64::from(rows)))
    }

    pub(super) fn to_bytes(all: &[Self]) -> Vec<u8> {
        let bytes = |one: &Self| [one.postings.to_le_bytes(), one.candidates.to_le_bytes()];
        all.iter().flat_map(bytes).flatten().collect()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Vec<Self> {
        let values = bytes.as_chunks::<4>().0.as_chunks::<2>().0.iter();
        let one = |[postings, candidates]: &[[u8; 4]; 2]| Self {
            postings: u32::from_le_bytes(*postings),
            candidates: u32::from_le_bytes(*candidates),
        };
        values.map(one).collect()
    }
}

/// Measures every word and every share; none if the workers were stopped.
pub(super) fn measure(
    workers: &dyn Workers,
    sample: &Sample<'_>,
    order: &BitOrder,
    offsets: &[[u8; 4]],
    rows: u32,
) -> Option<Vec<Selectivity>> {
    let masks = BallMasks::new(HALF_WIDTH, MAX_SHARE / 2);
    let offsets: Vec<_> = offsets.chunks(2 * OFFSETS).collect();
    let of_words = workers::map(workers, offsets.len(), |word| {
        let offsets = offsets[word];
        let words: Vec<_> = sample.codes().iter().map(|code| order.word(code, word)).collect();
        let postings = postings(&words, &masks, offsets, rows);
        let candidates = candidates(&words);
        let pairs = postings.into_iter().zip(candidates);
        let selectivity = |(postings, candidates)| Selectivity { postings, candidates };
        pairs.map(selectivity).collect::<Vec<_>>()
    });
    Some(of_words?.concat())
}

/// The part of a word's postings that a sampled query reads, itself left out.
fn postings(words: &[u32], masks: &BallMasks, offsets: &[[u8; 4]], rows: u32) -> [u32; SHARES] {
    let step = words.len().div_ceil(POSTING_QUERIES).max(1);
    let queries = || words.iter().step_by(step).map(|word| halves(*word));
    // By half and radius, for all queries together.
    let sums = [0, 1].map(|side| {
        let offsets = &offsets[side * OFFSETS..][..OFFSETS];
        let at = |bucket: u32| u32::from_le_bytes(offsets[bucket as usize]);
        let size = |bucket: u32| u64::from(at(bucket + 1) - at(bucket));
        (0..=MAX_SHARE / 2)
            .map(|radius| {
                let ball =
                    |half: u16| masks.within(radius).iter().map(move |m| u32::from(half) ^ m);
                queries().map(|halves| ball(halves[side]).map(size).sum::<u64>() - 1).sum()
            })
            .collect::<Vec<u64>>()
    });
    let all = queries().count() as u64 * u64::from(rows) * 2;
    let mut share = 0..;
    [(); SHARES].map(|()| {
        let radii = Radii::new(share.next().unwrap_or(0));
        let second = radii.second.map_or(0, |radius| sums[1][radius as usize]);
        parts(sums[0][radii.first as usize] + second, all)
    })
}

/// The part of the rows that lies within a share of a sampled query, itself left out. Codes that
/// agree less than random ones are not expected: so few are not seen in a sample.
fn candidates(words: &[u32]) -> [u32; SHARES] {
    let step = words.len().div_ceil(CANDIDATE_QUERIES).max(1);
    let (mut counts, mut queries) = ([0_u64; SHARES], 0);
    for query in words.iter().step_by(step) {
        for word in words {
            if let Some(count) = counts.get_mut((query ^ word).count_ones() as usize) {
                *count += 1;
            }
        }
        counts[0] -= 1;
        queries += 1;
    }
    let pairs = queries * (words.len() as u64).saturating_sub(1);
    let (mut within, mut share) = (0, 0..);
    counts.map(|count| {
        within += count;
        let random = ball_size(WORD_WIDTH, share.next().unwrap_or(0));
        parts(within, pairs).max(u32::try_from(random).unwrap_or(u32::MAX))
    })
}

/// A part of all, per 2^32.
fn parts(part: u64, all: u64) -> u32 {
    let parts = (u128::from(part) << 32) / u128::from(all.max(1));
    u32::try_from(parts).unwrap_or(u32::MAX)
}
