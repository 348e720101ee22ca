//! How an answer was found, for those who ask.

use std::collections::BTreeMap;

use anyhow::Result;
use hashdb::{Answer, ExplainedSource, Explanation, Query, Readable as _, Snapshot};
use serde::Serialize;

/// How one segment, or one part of the memtable, was searched; times in microseconds.
#[derive(Debug, Serialize)]
pub(super) struct Source {
    /// The number of the segment, null for the memtable.
    segment: Option<u64>,
    rows: usize,
    plan: String,
    micros: f64,
    weighed: BTreeMap<String, f64>,
}

/// Answers a query and, if that is wanted, explains the answer.
pub(super) fn ask(
    snapshot: &Snapshot,
    query: &Query,
    explain: bool,
) -> Result<(Answer, Option<Explanation>)> {
    if !explain {
        return Ok((snapshot.search(query)?, None));
    }
    let explanation = snapshot.explain(query)?;
    Ok((explanation.answer.clone(), Some(explanation)))
}

/// The explanation for JSON.
pub(super) fn sources(explanation: &Explanation) -> Vec<Source> {
    explanation.sources.iter().map(Source::from).collect()
}

impl From<&ExplainedSource> for Source {
    fn from(source: &ExplainedSource) -> Self {
        let weighed = source.considered.iter();
        Self {
            segment: source.segment,
            rows: source.rows,
            plan: source.chosen.to_string(),
            micros: source.took.as_nanos() as f64 / 1000.0,
            weighed: weighed.map(|(plan, nanos)| (plan.to_string(), nanos / 1000.0)).collect(),
        }
    }
}
