//! The formats of tables, and how a name tells them.

use std::fmt;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

use crate::exit::Usage;

/// A format of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// numpy: a file of codes, or a folder with a file a column
    Npy,
    /// Apache Parquet
    Parquet,
    /// Arrow IPC, which Feather version 2 is too
    Arrow,
    /// Comma-separated values with a header
    Csv,
    /// A JSON object a line
    Jsonl,
}

impl Format {
    /// The format that was asked for, or that the name of the file tells.
    pub(crate) fn of(asked: Option<Self>, path: &Path) -> Result<Self> {
        let named = || {
            let extension = path.extension()?.to_str()?.to_ascii_lowercase();
            Some(match extension.as_str() {
                "npy" => Self::Npy,
                "parquet" | "pq" => Self::Parquet,
                "arrow" | "feather" | "ipc" | "arrows" => Self::Arrow,
                "csv" => Self::Csv,
                "jsonl" | "ndjson" => Self::Jsonl,
                _ => return None,
            })
        };
        asked.or_else(named).ok_or_else(|| {
            let path = path.display();
            Usage(format!("the name {path} tells no format; give --format")).into()
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Npy => "npy",
            Self::Parquet => "parquet",
            Self::Arrow => "arrow",
            Self::Csv => "csv",
            Self::Jsonl => "jsonl",
        })
    }
}
