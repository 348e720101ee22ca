//! A file that is read here and there, mostly forwards, through a buffer that a seek does not drop.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

/// Bytes read from disk at once.
const BUFFER_BYTES: usize = 64 << 10;

/// An open file, which fails once the run is stopped.
pub(super) struct Seeking<'a> {
    file: File,
    stopped: &'a dyn Fn() -> bool,
    buffer: Vec<u8>,
    /// The place of the buffer in the file.
    start: u64,
    /// The place of the next byte.
    at: u64,
}

impl<'a> Seeking<'a> {
    pub(super) fn new(file: File, stopped: &'a dyn Fn() -> bool) -> Self {
        Self { file, stopped, buffer: Vec::new(), start: 0, at: 0 }
    }

    fn buffered(&self) -> &[u8] {
        let past = self.at.checked_sub(self.start).and_then(|past| usize::try_from(past).ok());
        past.and_then(|past| self.buffer.get(past..)).unwrap_or_default()
    }

    fn fill(&mut self) -> io::Result<()> {
        if (self.stopped)() {
            return Err(io::Error::other("the run was stopped"));
        }
        self.buffer.resize(BUFFER_BYTES, 0);
        let read = self.file.seek(SeekFrom::Start(self.at));
        let read = read.and_then(|_| self.file.read(&mut self.buffer));
        self.buffer.truncate(*read.as_ref().unwrap_or(&0));
        self.start = self.at;
        read.map(|_| ())
    }
}

impl Read for Seeking<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.buffered().is_empty() {
            self.fill()?;
        }
        let count = self.buffered().read(into)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Seeking<'_> {
    fn seek(&mut self, place: SeekFrom) -> io::Result<u64> {
        self.at = match place {
            SeekFrom::Start(at) => at,
            SeekFrom::Current(by) => self.at.checked_add_signed(by).ok_or_else(outside)?,
            SeekFrom::End(_) => self.file.seek(place)?,
        };
        Ok(self.at)
    }
}

fn outside() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "a place before the beginning of the file")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn any_place_reads_as_in_the_file() {
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n * 7 % 253) as u8).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let mut seeking = Seeking::new(file, &|| false);
        let mut buffer = [0; 1000];
        for at in [0_usize, 500, 10, 65_000, 65_536, 200_000, 199_000, 299_500, 3, 300_000, 400_000]
        {
            assert_eq!(seeking.seek(SeekFrom::Start(at as u64)).unwrap(), at as u64);
            let mut found = Vec::new();
            while found.len() < buffer.len() {
                match seeking.read(&mut buffer[found.len()..]).unwrap() {
                    0 => break,
                    count => found.extend_from_slice(&buffer[found.len()..][..count]),
                }
            }
            let end = (at + 1000).min(bytes.len());
            assert_eq!(found, bytes.get(at..end).unwrap_or_default(), "at {at}");
        }
        assert_eq!(seeking.seek(SeekFrom::End(-5)).unwrap(), 299_995);
        assert_eq!(seeking.seek(SeekFrom::Current(-5)).unwrap(), 299_990);
        assert!(seeking.seek(SeekFrom::Current(-300_000)).is_err());
        let mut rest = Vec::new();
        seeking.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, bytes[299_990..]);
    }

    #[test]
    fn a_stopped_run_reads_no_more() {
        let mut seeking = Seeking::new(tempfile::tempfile().unwrap(), &|| true);
        assert!(seeking.read(&mut [0]).is_err());
    }
}
