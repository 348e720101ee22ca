//! How an answer was found, for those who ask.

use std::collections::BTreeMap;
use std::fmt::Display;

use anyhow::Result;
use hashdb::{Answer, ExplainedSource, Query, Readable as _, Snapshot};
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
) -> Result<(Answer, Option<Explained>)> {
    if !explain {
        return Ok((snapshot.search(query)?, None));
    }
    let explanation = snapshot.explain(query)?;
    let explained = Explained::new(&explanation.sources, &explanation);
    Ok((explanation.answer, Some(explained)))
}

/// An explanation as it is shown.
#[derive(Debug, Default)]
pub(super) struct Explained {
    /// For JSON.
    pub(super) sources: Vec<Source>,
    /// For people.
    pub(super) table: String,
}

impl Explained {
    pub(super) fn new(sources: &[ExplainedSource], table: &impl Display) -> Self {
        let sources = sources.iter().map(Source::from).collect();
        Self { sources, table: table.to_string() }
    }
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
