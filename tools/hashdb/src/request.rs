//! What a user asks of a search, whatever it is for: shared by `query` and `bench`.

use std::ffi::OsString;
use std::fmt;
use std::num::NonZeroUsize;

use anyhow::Result;
use clap::ValueEnum;
use hashdb::{Address, Code, Filter, Query};

use crate::exit::Usage;

/// Results of a query where the user does not say how many.
pub(crate) const K: usize = 10;

/// What is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// The records with the K nearest codes, exact
    Knn,
    /// All records whose codes differ in at most R bits, exact
    Range,
    /// All records whose addresses differ in at most R bits, exact
    Ball,
    /// Most of the records with the K nearest codes, faster
    Approx,
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Knn => "knn",
            Self::Range => "range",
            Self::Ball => "ball",
            Self::Approx => "approx",
        })
    }
}

/// The arguments of a search.
#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// What to search for [default: range with --radius, approx with --recall or --probes, else
    /// knn]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// The same as --mode approx
    #[arg(long, conflicts_with_all = ["mode", "radius"])]
    approx: bool,
    /// The share of the nearest that an approximate search aims at, above 0, at most 1
    /// [default: 0.95]
    #[arg(long, value_name = "SHARE", value_parser = share, conflicts_with = "radius")]
    recall: Option<f64>,
    /// The number of cluster lists of each segment that an approximate search compares
    #[arg(long, value_name = "N", conflicts_with_all = ["recall", "radius"])]
    probes: Option<NonZeroUsize>,
    /// The number of results [default: 10]
    #[arg(short, value_name = "K")]
    k: Option<usize>,
    /// All records whose codes, or addresses in mode ball, differ in at most R bits; together with -k for
    /// --patches alone
    #[arg(long, value_name = "R")]
    radius: Option<u32>,
    /// Search only the records whose keys begin with this text
    #[arg(long, value_name = "TEXT")]
    filter_prefix: Option<OsString>,
}

/// Reads a share above 0 and at most 1.
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| *share > 0.0 && *share <= 1.0);
    share.ok_or_else(|| "must be a number above 0 and at most 1".to_owned())
}

/// How much an approximate search does.
#[derive(Debug, Clone, Copy)]
enum Effort {
    Recall(f64),
    Probes(usize),
}

/// A search without what it is for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// What is searched for.
    pub(crate) mode: Mode,
    /// The number of results, of knn and approx.
    pub(crate) k: usize,
    /// The radius, of range and ball.
    pub(crate) radius: u32,
    effort: Option<Effort>,
    filter: Option<Filter>,
}

impl Search {
    /// The number of results.
    pub(crate) fn k(&self) -> usize {
        self.k.unwrap_or(K)
    }

    /// The radius, where there is one.
    pub(crate) fn radius(&self) -> Option<u32> {
        self.radius
    }

    /// The records that are searched, where that are not all.
    pub(crate) fn filter(&self) -> Option<Filter> {
        self.filter_prefix.as_ref().map(|prefix| Filter::key_prefix(prefix.as_encoded_bytes()))
    }

    /// The request, if the arguments go together.
    pub(crate) fn request(&self) -> Result<Request> {
        let effort = match (self.recall, self.probes) {
            (Some(recall), _) => Some(Effort::Recall(recall)),
            (None, probes) => probes.map(|lists| Effort::Probes(lists.get())),
        };
        let mode = self.mode.unwrap_or(match (self.radius, effort) {
            _ if self.approx => Mode::Approx,
            (Some(_), _) => Mode::Range,
            (None, Some(_)) => Mode::Approx,
            (None, None) => Mode::Knn,
        });
        if effort.is_some() && mode != Mode::Approx {
            return Err(Usage(format!("--recall and --probes do not go with --mode {mode}")).into());
        }
        match (mode, self.radius) {
            (Mode::Range | Mode::Ball, None) => {
                return Err(Usage(format!("--mode {mode} needs --radius R")).into());
            }
            (Mode::Knn | Mode::Approx, Some(_)) => {
                return Err(Usage(format!("--radius does not go with --mode {mode}")).into());
            }
            _ => {}
        }
        if self.k.is_some() && self.radius.is_some() {
            let sentence = "-k does not go with --radius, which finds all within it";
            return Err(Usage(sentence.to_owned()).into());
        }
        let (k, radius, filter) = (self.k(), self.radius.unwrap_or(0), self.filter());
        Ok(Request { mode, k, radius, effort, filter })
    }
}

impl Request {
    /// Whether the answer is a number of nearest records, not all within a radius.
    pub(crate) fn is_ranked(&self) -> bool {
        matches!(self.mode, Mode::Knn | Mode::Approx)
    }

    /// The query for a code, in every mode but ball.
    pub(crate) fn of_code(&self, code: Code) -> Query {
        let query = match self.mode {
            Mode::Range => Query::range(code, self.radius),
            Mode::Approx => Query::approximate(code, self.k),
            Mode::Knn | Mode::Ball => Query::knn(code, self.k),
        };
        self.filtered(match self.effort {
            Some(Effort::Recall(recall)) => query.recall(recall),
            Some(Effort::Probes(lists)) => query.probes(lists),
            None => query,
        })
    }

    /// The query for an address, in mode ball.
    pub(crate) fn of_address(&self, address: Address) -> Query {
        self.filtered(Query::ball(address, self.radius))
    }

    /// The query restricted as the user wants it.
    pub(crate) fn filtered(&self, query: Query) -> Query {
        match &self.filter {
            Some(filter) => query.filter(filter.clone()),
            None => query,
        }
    }
}
