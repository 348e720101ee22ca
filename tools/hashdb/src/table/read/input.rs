//! The bytes of a file, a pipe or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow};

use super::STDIN;
use crate::signals::Interrupt;

/// Bytes that are read at once from a pipe, and how often that is done ahead.
const CHUNK_BYTES: usize = 1 << 16;
const CHUNKS_AHEAD: usize = 4;
/// How long a pipe is waited for between two looks whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The bytes of a file or of standard input. Those of a pipe may be waited for without end, but not once the user
/// wants to stop.
pub(super) fn open(path: &Path, interrupt: &Interrupt) -> Result<Box<dyn Read>> {
    let failed = |error: io::Error| anyhow!("cannot read {}: {error}", path.display());
    if path.as_os_str() == STDIN {
        return Pipe::new(io::stdin(), interrupt).map(boxed).map_err(failed);
    }
    let file = file(path)?;
    match file.metadata().map_err(failed)?.is_file() {
        true => Ok(Box::new(file)),
        false => Pipe::new(file, interrupt).map(boxed).map_err(failed),
    }
}

#[expect(clippy::disallowed_methods, reason = "the error names the path")]
pub(super) fn file(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))
}

fn boxed(pipe: Pipe) -> Box<dyn Read> {
    Box::new(pipe)
}

/// A pipe that a thread reads, which may hang as long as it wants.
struct Pipe {
    chunks: Receiver<io::Result<Vec<u8>>>,
    chunk: Vec<u8>,
    /// How much of the chunk was handed out.
    used: usize,
    interrupt: Interrupt,
}

impl Pipe {
    fn new(mut pipe: impl Read + Send + 'static, interrupt: &Interrupt) -> io::Result<Self> {
        let (send, chunks) = sync_channel(CHUNKS_AHEAD);
        let read = move || {
            loop {
                let mut chunk = vec![0; CHUNK_BYTES];
                let read = match pipe.read(&mut chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read,
                };
                // What cannot be read is told once, and nothing comes after the end.
                let is_last = !matches!(read, Ok(1..));
                let read = read.map(|bytes| {
                    chunk.truncate(bytes);
                    chunk
                });
                if send.send(read).is_err() || is_last {
                    return;
                }
            }
        };
        thread::Builder::new().name("input".into()).spawn(read)?;
        Ok(Self { chunks, chunk: Vec::new(), used: 0, interrupt: interrupt.clone() })
    }

    /// Waits for the next chunk; an empty one is the end.
    fn next(&self) -> io::Result<Vec<u8>> {
        loop {
            match self.chunks.recv_timeout(LOOK) {
                Ok(chunk) => return chunk,
                Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
                Err(RecvTimeoutError::Timeout) if self.interrupt.is_set() => {
                    return Err(io::Error::other("the user wants to stop"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.used == self.chunk.len() {
            (self.chunk, self.used) = (self.next()?, 0);
        }
        let read = buffer.len().min(self.chunk.len() - self.used);
        buffer[..read].copy_from_slice(&self.chunk[self.used..self.used + read]);
        self.used += read;
        Ok(read)
    }
}
