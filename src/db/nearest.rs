//! Searches over codes: the best k, everything within a radius, exact or approximate, source by
//! source in the cheapest way.

use std::sync::Arc;

use crate::db::answer::{Answer, Plan, QueryStats};
use crate::db::engine::SearchTools;
use crate::db::explain::Trace;
use crate::db::filter::Admission;
use crate::db::planner;
use crate::db::query::Effort;
use crate::db::segment::Segment;
use crate::db::view::View;
use crate::error::Result;
use crate::index::{self, Collect, Counters, Neighbor, Rows, TopK, Within};

/// What a search over codes collects.
#[derive(Debug)]
pub(crate) enum Collector {
    Top(TopK),
    Within(Within),
}

/// Calls a method of whichever collector it is.
macro_rules! delegate {
    ($collector:expr, $method:ident($($argument:expr),*)) => {
        match $collector {
            Self::Top(top) => Collect::$method(top $(, $argument)*),
            Self::Within(within) => Collect::$method(within $(, $argument)*),
        }
    };
}

impl Collect for Collector {
    #[inline]
    fn limit(&self) -> u32 {
        delegate!(self, limit())
    }

    #[inline]
    fn admits(&self, neighbor: &Neighbor) -> bool {
        delegate!(self, admits(neighbor))
    }

    fn is_void(&self) -> bool {
        delegate!(self, is_void())
    }

    #[inline]
    fn push(&mut self, neighbor: Neighbor) {
        delegate!(self, push(neighbor));
    }
}

/// One search over codes under way.
pub(crate) struct Nearest<'q> {
    code: &'q [u8],
    collector: Collector,
    effort: Option<Effort>,
    admission: Admission<'q>,
    counters: Counters,
    /// Rows that were answered by each plan.
    tally: Vec<(Plan, u64)>,
    exact: bool,
}

impl<'q> Nearest<'q> {
    pub(crate) fn new(
        code: &'q [u8],
        collector: Collector,
        effort: Option<Effort>,
        admission: Admission<'q>,
    ) -> Self {
        let counters = Counters::default();
        Self { code, collector, effort, admission, counters, tally: Vec::new(), exact: true }
    }

    pub(crate) fn into_answer(self, view: &View) -> Answer {
        let plan =
            self.tally.iter().max_by_key(|(_, rows)| *rows).map_or(Plan::Scan, |most| most.0);
        let Counters { probes, candidates, distances } = self.counters;
        let segments = view.segments.len() as u64;
        let stats = QueryStats { plan, probes, candidates, distances, segments, exact: self.exact };
        let neighbors = match self.collector {
            Collector::Top(top) => top.into_sorted(),
            Collector::Within(within) => within.into_sorted(),
        };
        Answer { neighbors, stats }
    }

    fn note(&mut self, plan: Plan, rows: usize) {
        match self.tally.iter_mut().find(|(noted, _)| *noted == plan) {
            Some((_, sum)) => *sum += rows as u64,
            None => self.tally.push((plan, rows as u64)),
        }
    }

    /// Compares every code of a source.
    fn scan(&mut self, tools: &SearchTools, view: &View, rows: &Rows<'_>) -> Result<()> {
        let Self { code, collector, admission, counters, .. } = self;
        admission.guard(view, |live| {
            index::scan(rows, tools.level, code, collector, live, counters);
        })
    }
}

/// Runs the searches over what the view shows.
pub(crate) fn search_codes(
    tools: &SearchTools,
    view: &Arc<View>,
    searches: &mut [&mut Nearest<'_>],
    trace: &mut Trace,
) -> Result<()> {
    for rows in view.memtable.rows() {
        for search in &mut *searches {
            trace.begin(None, rows.len());
            search.scan(tools, view, &rows)?;
            search.note(Plan::Scan, rows.len());
            trace.end(Plan::Scan);
        }
    }
    for segment in &view.segments {
        for search in &mut *searches {
            let rows = segment.rows()?;
            trace.begin(Some(segment.number()), rows.len());
            let plan = search_segment(tools, view, segment, &rows, search, trace)?;
            search.note(plan, rows.len());
            trace.end(plan);
        }
    }
    Ok(())
}

/// Searches one segment in the cheapest way.
fn search_segment(
    tools: &SearchTools,
    view: &View,
    segment: &Segment,
    rows: &Rows<'_>,
    search: &mut Nearest<'_>,
    trace: &mut Trace,
) -> Result<Plan> {
    let scan = planner::scan(rows.len(), rows.code_bytes());
    trace.consider(Plan::Scan, scan);
    if let Admission::Selected(selection) = &search.admission {
        let selected = selection.rows(segment)?;
        let cost = planner::fetch(selected.len(), rows.code_bytes());
        trace.consider(Plan::Selection, cost);
        if cost <= scan {
            let Nearest { code, collector, counters, .. } = search;
            let live = |id| view.is_live(id);
            let selected = selected.iter().copied();
            index::rerank(rows, tools.level, code, selected, collector, live, counters);
            return Ok(Plan::Selection);
        }
    }
    search.scan(tools, view, rows)?;
    Ok(Plan::Scan)
}
