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
    let bits = tools.schema.address_bits;
    let (mut found, mut skipped) = (Vec::new(), 0_usize);
    for source in &sources {
        let mut rows = 0..source.len();
        if view.deleted.len() == 0 {
            // Nothing in between has to be looked at.
            let first = skipped.next_multiple_of(step) - skipped;
            for row in rows.skip(first).step_by(step) {
                found.push(Address::new(source.address(row), bits)?);
            }
            skipped += source.len();
            continue;
        }
        while let Some(row) = rows.find(|&row| view.is_live(source.id(row))) {
            if skipped.is_multiple_of(step) {
                found.push(Address::new(source.address(row), bits)?);
            }
            skipped += 1;
        }
    }
    Ok(found)
}
