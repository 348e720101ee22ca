//! Searches over codes, source by source; those that have to scan share the reading.

use super::collector::Collector;
use super::visit::Visit;
use crate::db::answer::{Answer, Plan, QueryStats};
use crate::db::engine::SearchTools;
use crate::db::explain::Trace;
use crate::db::filter::Admission;
use crate::db::query::Effort;
use crate::db::view::View;
use crate::error::Result;
use crate::index::{self, Counters, Rows};

/// Searches from this number on share the reading of a scan.
const SHARED: usize = 8;

/// One search over codes under way.
pub(super) struct Nearest<'q> {
    pub(super) code: &'q [u8],
    pub(super) collector: Collector,
    pub(super) effort: Option<Effort>,
    pub(super) admission: Admission<'q>,
    pub(super) counters: Counters,
    /// Rows that were answered by each plan.
    tally: Vec<(Plan, u64)>,
    pub(super) exact: bool,
}

impl<'q> Nearest<'q> {
    pub(super) fn new(
        code: &'q [u8],
        collector: Collector,
        effort: Option<Effort>,
        admission: Admission<'q>,
    ) -> Self {
        let counters = Counters::default();
        Self { code, collector, effort, admission, counters, tally: Vec::new(), exact: true }
    }

    pub(super) fn into_answer(self, view: &View) -> Answer {
        let plan =
            self.tally.iter().max_by_key(|(_, rows)| *rows).map_or(Plan::Scan, |most| most.0);
        let Counters { probes, candidates, distances } = self.counters;
        let segments = view.segments.len() as u64;
        let stats = QueryStats { plan, probes, candidates, distances, segments, exact: self.exact };
        Answer { neighbors: self.collector.into_sorted(), stats }
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

/// Searches of one view that run together.
pub(super) struct Group<'a, 'q> {
    pub(super) tools: &'a SearchTools,
    pub(super) view: &'a View,
    pub(super) searches: Vec<&'a mut Nearest<'q>>,
}

impl Group<'_, '_> {
    /// Runs the searches over what the view shows.
    pub(super) fn run(&mut self, trace: &mut Trace) -> Result<()> {
        if self.searches.is_empty() {
            // A ball reads no codes, which would be checked first.
            return Ok(());
        }
        let view = self.view;
        let all: Vec<_> = (0..self.searches.len()).collect();
        for rows in view.memtable.rows() {
            trace.begin(None, rows.len());
            self.scan(&rows, &all)?;
            trace.end(Plan::Scan);
        }
        for segment in &view.segments {
            let rows = segment.rows()?;
            trace.begin(Some(segment.number()), rows.len());
            let mut scans = Vec::new();
            let shared = self.searches.len() >= SHARED;
            let mut last = Plan::Scan;
            for (place, search) in self.searches.iter_mut().enumerate() {
                let mut visit =
                    Visit { tools: self.tools, view, segment, rows, shared, trace: &mut *trace };
                match visit.search(search)? {
                    Plan::Scan => scans.push(place),
                    plan => {
                        search.note(plan, rows.len());
                        last = plan;
                    }
                }
            }
            let plan = if scans.is_empty() { last } else { Plan::Scan };
            self.scan(&rows, &scans)?;
            trace.end(plan);
        }
        Ok(())
    }

    /// Compares every code with the queries of some searches, which share the reading if there are
    /// enough of them.
    fn scan(&mut self, rows: &Rows<'_>, places: &[usize]) -> Result<()> {
        let (tools, view) = (self.tools, self.view);
        let (mut queries, mut collectors) = (Vec::new(), Vec::new());
        for &place in places {
            let search = &mut *self.searches[place];
            search.note(Plan::Scan, rows.len());
            if places.len() < SHARED || !matches!(search.admission, Admission::All) {
                search.scan(tools, view, rows)?;
            }
        }
        if places.len() < SHARED {
            return Ok(());
        }
        let mut wanted = places.iter().copied().peekable();
        for (place, search) in self.searches.iter_mut().enumerate() {
            if wanted.next_if_eq(&place).is_some() && matches!(search.admission, Admission::All) {
                search.counters.distances += rows.len() as u64;
                queries.push(search.code);
                collectors.push(&mut search.collector);
            }
        }
        let live = |id| view.is_live(id);
        let mut counted_above = Counters::default();
        index::scan_batch(rows, tools.level, &queries, &mut collectors, live, &mut counted_above);
        Ok(())
    }
}
