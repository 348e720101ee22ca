//! Readers of tables.

mod columns;
mod csv;
mod csv_text;
mod damage;
mod flat;
mod images;
mod input;
mod ipc;
mod jsonl;
mod lines;
mod lists;
mod npy;
mod parquet;

use std::path::Path;

use anyhow::Result;

use super::{Format, Rows, Widths};
use crate::exit::Usage;
use crate::signals::Interrupt;
pub(crate) use images::ImageColumns;
use input::file;
pub(crate) use npy::{FACTS, LENGTHS, NpyPaths, NpyTable};

/// Bytes of a row of text at most: the largest value in base64, or with few escapes, and room for the rest.
pub(in crate::table) const MAX_ROW_BYTES: usize = 96 << 20;

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

/// Opens a table at row `from`: a file, for npy also a folder, or `-` for standard input. Reading a pipe fails once the
/// user wants to stop.
pub(crate) fn open(
    path: &Path,
    asked: Option<Format>,
    from: u64,
    interrupt: &Interrupt,
) -> Result<Box<dyn Table>> {
    let stdin = path.as_os_str() == STDIN;
    if stdin && asked.is_none() {
        return Err(Usage("standard input needs --format".into()).into());
    }
    let format = match asked {
        None if path.is_dir() => Format::Npy,
        asked => Format::of(asked, path)?,
    };
    let input = || input::open(path, interrupt);
    Ok(match format {
        Format::Npy | Format::Parquet if stdin => {
            let sentence = format!("a table of format {format} cannot be read from standard input");
            return Err(Usage(sentence).into());
        }
        Format::Npy => Box::new(NpyTable::open(&NpyPaths::of_table(path), from)?),
        Format::Parquet => Box::new(parquet::ParquetTable::open(path, from)?),
        Format::Arrow if path.is_file() => Box::new(ipc::IpcTable::open(path, from)?),
        Format::Arrow => Box::new(ipc::IpcTable::of_stream(path, input()?, from)?),
        Format::Csv => Box::new(csv::CsvTable::open(path, input()?, from)?),
        Format::Jsonl => Box::new(jsonl::JsonTable::open(path, input()?, from)?),
    })
}
