//! One search in one segment: what the indexes would cost, and the cheapest of them.

use super::collector::Collector;
use super::nearest::Nearest;
use super::planner::{self, Cost};
use std::sync::Arc;

use crate::db::answer::Plan;
use crate::db::engine::SearchTools;
use crate::db::explain::Trace;
use crate::db::filter::Admission;
use crate::db::query::Effort;
use crate::db::segment::Segment;
use crate::db::view::View;
use crate::error::Result;
use crate::hamming::Level;
use crate::index::{
    self, Budget, Clusters, Collect as _, Counters, MultiIndex, Prefixes, Prepared, Probe, Rows,
    TopK,
};

/// Lists that are searched for a bound of the k-th distance.
const BOUNDING_LISTS: usize = 8;

/// A search that visits a segment.
pub(super) struct Visit<'a> {
    pub(super) tools: &'a SearchTools,
    pub(super) view: &'a View,
    pub(super) segment: &'a Arc<Segment>,
    pub(super) rows: Rows<'a>,
    /// Whether others scan with it.
    pub(super) shared: bool,
    pub(super) trace: &'a mut Trace,
}

impl Visit<'_> {
    /// Searches the segment in the cheapest way; if that is the scan, it is left to the caller.
    pub(super) fn search(&mut self, search: &mut Nearest<'_>) -> Result<Plan> {
        if search.collector.is_void() {
            return Ok(Plan::Scan);
        }
        if let Some(plan) = self.selection(search)? {
            return Ok(plan);
        }
        if let Some(plan) = self.lists(search)? {
            return Ok(plan);
        }
        self.exact(search)
    }

    /// What a scan costs this search.
    fn scan_cost(&self, search: &Nearest<'_>) -> Cost {
        let (rows, width) = (self.rows.len(), self.rows.code_bytes());
        if self.shared && matches!(search.admission, Admission::All) {
            planner::scan_in_batch(rows, width)
        } else {
            planner::scan(rows, width)
        }
    }

    fn weigh(&mut self, plan: Plan, cost: Cost) -> Cost {
        self.trace.consider(plan, cost);
        cost
    }

    /// The rows that a filter selects, if they are few.
    fn selection(&mut self, search: &mut Nearest<'_>) -> Result<Option<Plan>> {
        let (scan, width) = (self.scan_cost(search), self.rows.code_bytes());
        let most = planner::fetches(scan, width);
        let Some(selected) = search.admission.rows(self.view, self.segment, most)? else {
            return Ok(None);
        };
        if self.weigh(Plan::Selection, planner::fetch(selected.len(), width)) > scan {
            return Ok(None);
        }
        let Nearest { code, collector, counters, .. } = search;
        let live = |id| self.view.is_live(id);
        let selected = selected.iter().copied();
        index::rerank(&self.rows, self.tools.level, code, selected, collector, live, counters);
        Ok(Some(Plan::Selection))
    }

    /// The nearest lists, if the query is content with them. They were calibrated for queries
    /// without a filter: one with a filter is answered exactly.
    fn lists(&mut self, search: &mut Nearest<'_>) -> Result<Option<Plan>> {
        let (Some(effort), Admission::All) = (search.effort, &search.admission) else {
            return Ok(None);
        };
        let (Collector::Top(top), Some(clusters)) = (&search.collector, self.segment.clusters()?)
        else {
            return Ok(None);
        };
        let wanted = top.k().min(self.rows.len());
        let budget = match effort {
            Effort::Recall(recall) => clusters.budget(top.k(), recall),
            Effort::Lists(count) => {
                Some(Budget::of_lists(u32::try_from(count).unwrap_or(u32::MAX)))
            }
        };
        let Some(budget) = budget else { return Ok(None) };
        let probe = clusters.probe(self.tools.level, search.code);
        let mut found = TopK::new(top.k());
        let Nearest { collector, counters, .. } = search;
        let live = |id| self.view.is_live(id);
        let scanned = clusters.scan_lists(&probe, budget, &self.rows, &mut found, live, counters);
        let found = found.into_sorted();
        if found.len() < wanted {
            // Few lists for so many neighbours, or their rows are deleted: all are looked at.
            return Ok(None);
        }
        found.into_iter().for_each(|neighbor| collector.push(neighbor));
        search.exact &= scanned == clusters.lists();
        Ok(Some(Plan::Lists))
    }

    /// The cheapest exact way. A k-NN query is first told a bound by the nearest lists: what is left
    /// is a range search within it, whose cost each index can tell.
    fn exact(&mut self, search: &mut Nearest<'_>) -> Result<Plan> {
        let scan = self.scan_cost(search);
        self.weigh(Plan::Scan, scan);
        if scan < planner::WORTH_PLANNING {
            return Ok(Plan::Scan);
        }
        let (level, width) = (self.tools.level, self.rows.code_bytes());
        let clusters = self.segment.clusters()?;
        let mut probe = None;
        if let (Some(clusters), Collector::Top(top)) = (clusters, &search.collector)
            && planner::bound(top.k()) < scan
        {
            let probed = clusters.probe(level, search.code);
            self.bound(search, clusters, &probed)?;
            probe = Some(probed);
        }
        let limit = search.collector.limit();
        if limit == u32::MAX {
            return Ok(Plan::Scan);
        }
        let (mut best, mut least) = (Way::Scan, scan);
        if let Some(multi) = self.segment.multi_index()?
            && let Some((prepared, cost)) = self.prepared(multi, search.code, limit, least)
        {
            (best, least) = (Way::MultiIndex(prepared), cost);
        }
        // Looking costs too: only where little of it can save much.
        if let Some(clusters) = clusters
            && (probe.is_some() || planner::probe(clusters.lists(), width) < least / 4.0)
        {
            let probe = probe.unwrap_or_else(|| clusters.probe(level, search.code));
            let lists = clusters.lists_in_reach(&probe, limit);
            if planner::rings(lists, 0, width) < least / 2.0 {
                let cost = planner::rings(lists, clusters.ring_rows(&probe, limit), width);
                if self.weigh(Plan::Rings, cost) < least {
                    (best, least) = (Way::Rings(clusters, probe), cost);
                }
            }
        }
        if planner::prefix_scan(self.rows.len(), 0.0) < least / 1.5
            && let Some(prefixes) = self.segment.prefixes()?
        {
            let passed = prefixes.pass_rate(level, search.code, limit);
            let cost = planner::prefix_scan(self.rows.len(), passed);
            if self.weigh(Plan::PrefixScan, cost) < least {
                best = Way::PrefixScan(prefixes);
            }
        }
        let (view, rows) = (self.view, &self.rows);
        let Nearest { code, collector, admission, counters, .. } = search;
        admission.guard(view, |live| best.search(rows, level, code, collector, live, counters))?;
        Ok(best.plan())
    }

    /// Looks up the buckets of a radius, if what they hold may cost less than `most`.
    fn prepared<'i, 'a>(
        &mut self,
        multi: &'i MultiIndex<'a>,
        code: &'i [u8],
        radius: u32,
        most: Cost,
    ) -> Option<(Prepared<'i, 'a>, Cost)> {
        let width = self.rows.code_bytes();
        let expected = multi.expected(radius)?;
        if planner::multi_index_probes(expected) >= most {
            self.weigh(Plan::MultiIndex, planner::multi_index(expected, width));
            return None;
        }
        let prepared = multi.prepare(self.tools.level, code, radius)?;
        let cost = self.weigh(Plan::MultiIndex, planner::multi_index(prepared.cost(), width));
        (cost < most).then_some((prepared, cost))
    }

    /// Narrows a k-NN search to the distance of the k-th nearest in the nearest lists.
    fn bound(
        &self,
        search: &mut Nearest<'_>,
        clusters: &Clusters<'_>,
        probe: &Probe<'_>,
    ) -> Result<()> {
        let Nearest { collector: Collector::Top(top), admission, counters, .. } = search else {
            return Ok(());
        };
        let mut near = TopK::new(top.k());
        // Twice as many rows as are wanted, and enough for a good bound of few.
        let rows_a_list = self.rows.len() / clusters.lists().max(1);
        let lists = (2 * top.k() / rows_a_list.max(1)).saturating_add(BOUNDING_LISTS);
        if lists > clusters.lists() / 4 {
            return Ok(());
        }
        let budget = Budget::of_lists(u32::try_from(lists).unwrap_or(u32::MAX));
        admission.guard(self.view, |live| {
            clusters.scan_lists(probe, budget, &self.rows, &mut near, live, counters);
        })?;
        if let Some(limit) = near.limit() {
            top.narrow(limit);
        }
        Ok(())
    }
}

/// An exact way of searching a segment, with what was looked up to learn its cost.
enum Way<'s, 'c> {
    Scan,
    MultiIndex(Prepared<'s, 's>),
    Rings(&'s Clusters<'s>, Probe<'c>),
    PrefixScan(Prefixes<'s>),
}

impl Way<'_, '_> {
    fn plan(&self) -> Plan {
        match self {
            Self::Scan => Plan::Scan,
            Self::MultiIndex(_) => Plan::MultiIndex,
            Self::Rings(..) => Plan::Rings,
            Self::PrefixScan(_) => Plan::PrefixScan,
        }
    }

    /// Searches, unless it is the scan: that one is left to the caller.
    fn search(
        &self,
        rows: &Rows<'_>,
        level: Level,
        code: &[u8],
        into: &mut Collector,
        live: &dyn Fn(u64) -> bool,
        counters: &mut Counters,
    ) {
        match self {
            Self::Scan => {}
            Self::MultiIndex(prepared) => prepared.search(rows, into, live, counters),
            Self::Rings(clusters, probe) => clusters.scan_rings(probe, rows, into, live, counters),
            Self::PrefixScan(prefixes) => prefixes.scan(rows, level, code, into, live, counters),
        }
    }
}
