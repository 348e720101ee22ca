//! The multi-index: every code within a radius of another, for radii far too large for a table of
//! addresses.
//!
//! A code is cut into words of 32 bits. If two codes differ in at most `r` bits and every word has
//! a share `a` of the radius, the sum of `a + 1` over all words being `r + 1`, then some word
//! differs in at most its share: the pigeonhole principle of multi-index hashing (M. Norouzi, A.
//! Punjani, D. J. Fleet, "Fast Search in Hamming Space with Multi-Index Hashing", 2012). Within a
//! word the same principle applies to its halves of 16 bits, each of which has a table of buckets.
//! A posting carries the other half of its word, so that a row is a candidate only if the whole word
//! lies within its share; only then its code is read. A row is offered by the first word that finds
//! it.
//!
//! Real codes are skewed. The bits are dealt to halves so that buckets are even ([`assign`]), the
//! larger shares go to the words that read the least ([`shares`]), and what a query will read is
//! known before it reads ([`Prepared::cost`]), so that a planner can scan instead.

mod assign;
mod build;
mod candidates;
mod order;
mod permute;
mod sample;
mod search;
mod selectivity;
mod shares;

#[cfg(test)]
mod tests;

pub use build::{MOST_SORTERS, MultiIndexColumns};
pub use search::Prepared;

use order::{BitOrder, HALF_BITS, HALF_WIDTH, WORD_BITS};
use selectivity::{SHARES, Selectivity};
use shares::Shares;

use super::columns::{check_length, check_offsets, check_rows};
use crate::code::{BallMasks, Code};
use crate::error::Corruption;
use crate::hamming::Level;

/// Buckets of a half.
const BUCKETS: usize = 1 << HALF_BITS;

/// Offsets of a half.
const OFFSETS: usize = BUCKETS + 1;

/// The largest share of a word: from there on a word alone gives more candidates than a scan is
/// worth, even of uniform codes.
const MAX_SHARE: u32 = 8;

/// What a search reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MultiCost {
    /// Buckets that are looked up: a random cache line each, and one more for what they hold.
    pub probes: u64,
    /// Postings of two bytes that are compared, in one run a bucket.
    pub postings: u64,
    /// Codes that are read, each at a place of its own; an estimate.
    pub candidates: u64,
}

/// A multi-index over the bytes of a segment.
#[derive(Debug, Clone)]
pub struct MultiIndex<'a> {
    order: BitOrder,
    /// Of every half, one after another, as the partners and rows.
    offsets: &'a [[u8; 4]],
    partners: &'a [[u8; 2]],
    postings: &'a [[u8; 4]],
    rows: u32,
    /// For every word, every share.
    selectivity: Vec<Selectivity>,
    shares: Shares,
    masks: BallMasks,
}

impl<'a> MultiIndex<'a> {
    /// Whether an index over `rows` codes is worth its place: with fewer, its offsets alone take
    /// more bytes than the codes that a scan reads.
    #[must_use]
    pub fn worthwhile(rows: u32, code_bytes: usize) -> bool {
        // A half has four bytes a bucket of offsets, and a code two bytes a half.
        Code::is_width(code_bytes) && rows as usize >= BUCKETS * 2
    }

    /// Takes the columns of [`MultiIndexColumns`] as they were stored for `rows` codes of
    /// `code_bytes` bytes. `postings` is [`MultiIndexColumns::rows`].
    ///
    /// That partners and postings are those of the codes is not checked: if they are not, answers
    /// are wrong, short or repeat a row, and nothing else happens.
    ///
    /// Cost: reads the offsets and the rows once.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if a column has the wrong length, the order is no permutation, offsets do not
    /// rise from 0 to `rows`, a posting names no row, or codes cannot have this width.
    pub fn open(
        order: &[u8],
        offsets: &'a [u8],
        partners: &'a [u8],
        postings: &'a [u8],
        selectivity: &[u8],
        rows: u32,
        code_bytes: usize,
    ) -> Result<Self, Corruption> {
        if !Code::is_width(code_bytes) {
            return Err(Corruption::OutOfRange { field: "code bytes", value: code_bytes as u64 });
        }
        let words = code_bytes * 8 / WORD_BITS;
        let height = rows as usize;
        check_length("order", order, code_bytes * 8, 2)?;
        check_length("offsets", offsets, words * 2 * OFFSETS, 4)?;
        check_length("partners", partners, words * 2 * height, 2)?;
        check_length("rows", postings, words * 2 * height, 4)?;
        check_length("selectivity", selectivity, words * SHARES, Selectivity::BYTES)?;
        let order = order.as_chunks().0.iter().map(|bit| u16::from_le_bytes(*bit)).collect();
        let order = BitOrder::new(order)?;
        let offsets = offsets.as_chunks().0;
        for half in offsets.chunks(OFFSETS) {
            check_offsets("offsets", half, rows)?;
        }
        let postings = postings.as_chunks().0;
        check_rows("rows", postings, rows)?;
        let selectivity = Selectivity::from_bytes(selectivity);
        Ok(Self {
            order,
            offsets,
            partners: partners.as_chunks().0,
            postings,
            rows,
            shares: Shares::new(&selectivity, rows),
            selectivity,
            masks: BallMasks::new(HALF_WIDTH, MAX_SHARE / 2),
        })
    }

    /// The largest radius that can be searched; beyond it a scan is faster on any codes.
    #[must_use]
    #[cfg(any(test, feature = "__internals"))]
    pub fn max_radius(&self) -> u32 {
        self.shares.max_radius()
    }

    /// What a search reads on average, told without a query: the sampled rows of the segment were
    /// the queries. None beyond [`MultiIndex::max_radius`].
    ///
    /// Cost: a few steps for each word.
    #[must_use]
    pub fn expected(&self, radius: u32) -> Option<MultiCost> {
        let shares = self.shares.of(radius)?;
        let mut cost = MultiCost::default();
        for (word, share) in shares {
            let (postings, candidates) = self.selectivity(word, share).of(self.rows);
            cost.probes += shares::probes(share);
            cost.postings += postings;
            cost.candidates += candidates;
        }
        Some(cost)
    }

    /// Looks up the buckets of a query. None beyond [`MultiIndex::max_radius`].
    ///
    /// Cost: one cache line a probe.
    ///
    /// # Panics
    ///
    /// If the query has another width than the codes.
    #[must_use]
    pub fn prepare<'i>(
        &'i self,
        level: Level,
        query: &'i [u8],
        radius: u32,
    ) -> Option<Prepared<'i, 'a>> {
        Prepared::new(self, level, query, radius)
    }

    fn selectivity(&self, word: usize, share: u32) -> Selectivity {
        self.selectivity[word * SHARES + share as usize]
    }

    /// The offsets of a half.
    fn half_offsets(&self, half: usize) -> &'a [[u8; 4]] {
        &self.offsets[half * OFFSETS..][..OFFSETS]
    }
}
