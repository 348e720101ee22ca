//! What a search over patch addresses asks for, and what it answers: multiple semantic hashing
//! (Krizhevsky & Hinton 2011, section 4).

use crate::code::{Address, Code};
use crate::db::answer::QueryStats;
use crate::db::batch::{validate_code, validate_patches};
use crate::db::filter::Filter;
use crate::db::query::Query;
use crate::error::{Error, Result};
use crate::index::{MAX_PATCH_RADIUS, Neighbor, PatchCounting};
use crate::storage::manifest::Schema;

/// A search over patch addresses, to be given to
/// [`Readable::search_patches`](crate::Readable::search_patches); [`Query::patches`] begins one.
///
/// Each patch of the query gives a record `2^(radius - d)`, d being the distance to the closest of the record's
/// patches, and nothing where that is beyond the radius. The score of a record is the sum over the patches of the
/// query; a patch that the query has twice counts twice.
#[derive(Debug, Clone)]
pub struct PatchQuery {
    pub(crate) patches: Vec<Address>,
    pub(crate) radius: u32,
    pub(crate) counting: PatchCounting,
    pub(crate) k: usize,
    pub(crate) joined: Option<Joined>,
    pub(crate) filter: Option<Filter>,
}

/// A ranking by patches that is joined with the one by codes.
#[derive(Debug, Clone)]
pub(crate) struct Joined {
    pub(crate) code: Code,
    pub(crate) patch_weight: f64,
    pub(crate) code_weight: f64,
}

impl Query {
    /// Multiple semantic hashing: the records that have patches near these, 1 to 256 addresses of the database's
    /// width. See [`PatchQuery`] for what they score.
    #[must_use]
    pub fn patches(patches: impl Into<Vec<Address>>) -> PatchQuery {
        PatchQuery {
            patches: patches.into(),
            radius: 3,
            counting: PatchCounting::default(),
            k: 100,
            joined: None,
            filter: None,
        }
    }
}

impl PatchQuery {
    /// The largest distance of patches that scores, 0 to 8, default 3.
    #[must_use]
    pub fn radius(mut self, radius: u32) -> Self {
        self.radius = radius;
        self
    }

    /// What a record scores of which several patches lie near one of the query, default
    /// [`PatchCounting::Closest`].
    #[must_use]
    pub fn counting(mut self, counting: PatchCounting) -> Self {
        self.counting = counting;
        self
    }

    /// How many records are wanted, default 100.
    #[must_use]
    pub fn k(mut self, k: usize) -> Self {
        self.k = k;
        self
    }

    /// Joins the ranking with that by the distance of codes to this one. The rank of a record in either is one
    /// more than the number of records that are strictly better, so that equals share a rank; what counts in the
    /// end is `patch_weight * rank by patches + code_weight * rank by codes`, the least first, ties by id. All
    /// records take part: those without a score share the last rank by patches.
    ///
    /// Weights are finite, not negative and not both 0.
    #[must_use]
    pub fn joined_with(mut self, code: Code, patch_weight: f64, code_weight: f64) -> Self {
        self.joined = Some(Joined { code, patch_weight, code_weight });
        self
    }

    /// Restricts the search to the records that the filter admits: scores and ranks are those among them.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    pub(crate) fn validate(&self, schema: &Schema) -> Result<()> {
        if self.patches.is_empty() {
            return Err(Error::invalid("patch addresses", "must be at least 1 in a query, not 0"));
        }
        validate_patches(&self.patches, schema)?;
        if self.radius > MAX_PATCH_RADIUS {
            let rule = format!("must be 0 to {MAX_PATCH_RADIUS}, not {}", self.radius);
            return Err(Error::invalid("patch radius", rule));
        }
        let Some(Joined { code, patch_weight, code_weight }) = &self.joined else { return Ok(()) };
        validate_code(code, schema)?;
        let sound = |weight: &f64| weight.is_finite() && *weight >= 0.0;
        if !sound(patch_weight) || !sound(code_weight) || patch_weight + code_weight == 0.0 {
            let rule = format!(
                "must be finite, not negative and not both 0, not {patch_weight} and {code_weight}"
            );
            return Err(Error::invalid("weights", rule));
        }
        Ok(())
    }
}

/// A record that a search over patch addresses found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PatchMatch {
    /// The record.
    pub id: u64,
    /// Its address.
    pub address: u32,
    /// What its patches scored.
    pub score: u32,
    /// The distance of its code and its weighted sum of ranks, where the ranking was
    /// [joined](PatchQuery::joined_with) with that by codes.
    pub joined: Option<(u32, f64)>,
}

impl PatchMatch {
    /// As [`Readable::record`](crate::Readable::record) takes it; the distance is that of codes, or 0.
    #[must_use]
    pub fn neighbor(&self) -> Neighbor {
        let distance = self.joined.map_or(0, |(distance, _)| distance);
        Neighbor { distance, id: self.id, address: self.address }
    }
}

/// The records that a search over patch addresses found, by falling score, then id, or by the joined ranking, and
/// how they were found.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchAnswer {
    /// The records; fewer than asked for where no more score anything.
    pub matches: Vec<PatchMatch>,
    /// How the answer was made.
    pub stats: QueryStats,
}
