//! A radius that suits a collection: the paper's 5 bits were for 1.6 million pictures, and the same ball
//! around the same address holds ten times as many records in ten times as many.

use std::sync::Arc;

use super::ball::ball;
use crate::code::Address;
use crate::db::engine::SearchTools;
use crate::db::explain::Trace;
use crate::db::query::Query;
use crate::db::view::View;
use crate::error::Result;

/// Addresses that are asked around: enough that a median of them moves by a bit at most.
const ASKED: usize = 65;

/// The least radius at which the ball around half of the collection's own addresses or more holds at least
/// `candidates` records; the width of an address if none does.
pub(crate) fn proposed_radius(
    tools: &SearchTools,
    view: &Arc<View>,
    candidates: usize,
) -> Result<u32> {
    let widest = u32::from(tools.schema.address_bits);
    let asked = sample(tools, view)?;
    let mut radii = Vec::with_capacity(asked.len());
    for address in asked {
        let mut radius = 0;
        // A ball that holds fewer costs less than what is to be done with the right one.
        while radius < widest {
            let answer = ball(tools, view, &Query::ball(address, radius), &mut Trace::off())?;
            if answer.neighbors.len() >= candidates {
                break;
            }
            radius += 1;
        }
        radii.push(radius);
    }
    radii.sort_unstable();
    let middle = radii.len().saturating_sub(1) / 2;
    Ok(radii.get(middle).copied().unwrap_or(widest))
}

/// Addresses at even steps through all live rows: each record has the same weight, so a bucket counts as often
/// as it has records.
fn sample(tools: &SearchTools, view: &View) -> Result<Vec<Address>> {
    let mut sources: Vec<_> = view.memtable.rows().collect();
    for segment in &view.segments {
        sources.push(segment.places()?);
    }
    let records = usize::try_from(view.state.record_count).unwrap_or(usize::MAX);
    let step = records.div_ceil(ASKED).max(1);
    let rows = sources.iter().flat_map(|source| (0..source.len()).map(move |row| (source, row)));
    let live = rows.filter(|(source, row)| view.is_live(source.id(*row)));
    let taken = live.step_by(step);
    taken
        .map(|(source, row)| Address::new(source.address(row), tools.schema.address_bits))
        .collect()
}
