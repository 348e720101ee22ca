//! `hashdb query`: what lies near a picture, a code or a record.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, anyhow};
use hashdb::model::DeviceChoice;
use hashdb::{Address, Code, Neighbor, Query, Readable as _, Snapshot};
use serde::Serialize;

use crate::encoder;
use crate::exit::{Exit, Usage, of_rejects};
use crate::output::Output;
use crate::sheet::Sheet;
use crate::text::{self, JsonKey};

/// Results of a query where the user does not say how many.
const K: usize = 10;

/// Find the records nearest to pictures, a code or a record
#[derive(Debug, clap::Args)]
#[command(override_usage = "hashdb query [OPTIONS] <DB> <IMAGE...|--code <HEX>|--key <KEY>>")]
#[command(group = clap::ArgGroup::new("target").required(true).args(["images", "code", "key"]))]
pub(crate) struct Args {
    /// The database directory; it may be written to meanwhile
    db: PathBuf,
    /// Pictures to search for, through the database's encoder
    #[arg(value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// A code to search for, in hexadecimal
    #[arg(long, value_name = "HEX")]
    code: Option<String>,
    /// The address that goes with --code, for --ball
    #[arg(long, value_name = "HEX", requires = "code")]
    address: Option<String>,
    /// A record to search for, by its own code and address
    #[arg(long)]
    key: Option<String>,
    /// The number of results [default: 10]
    #[arg(short, value_name = "K", conflicts_with = "radius")]
    k: Option<usize>,
    /// All records whose codes differ in at most R bits
    #[arg(long, value_name = "R", conflicts_with = "ball")]
    radius: Option<u32>,
    /// Look only at records whose addresses differ in at most R bits; fast, not exact
    #[arg(long, value_name = "R", conflicts_with = "exact")]
    ball: Option<u32>,
    /// Insist on an exact answer; the default without --ball
    #[arg(long)]
    exact: bool,
    /// Draw the queries and their results as one PNG picture
    #[arg(long, value_name = "PNG")]
    sheet: Option<PathBuf>,
    /// Where to encode pictures: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Print one JSON object a query
    #[arg(long)]
    json: bool,
}

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
}

#[derive(Debug, Serialize)]
struct Hit {
    #[serde(flatten)]
    json_key: JsonKey,
    id: u64,
    distance: u32,
    #[serde(skip)]
    key: Vec<u8>,
}

/// Answers one query after the other.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let db = super::open_read_only(&args.db)?;
    let snapshot = db.snapshot();
    let mut session = Session {
        args,
        snapshot: &snapshot,
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
        let encoder = encoder::of_database(&db, args.device)?;
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
    snapshot: &'a Snapshot,
    output: Output,
    sheet: Option<Sheet>,
    answered: usize,
}

impl Session<'_> {
    fn query(&self, target: &Target) -> Result<Query> {
        let (code, k) = (target.code.clone(), self.args.k.unwrap_or(K));
        Ok(match (self.args.ball, self.args.radius) {
            (Some(radius), _) => {
                let address = target.address.ok_or_else(|| {
                    Usage("--ball with --code also needs the address: --address HEX".to_owned())
                })?;
                Query::ball_then_code(address, radius, code, k)
            }
            (None, Some(radius)) => Query::range(code, radius),
            (None, None) => Query::knn(code, k),
        })
    }

    fn answer(&mut self, target: &Target) -> Result<()> {
        let query = self.query(target)?;
        let started = Instant::now();
        let answer = self.snapshot.search(&query)?;
        let micros = started.elapsed().as_micros();
        let hits: Result<_> = answer.neighbors.iter().map(|hit| self.hit(hit)).collect();
        let answer = Answer {
            query: String::from_utf8_lossy(&target.name).into_owned(),
            plan: answer.stats.plan.to_string(),
            exact: answer.stats.exact,
            micros,
            results: hits?,
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

    fn hit(&self, neighbor: &Neighbor) -> Result<Hit> {
        let record = self.snapshot.record(neighbor)?;
        Ok(Hit {
            json_key: JsonKey::new(&record.key),
            id: neighbor.id,
            distance: neighbor.distance,
            key: record.key,
        })
    }

    fn show(&mut self, answer: &Answer) -> Result<()> {
        if self.answered > 0 {
            self.output.line("")?;
        }
        let Answer { query, plan, exact, micros, results } = answer;
        let exact = if *exact { "exact" } else { "not exact" };
        let query = text::one_line(query);
        self.output.line(format_args!("{query}  ({plan}, {exact}, {micros} us)"))?;
        if results.is_empty() {
            return self.output.line("  no results");
        }
        let rows = results
            .iter()
            .map(|hit| vec![hit.distance.to_string(), hit.id.to_string(), text::key(&hit.key)]);
        self.output.table(&[">distance", ">id", "key"], rows.collect())
    }

    fn finish(self) -> Result<()> {
        if let (Some(sheet), Some(path)) = (&self.sheet, &self.args.sheet) {
            sheet.write(path)?;
        }
        self.output.finish()
    }
}
