//! Queries against the clock: every one once, each call timed on its own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use hashdb::{Answer, Plan, Query, Readable as _, Snapshot};

use super::truth::Truth;

/// Queries that a thread takes at once, so that threads do not quarrel about each.
const HANDFUL: usize = 8;

/// What was measured.
#[derive(Debug, Default)]
pub(super) struct Measured {
    /// From the first call to the end of the last, without what lies between two batches.
    pub(super) wall: Duration,
    /// The time of a query in each call, shortest first.
    pub(super) times: Vec<Duration>,
    /// How often each plan was taken.
    pub(super) plans: Vec<(Plan, u64)>,
    /// Neighbours of all answers.
    pub(super) neighbors: u64,
    /// Right ones among them, as far as the truth is known.
    pub(super) matches: u64,
    /// Answers that are not exact.
    pub(super) inexact: u64,
    /// Buckets looked up, rows looked at, distances computed.
    pub(super) work: [u64; 3],
}

/// Runs the queries one a call, on some threads.
pub(super) fn measure(
    snapshot: &Snapshot,
    queries: &[Query],
    truth: Option<&Truth>,
    threads: usize,
) -> Result<Measured> {
    let next = AtomicUsize::new(0);
    let work = || {
        let worked = work(snapshot, queries, truth, &next);
        if worked.is_err() {
            next.store(queries.len(), Ordering::Relaxed);
        }
        worked
    };
    let started = Instant::now();
    let parts = thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(work)).collect();
        let mut parts = vec![work()];
        let lost = |_| Err(anyhow!("a thread of the benchmark ended early"));
        parts.extend(others.into_iter().map(|other| other.join().unwrap_or_else(lost)));
        parts
    });
    let mut measured = Measured { wall: started.elapsed(), ..Measured::default() };
    for part in parts {
        measured.take_in(part?);
    }
    measured.times.sort_unstable();
    Ok(measured)
}

/// Runs the queries `batch` a call; the engine shares a call among its own threads. The times are
/// those of the calls, divided by their queries.
pub(super) fn measure_batches(
    snapshot: &Snapshot,
    queries: &[Query],
    truth: Option<&Truth>,
    threads: usize,
    batch: usize,
) -> Result<Measured> {
    let mut measured = Measured::default();
    for (call, queries) in queries.chunks(batch).enumerate() {
        let started = Instant::now();
        let answers = snapshot.search_batch(queries, threads)?;
        let elapsed = started.elapsed();
        measured.wall += elapsed;
        measured.times.push(elapsed.div_f64(queries.len() as f64));
        for (index, answer) in answers.iter().enumerate() {
            measured.count(call * batch + index, answer, truth);
        }
    }
    measured.times.sort_unstable();
    Ok(measured)
}

/// Takes queries until there are no more.
fn work(
    snapshot: &Snapshot,
    queries: &[Query],
    truth: Option<&Truth>,
    next: &AtomicUsize,
) -> Result<Measured> {
    let mut measured = Measured::default();
    loop {
        let first = next.fetch_add(HANDFUL, Ordering::Relaxed);
        let Some(queries) = queries.get(first..) else {
            return Ok(measured);
        };
        if queries.is_empty() {
            return Ok(measured);
        }
        for (index, query) in queries.iter().take(HANDFUL).enumerate() {
            let started = Instant::now();
            let answer = snapshot.search(query)?;
            measured.times.push(started.elapsed());
            measured.count(first + index, &answer, truth);
        }
    }
}

impl Measured {
    /// Counts an answer.
    fn count(&mut self, query: usize, answer: &Answer, truth: Option<&Truth>) {
        let Answer { neighbors, stats } = answer;
        self.neighbors += neighbors.len() as u64;
        self.matches += truth.map_or(0, |truth| truth.matches(query, neighbors));
        self.inexact += u64::from(!stats.exact);
        self.add_work([stats.probes, stats.candidates, stats.distances]);
        self.add_plan(stats.plan, 1);
    }

    fn add_work(&mut self, work: [u64; 3]) {
        for (sum, count) in self.work.iter_mut().zip(work) {
            *sum += count;
        }
    }

    fn add_plan(&mut self, plan: Plan, times: u64) {
        match self.plans.iter_mut().find(|(known, _)| *known == plan) {
            Some((_, count)) => *count += times,
            None => self.plans.push((plan, times)),
        }
    }

    /// Takes in what another thread measured.
    fn take_in(&mut self, other: Self) {
        self.times.extend(other.times);
        self.neighbors += other.neighbors;
        self.matches += other.matches;
        self.inexact += other.inexact;
        self.add_work(other.work);
        for (plan, count) in other.plans {
            self.add_plan(plan, count);
        }
    }

    /// The time in microseconds that this share of the calls did not exceed.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank")]
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let rank = (self.times.len() as f64 * share).ceil() as usize;
        let time = self.times.get(rank.saturating_sub(1));
        time.map_or(0.0, |time| time.as_nanos() as f64 / 1000.0)
    }
}
