//! Searches that begin at addresses: the ball, and the ball ranked by codes.

use std::sync::Arc;

use super::{admission, planner};
use crate::code::{Address, Code};
use crate::db::answer::{Answer, Plan, QueryStats};
use crate::db::batch::{validate_address, validate_code};
use crate::db::engine::SearchTools;
use crate::db::explain::Trace;
use crate::db::filter::Admission;
use crate::db::query::{Query, Wanted};
use crate::db::segment::Segment;
use crate::db::view::View;
use crate::error::Result;
use crate::index::{self, Counters, Neighbor, PairTable, Rows, TopK};

/// Answers a query that begins at addresses.
pub(super) fn ball(
    tools: &SearchTools,
    view: &Arc<View>,
    query: &Query,
    trace: &mut Trace,
) -> Result<Answer> {
    let admission = admission(query, view)?;
    let counters = Counters::default();
    let mut search = BallSearch { tools, view, admission, counters, used_table: false };
    let (neighbors, plan) = match &query.wanted {
        Wanted::BallNearest { address, radius, code, k } => {
            (search.ranked(*address, *radius, code, *k, trace)?, Plan::BallThenCode)
        }
        Wanted::Ball { address, radius } => {
            let neighbors = search.all(*address, *radius, trace)?;
            (neighbors, if search.used_table { Plan::Ball } else { Plan::AddressScan })
        }
        Wanted::Nearest { .. } | Wanted::Approximate { .. } | Wanted::Within { .. } => {
            (Vec::new(), Plan::Scan)
        }
    };
    let Counters { probes, candidates, distances } = search.counters;
    let segments = view.segments.len() as u64;
    let exact = plan != Plan::BallThenCode;
    let stats = QueryStats { plan, probes, candidates, distances, segments, exact };
    Ok(Answer { neighbors, stats })
}

/// One search around an address under way.
struct BallSearch<'a> {
    tools: &'a SearchTools,
    view: &'a View,
    admission: Admission<'a>,
    counters: Counters,
    /// Whether any segment answered from its pair table.
    used_table: bool,
}

impl BallSearch<'_> {
    fn all(&mut self, address: Address, radius: u32, trace: &mut Trace) -> Result<Vec<Neighbor>> {
        validate_address(address, &self.tools.schema)?;
        let (mut found, mut hits) = (Vec::new(), Vec::new());
        self.for_each_source(address, radius, false, trace, |search, rows, table| {
            let first = found.len();
            let SearchTools { level, half_balls, .. } = search.tools;
            let counters = &mut search.counters;
            if let Some((segment, table)) = table {
                let (ball, address) = (half_balls, address.value());
                table
                    .neighbors(*level, ball, address, radius, rows, &mut found, counters)
                    .map_err(|what| segment.table_damage(what))?;
            } else {
                hits.clear();
                index::ball_scan(rows, *level, address.value(), radius, &mut hits, counters);
                found.extend(hits.iter().map(|hit| {
                    let row = hit.row as usize;
                    Neighbor {
                        distance: hit.distance,
                        id: rows.id(row),
                        address: rows.address(row),
                    }
                }));
            }
            search.retain_admitted(&mut found, first)
        })?;
        Neighbor::sort(&mut found);
        Ok(found)
    }

    /// Drops the neighbours from `first` on that do not live or that the filter does not admit.
    fn retain_admitted(&self, found: &mut Vec<Neighbor>, first: usize) -> Result<()> {
        if self.view.deleted.len() == 0 && matches!(self.admission, Admission::All) {
            return Ok(());
        }
        let mut kept = first;
        for place in first..found.len() {
            let id = found[place].id;
            if self.view.is_live(id) && self.admission.admits(self.view, id)? {
                found.swap(kept, place);
                kept += 1;
            }
        }
        found.truncate(kept);
        Ok(())
    }

    fn ranked(
        &mut self,
        address: Address,
        radius: u32,
        code: &Code,
        k: usize,
        trace: &mut Trace,
    ) -> Result<Vec<Neighbor>> {
        validate_address(address, &self.tools.schema)?;
        validate_code(code, &self.tools.schema)?;
        let (mut top, mut hits) = (TopK::new(k), Vec::new());
        self.for_each_source(address, radius, true, trace, |search, rows, table| {
            let SearchTools { level, half_balls, .. } = search.tools;
            let (view, counters) = (search.view, &mut search.counters);
            hits.clear();
            let address = address.value();
            match table {
                Some((segment, table)) => table
                    .ball(*level, half_balls, address, radius, &mut hits, counters)
                    .map_err(|what| segment.table_damage(what))?,
                None => index::ball_scan(rows, *level, address, radius, &mut hits, counters),
            }
            // Codes lie in address order: reading them in row order is reading forward.
            hits.sort_unstable();
            let positions = hits.iter().map(|hit| hit.row);
            search.admission.guard(view, |live| {
                index::rerank(rows, *level, code.as_bytes(), positions, &mut top, live, counters);
            })
        })?;
        Ok(top.into_sorted())
    }

    /// Hands each source to `visit`, with its pair table where looking the ball up costs less than a
    /// scan of the addresses; `codes` says whether it looks at codes.
    fn for_each_source(
        &mut self,
        address: Address,
        radius: u32,
        codes: bool,
        trace: &mut Trace,
        mut visit: impl FnMut(&mut Self, &Rows<'_>, Option<(&Segment, &PairTable<'_>)>) -> Result<()>,
    ) -> Result<()> {
        let view = self.view;
        for rows in view.memtable.rows() {
            trace.begin(None, rows.len());
            visit(self, &rows, None)?;
            trace.end(Plan::AddressScan);
        }
        for segment in &view.segments {
            let count = usize::try_from(segment.row_count()).unwrap_or(usize::MAX);
            trace.begin(Some(segment.number()), count);
            let table = self.table(segment, count, address, radius, trace)?;
            // What is not looked at need not be checked first.
            let rows = match table {
                _ if codes => segment.rows()?,
                Some(_) => segment.ids()?,
                None => segment.places()?,
            };
            visit(self, &rows, table.map(|table| (&**segment, table)))?;
            trace.end(if table.is_some() { Plan::Ball } else { Plan::AddressScan });
        }
        Ok(())
    }

    /// The pair table of a segment, if the ball costs less by it than by a scan of the addresses.
    fn table<'s>(
        &mut self,
        segment: &'s Segment,
        rows: usize,
        address: Address,
        radius: u32,
        trace: &mut Trace,
    ) -> Result<Option<&'s PairTable<'s>>> {
        let half_bits = self.tools.schema.address_bits.div_ceil(2);
        let scan = planner::address_scan(rows);
        trace.consider(Plan::AddressScan, scan);
        if planner::ball(half_bits, radius, 0) > scan {
            return Ok(None);
        }
        let Some(table) = segment.table()? else { return Ok(None) };
        let compared = table.cost(&self.tools.half_balls, address.value(), radius);
        let cost = planner::ball(half_bits, radius, compared);
        trace.consider(Plan::Ball, cost);
        if cost > scan {
            return Ok(None);
        }
        self.used_table = true;
        Ok(Some(table))
    }
}
