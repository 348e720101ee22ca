//! Queries by a file of codes: one line of JSON, or one table, each.

use std::path::Path;

use anyhow::Result;
use hashdb::{Answer, Database, Query, Readable as _, Snapshot};
use serde::Serialize;

use super::Args;
use super::answer::{self, Hit};
use super::explain::{self, Explained, Source};
use crate::exit::Exit;
use crate::output::Output;
use crate::request::Request;
use crate::vectors::Vectors;

/// Queries that are answered together, so that the answers of few are in memory.
const TOGETHER: usize = 1024;
/// The library's word for as many threads as there are cores.
const ALL_CORES: usize = 0;

/// One answer in JSON.
#[derive(Debug, Serialize)]
struct Line {
    query: usize,
    exact: bool,
    plan: String,
    results: Vec<Hit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Vec<Source>>,
    #[serde(skip)]
    table: String,
}

/// Answers the queries of a file in order, all on the same state of the database.
pub(super) fn run(args: &Args, db: &Database, request: &Request, path: &Path) -> Result<Exit> {
    let vectors = Vectors::open(path, request.mode, &db.stats())?;
    let snapshot = db.snapshot();
    let mut output = Output::new();
    for start in (0..vectors.len()).step_by(TOGETHER) {
        let rows = start..vectors.len().min(start + TOGETHER);
        let answers = search(&snapshot, &vectors.queries(rows.clone(), request)?, args.explain)?;
        for (query, (answer, explained)) in rows.zip(answers) {
            let hit = |neighbor| match args.no_keys {
                true => Ok(Hit::nameless(neighbor)),
                false => Hit::named(neighbor, &snapshot, args.stored),
            };
            let results: Result<_> = answer.neighbors.iter().map(hit).collect();
            let Explained { sources, table } = explained.unwrap_or_default();
            let line = Line {
                query,
                exact: answer.stats.exact,
                plan: answer.stats.plan.to_string(),
                results: results?,
                explain: args.explain.then_some(sources),
                table,
            };
            show(&mut output, args.json, &line)?;
        }
    }
    output.finish()?;
    Ok(Exit::Done)
}

/// Answers queries together, or one by one to explain each.
fn search(
    snapshot: &Snapshot,
    queries: &[Query],
    explain: bool,
) -> Result<Vec<(Answer, Option<Explained>)>> {
    if explain {
        return queries.iter().map(|query| explain::ask(snapshot, query, true)).collect();
    }
    let answers = snapshot.search_batch(queries, ALL_CORES)?;
    Ok(answers.into_iter().map(|answer| (answer, None)).collect())
}

fn show(output: &mut Output, json: bool, line: &Line) -> Result<()> {
    if json {
        return output.json(line);
    }
    let Line { query, exact, plan, results, table, .. } = line;
    if *query > 0 {
        output.line("")?;
    }
    output.line(format_args!("query {query}  ({plan}, {})", answer::exactness(*exact)))?;
    output.bytes(table.as_bytes())?;
    answer::show(output, results)
}
