//! Runs a query over the memtable and the segments of one view and merges the answers.

use crate::code::{Address, Code, ball_size};
use crate::db::batch::{validate_address, validate_code};
use crate::db::engine::SearchTools;
use crate::db::query::{Answer, Plan, Query, QueryStats, Wanted};
use crate::db::segment::Segment;
use crate::db::view::View;
use crate::error::Result;
use crate::index::{self, Counters, Hit, Neighbor, Rows, TopK, Within};

/// What a probe costs, in addresses of a scan: a cache line of its own, about 10 ns, where a scan
/// compares an address in 0.25 ns (docs/results.md).
const SCANNED_ROWS_A_PROBE: u64 = 40;
/// What a row of a probed bucket costs, in the same coin: 0.4 to 1 ns.
const SCANNED_ROWS_A_ROW: u64 = 4;

/// One search under way.
struct Search<'a> {
    tools: &'a SearchTools,
    view: &'a View,
    counters: Counters,
    /// Whether any segment answered from its pair table.
    used_table: bool,
}

/// Answers the query over what the view shows.
pub(crate) fn search(tools: &SearchTools, view: &View, query: &Query) -> Result<Answer> {
    let mut search = Search { tools, view, counters: Counters::default(), used_table: false };
    let (neighbors, plan) = match &query.wanted {
        Wanted::Nearest { code, k } => (search.nearest(code, *k)?, Plan::Scan),
        Wanted::Within { code, radius } => (search.within(code, *radius)?, Plan::Scan),
        Wanted::Ball { address, radius } => {
            let neighbors = search.ball(*address, *radius)?;
            (neighbors, if search.used_table { Plan::Ball } else { Plan::AddressScan })
        }
        Wanted::BallNearest { address, radius, code, k } => {
            (search.ball_nearest(*address, *radius, code, *k)?, Plan::BallThenCode)
        }
    };
    let Counters { probes, candidates, distances } = search.counters;
    let segments = view.segments.len() as u64;
    let exact = plan != Plan::BallThenCode;
    let stats = QueryStats { plan, probes, candidates, distances, segments, exact };
    Ok(Answer { neighbors, stats })
}

impl Search<'_> {
    fn nearest(&mut self, code: &Code, k: usize) -> Result<Vec<Neighbor>> {
        validate_code(code, &self.tools.schema)?;
        let mut top = TopK::new(k);
        let (level, view, counters) = (self.tools.level, self.view, &mut self.counters);
        for rows in all_rows(view) {
            let live = |id| view.is_live(id);
            index::scan(&rows?, level, code.as_bytes(), &mut top, live, counters);
        }
        Ok(top.into_sorted())
    }

    fn within(&mut self, code: &Code, radius: u32) -> Result<Vec<Neighbor>> {
        validate_code(code, &self.tools.schema)?;
        let mut found = Within::new(radius);
        let (level, view, counters) = (self.tools.level, self.view, &mut self.counters);
        for rows in all_rows(view) {
            let live = |id| view.is_live(id);
            index::scan(&rows?, level, code.as_bytes(), &mut found, live, counters);
        }
        Ok(found.into_sorted())
    }

    fn ball(&mut self, address: Address, radius: u32) -> Result<Vec<Neighbor>> {
        validate_address(address, &self.tools.schema)?;
        let view = self.view;
        let mut found = Vec::new();
        self.for_each_ball(address, radius, |rows, hits, _| {
            for hit in hits {
                let id = rows.id(hit.row as usize);
                if view.is_live(id) {
                    let address = rows.address(hit.row as usize);
                    found.push(Neighbor { distance: hit.distance, id, address });
                }
            }
        })?;
        found.sort_unstable();
        Ok(found)
    }

    fn ball_nearest(
        &mut self,
        address: Address,
        radius: u32,
        code: &Code,
        k: usize,
    ) -> Result<Vec<Neighbor>> {
        validate_address(address, &self.tools.schema)?;
        validate_code(code, &self.tools.schema)?;
        let (level, view) = (self.tools.level, self.view);
        let mut top = TopK::new(k);
        self.for_each_ball(address, radius, |rows, hits, counters| {
            // Codes lie in address order: reading them in row order is reading forward.
            hits.sort_unstable();
            let positions = hits.iter().map(|hit| hit.row);
            let live = |id| view.is_live(id);
            index::rerank(rows, level, code.as_bytes(), positions, &mut top, live, counters);
        })?;
        Ok(top.into_sorted())
    }

    /// Hands the rows of the ball to `visit`, source by source, deleted ones included.
    fn for_each_ball(
        &mut self,
        address: Address,
        radius: u32,
        mut visit: impl FnMut(&Rows<'_>, &mut Vec<Hit>, &mut Counters),
    ) -> Result<()> {
        let mut hits = Vec::new();
        for rows in self.view.memtable.rows() {
            hits.clear();
            self.scan_ball(&rows, address, radius, &mut hits);
            visit(&rows, &mut hits, &mut self.counters);
        }
        for segment in &self.view.segments {
            hits.clear();
            self.segment_ball(segment, address, radius, &mut hits)?;
            visit(&segment.rows()?, &mut hits, &mut self.counters);
        }
        Ok(())
    }

    /// The ball in one segment, by its pair table or by a scan of its addresses, whichever costs
    /// less.
    fn segment_ball(
        &mut self,
        segment: &Segment,
        address: Address,
        radius: u32,
        hits: &mut Vec<Hit>,
    ) -> Result<()> {
        let (level, balls) = (self.tools.level, &self.tools.half_balls);
        let half_bits = self.tools.schema.address_bits.div_ceil(2);
        let probes = 2 * ball_size(half_bits, radius / 2) * SCANNED_ROWS_A_PROBE;
        if probes <= segment.row_count()
            && let Some(table) = segment.table()?
        {
            let rows = table.cost(balls, address.value(), radius) * SCANNED_ROWS_A_ROW;
            if probes + rows <= segment.row_count() {
                self.used_table = true;
                table.ball(level, balls, address.value(), radius, hits, &mut self.counters);
                return Ok(());
            }
        }
        self.scan_ball(&segment.rows()?, address, radius, hits);
        Ok(())
    }

    fn scan_ball(&mut self, rows: &Rows<'_>, address: Address, radius: u32, hits: &mut Vec<Hit>) {
        index::ball_scan(rows, self.tools.level, address.value(), radius, hits, &mut self.counters);
    }
}

/// Everything that a view shows, memtable first.
fn all_rows(view: &View) -> impl Iterator<Item = Result<Rows<'_>>> {
    view.memtable.rows().map(Ok).chain(view.segments.iter().map(|segment| segment.rows()))
}
