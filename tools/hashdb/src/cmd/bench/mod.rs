//! `hashdb bench`: how fast a database answers, and how well.

mod measure;
mod truth;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use anyhow::{Result, bail};
use hashdb::{Readable as _, Snapshot};
use serde::Serialize;

use crate::exit::{Exit, Usage};
use crate::output::Output;
use crate::request::{Request, Search};
use crate::text;
use crate::vectors::Vectors;
use measure::{Measured, measure, measure_batches};
use truth::Truth;

/// Measure queries from a .npy file: rate, latency, plans, recall
///
/// Every query is asked once, after a few others that are not counted: what was asked before is
/// answered faster. Recall goes by distance: of the K neighbours, the share that is no farther
/// than the K-th of the truth.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The database directory; it may be written to meanwhile
    db: PathBuf,
    /// Queries: codes, uint8 of shape (queries, code bits / 8), or for balls addresses, uint32 of
    /// shape (queries,); of codes a ball takes the first bits
    #[arg(long, value_name = "NPY")]
    queries: PathBuf,
    #[command(flatten)]
    search: Search,
    /// The exact distances of the K nearest, int32 of shape (queries, K or more), rising
    #[arg(long, value_name = "NPY")]
    truth: Option<PathBuf>,
    /// Threads that ask at once
    #[arg(long, value_name = "N", default_value = "1")]
    threads: NonZeroUsize,
    /// Ask N queries a call, which the engine answers together; p50 and p99 are then those of a
    /// call divided by its queries
    #[arg(long, value_name = "N")]
    batch: Option<NonZeroUsize>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What came out.
#[derive(Debug, Serialize)]
struct Report {
    mode: String,
    queries: usize,
    records: u64,
    k: Option<usize>,
    radius: Option<u32>,
    threads: usize,
    batch: Option<usize>,
    qps: f64,
    p50_micros: f64,
    p99_micros: f64,
    recall: Option<f64>,
    exact: bool,
    neighbors_mean: f64,
    plans: BTreeMap<String, u64>,
    probes_mean: f64,
    candidates_mean: f64,
    distances_mean: f64,
    seconds: f64,
}

/// Measures and reports.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let request = args.search.request()?;
    let ranked = request.is_ranked();
    if args.truth.is_some() && !ranked {
        let sentence = format!("--truth is for k nearest; --mode {} has none", request.mode);
        return Err(Usage(sentence).into());
    }
    let db = super::open_read_only(&args.db)?;
    let snapshot = db.snapshot();
    let vectors = Vectors::open(&args.queries, request.mode, &db.stats())?;
    if vectors.len() == 0 {
        bail!("{} holds no queries", args.queries.display());
    }
    // Where there are fewer records than K, all of them are the right answer.
    let k = request.k.min(usize::try_from(snapshot.len()).unwrap_or(usize::MAX));
    let truth = args.truth.as_ref().map(|path| Truth::open(path, vectors.len(), k)).transpose()?;
    let queries = vectors.queries(0..vectors.len(), &request)?;
    warm_up(&snapshot, &vectors, &request)?;
    let (known, threads) = (truth.as_ref(), args.threads.get());
    let measured = match args.batch {
        Some(batch) => measure_batches(&snapshot, &queries, known, threads, batch.get())?,
        None => measure(&snapshot, &queries, known, threads)?,
    };
    let recall = truth.and_then(|truth| truth.recall(measured.matches, queries.len()));
    let report = Report {
        records: snapshot.len(),
        threads,
        batch: args.batch.map(NonZeroUsize::get),
        recall,
        ..Report::new(&request, &measured, queries.len())
    };
    let mut output = Output::new();
    if args.json {
        output.json(&report)?;
    } else {
        show(&mut output, &report)?;
    }
    output.finish()?;
    Ok(Exit::Done)
}

/// Asks a few queries that are none of those measured: pages are mapped and checksums verified at
/// their first use.
fn warm_up(snapshot: &Snapshot, vectors: &Vectors, request: &Request) -> Result<()> {
    for query in vectors.strangers(request)? {
        snapshot.search(&query)?;
    }
    Ok(())
}

impl Report {
    fn new(request: &Request, measured: &Measured, queries: usize) -> Self {
        let ranked = request.is_ranked();
        let seconds = measured.wall.as_secs_f64();
        let mean = |sum: u64| sum as f64 / queries as f64;
        let [probes, candidates, distances] = measured.work;
        let plans = measured.plans.iter().map(|(plan, count)| (plan.to_string(), *count));
        Self {
            mode: request.mode.to_string(),
            queries,
            records: 0,
            k: ranked.then_some(request.k),
            radius: (!ranked).then_some(request.radius),
            threads: 1,
            batch: None,
            qps: queries as f64 / seconds.max(1e-9),
            p50_micros: measured.percentile(0.50),
            p99_micros: measured.percentile(0.99),
            recall: None,
            exact: measured.inexact == 0,
            neighbors_mean: mean(measured.neighbors),
            plans: plans.collect(),
            probes_mean: mean(probes),
            candidates_mean: mean(candidates),
            distances_mean: mean(distances),
            seconds,
        }
    }
}

fn show(output: &mut Output, report: &Report) -> Result<()> {
    let size = match (report.k, report.radius) {
        (Some(k), _) => format!("k {k}"),
        (None, radius) => format!("radius {}", radius.unwrap_or(0)),
    };
    let plans = report.plans.iter().map(|(plan, count)| format!("{plan} {}", text::count(*count)));
    let inexact = if report.exact { "" } else { ", not exact" };
    let calls =
        report.batch.map(|batch| format!(" (of a call of {batch}, divided by its queries)"));
    let calls = calls.unwrap_or_default();
    output.facts(&[
        ("search", format!("{}, {size}{inexact}", report.mode)),
        ("records", text::count(report.records)),
        ("queries", text::count(report.queries as u64)),
        ("threads", report.threads.to_string()),
        ("queries a second", format!("{:.1}", report.qps)),
        ("p50", format!("{:.2} us{calls}", report.p50_micros)),
        ("p99", format!("{:.2} us{calls}", report.p99_micros)),
        ("recall", report.recall.map_or("no truth given".into(), |recall| format!("{recall:.4}"))),
        ("neighbours a query", format!("{:.1}", report.neighbors_mean)),
        ("probes a query", format!("{:.1}", report.probes_mean)),
        ("candidates a query", format!("{:.1}", report.candidates_mean)),
        ("distances a query", format!("{:.1}", report.distances_mean)),
        ("plans", plans.collect::<Vec<_>>().join(", ")),
    ])
}
