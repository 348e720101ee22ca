//! What a search asks for.

use crate::code::{Address, Code};
use crate::db::filter::Filter;
use crate::error::{Error, Result};

/// The share of the true neighbours that an approximate search aims at by default.
const DEFAULT_RECALL: f64 = 0.95;

/// A search, to be given to [`Readable::search`](crate::Readable::search).
#[derive(Debug, Clone)]
pub struct Query {
    pub(crate) wanted: Wanted,
    pub(crate) effort: Option<Effort>,
    pub(crate) filter: Option<Filter>,
}

#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    Nearest { code: Code, k: usize },
    Approximate { code: Code, k: usize },
    Within { code: Code, radius: u32 },
    Ball { address: Address, radius: u32 },
    BallNearest { address: Address, radius: u32, code: Code, k: usize },
}

/// How much an approximate search does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Effort {
    /// As much as finds this share of the neighbours on the database's own data.
    Recall(f64),
    /// So many cluster lists of each segment.
    Lists(usize),
}

impl Query {
    fn new(wanted: Wanted) -> Self {
        Self { wanted, effort: None, filter: None }
    }

    /// The `k` records with the nearest codes, exact, ties by id.
    #[must_use]
    pub fn knn(code: Code, k: usize) -> Self {
        Self::new(Wanted::Nearest { code, k })
    }

    /// About the `k` records with the nearest codes, much faster: the cluster lists nearest to
    /// `code` are compared. How many is calibrated on each segment's own data, for a recall of
    /// 0.95 unless [`Query::recall`] or [`Query::probes`] says otherwise.
    ///
    /// What has no cluster lists is searched exactly: the memtable, segments that are small or were
    /// not merged yet, a database without that index. So is a query with a filter, one whose k is
    /// beyond 100 or whose recall is out of the calibrated reach, and a segment whose nearest lists
    /// hold fewer than k records; `exact` in the answer's stats tells whether all was. The
    /// calibration knows a segment as it was written: where many of its records are deleted, the
    /// recall falls until it is merged again.
    #[must_use]
    pub fn approximate(code: Code, k: usize) -> Self {
        Self::new(Wanted::Approximate { code, k })
    }

    /// All records whose code lies within `radius` bits (inclusive) of `code`.
    #[must_use]
    pub fn range(code: Code, radius: u32) -> Self {
        Self::new(Wanted::Within { code, radius })
    }

    /// All records whose address lies within `radius` bits (inclusive) of `address`: semantic
    /// hashing (Krizhevsky & Hinton 2011, section 1). Distances are those of the addresses.
    #[must_use]
    pub fn ball(address: Address, radius: u32) -> Self {
        Self::new(Wanted::Ball { address, radius })
    }

    /// Of the records whose address lies within `radius` bits of `address`, the `k` with the
    /// nearest codes: the two stages of Krizhevsky & Hinton 2011, section 4. Distances are those
    /// of the codes. A nearer record outside the ball is not found, so the answer is not exact.
    #[must_use]
    pub fn ball_then_code(address: Address, radius: u32, code: Code, k: usize) -> Self {
        Self::new(Wanted::BallNearest { address, radius, code, k })
    }

    /// The share of the true k nearest that an [approximate](Query::approximate) query aims at, on
    /// average over queries like the database's own codes: above 0, at most 1.
    #[must_use]
    pub fn recall(mut self, recall: f64) -> Self {
        self.effort = Some(Effort::Recall(recall));
        self
    }

    /// How many cluster lists of each segment an [approximate](Query::approximate) query compares,
    /// at least 1.
    #[must_use]
    pub fn probes(mut self, lists: usize) -> Self {
        self.effort = Some(Effort::Lists(lists));
        self
    }

    /// Restricts the search to the records that the filter admits. The answer is exact under every
    /// plan: what the same query without a filter would answer over those records alone.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// What an approximate query is to do, `None` for the exact ones.
    pub(crate) fn checked_effort(&self) -> Result<Option<Effort>> {
        let approximate = matches!(self.wanted, Wanted::Approximate { .. });
        match self.effort {
            Some(_) if !approximate => {
                Err(Error::invalid("recall or probes", "belongs to an approximate query"))
            }
            Some(Effort::Recall(recall)) if !(recall > 0.0 && recall <= 1.0) => Err(
                Error::invalid("recall", format!("must be above 0 and at most 1, not {recall}")),
            ),
            Some(Effort::Lists(0)) => Err(Error::invalid("probes", "must be at least 1")),
            None if approximate => Ok(Some(Effort::Recall(DEFAULT_RECALL))),
            effort => Ok(effort),
        }
    }
}
