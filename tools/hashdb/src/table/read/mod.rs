//! Readers of tables.

mod columns;
mod csv;
mod damage;
mod flat;
mod images;
mod ipc;
mod jsonl;
mod limited;
mod lines;
mod lists;
mod npy;
mod parquet;

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Result, anyhow};

use super::{Format, Rows, Widths};
use crate::exit::Usage;
pub(crate) use images::ImageColumns;
pub(crate) use npy::{FACTS, LENGTHS, NpyPaths, NpyTable};

/// The name of standard input.
pub(crate) const STDIN: &str = "-";

/// A table that is read from its beginning to its end. Its errors name the file, the row and the
/// column.
pub(crate) trait Table {
    /// What the table tells about itself.
    fn widths(&self) -> Widths;

    /// The number of rows, where it is known.
    fn rows(&self) -> Option<u64>;

    /// Rows that were passed over when it was opened: as many as was asked for, or all. What they hold was
    /// not looked at.
    fn passed(&self) -> u64;

    /// Checks what can be known without reading all rows against the widths of a database.
    fn check(&self, _code_bits: u16, _address_bits: u8) -> Result<()> {
        Ok(())
    }

    /// Reads the next rows in place of those that `rows` holds; none at the end.
    fn read(&mut self, rows: &mut Rows) -> Result<()>;
}

/// Opens a table at row `from`: a file, for npy also a folder, or `-` for standard input.
pub(crate) fn open(path: &Path, asked: Option<Format>, from: u64) -> Result<Box<dyn Table>> {
    let stdin = path.as_os_str() == STDIN;
    if stdin && asked.is_none() {
        return Err(Usage("standard input needs --format".into()).into());
    }
    let format = match asked {
        None if path.is_dir() => Format::Npy,
        asked => Format::of(asked, path)?,
    };
    Ok(match format {
        Format::Npy | Format::Parquet if stdin => {
            let sentence = format!("a table of format {format} cannot be read from standard input");
            return Err(Usage(sentence).into());
        }
        Format::Npy => Box::new(NpyTable::open(&NpyPaths::of_table(path), from)?),
        Format::Parquet => Box::new(parquet::ParquetTable::open(path, from)?),
        Format::Arrow if stdin => Box::new(ipc::IpcTable::of_stream(path, input(path)?, from)?),
        Format::Arrow => Box::new(ipc::IpcTable::open(path, from)?),
        Format::Csv => Box::new(csv::CsvTable::open(path, input(path)?, from)?),
        Format::Jsonl => Box::new(jsonl::JsonTable::open(path, input(path)?, from)?),
    })
}

/// The bytes of a file or of standard input.
fn input(path: &Path) -> Result<Box<dyn Read>> {
    if path.as_os_str() == STDIN {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(file(path)?))
}

#[expect(clippy::disallowed_methods, reason = "the error names the path")]
fn file(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))
}
