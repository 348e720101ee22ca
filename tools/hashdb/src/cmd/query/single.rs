//! Queries by pictures, a code or a record.

use std::path::Path;
use std::time::Instant;

use anyhow::{Result, anyhow, bail};
use hashdb::ingest::Encoding;
use hashdb::{Address, Code, Database, Query, QueryStats, Readable as _, Snapshot};
use serde::Serialize;

use super::answer::{self, Hit};
use super::explain::{self, Explained, Source};
use super::{Args, Kind};
use crate::exit::{Exit, Usage, of_rejects};
use crate::output::Output;
use crate::request::{Mode, Request};
use crate::sheet::Sheet;
use crate::text;
use crate::{encoder, patches};

/// What is searched for: a picture, a code or a record, by the name that the user gave.
struct Target {
    name: Vec<u8>,
    code: Code,
    address: Option<Address>,
    patches: Vec<Address>,
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
pub(super) fn run(args: &Args, db: &Database, kind: &Kind<'_>) -> Result<Exit> {
    let snapshot = db.snapshot();
    let (radius, by_patches) = match kind {
        Kind::Codes(request) => {
            (args.ball.map(|ball| ball.radius(&snapshot, request.k)).transpose()?, false)
        }
        Kind::Patches(_) => (None, true),
    };
    let mut session = Session {
        args,
        kind,
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
        let key = key.as_encoded_bytes();
        let target = recorded(&snapshot, key, &args.db)?;
        if by_patches {
            patches::check_any(db)?;
            if target.patches.is_empty() {
                let (key, db) = (text::key(key), args.db.display());
                bail!("the record with key {key} in {db} has no patch addresses");
            }
        }
        session.answer(&target)?;
    } else {
        let encoder = encoder::of_database(db, args.device)?;
        if by_patches {
            patches::check(db, &encoder)?;
            patches::check_any(db)?;
        }
        let mut answer = |path: &Path, Encoding { address, code, patches }| {
            let name = path.as_os_str().as_encoded_bytes().to_vec();
            session.answer(&Target { name, code, address: Some(address), patches })
        };
        rejected = encoder::encode_files(&encoder, &args.images, by_patches, &mut answer)?;
    }
    session.finish()?;
    Ok(of_rejects(rejected, args.images.len()))
}

fn coded(code: &str, address: Option<&str>, address_bits: u8) -> Result<Target> {
    let address = address.map(|hex| Address::from_hex(hex, address_bits)).transpose()?;
    Ok(Target { name: code.into(), code: code.parse()?, address, patches: Vec::new() })
}

fn recorded(snapshot: &Snapshot, key: &[u8], db: &Path) -> Result<Target> {
    let absent = || anyhow!("there is no record with key {} in {}", text::key(key), db.display());
    let record = snapshot.get(key)?.ok_or_else(absent)?;
    let (address, patches) = (Some(record.address), record.patches);
    Ok(Target { name: record.key, code: record.code, address, patches })
}

/// The queries of one command: they all see the same state of the database.
struct Session<'a> {
    args: &'a Args,
    kind: &'a Kind<'a>,
    snapshot: &'a Snapshot,
    /// That of --ball.
    radius: Option<u32>,
    output: Output,
    sheet: Option<Sheet>,
    answered: usize,
}

/// What a search found, and how.
struct Found {
    hits: Vec<Hit>,
    stats: QueryStats,
    explained: Option<Explained>,
    micros: u128,
}

impl Session<'_> {
    fn query(&self, request: &Request, target: &Target) -> Result<Query> {
        let address = |option| {
            target.address.ok_or_else(|| {
                Usage(format!("{option} with --code also needs the address: --address HEX"))
            })
        };
        let code = target.code.clone();
        Ok(match (self.radius, request.mode) {
            (Some(radius), _) => {
                let address = address("--ball")?;
                let query = Query::ball_then_code(address, radius, code, request.k);
                request.filtered(query)
            }
            (None, Mode::Ball) => request.of_address(address("--mode ball")?),
            (None, Mode::Knn | Mode::Range | Mode::Approx) => request.of_code(code),
        })
    }

    /// Searches; the time is that of the search alone.
    fn find(&self, target: &Target) -> Result<Found> {
        let (snapshot, stored, explain) = (self.snapshot, self.args.stored, self.args.explain);
        match self.kind {
            Kind::Codes(request) => {
                let query = self.query(request, target)?;
                let started = Instant::now();
                let (answer, explained) = explain::ask(snapshot, &query, explain)?;
                let micros = started.elapsed().as_micros();
                let hit = |neighbor| Hit::named(neighbor, snapshot, stored);
                let hits = answer.neighbors.iter().map(hit).collect::<Result<_>>()?;
                Ok(Found { hits, stats: answer.stats, explained, micros })
            }
            Kind::Patches(request) => {
                let Target { patches, code, .. } = target;
                let started = Instant::now();
                let (answer, explained) = request.answer(snapshot, patches, code, explain)?;
                let micros = started.elapsed().as_micros();
                let hit = |found| Hit::matched(found, snapshot, stored);
                let hits = answer.matches.iter().map(hit).collect::<Result<_>>()?;
                Ok(Found { hits, stats: answer.stats, explained, micros })
            }
        }
    }

    fn answer(&mut self, target: &Target) -> Result<()> {
        let Found { hits, stats, explained, micros } = self.find(target)?;
        let Explained { sources, table } = explained.unwrap_or_default();
        let answer = Answer {
            query: String::from_utf8_lossy(&target.name).into_owned(),
            plan: stats.plan.to_string(),
            exact: stats.exact,
            micros,
            results: hits,
            explain: self.args.explain.then_some(sources),
            table,
        };
        if let Some(sheet) = &mut self.sheet {
            let results = answer.results.iter().map(|hit| (hit.key.as_slice(), hit.label()));
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
