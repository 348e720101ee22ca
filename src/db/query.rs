//! What a search asks for, and what it answers.

use std::fmt;

use crate::code::{Address, Code};
use crate::index::Neighbor;

/// A search, to be given to [`Readable::search`](crate::Readable::search).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub(crate) wanted: Wanted,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Nearest { code: Code, k: usize },
    Within { code: Code, radius: u32 },
    Ball { address: Address, radius: u32 },
    BallNearest { address: Address, radius: u32, code: Code, k: usize },
}

impl Query {
    /// The `k` records with the nearest codes, exact, ties by id.
    #[must_use]
    pub fn knn(code: Code, k: usize) -> Self {
        Self { wanted: Wanted::Nearest { code, k } }
    }

    /// All records whose code lies within `radius` bits (inclusive) of `code`.
    #[must_use]
    pub fn range(code: Code, radius: u32) -> Self {
        Self { wanted: Wanted::Within { code, radius } }
    }

    /// All records whose address lies within `radius` bits (inclusive) of `address`: semantic
    /// hashing (Krizhevsky & Hinton 2011, section 1). Distances are those of the addresses.
    #[must_use]
    pub fn ball(address: Address, radius: u32) -> Self {
        Self { wanted: Wanted::Ball { address, radius } }
    }

    /// Of the records whose address lies within `radius` bits of `address`, the `k` with the
    /// nearest codes: the two stages of Krizhevsky & Hinton 2011, section 4. Distances are those
    /// of the codes. A nearer record outside the ball is not found, so the answer is not exact.
    #[must_use]
    pub fn ball_then_code(address: Address, radius: u32, code: Code, k: usize) -> Self {
        Self { wanted: Wanted::BallNearest { address, radius, code, k } }
    }
}

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
    /// The way that was taken.
    pub plan: Plan,
    /// Buckets that were looked up.
    pub probes: u64,
    /// Rows that were looked at one by one.
    pub candidates: u64,
    /// Distances that were computed over whole columns.
    pub distances: u64,
    /// Segments that were searched, beside the memtable.
    pub segments: u64,
    /// Whether the answer is complete: no record outside it would belong into it, judged by the
    /// distance that orders it.
    pub exact: bool,
}

/// The way in which a query was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plan {
    /// Every code was compared.
    Scan,
    /// The addresses of the ball were looked up in the pair tables.
    Ball,
    /// Every address was compared, since the ball is too large or the segments too small.
    AddressScan,
    /// The records of the ball were ranked by their codes.
    BallThenCode,
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Scan => "scan",
            Self::Ball => "ball",
            Self::AddressScan => "address-scan",
            Self::BallThenCode => "ball-then-code",
        })
    }
}
