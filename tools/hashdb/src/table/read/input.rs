//! The bytes of a file, a pipe or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use super::STDIN;
use crate::signals::Interrupt;

/// Bytes that are read at once from a pipe, and how often that is done ahead.
const CHUNK_BYTES: usize = 1 << 16;
const CHUNKS_AHEAD: usize = 4;
/// How long a pipe is waited for between two looks whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(50);

/// The bytes of a file or of standard input, as long as the user wants them.
pub(super) fn open(path: &Path, interrupt: &Interrupt) -> Result<Box<dyn Read>> {
    if path.as_os_str() == STDIN {
        return pipe(path, || Ok(io::stdin()), interrupt);
    }
    let failed = |error| cannot_read(path, &error);
    if path.metadata().map_err(failed)?.is_file() {
        return Ok(Box::new(Wanted { file: file(path)?, interrupt: interrupt.clone() }));
    }
    // A pipe opens when somebody writes to it.
    let own = path.to_path_buf();
    #[expect(clippy::disallowed_methods, reason = "who reads names the path")]
    pipe(path, move || File::open(own), interrupt)
}

/// Opens a file that is read in any order, which a pipe cannot be.
#[expect(clippy::disallowed_methods, reason = "the error names the path")]
pub(super) fn file(path: &Path) -> Result<File> {
    let failed = |error| cannot_read(path, &error);
    if !path.metadata().map_err(failed)?.is_file() {
        bail!("cannot read {}: it is no file", path.display());
    }
    File::open(path).map_err(failed)
}

fn pipe<R: Read + 'static>(
    path: &Path,
    open: impl FnOnce() -> io::Result<R> + Send + 'static,
    interrupt: &Interrupt,
) -> Result<Box<dyn Read>> {
    let pipe = Pipe::new(open, interrupt).map_err(|error| cannot_read(path, &error))?;
    Ok(Box::new(pipe))
}

fn cannot_read(path: &Path, error: &io::Error) -> anyhow::Error {
    anyhow!("cannot read {}: {error}", path.display())
}

/// The error of who reads on though the user wants to stop.
fn check(interrupt: &Interrupt) -> io::Result<()> {
    if interrupt.is_set() { Err(io::Error::other("the user wants to stop")) } else { Ok(()) }
}

/// A file that is read until the user wants to stop.
struct Wanted {
    file: File,
    interrupt: Interrupt,
}

impl Read for Wanted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        check(&self.interrupt)?;
        self.file.read(buffer)
    }
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
    fn new<R: Read>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        interrupt: &Interrupt,
    ) -> io::Result<Self> {
        let (send, chunks) = sync_channel(CHUNKS_AHEAD);
        let read = move || {
            let mut pipe = match open() {
                Ok(pipe) => pipe,
                Err(error) => {
                    // If nobody waits for it any more, nobody needs it.
                    let _untold = send.send(Err(error));
                    return;
                }
            };
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
            check(&self.interrupt)?;
            match self.chunks.recv_timeout(LOOK) {
                Ok(chunk) => return chunk,
                Err(RecvTimeoutError::Disconnected) => return Ok(Vec::new()),
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
