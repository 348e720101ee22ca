//! The two streams: results on standard output, everything else on standard error.
//!
//! Results are written through an explicit writer, so that a full disk is an error and a reader that
//! went away is a quiet end.

use std::fmt;
use std::io::{self, BufWriter, StdoutLock, Write};

use anyhow::{Result, anyhow};
use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

/// Standard output was closed by its reader.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("standard output was closed")
    }
}

impl std::error::Error for Closed {}

/// Writes one line to standard error. If even that fails there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _nobody_to_tell = writeln!(io::stderr().lock(), "hashdb: {text}");
}

/// Standard output, buffered; [`Output::finish`] must be called in the end.
#[derive(Debug)]
pub(crate) struct Output {
    writer: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// Takes standard output.
    pub(crate) fn new() -> Self {
        Self { writer: BufWriter::with_capacity(1 << 16, io::stdout().lock()) }
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.writer.write_all(bytes).map_err(explain)
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, text: impl fmt::Display) -> Result<()> {
        writeln!(self.writer, "{text}").map_err(explain)
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut self.writer, value).map_err(|error| explain(error.into()))?;
        self.bytes(b"\n")
    }

    /// Writes a table with a header; columns whose title begins with `>` stand to the right.
    pub(crate) fn table(&mut self, header: &[&str], rows: Vec<Vec<String>>) -> Result<()> {
        let mut table = Table::new();
        table.load_style(NOTHING);
        table.set_header(header.iter().map(|title| title.trim_start_matches('>')));
        table.add_rows(rows);
        self.aligned(table, |index| header[index].starts_with('>'))
    }

    /// Writes names and what belongs to them, one pair a line.
    pub(crate) fn facts(&mut self, facts: &[(&str, String)]) -> Result<()> {
        let mut table = Table::new();
        table.load_style(NOTHING);
        for (name, value) in facts {
            table.add_row([*name, value]);
        }
        self.aligned(table, |_| false)
    }

    fn aligned(&mut self, mut table: Table, to_the_right: impl Fn(usize) -> bool) -> Result<()> {
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, 2));
            if to_the_right(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        self.line(table.trim_fmt())
    }

    /// Hands everything to the reader.
    pub(crate) fn finish(mut self) -> Result<()> {
        self.writer.flush().map_err(explain)
    }
}

fn explain(error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Closed.into();
    }
    anyhow!("cannot write to standard output: {error}")
}
