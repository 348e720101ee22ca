//! Searches over patch addresses: the scores of all rows, source by source, then the best of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::db::answer::{Plan, QueryStats};
use crate::db::engine::SearchTools;
use crate::db::explain::Trace;
use crate::db::filter::Admission;
use crate::db::patches::{Joined, PatchAnswer, PatchMatch, PatchQuery};
use crate::db::segment::Segment;
use crate::db::view::View;
use crate::error::{Corruption, Result};
use crate::hamming;
use crate::index::{Counters, PatchLists, PatchTally, RankSums, Rows, distinct_patches};

/// What stands in the place of a score where the row is no record, or none that the filter admits.
const NONE: u32 = u32::MAX;

/// The rows of one source and what they score.
struct Scored<'a> {
    rows: Rows<'a>,
    scores: Vec<u32>,
}

/// Answers a query over what the view shows.
pub(crate) fn search_patches(
    tools: &SearchTools,
    view: &Arc<View>,
    query: &PatchQuery,
    trace: &mut Trace,
) -> Result<PatchAnswer> {
    query.validate(&tools.schema)?;
    let admission = query.filter.as_ref().map_or(Ok(Admission::All), |filter| filter.resolve(view));
    let admission = admission?;
    let patches = distinct_patches(query.patches.iter().map(|patch| patch.value()));
    let counters = Counters::default();
    let mut search = PatchSearch { tools, view, query, patches, counters, trace };
    let sources = search.score()?;
    let matches = match &query.joined {
        None => search.best(&sources, &admission)?,
        Some(joined) => search.joined(sources, joined, &admission)?,
    };
    let Counters { probes, candidates, distances } = search.counters;
    let segments = view.segments.len() as u64;
    let stats =
        QueryStats { plan: Plan::Patches, probes, candidates, distances, segments, exact: true };
    Ok(PatchAnswer { matches, stats })
}

struct PatchSearch<'a> {
    tools: &'a SearchTools,
    view: &'a View,
    query: &'a PatchQuery,
    patches: Vec<(u32, u32)>,
    counters: Counters,
    trace: &'a mut Trace,
}

impl<'a> PatchSearch<'a> {
    /// The scores of all rows that there are, dead ones included.
    fn score(&mut self) -> Result<Vec<Scored<'a>>> {
        let view = self.view;
        let mut sources = Vec::new();
        for run in view.memtable.runs() {
            self.trace.begin(None, run.len());
            let (rows, scores) = (run.rows(), self.scan(run.len(), &run.patches));
            self.trace.end(Plan::Patches);
            sources.push(Scored { rows, scores });
        }
        for segment in &view.segments {
            let codes = self.query.joined.is_some();
            // Without patches only the ranking by codes is left to be told.
            if segment.patches()?.is_none() && !codes {
                continue;
            }
            let rows = if codes { segment.rows()? } else { segment.places()? };
            self.trace.begin(Some(segment.number()), rows.len());
            let scores = self.look_up(segment, rows.len())?;
            self.trace.end(Plan::Patches);
            sources.push(Scored { rows, scores });
        }
        Ok(sources)
    }

    fn tally(&self, rows: usize) -> PatchTally {
        PatchTally::new(rows, self.query.radius, self.query.counting)
    }

    /// Scores the rows of the memtable, by comparing all of their patches.
    fn scan(&mut self, rows: usize, lists: &PatchLists) -> Vec<u32> {
        let mut tally = self.tally(rows);
        if !lists.is_empty() {
            for &(patch, times) in &self.patches {
                lists.near(self.tools.level, patch, &mut tally);
                tally.count(self.tools.level, times);
                self.counters.distances += lists.len() as u64;
            }
        }
        // Its own lists name its own rows.
        tally.finish().unwrap_or_default()
    }

    /// Scores the rows of a segment by its patch table.
    fn look_up(&mut self, segment: &Segment, rows: usize) -> Result<Vec<u32>> {
        let Some(table) = segment.patches()? else { return Ok(vec![0; rows]) };
        let SearchTools { level, half_balls, .. } = self.tools;
        let (mut tally, mut hits) = (self.tally(rows), Default::default());
        for &(patch, times) in &self.patches {
            let counters = &mut self.counters;
            table.near(*level, half_balls, patch, &mut tally, &mut hits, counters);
            tally.count(*level, times);
        }
        tally.finish().map_err(|row| {
            let field = "patch row";
            segment.patch_damage(Corruption::OutOfRange { field, value: row.into() })
        })
    }

    /// The records of the highest scores, ties by id.
    fn best(&self, sources: &[Scored<'_>], admission: &Admission<'_>) -> Result<Vec<PatchMatch>> {
        let k = self.query.k;
        // The worst on top.
        let mut heap = BinaryHeap::new();
        let mut least = 1;
        for Scored { rows, scores } in sources {
            for (row, &score) in scores.iter().enumerate() {
                if score < least || k == 0 {
                    continue;
                }
                let place = (Reverse(score), rows.id(row), rows.address(row));
                let full = heap.len() >= k;
                if full && heap.peek().is_some_and(|worst| *worst < place) {
                    continue;
                }
                if !self.view.is_live(place.1) || !admission.admits(self.view, place.1)? {
                    continue;
                }
                if full {
                    heap.pop();
                }
                heap.push(place);
                if heap.len() >= k {
                    least = heap.peek().map_or(1, |(Reverse(score), ..)| *score);
                }
            }
        }
        let found = heap.into_sorted_vec().into_iter();
        let matched =
            |(Reverse(score), id, address)| PatchMatch { id, address, score, joined: None };
        Ok(found.map(matched).collect())
    }

    /// The records of the least sums of ranks, ties by id.
    fn joined(
        &mut self,
        mut sources: Vec<Scored<'_>>,
        joined: &Joined,
        admission: &Admission<'_>,
    ) -> Result<Vec<PatchMatch>> {
        let mut all_distances = Vec::with_capacity(sources.len());
        let mut sums = RankSums::new(joined.patch_weight, joined.code_weight);
        for (source, Scored { rows, scores }) in sources.iter_mut().enumerate() {
            self.trace.resume(source);
            let mut distances = vec![0; rows.len()];
            hamming::distances(
                self.tools.level,
                joined.code.as_bytes(),
                rows.codes(),
                &mut distances,
            );
            self.counters.distances += rows.len() as u64;
            for (row, score) in scores.iter_mut().enumerate() {
                let id = rows.id(row);
                if !self.view.is_live(id) || !admission.admits(self.view, id)? {
                    *score = NONE;
                    continue;
                }
                sums.count(*score, distances[row]);
            }
            all_distances.push(distances);
            self.trace.end(Plan::Patches);
        }
        sums.settle();
        let mut heap = BinaryHeap::new();
        for (Scored { rows, scores }, distances) in sources.iter().zip(&all_distances) {
            for (row, (&score, &distance)) in scores.iter().zip(distances).enumerate() {
                if score == NONE {
                    continue;
                }
                let sum = sums.sum(score, distance);
                let place =
                    Place { sum, id: rows.id(row), score, distance, address: rows.address(row) };
                if heap.len() < self.query.k {
                    heap.push(place);
                } else if let Some(mut worst) = heap.peek_mut()
                    && place < *worst
                {
                    *worst = place;
                }
            }
        }
        let found = heap.into_sorted_vec().into_iter();
        let matched = |Place { sum, id, score, distance, address }| PatchMatch {
            id,
            address,
            score,
            joined: Some((distance, sum)),
        };
        Ok(found.map(matched).collect())
    }
}

/// A record in the joined ranking, by its sum of ranks, then by its id.
#[derive(Debug, Clone, Copy)]
struct Place {
    sum: f64,
    id: u64,
    score: u32,
    distance: u32,
    address: u32,
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.sum.total_cmp(&other.sum).then(self.id.cmp(&other.id))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Place {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Place {}
