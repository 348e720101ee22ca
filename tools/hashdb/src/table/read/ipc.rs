//! Arrow IPC: files, which Feather version 2 is too, and streams, also from standard input. A batch is
//! in memory whole, as the format wants it.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Chain, Cursor, Read, Seek as _};
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

/// A stream from its first byte on, of which a few were read.
type Stream = BufReader<Chain<Cursor<Vec<u8>>, Box<dyn Read>>>;

enum Batches {
    File(FileReader<BufReader<File>>),
    Stream { reader: StreamReader<Stream>, is_file: bool },
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

    /// Opens a stream, or a file as one, since there is a stream in it.
    pub(super) fn of_stream(path: &Path, input: Box<dyn Read>, from: u64) -> Result<Self> {
        let input = stream_of(input);
        let (input, is_file) =
            input.map_err(|error| anyhow!("cannot read {}: {error}", path.display()))?;
        let reader = reading(path, || StreamReader::try_new(input, None))?;
        let layout = Layout::of(path, &reader.schema())?;
        Self::begin(path, Batches::Stream { reader, is_file }, layout, from)
    }

    fn begin(path: &Path, mut batches: Batches, layout: Layout, from: u64) -> Result<Self> {
        let mut parts = Parts::at(0);
        parts.pass_over(from, || batches.next(path))?;
        let passed = parts.row;
        Ok(Self { path: path.to_path_buf(), batches, layout, parts, passed })
    }
}

/// The stream in a file, which has its mark and zeros before it, or what is a stream already; and which of the two.
fn stream_of(mut input: Box<dyn Read>) -> io::Result<(Stream, bool)> {
    let mut start = Vec::new();
    input.by_ref().take(MAGIC.len() as u64).read_to_end(&mut start)?;
    let is_file = start == MAGIC;
    if is_file {
        start.clear();
    }
    let mut stream = BufReader::new(Cursor::new(start).chain(input));
    if !is_file {
        return Ok((stream, false));
    }
    loop {
        let zeros = stream.fill_buf()?.iter().take_while(|byte| **byte == 0).count();
        if zeros == 0 {
            return Ok((stream, true));
        }
        stream.consume(zeros);
    }
}

/// Reads what stands behind the stream in a file, whose last bytes are the mark again: a stream may simply end, and so
/// would one of a file that was cut between two batches.
fn read_footer(stream: &mut Stream) -> io::Result<()> {
    let mut last = Vec::new();
    loop {
        let ahead = stream.fill_buf()?;
        let bytes = ahead.len();
        if bytes == 0 {
            break;
        }
        last.extend_from_slice(&ahead[bytes.saturating_sub(MAGIC.len())..]);
        stream.consume(bytes);
        last.drain(..last.len().saturating_sub(MAGIC.len()));
    }
    if last == MAGIC {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is cut short: it has no footer"))
}

impl Batches {
    fn next(&mut self, path: &Path) -> Result<Option<RecordBatch>> {
        reading(path, || match self {
            Self::File(reader) => reader.next().transpose(),
            Self::Stream { reader, is_file } => {
                let batch = reader.next().transpose()?;
                if batch.is_none() && std::mem::take(is_file) {
                    read_footer(reader.get_mut())?;
                }
                Ok(batch)
            }
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
