//! Searches in lists: a few of them whole, or of each what the triangle inequality leaves.

use std::ops::Range;

use super::calibration::Budget;
use super::probe::Near;
use super::{Clusters, Probe};
use crate::hamming;
use crate::index::{Collect, Counters, Neighbor, Rows};

/// Lists that are searched first, nearest first, so that the best k are soon near enough to rule
/// out most of the others.
const FIRST: usize = 16;

/// Codes are asked for so many lists before they are compared.
const AHEAD: usize = 2;

impl Clusters<'_> {
    /// Offers to `into` the live rows of the nearest lists, as many as `budget` says, and returns
    /// how many lists there were.
    ///
    /// `probe` is that of the query. Cost: reads the codes of the lists once.
    ///
    /// # Panics
    ///
    /// If the probe or `rows` are those of other columns.
    pub fn scan_lists(
        &self,
        probe: &Probe<'_>,
        budget: Budget,
        rows: &Rows<'_>,
        into: &mut impl Collect,
        live: impl Fn(u64) -> bool,
        counters: &mut Counters,
    ) -> usize {
        self.check(probe, rows);
        if into.is_void() {
            return 0;
        }
        let mut sink = Living { positions: self.rows, rows, into, live };
        let nearest = probe.nearest(budget.lists());
        for (index, near) in nearest.iter().enumerate() {
            if let Some(next) = nearest.get(index + AHEAD) {
                self.prefetch(probe, self.entries(next.list as usize));
            }
            let entries = self.entries(near.list as usize);
            counters.distances += entries.len() as u64;
            self.compare(probe, entries, &mut sink);
        }
        counters.probes += nearest.len() as u64;
        nearest.len()
    }

    /// How many lists can hold a row within `limit`.
    ///
    /// Cost: half a nanosecond a list.
    #[must_use]
    pub fn lists_in_reach(&self, probe: &Probe<'_>, limit: u32) -> usize {
        let lists = probe.all().zip(&self.reaches);
        lists.filter(|(near, reach)| near.distance.saturating_sub(**reach) <= limit).count()
    }

    /// How many rows [`Clusters::scan_rings`] would compare for everything within `limit`.
    ///
    /// Cost: some ten nanoseconds for each list in reach.
    #[must_use]
    pub fn ring_rows(&self, probe: &Probe<'_>, limit: u32) -> u64 {
        let ring = |near| self.ring(near, limit).len() as u64;
        self.in_reach(probe, limit).into_iter().map(ring).sum()
    }

    /// Offers to `into` every live row that the triangle inequality does not rule out: all that lie
    /// within its limit.
    ///
    /// `probe` is that of the query. Cost: [`Clusters::ring_rows`] tells how many codes are read for
    /// a limit that is known beforehand.
    ///
    /// # Panics
    ///
    /// If the probe or `rows` are those of other columns.
    pub fn scan_rings(
        &self,
        probe: &Probe<'_>,
        rows: &Rows<'_>,
        into: &mut impl Collect,
        live: impl Fn(u64) -> bool,
        counters: &mut Counters,
    ) {
        self.check(probe, rows);
        if !into.is_void() {
            let mut sink = Living { positions: self.rows, rows, into, live };
            self.within(probe, &mut sink, counters);
        }
    }

    /// Offers to `sink` every entry that can lie within its limit, each once.
    fn within<C: Collect, L: Fn(u64) -> bool>(
        &self,
        probe: &Probe<'_>,
        sink: &mut Living<'_, C, L>,
        counters: &mut Counters,
    ) {
        let mut visit = |near: Near, sink: &mut Living<'_, C, L>| {
            let entries = self.ring(near, sink.limit());
            if !entries.is_empty() {
                counters.probes += 1;
                counters.distances += entries.len() as u64;
                self.compare(probe, entries, sink);
            }
        };
        let first = probe.nearest(FIRST);
        for near in &first {
            visit(*near, sink);
        }
        let last = first.last().copied();
        let others = self.in_reach(probe, sink.limit());
        for (index, near) in others.iter().enumerate() {
            if let Some(next) = others.get(index + AHEAD) {
                self.prefetch(probe, self.ring(*next, sink.limit()));
            }
            if Some(*near) > last {
                visit(*near, sink);
            }
        }
    }

    /// Asks for the codes of some entries.
    #[inline]
    fn prefetch(&self, probe: &Probe<'_>, entries: Range<usize>) {
        let codes = &self.codes[entries.start * self.code_bytes..entries.end * self.code_bytes];
        hamming::prefetch(probe.level, codes);
    }

    /// Compares some entries of a list.
    #[inline]
    fn compare<C: Collect, L: Fn(u64) -> bool>(
        &self,
        probe: &Probe<'_>,
        entries: Range<usize>,
        sink: &mut Living<'_, C, L>,
    ) {
        let codes = &self.codes[entries.start * self.code_bytes..entries.end * self.code_bytes];
        hamming::rows_within(probe.level, probe.query, codes, sink.limit(), |index, distance| {
            sink.take(entries.start + index, distance);
            sink.limit()
        });
    }

    /// The lists whose farthest entry can lie within `limit` of the query.
    fn in_reach(&self, probe: &Probe<'_>, limit: u32) -> Vec<Near> {
        let mut least = vec![0; self.lists()];
        for ((least, near), reach) in least.iter_mut().zip(probe.all()).zip(&self.reaches) {
            *least = near.distance.saturating_sub(*reach);
        }
        let mut lists = Vec::new();
        hamming::at_most(probe.level, &least, limit, |list| lists.extend(probe.near(list)));
        lists
    }

    /// The entries of a list that can lie within `limit` of the query.
    #[inline]
    fn ring(&self, near: Near, limit: u32) -> Range<usize> {
        let Near { distance, list } = near;
        let entries = self.entries(list as usize);
        // No distance exceeds 1024.
        let bounded = |distance: u32| u16::try_from(distance).unwrap_or(u16::MAX - 1);
        let nearest = bounded(distance.saturating_sub(limit));
        let farthest = bounded(distance.saturating_add(limit));
        let ring = self.rings[list as usize].within(nearest, farthest, entries.len());
        entries.start + ring.start..entries.start + ring.end
    }

    fn check(&self, probe: &Probe<'_>, rows: &Rows<'_>) {
        assert_eq!(rows.len(), self.len(), "lists are searched with the rows that they hold");
        assert_eq!(probe.lists(), self.lists(), "a probe belongs to its lists");
        assert_eq!(probe.query.len(), self.code_bytes, "a probe belongs to its lists");
    }
}

/// Hands the live ones among near entries to a collector.
struct Living<'a, C, L> {
    /// The row of each entry, below the number of rows.
    positions: &'a [[u8; 4]],
    rows: &'a Rows<'a>,
    into: &'a mut C,
    live: L,
}

impl<C: Collect, L: Fn(u64) -> bool> Living<'_, C, L> {
    /// The largest distance that is of interest. It never rises.
    #[inline]
    fn limit(&self) -> u32 {
        self.into.limit()
    }

    /// Takes an entry within that limit.
    #[inline]
    fn take(&mut self, entry: usize, distance: u32) {
        let row = u32::from_le_bytes(self.positions[entry]) as usize;
        let neighbor =
            Neighbor { distance, id: self.rows.id(row), address: self.rows.address(row) };
        if self.into.admits(&neighbor) && (self.live)(neighbor.id) {
            self.into.push(neighbor);
        }
    }
}
