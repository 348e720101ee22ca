//! Writers of tables. A table gets its name when it is whole and on the disk; until then it has another
//! one, and what fails leaves nothing behind.

mod csv;
mod draft;
mod ipc;
mod jsonl;
mod npy;
mod parquet;
mod records;

use std::io::{self, Write};
use std::path::Path;

use anyhow::{Result, anyhow};

use super::{Format, Rows};
use crate::exit::Usage;
use crate::output::Closed;
use draft::Draft;

/// The name of standard output.
pub(crate) const STDOUT: &str = "-";

/// A table under way.
pub(crate) trait Sink {
    /// Appends rows.
    fn write(&mut self, rows: &Rows) -> Result<()>;

    /// Ends the table and gives it its name.
    fn finish(self: Box<Self>) -> Result<()>;
}

/// What the rows of a table are like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) code_bits: u16,
    pub(crate) address_bits: u8,
    /// Whether there is a column of patch addresses.
    pub(crate) has_patches: bool,
}

/// Begins a table at a path that must be free, or on standard output.
pub(crate) fn create(path: &Path, asked: Option<Format>, shape: Shape) -> Result<Box<dyn Sink>> {
    let to_stdout = path.as_os_str() == STDOUT;
    if to_stdout && !matches!(asked, Some(Format::Csv | Format::Jsonl)) {
        return Err(Usage("standard output needs --format csv or jsonl".into()).into());
    }
    let format = Format::of(asked, path)?;
    if !to_stdout && path.symlink_metadata().is_ok() {
        draft::is_there(path)?;
    }
    let target = || if to_stdout { Ok(Target::stdout()) } else { Target::file(path) };
    Ok(match format {
        Format::Npy => Box::new(npy::NpyFolder::create(path, shape)?),
        Format::Parquet => Box::new(parquet::ParquetFile::create(path, shape)?),
        Format::Arrow => Box::new(ipc::IpcFile::create(path, shape)?),
        Format::Csv => Box::new(csv::CsvFile::create(target()?, shape)?),
        Format::Jsonl => Box::new(jsonl::JsonFile::create(target()?, shape)),
    })
}

/// Where text goes: a file or standard output.
enum Target {
    File(Draft),
    Stdout(io::BufWriter<io::StdoutLock<'static>>),
}

impl Target {
    fn file(path: &Path) -> Result<Self> {
        Draft::create(path).map(Self::File)
    }

    fn stdout() -> Self {
        Self::Stdout(io::BufWriter::with_capacity(1 << 16, io::stdout().lock()))
    }

    fn finish(self) -> Result<()> {
        match self {
            Self::File(draft) => draft.finish(),
            Self::Stdout(mut stdout) => stdout.flush().map_err(|error| failed(STDOUT, error)),
        }
    }

    /// What errors call it.
    fn name(&self) -> String {
        match self {
            Self::File(draft) => draft.path().display().to_string(),
            Self::Stdout(_) => "standard output".to_owned(),
        }
    }
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(draft) => draft.write(bytes),
            Self::Stdout(stdout) => stdout.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(draft) => draft.flush(),
            Self::Stdout(stdout) => stdout.flush(),
        }
    }
}

/// An error of writing to `name`; a reader that went away is none.
#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
fn failed(name: &str, error: io::Error) -> anyhow::Error {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Closed.into();
    }
    anyhow!("cannot write {name}: {error}")
}
