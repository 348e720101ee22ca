//! How many lists a recall needs, measured on rows of the segment itself.
//!
//! Some rows that the centroids were not trained on are taken for queries. Of each the exact
//! neighbours are found, itself left out, and how many of them stand in its nearest list, in its
//! two nearest, and so on. What holds for these rows holds for queries that are like them.

use super::{Clusters, Probe};
use crate::bytes::{Reader, Writer};
use crate::error::Corruption;
use crate::hamming::{self, Level};
use crate::index::workers::{self, Workers};

/// Numbers of neighbours whose recall is measured.
const KS: [usize; 3] = [1, 10, 100];

/// Queries: as many as compare [`PAIRS`] pairs of codes, within these bounds.
const QUERIES: std::ops::RangeInclusive<usize> = 256..=1024;
const PAIRS: usize = 1 << 29;

/// Queries that pass over the entries together: their codes fit into the nearest cache, and the fewest
/// that are measured are work for several threads.
const TOGETHER: usize = 64;

/// Near entries of a query that are kept.
const MOST_NEAR: usize = 4096;

/// A share of one is stored as this.
const ONE: f64 = 65_535.0;

/// Standard errors that are taken off a recall: of 20 measurements, 19 are no better than that.
const MARGIN: f64 = 1.65;

/// How much of a segment an approximate search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Budget {
    lists: u32,
}

impl Budget {
    /// The `count` nearest lists.
    #[must_use]
    pub const fn of_lists(count: u32) -> Self {
        Self { lists: count }
    }

    /// How many lists are scanned.
    #[must_use]
    pub const fn lists(self) -> usize {
        self.lists as usize
    }
}

/// What some number of lists finds.
#[derive(Debug, Clone, Copy)]
struct Step {
    lists: u32,
    /// For each of [`KS`]: the mean recall, and the standard error of that mean, in [`ONE`]s.
    recalls: [(u16, u16); KS.len()],
}

/// What was measured, the fewest lists first.
#[derive(Debug, Clone, Default)]
pub(super) struct Calibration {
    steps: Vec<Step>,
}

impl Calibration {
    /// Reads the column that [`measure`] wrote for so many lists.
    pub(super) fn parse(column: &[u8], lists: usize) -> Result<Self, Corruption> {
        let field = "cluster calibration";
        let (mut reader, mut steps) = (Reader::new(column), Vec::new());
        let mut previous = 0;
        while !reader.clone().rest().is_empty() {
            let lists_of_step = reader.u32()?;
            if lists_of_step <= previous || lists_of_step as usize > lists {
                return Err(Corruption::OutOfRange { field, value: lists_of_step.into() });
            }
            previous = lists_of_step;
            let mut recalls = [(0, 0); KS.len()];
            for (mean, error) in &mut recalls {
                (*mean, *error) = (reader.u16()?, reader.u16()?);
            }
            steps.push(Step { lists: lists_of_step, recalls });
        }
        Ok(Self { steps })
    }

    /// See [`Clusters::budget`].
    pub(super) fn budget(&self, k: usize, recall: f64) -> Option<Budget> {
        let index = KS.iter().position(|calibrated| (1..=*calibrated).contains(&k))?;
        let mut below = None;
        for step in &self.steps {
            let (mean, error) = step.recalls[index];
            let here = Point {
                lists: f64::from(step.lists),
                recall: f64::from(mean) - MARGIN * f64::from(error),
            };
            if here.recall >= recall * ONE {
                return Some(Budget { lists: here.lists_between(below, recall * ONE) });
            }
            below = Some(here);
        }
        None
    }
}

/// A recall that some number of lists promises.
struct Point {
    lists: f64,
    recall: f64,
}

impl Point {
    /// The lists that a recall needs which this step promises and the one `below` does not. Each
    /// further list finds less than the one before, so that a straight line promises too little.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "no more than the lists of a step, which are stored in 32 bits"
    )]
    fn lists_between(&self, below: Option<Self>, recall: f64) -> u32 {
        let lists = below.map_or(self.lists, |below| {
            let share = (recall - below.recall) / (self.recall - below.recall);
            below.lists + share * (self.lists - below.lists)
        });
        lists.ceil() as u32
    }
}

/// The numbers of lists that are measured: all up to eight, then four for each doubling, up to a
/// quarter of all lists, where a scan begins to cost less.
fn steps(lists: usize) -> Vec<usize> {
    let small = 1..=8;
    let large = (1..).flat_map(|octave| (5..=8).map(move |quarter| quarter << octave));
    small.chain(large).take_while(|step| *step <= (lists / 4).max(1)).collect()
}

/// Measures the recall of lists that were just built, and writes the column; none if the workers were stopped.
pub(super) fn measure(
    workers: &dyn Workers,
    clusters: &Clusters<'_>,
    level: Level,
) -> Option<Vec<u8>> {
    let steps = steps(clusters.lists());
    let mut sums = vec![[Sum::default(); KS.len()]; steps.len()];
    let queries = queries(clusters);
    if clusters.len() < 2 || queries.is_empty() {
        return Some(Vec::new());
    }
    let parts: Vec<_> = queries.chunks(TOGETHER).collect();
    let recalls = workers::map(workers, parts.len(), |part| {
        let found = Found::of(clusters, level, parts[part]);
        found.iter().map(|found| found.recalls(&steps).collect()).collect::<Vec<Vec<_>>>()
    });
    // In the order of the queries: sums of fractions round by their order.
    for recalls in recalls?.into_iter().flatten() {
        for (sums, recalls) in sums.iter_mut().zip(recalls) {
            for (sum, recall) in sums.iter_mut().zip(recalls) {
                sum.add(recall);
            }
        }
    }
    let mut writer = Writer::new();
    for (lists, sums) in steps.into_iter().zip(sums) {
        writer.u32(u32::try_from(lists).unwrap_or(u32::MAX));
        for sum in sums {
            let (mean, error) = sum.finish();
            writer.u16(mean);
            writer.u16(error);
        }
    }
    Some(writer.finish())
}

/// Entries at equal steps whose rows are odd: centroids are trained on even ones.
fn queries(clusters: &Clusters<'_>) -> Vec<usize> {
    let entries = clusters.len();
    let count = (PAIRS / entries.max(1)).clamp(*QUERIES.start(), *QUERIES.end()).min(entries);
    let odd = |entry: &usize| clusters.rows[*entry][0] % 2 == 1;
    let bound = |index: usize| index * entries / count;
    (0..count).filter_map(|index| (bound(index)..bound(index + 1)).find(odd)).collect()
}

/// The mean of some shares and its standard error.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    count: f64,
    sum: f64,
    squares: f64,
}

impl Sum {
    fn add(&mut self, share: f64) {
        self.count += 1.0;
        self.sum += share;
        self.squares += share * share;
    }

    /// The mean rounded down and its error rounded up.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "shares lie between 0 and 1; what is beyond saturates"
    )]
    fn finish(self) -> (u16, u16) {
        let mean = self.sum / self.count;
        // That no query missed anything does not mean that none ever will: one more might have.
        let variance = (self.squares / self.count - mean * mean).max(0.0) + self.count.recip();
        let error = (variance / self.count).sqrt();
        ((mean * ONE).floor() as u16, (error * ONE).ceil() as u16)
    }
}

/// Where the neighbours of one entry stand.
struct Found {
    /// How many neighbours are asked for: [`KS`], or all that there are.
    wanted: [usize; KS.len()],
    /// How many rows stand in each list, nearest list first, that are no further than the farthest
    /// of them.
    counts: Vec<[usize; KS.len()]>,
}

impl Found {
    /// Compares every entry with all of `queries`, which are entries too.
    fn of(clusters: &Clusters<'_>, level: Level, queries: &[usize]) -> Vec<Self> {
        let width = clusters.code_bytes;
        let wanted = KS.map(|k| k.min(clusters.len() - 1));
        let code = |entry: &usize| &clusters.codes[*entry * width..][..width];
        let codes: Vec<u8> = queries.iter().flat_map(code).copied().collect();
        let largest = wanted.iter().copied().max().unwrap_or(0);
        let mut nearest: Vec<_> =
            queries.iter().map(|entry| Nearest::new(*entry, largest, width * 8)).collect();
        let mut limits: Vec<_> = nearest.iter().map(Nearest::limit).collect();
        hamming::batch_within(
            level,
            width,
            &codes,
            clusters.codes,
            &mut limits,
            |query, entry, distance| {
                nearest[query].take(entry, distance);
                nearest[query].limit()
            },
        );
        let found = nearest.into_iter().zip(queries).map(|(nearest, entry)| {
            let mut counts = Counts {
                clusters,
                limits: wanted.map(|k| nearest.distance_of(k)),
                of_lists: vec![[0; KS.len()]; clusters.lists()],
            };
            if nearest.crowded {
                // Many entries are as near as the last: they are counted, rather than kept.
                let last = nearest.limit();
                let query = code(entry);
                hamming::rows_within(level, query, clusters.codes, last, |near, distance| {
                    if near != *entry {
                        counts.take(near, distance);
                    }
                    last
                });
            }
            nearest.near.iter().for_each(|(near, distance)| counts.take(*near, *distance));
            let probe = clusters.probe(level, code(entry));
            Self { wanted, counts: Self::by_nearness(&probe, &counts.of_lists) }
        });
        found.collect()
    }

    fn by_nearness(probe: &Probe<'_>, counts: &[[usize; KS.len()]]) -> Vec<[usize; KS.len()]> {
        probe.nearest(probe.lists()).iter().map(|near| counts[near.list as usize]).collect()
    }

    /// The recall after each of the steps.
    fn recalls(&self, steps: &[usize]) -> impl Iterator<Item = [f64; KS.len()]> {
        let (mut found, mut scanned) = ([0; KS.len()], 0);
        steps.iter().map(move |step| {
            for counts in &self.counts[scanned..*step] {
                found.iter_mut().zip(counts).for_each(|(found, count)| *found += count);
            }
            scanned = *step;
            let mut recalls = [0.0; KS.len()];
            for ((recall, found), wanted) in recalls.iter_mut().zip(found).zip(self.wanted) {
                *recall = share(found.min(wanted), wanted);
            }
            recalls
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "100 at most")]
fn share(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}

/// How many near entries stand in each list.
struct Counts<'c, 'a> {
    clusters: &'c Clusters<'a>,
    limits: [u32; KS.len()],
    of_lists: Vec<[usize; KS.len()]>,
}

impl Counts<'_, '_> {
    fn take(&mut self, entry: usize, distance: u32) {
        let of_list = &mut self.of_lists[self.clusters.list_of(entry)];
        for (count, limit) in of_list.iter_mut().zip(self.limits) {
            *count += usize::from(distance <= limit);
        }
    }
}

/// Collects the nearest of all entries but one, and all that are as near as the last of them.
struct Nearest {
    entry: usize,
    wanted: usize,
    /// How many entries stand at each distance, up to the limit.
    counts: Vec<usize>,
    within: usize,
    limit: usize,
    near: Vec<(usize, u32)>,
    /// `near` was given up: codes that are equal would fill the memory.
    crowded: bool,
}

impl Nearest {
    fn new(entry: usize, wanted: usize, bits: usize) -> Self {
        Self {
            entry,
            wanted,
            counts: vec![0; bits + 1],
            within: 0,
            limit: bits,
            near: Vec::new(),
            crowded: false,
        }
    }

    /// The largest distance that is of interest; it never rises.
    fn limit(&self) -> u32 {
        u32::try_from(self.limit).unwrap_or(u32::MAX)
    }

    fn take(&mut self, entry: usize, distance: u32) {
        let at = distance as usize;
        if entry == self.entry || at > self.limit {
            return;
        }
        if !self.crowded {
            self.near.push((entry, distance));
        }
        self.counts[at] += 1;
        self.within += 1;
        while self.within - self.counts[self.limit] >= self.wanted {
            self.within -= self.counts[self.limit];
            self.limit -= 1;
        }
        if self.near.len() >= MOST_NEAR {
            let limit = self.limit();
            self.near.retain(|(_, distance)| *distance <= limit);
            if self.near.len() >= MOST_NEAR / 2 {
                self.crowded = true;
                self.near = Vec::new();
            }
        }
    }

    /// How far the k-th of them is.
    fn distance_of(&self, k: usize) -> u32 {
        let mut within = 0;
        let reached = self.counts.iter().position(|count| {
            within += count;
            within >= k
        });
        reached.and_then(|distance| u32::try_from(distance).ok()).unwrap_or_else(|| self.limit())
    }
}
