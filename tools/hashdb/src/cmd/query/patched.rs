//! Queries by patches: multiple semantic hashing.

use anyhow::Result;
use clap::ValueEnum;
use hashdb::{
    Address, Code, Filter, PatchAnswer, PatchCounting, PatchQuery, Query, Readable as _, Snapshot,
};

use super::explain::Explained;
use crate::request::Search;

/// What a search by patches does not go with: it is a search of its own, and needs a picture or a record.
const EXCLUDES: [&str; 8] =
    ["mode", "approx", "recall", "probes", "ball", "exact", "code", "codes"];

/// The arguments of a search by patches.
#[derive(Debug, clap::Args)]
pub(super) struct PatchArgs {
    /// Search by patches, those of a picture or of the record of --key: what shows the same thing elsewhere. Each
    /// gives a record 2^(R - d), d being the distance to the closest of its own within --radius R, 0 to 8
    /// [default: 3]
    #[arg(long, conflicts_with_all = EXCLUDES)]
    patches: bool,
    /// Of several patches of a record that lie near one of the query count the closest, or every one
    /// [default: closest]
    #[arg(long, value_enum, requires = "patches")]
    counting: Option<Counting>,
    /// How much the rank by patches counts and how much the rank by codes, the least sum being first; with 0 for
    /// codes, records that no patch is near to are left out [default: 1,1]
    #[arg(long, value_name = "PATCHES,CODES", requires = "patches", value_parser = weights)]
    weights: Option<Weights>,
}

/// What a record scores of which several patches lie near one of the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Counting {
    Closest,
    Every,
}

/// What the rank by patches and that by codes are multiplied by.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Weights {
    patches: f64,
    codes: f64,
}

fn weights(text: &str) -> Result<Weights, String> {
    let weight = |text: &str| {
        let weight = text.parse().ok();
        weight.filter(|weight: &f64| weight.is_finite() && *weight >= 0.0)
    };
    let pair = text.split_once(',').and_then(|(left, right)| weight(left).zip(weight(right)));
    let pair = pair.filter(|(patches, codes)| patches + codes > 0.0);
    let rule = "must be two numbers with a comma between them, not negative and not both 0";
    pair.map(|(patches, codes)| Weights { patches, codes }).ok_or_else(|| rule.to_owned())
}

/// A search by patches without what it is for.
#[derive(Debug, Clone)]
pub(super) struct PatchRequest {
    radius: Option<u32>,
    k: usize,
    counting: PatchCounting,
    weights: Weights,
    filter: Option<Filter>,
}

impl PatchArgs {
    /// The request, if it is one.
    pub(super) fn request(&self, search: &Search) -> Option<PatchRequest> {
        let counting = match self.counting {
            Some(Counting::Every) => PatchCounting::Every,
            Some(Counting::Closest) | None => PatchCounting::Closest,
        };
        self.patches.then(|| PatchRequest {
            radius: search.radius(),
            k: search.k(),
            counting,
            weights: self.weights.unwrap_or(Weights { patches: 1.0, codes: 1.0 }),
            filter: search.filter(),
        })
    }
}

impl PatchRequest {
    /// The records near these patches and, unless it counts nothing, near this code; and how they were found.
    pub(super) fn answer(
        &self,
        snapshot: &Snapshot,
        patches: &[Address],
        code: &Code,
        explain: bool,
    ) -> Result<(PatchAnswer, Option<Explained>)> {
        let query = self.query(patches, code);
        if !explain {
            return Ok((snapshot.search_patches(&query)?, None));
        }
        let explanation = snapshot.explain_patches(&query)?;
        let explained = Explained::new(&explanation.sources, &explanation);
        Ok((explanation.answer, Some(explained)))
    }

    fn query(&self, patches: &[Address], code: &Code) -> PatchQuery {
        let mut query = Query::patches(patches).counting(self.counting).k(self.k);
        if let Some(radius) = self.radius {
            query = query.radius(radius);
        }
        if let Some(filter) = &self.filter {
            query = query.filter(filter.clone());
        }
        let Weights { patches, codes } = self.weights;
        // Without codes the order by ranks is that by scores, and nobody has to scan the codes.
        if codes > 0.0 { query.joined_with(code.clone(), patches, codes) } else { query }
    }
}
