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
use crate::index::{self, Counters, Hit, Neighbor, Rows, TopK};

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
        let mut found = Vec::new();
        self.for_each_source(address, radius, trace, |search, rows, hits| {
            let first = found.len();
            // A loop of its own, in which the cache misses of many rows are under way together.
            found.extend(hits.iter().map(|hit| {
                let row = hit.row as usize;
                Neighbor { distance: hit.distance, id: rows.id(row), address: rows.address(row) }
            }));
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
        let level = self.tools.level;
        let mut top = TopK::new(k);
        self.for_each_source(address, radius, trace, |search, rows, hits| {
            // Codes lie in address order: reading them in row order is reading forward.
            hits.sort_unstable();
            let positions = hits.iter().map(|hit| hit.row);
            let (view, counters) = (search.view, &mut search.counters);
            search.admission.guard(view, |live| {
                index::rerank(rows, level, code.as_bytes(), positions, &mut top, live, counters);
            })
        })?;
        Ok(top.into_sorted())
    }

    /// Hands the rows of the ball to `visit`, source by source, deleted ones included.
    fn for_each_source(
        &mut self,
        address: Address,
        radius: u32,
        trace: &mut Trace,
        mut visit: impl FnMut(&mut Self, &Rows<'_>, &mut Vec<Hit>) -> Result<()>,
    ) -> Result<()> {
        let (view, mut hits) = (self.view, Vec::new());
        for rows in view.memtable.rows() {
            trace.begin(None, rows.len());
            hits.clear();
            self.scan(&rows, address, radius, &mut hits);
            visit(self, &rows, &mut hits)?;
            trace.end(Plan::AddressScan);
        }
        for segment in &view.segments {
            let rows = segment.rows()?;
            trace.begin(Some(segment.number()), rows.len());
            hits.clear();
            let plan = self.segment(segment, &rows, address, radius, &mut hits, trace)?;
            visit(self, &rows, &mut hits)?;
            trace.end(plan);
        }
        Ok(())
    }

    /// The ball in one segment, by its pair table or by a scan of its addresses, whichever costs
    /// less.
    fn segment(
        &mut self,
        segment: &Segment,
        rows: &Rows<'_>,
        address: Address,
        radius: u32,
        hits: &mut Vec<Hit>,
        trace: &mut Trace,
    ) -> Result<Plan> {
        let (level, balls) = (self.tools.level, &self.tools.half_balls);
        let half_bits = self.tools.schema.address_bits.div_ceil(2);
        let scan = planner::address_scan(rows.len());
        trace.consider(Plan::AddressScan, scan);
        let least = planner::ball(half_bits, radius, 0);
        if least <= scan
            && let Some(table) = segment.table()?
        {
            let rows = table.cost(balls, address.value(), radius);
            let cost = planner::ball(half_bits, radius, rows);
            trace.consider(Plan::Ball, cost);
            if cost <= scan {
                self.used_table = true;
                table.ball(level, balls, address.value(), radius, hits, &mut self.counters);
                return Ok(Plan::Ball);
            }
        }
        self.scan(rows, address, radius, hits);
        Ok(Plan::AddressScan)
    }

    fn scan(&mut self, rows: &Rows<'_>, address: Address, radius: u32, hits: &mut Vec<Hit>) {
        index::ball_scan(rows, self.tools.level, address.value(), radius, hits, &mut self.counters);
    }
}
