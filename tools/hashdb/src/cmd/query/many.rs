//! Queries by a file of codes: one line of JSON, or one table, each.

use std::path::Path;

use anyhow::Result;
use hashdb::{Answer, Database, Query, Readable as _, Snapshot};
use serde::Serialize;

use super::Args;
use super::answer::{self, Hit};
use crate::exit::Exit;
use crate::output::Output;
use crate::request::Request;
use crate::vectors::Vectors;

/// Queries that are answered together, so that the answers of few are in memory.
const TOGETHER: usize = 1024;

/// One answer in JSON.
#[derive(Debug, Serialize)]
struct Line {
    query: usize,
    exact: bool,
    plan: String,
    neighbors: Vec<Hit>,
}

/// Answers the queries of a file in order, all on the same state of the database.
pub(super) fn run(args: &Args, db: &Database, request: &Request, path: &Path) -> Result<Exit> {
    let vectors = Vectors::open(path, request.mode, &db.stats())?;
    let snapshot = db.snapshot();
    let mut output = Output::new();
    for start in (0..vectors.len()).step_by(TOGETHER) {
        let rows = start..vectors.len().min(start + TOGETHER);
        let answers = search(&snapshot, &vectors.queries(rows.clone(), request)?)?;
        for (query, answer) in rows.zip(answers) {
            let Answer { neighbors, stats } = answer;
            let hit = |neighbor| match args.no_keys {
                true => Ok(Hit::nameless(neighbor)),
                false => Hit::named(neighbor, &snapshot),
            };
            let neighbors: Result<_> = neighbors.iter().map(hit).collect();
            let (plan, exact, neighbors) = (stats.plan.to_string(), stats.exact, neighbors?);
            show(&mut output, args.json, &Line { query, exact, plan, neighbors })?;
        }
    }
    output.finish()?;
    Ok(Exit::Done)
}

fn search(snapshot: &Snapshot, queries: &[Query]) -> Result<Vec<Answer>> {
    queries.iter().map(|query| Ok(snapshot.search(query)?)).collect()
}

fn show(output: &mut Output, json: bool, line: &Line) -> Result<()> {
    if json {
        return output.json(line);
    }
    let Line { query, exact, plan, neighbors } = line;
    if *query > 0 {
        output.line("")?;
    }
    output.line(format_args!("query {query}  ({plan}, {})", answer::exactness(*exact)))?;
    answer::show(output, neighbors)
}
