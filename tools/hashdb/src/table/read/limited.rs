//! A stream in which no row may be longer than a limit, so that a file without line ends cannot fill the
//! memory.

use std::io::{self, Read};

/// Bytes of a row at most: the largest value in base64, and room for the rest.
pub(super) const MAX_ROW_BYTES: usize = 96 << 20;

/// Counts the bytes since the last row.
pub(super) struct Limited<R> {
    inner: R,
    read: usize,
}

impl<R: Read> Limited<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, read: 0 }
    }

    /// A row is over.
    pub(super) fn next_row(&mut self) {
        self.read = 0;
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read > MAX_ROW_BYTES {
            return Err(io::Error::other(format!("a row has more than {MAX_ROW_BYTES} bytes")));
        }
        let read = self.inner.read(buffer)?;
        self.read += read;
        Ok(read)
    }
}
