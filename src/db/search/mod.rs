//! Runs queries over the memtable and the segments of one view and merges the answers.
//!
//! [`ball`] begins at addresses, [`nearest`] at codes; [`visit`] finds the cheapest way through a
//! segment by the costs of [`planner`]; [`parallel`] hands many queries to threads; [`radius`] proposes one.

mod ball;
mod collector;
mod nearest;
mod parallel;
pub(in crate::db) mod planner;
mod radius;
mod visit;

pub(crate) use parallel::search_batch;
pub(crate) use radius::proposed_radius;

use std::sync::Arc;

use crate::db::answer::Answer;
use crate::db::batch::validate_code;
use crate::db::engine::SearchTools;
use crate::db::explain::Trace;
use crate::db::filter::Admission;
use crate::db::query::{Query, Wanted};
use crate::db::view::View;
use crate::error::Result;
use crate::index::{TopK, Within};
use ball::ball;
use collector::Collector;
use nearest::{Group, Nearest};

/// Answers each of the queries over what the view shows, as if it were alone; together they share
/// the reading of codes that have to be scanned.
pub(crate) fn search(
    tools: &SearchTools,
    view: &Arc<View>,
    queries: &[Query],
    trace: &mut Trace,
) -> Result<Vec<Answer>> {
    let mut answers = Vec::with_capacity(queries.len());
    let mut by_code = Vec::new();
    for (place, query) in queries.iter().enumerate() {
        match nearest(tools, view, query)? {
            Some(nearest) => by_code.push((place, nearest)),
            None => answers.push((place, ball(tools, view, query, trace)?)),
        }
    }
    let searches = by_code.iter_mut().map(|(_, nearest)| nearest).collect();
    Group { tools, view, searches }.run(trace)?;
    answers.extend(by_code.into_iter().map(|(place, nearest)| (place, nearest.into_answer(view))));
    answers.sort_unstable_by_key(|(place, _)| *place);
    Ok(answers.into_iter().map(|(_, answer)| answer).collect())
}

/// A search over codes, `None` if the query begins at addresses.
fn nearest<'q>(
    tools: &SearchTools,
    view: &Arc<View>,
    query: &'q Query,
) -> Result<Option<Nearest<'q>>> {
    let effort = query.checked_effort()?;
    let (code, collector) = match &query.wanted {
        Wanted::Nearest { code, k } | Wanted::Approximate { code, k } => {
            (code, Collector::Top(TopK::new(*k)))
        }
        Wanted::Within { code, radius } => (code, Collector::Within(Within::new(*radius))),
        Wanted::Ball { .. } | Wanted::BallNearest { .. } => return Ok(None),
    };
    validate_code(code, &tools.schema)?;
    let admission = admission(query, view)?;
    Ok(Some(Nearest::new(code.as_bytes(), collector, effort, admission)))
}

fn admission<'q>(query: &'q Query, view: &Arc<View>) -> Result<Admission<'q>> {
    query.filter.as_ref().map_or(Ok(Admission::All), |filter| filter.resolve(view))
}
