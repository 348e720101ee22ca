//! Queries by pictures, a code or a record.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, anyhow};
use hashdb::{Address, Code, Database, Query, Readable as _, Snapshot};
use serde::Serialize;

use super::Args;
use super::answer::{self, Hit};
use super::explain::{self, Source};
use crate::encoder;
use crate::exit::{Exit, Usage, of_rejects};
use crate::output::Output;
use crate::request::{Mode, Request};
use crate::sheet::Sheet;
use crate::text;

/// What is searched for: a picture, a code or a record, by the name that the user gave.
struct Target {
    name: Vec<u8>,
    code: Code,
    address: Option<Address>,
}

/// One query in JSON. The time is that of the search itself, without encoding and fetching keys.
#[derive(Debug, Serialize)]
struct Answer {
    query: String,
    plan: String,
    exact: bool,
    micros: u128,
    results: Vec<Hit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    explain: Option<Vec<Source>>,
    #[serde(skip)]
    table: String,
}

/// Answers one query after the other.
pub(super) fn run(args: &Args, db: &Database, request: &Request) -> Result<Exit> {
    let snapshot = db.snapshot();
    let radius = args.ball.map(|ball| ball.radius(&snapshot, request.k)).transpose()?;
    let mut session = Session {
        args,
        request,
        snapshot: &snapshot,
        radius,
        output: Output::new(),
        sheet: args.sheet.as_ref().map(|_| Sheet::default()),
        answered: 0,
    };
    let mut rejected = 0;
    if let Some(code) = &args.code {
        let target = coded(code, args.address.as_deref(), db.stats().address_bits)?;
        session.answer(&target)?;
    } else if let Some(key) = &args.key {
        let target = recorded(&snapshot, key, &args.db)?;
        session.answer(&target)?;
    } else {
        let encoder = encoder::of_database(db, args.device)?;
        rejected = encoder::encode_files(&encoder, &args.images, &mut |path, encoded| {
            let name = path.as_os_str().as_encoded_bytes().to_vec();
            let (code, address) = (encoded.code, Some(encoded.address));
            session.answer(&Target { name, code, address })
        })?;
    }
    session.finish()?;
    Ok(of_rejects(rejected, args.images.len()))
}

fn coded(code: &str, address: Option<&str>, address_bits: u8) -> Result<Target> {
    let address = address.map(|hex| Address::from_hex(hex, address_bits)).transpose()?;
    Ok(Target { name: code.into(), code: code.parse()?, address })
}

fn recorded(snapshot: &Snapshot, key: &str, db: &Path) -> Result<Target> {
    let record = snapshot.get(key.as_bytes())?;
    let record =
        record.ok_or_else(|| anyhow!("there is no record with key {key} in {}", db.display()))?;
    Ok(Target { name: record.key, code: record.code, address: Some(record.address) })
}

/// The queries of one command: they all see the same state of the database.
struct Session<'a> {
    args: &'a Args,
    request: &'a Request,
    snapshot: &'a Snapshot,
    /// That of --ball.
    radius: Option<u32>,
    output: Output,
    sheet: Option<Sheet>,
    answered: usize,
}

impl Session<'_> {
    fn query(&self, target: &Target) -> Result<Query> {
        let address = |option| {
            target.address.ok_or_else(|| {
                Usage(format!("{option} with --code also needs the address: --address HEX"))
            })
        };
        let code = target.code.clone();
        Ok(match (self.radius, self.request.mode) {
            (Some(radius), _) => {
                let address = address("--ball")?;
                let query = Query::ball_then_code(address, radius, code, self.request.k);
                self.request.filtered(query)
            }
            (None, Mode::Ball) => self.request.of_address(address("--mode ball")?),
            (None, Mode::Knn | Mode::Range | Mode::Approx) => self.request.of_code(code),
        })
    }

    fn answer(&mut self, target: &Target) -> Result<()> {
        let query = self.query(target)?;
        let started = Instant::now();
        let (answer, explanation) = explain::ask(self.snapshot, &query, self.args.explain)?;
        let micros = started.elapsed().as_micros();
        let hit = |neighbor| Hit::named(neighbor, self.snapshot, self.args.stored);
        let hits: Result<_> = answer.neighbors.iter().map(hit).collect();
        let answer = Answer {
            query: String::from_utf8_lossy(&target.name).into_owned(),
            plan: answer.stats.plan.to_string(),
            exact: answer.stats.exact,
            micros,
            results: hits?,
            explain: explanation.as_ref().map(explain::sources),
            table: explanation.map(|explanation| explanation.to_string()).unwrap_or_default(),
        };
        if let Some(sheet) = &mut self.sheet {
            let results = answer.results.iter().map(|hit| (hit.key.as_slice(), hit.distance));
            sheet.add(&target.name, results);
        }
        if self.args.json {
            self.output.json(&answer)?;
        } else {
            self.show(&answer)?;
        }
        self.answered += 1;
        Ok(())
    }

    fn show(&mut self, answer: &Answer) -> Result<()> {
        if self.answered > 0 {
            self.output.line("")?;
        }
        let Answer { query, plan, exact, micros, results, table, .. } = answer;
        let (query, exact) = (text::one_line(query), answer::exactness(*exact));
        self.output.line(format_args!("{query}  ({plan}, {exact}, {micros} us)"))?;
        self.output.bytes(table.as_bytes())?;
        answer::show(&mut self.output, results)
    }

    fn finish(self) -> Result<()> {
        if let (Some(sheet), Some(path)) = (&self.sheet, &self.args.sheet) {
            sheet.write(path, self.snapshot)?;
        }
        self.output.finish()
    }
}
