//! What a search answers, and how it came by it.

use std::fmt;

use crate::index::Neighbor;

/// The neighbours that a search found, by distance, then id, and how it found them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The neighbours; fewer than asked for where there are no more.
    pub neighbors: Vec<Neighbor>,
    /// How the answer was made.
    pub stats: QueryStats,
}

/// How an answer was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryStats {
    /// The way that was taken. Where segments were answered in several ways: that of the most rows
    /// for a search over codes, [`Plan::Ball`] if any segment was for one over addresses.
    pub plan: Plan,
    /// Buckets and lists that were looked up.
    pub probes: u64,
    /// Entries of buckets that were compared by the part of a code or address that they carry, and
    /// prefixes that passed.
    pub candidates: u64,
    /// Whole codes or addresses that were compared.
    pub distances: u64,
    /// Segments that were searched, beside the memtable.
    pub segments: u64,
    /// Whether the answer is complete: no record outside it would belong into it, judged by the
    /// distance that orders it.
    pub exact: bool,
}

/// The way in which a query was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Plan {
    /// Every code was compared.
    Scan,
    /// The first 128 bits of every code were compared, then the codes that passed.
    PrefixScan,
    /// Buckets of the pair multi-index were looked up, and the codes that they led to compared.
    MultiIndex,
    /// Of each cluster list the ring was compared that the triangle inequality allows.
    Rings,
    /// The nearest cluster lists were compared, the others not: an approximate answer.
    Lists,
    /// The records that a filter selects were compared one by one.
    Selection,
    /// The addresses of the ball were looked up in the pair tables.
    Ball,
    /// Every address was compared, since the ball is too large or the segments too small.
    AddressScan,
    /// The records of the ball were ranked by their codes.
    BallThenCode,
    /// The patches of the query were looked up in the patch tables.
    Patches,
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Scan => "scan",
            Self::PrefixScan => "prefix-scan",
            Self::MultiIndex => "multi-index",
            Self::Rings => "rings",
            Self::Lists => "lists",
            Self::Selection => "selection",
            Self::Ball => "ball",
            Self::AddressScan => "address-scan",
            Self::BallThenCode => "ball-then-code",
            Self::Patches => "patches",
        })
    }
}
