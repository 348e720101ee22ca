//! `hashdb query`: what lies near a picture, a code, a record, or many codes of a file.

mod answer;
mod explain;
mod many;
mod patched;
mod single;

use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Result;
use hashdb::model::DeviceChoice;
use hashdb::{Readable as _, Snapshot};

use self::patched::{PatchArgs, PatchRequest};
use crate::exit::{Exit, Usage};
use crate::output::note;
use crate::request::{Mode, Request, Search};

/// What --ball does not go with: it is a search of its own, and needs an address for each code.
const BALL_EXCLUDES: [&str; 7] = ["exact", "radius", "mode", "approx", "recall", "probes", "codes"];

/// Find the records nearest to pictures, a code, a record or the codes of a file
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "hashdb query [OPTIONS] <DB> <IMAGE...|--code <HEX>|--key <KEY>|--codes \
                            <NPY>>"
)]
#[command(group = clap::ArgGroup::new("target").required(true)
    .args(["images", "code", "key", "codes"]))]
pub(crate) struct Args {
    /// The database directory; it may be written to meanwhile
    db: PathBuf,
    /// Pictures to search for, through the database's encoder
    #[arg(value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// A code to search for, in hexadecimal
    #[arg(long, value_name = "HEX")]
    code: Option<String>,
    /// The address that goes with --code, for --ball and mode ball
    #[arg(long, value_name = "HEX", requires = "code")]
    address: Option<String>,
    /// A record to search for, by its own code and address
    #[arg(long)]
    key: Option<OsString>,
    /// Codes to search for, uint8 of shape (queries, code bits / 8), or for mode ball addresses,
    /// uint32 of shape (queries,); of codes a ball takes the first bits
    #[arg(long, value_name = "NPY")]
    codes: Option<PathBuf>,
    #[command(flatten)]
    search: Search,
    #[command(flatten)]
    patches: PatchArgs,
    /// Look only at records whose addresses differ in at most R bits; fast, not exact. `auto` takes the least
    /// R whose ball mostly holds ten times as many records as are wanted, and a thousand at least
    #[arg(long, value_name = "R", conflicts_with_all = BALL_EXCLUDES)]
    ball: Option<Ball>,
    /// Insist on an exact answer; the default without --ball and --approx
    #[arg(long, conflicts_with_all = ["approx", "recall", "probes"])]
    exact: bool,
    /// Show for each segment which plans were weighed and how long the one taken took
    #[arg(long)]
    explain: bool,
    /// Leave out the keys, each of which costs a look-up
    #[arg(long, requires = "codes")]
    no_keys: bool,
    /// Show what an ingest stored about each result (--store)
    #[arg(long, conflicts_with = "no_keys")]
    stored: bool,
    /// Draw the queries and their results as one PNG picture
    #[arg(long, value_name = "PNG", conflicts_with = "codes")]
    sheet: Option<PathBuf>,
    /// Where to encode pictures: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// Print one JSON object a query
    #[arg(long)]
    json: bool,
}

/// The radius of the first of two stages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ball {
    Radius(u32),
    Auto,
}

impl FromStr for Ball {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        text.parse()
            .map(Self::Radius)
            .map_err(|_| format!("neither a number of bits nor auto: {text}"))
    }
}

impl Ball {
    /// Candidates for each record that is wanted, and in all.
    const FOR_EACH: usize = 10;
    const LEAST: usize = 1000;

    /// The radius for the `k` nearest of a collection.
    fn radius(self, snapshot: &Snapshot, k: usize) -> Result<u32> {
        match self {
            Self::Radius(radius) => Ok(radius),
            Self::Auto => {
                let candidates = k.saturating_mul(Self::FOR_EACH).max(Self::LEAST);
                let radius = snapshot.proposed_radius(candidates)?;
                note(&format!("--ball auto: a radius of {radius}, for {candidates} candidates"));
                Ok(radius)
            }
        }
    }
}

/// What kind of search it is.
#[derive(Debug, Clone, Copy)]
enum Kind<'a> {
    /// By codes or addresses.
    Codes(&'a Request),
    /// By patches.
    Patches(&'a PatchRequest),
}

/// Answers the queries in order.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    // The parser lets it pass beside what --code excludes.
    if args.address.is_some() && args.code.is_none() {
        return Err(Usage("--address goes with --code".to_owned()).into());
    }
    if let Some(request) = args.patches.request(&args.search) {
        let db = super::open_read_only(&args.db)?;
        return single::run(args, &db, &Kind::Patches(&request));
    }
    let request = args.search.request()?;
    if args.exact && request.mode == Mode::Approx {
        return Err(Usage("--exact does not go with --mode approx".to_owned()).into());
    }
    let db = super::open_read_only(&args.db)?;
    match &args.codes {
        Some(path) => many::run(args, &db, &request, path),
        None => single::run(args, &db, &Kind::Codes(&request)),
    }
}
