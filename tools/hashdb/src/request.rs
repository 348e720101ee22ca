//! What a user asks of a search, whatever it is for: shared by `query` and `bench`.

use std::fmt;

use anyhow::Result;
use clap::ValueEnum;
use hashdb::{Address, Code, Query};

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
    /// What to search for [default: range with --radius, knn without]
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// The number of results [default: 10]
    #[arg(short, value_name = "K", conflicts_with = "radius")]
    k: Option<usize>,
    /// All records whose codes, or addresses in mode ball, differ in at most R bits
    #[arg(long, value_name = "R")]
    radius: Option<u32>,
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
}

impl Search {
    /// The request, if the arguments go together.
    pub(crate) fn request(&self) -> Result<Request> {
        let default = if self.radius.is_some() { Mode::Range } else { Mode::Knn };
        let mode = self.mode.unwrap_or(default);
        match (mode, self.radius) {
            (Mode::Range | Mode::Ball, None) => {
                return Err(Usage(format!("--mode {mode} needs --radius R")).into());
            }
            (Mode::Knn | Mode::Approx, Some(_)) => {
                return Err(Usage(format!("--radius does not go with --mode {mode}")).into());
            }
            _ => {}
        }
        let (k, radius) = (self.k.unwrap_or(K), self.radius.unwrap_or(0));
        Ok(Request { mode, k, radius })
    }
}

impl Request {
    /// Whether the answer is a number of nearest records, not all within a radius.
    pub(crate) fn is_ranked(&self) -> bool {
        matches!(self.mode, Mode::Knn | Mode::Approx)
    }

    /// The query for a code, in every mode but ball.
    pub(crate) fn of_code(&self, code: Code) -> Query {
        match self.mode {
            Mode::Range => Query::range(code, self.radius),
            Mode::Knn | Mode::Ball | Mode::Approx => Query::knn(code, self.k),
        }
    }

    /// The query for an address, in mode ball.
    pub(crate) fn of_address(&self, address: Address) -> Query {
        Query::ball(address, self.radius)
    }
}
