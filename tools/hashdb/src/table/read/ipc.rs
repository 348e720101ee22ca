//! Arrow IPC: files, which Feather version 2 is too, and streams, also from standard input. A batch is
//! in memory whole, as the format wants it.

use std::fs::File;
use std::io::{BufReader, Read, Seek as _};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use arrow_array::RecordBatch;
use arrow_ipc::reader::{FileReader, StreamReader};

use super::columns::{Layout, Parts};
use super::damage::reading;
use super::{Rows, Table, Widths};

/// What files begin with and streams do not.
const MAGIC: &[u8; 6] = b"ARROW1";

/// An open file or stream.
pub(super) struct IpcTable {
    path: PathBuf,
    batches: Batches,
    layout: Layout,
    parts: Parts,
    passed: u64,
}

enum Batches {
    File(FileReader<BufReader<File>>),
    Stream(StreamReader<BufReader<Box<dyn Read>>>),
}

impl IpcTable {
    /// Opens a file, which may hold a stream.
    pub(super) fn open(path: &Path, from: u64) -> Result<Self> {
        let mut file = super::file(path)?;
        let mut start = Vec::new();
        let read = file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start);
        let read = read.and_then(|_| file.rewind());
        read.map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
        if start != MAGIC {
            return Self::of_stream(path, Box::new(file), from);
        }
        let reader = reading(path, || FileReader::try_new_buffered(file, None))?;
        let layout = Layout::of(path, &reader.schema())?;
        Self::begin(path, Batches::File(reader), layout, from)
    }

    /// Opens a stream.
    pub(super) fn of_stream(path: &Path, input: Box<dyn Read>, from: u64) -> Result<Self> {
        let reader = reading(path, || StreamReader::try_new_buffered(input, None))?;
        let layout = Layout::of(path, &reader.schema())?;
        Self::begin(path, Batches::Stream(reader), layout, from)
    }

    fn begin(path: &Path, mut batches: Batches, layout: Layout, from: u64) -> Result<Self> {
        let mut parts = Parts::at(0);
        parts.pass_over(from, || batches.next(path))?;
        let passed = parts.row;
        Ok(Self { path: path.to_path_buf(), batches, layout, parts, passed })
    }
}

impl Batches {
    fn next(&mut self, path: &Path) -> Result<Option<RecordBatch>> {
        reading(path, || match self {
            Self::File(reader) => reader.next().transpose(),
            Self::Stream(reader) => reader.next().transpose(),
        })
    }
}

impl Table for IpcTable {
    fn widths(&self) -> Widths {
        self.layout.widths()
    }

    fn rows(&self) -> Option<u64> {
        None
    }

    fn passed(&self) -> u64 {
        self.passed
    }

    fn read(&mut self, rows: &mut Rows) -> Result<()> {
        let Self { path, batches, layout, parts, .. } = self;
        parts.fill(path, layout, rows, || batches.next(path))
    }
}
