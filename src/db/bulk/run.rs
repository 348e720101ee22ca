//! A run: sorted entries that left the memory, in checksummed blocks.
//!
//! A run lives no longer than its load, so its bytes are described here alone: blocks of u32 length, u32
//! checksum and so many bytes of whole entries.
//!
//! While it lives the memory knows where its blocks begin and the first entries of a few of them: keys may have
//! kilobytes, and the first ones of all blocks would take more than the budget of a large load.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::chunk::Chunk;
use super::entry::{self, Bound, Entry, Order};
use crate::error::{Corruption, Error, Result};
use crate::storage::fs::{Fs, FsFile};

/// A block ends with the entry that reaches this.
const BLOCK_BYTES: usize = 64 << 10;
/// Landmarks stand so many bytes apart at least, and so many times the memory that they take.
pub(super) const LANDMARK_BYTES: usize = 1 << 20;
const LANDMARK_SHARE: usize = 1 << 13;
/// No block is longer: an entry has at most 6 KiB.
const MOST_BLOCK_BYTES: usize = BLOCK_BYTES + (8 << 10);
const HEAD_BYTES: usize = 8;

/// What reading a run takes.
pub(super) const READER_BYTES: usize = MOST_BLOCK_BYTES;

/// A file of sorted entries.
#[derive(Debug)]
pub(super) struct Run {
    path: PathBuf,
    code_bytes: usize,
    /// Where each block begins.
    starts: Vec<u64>,
    /// Some blocks, the first among them, and their first entries.
    landmarks: Vec<(usize, Bound)>,
    file_bytes: u64,
    entries: u64,
}

/// A run under way.
pub(super) struct RunWriter {
    file: Box<dyn FsFile>,
    order: Order,
    block: Vec<u8>,
    /// Where the next landmark may be.
    landmark_at: u64,
    run: Run,
}

impl RunWriter {
    /// Begins a run of entries in an order; their codes, of `code_bytes` each, are kept where it needs them.
    pub(super) fn create(
        fs: &dyn Fs,
        path: &Path,
        order: Order,
        code_bytes: usize,
    ) -> Result<Self> {
        let code_bytes = if order.needs_codes() { code_bytes } else { 0 };
        let (path_kept, file) = (path.to_path_buf(), fs.create(path)?);
        let run = Run {
            path: path_kept,
            code_bytes,
            starts: Vec::new(),
            landmarks: Vec::new(),
            file_bytes: 0,
            entries: 0,
        };
        Ok(Self { file, order, block: vec![0; HEAD_BYTES], landmark_at: 0, run })
    }

    /// Appends an entry, which none before comes behind.
    pub(super) fn push(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.run.entries += 1;
        if self.block.len() == HEAD_BYTES {
            let at = self.run.file_bytes;
            if at >= self.landmark_at {
                let first = self.order.bound(entry);
                let apart = (first.memory() * LANDMARK_SHARE).max(LANDMARK_BYTES);
                self.landmark_at = at + apart as u64;
                self.run.landmarks.push((self.run.starts.len(), first));
            }
            self.run.starts.push(at);
        }
        let (code, patches): (&[u8], &[_]) = match self.run.code_bytes {
            0 => (&[], &[]),
            _ => (entry.code, entry.patches),
        };
        entry::write(&mut self.block, &Entry { code, patches, ..*entry });
        if self.block.len() >= BLOCK_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<()> {
        let block = &mut self.block;
        let length = u32::try_from(block.len() - HEAD_BYTES).unwrap_or(u32::MAX);
        let checksum = crc32c::crc32c(&block[HEAD_BYTES..]);
        block[..4].copy_from_slice(&length.to_le_bytes());
        block[4..8].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all(block)?;
        self.run.file_bytes += block.len() as u64;
        block.truncate(HEAD_BYTES);
        Ok(())
    }

    /// The run, all of which is in its file.
    pub(super) fn finish(mut self) -> Result<Run> {
        if self.block.len() > HEAD_BYTES {
            self.flush()?;
        }
        Ok(self.run)
    }
}

impl Run {
    /// Writes the entries of a chunk in an order.
    pub(super) fn of_chunk(fs: &dyn Fs, path: &Path, chunk: &Chunk, order: Order) -> Result<Self> {
        let mut writer = RunWriter::create(fs, path, order, chunk.code_bytes())?;
        let places = chunk.sorted(order);
        for (at, place) in places.iter().enumerate() {
            chunk.fetch(&places, at);
            writer.push(&chunk.entry(*place))?;
        }
        writer.finish()
    }

    /// Removes the file.
    pub(super) fn remove(self, fs: &dyn Fs) -> Result<()> {
        fs.remove(&self.path)
    }

    /// Its entries.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Bytes of a code.
    pub(super) fn code_bytes(&self) -> usize {
        self.code_bytes
    }

    /// The first entries of some blocks, and the bytes from each up to the next.
    pub(super) fn landmarks(&self) -> impl Iterator<Item = (&Bound, u64)> {
        let start = |(block, _): &(usize, Bound)| self.start(*block);
        let ends = self.landmarks.iter().skip(1).map(start).chain([self.file_bytes]);
        self.landmarks
            .iter()
            .zip(ends)
            .map(move |(landmark, end)| (&landmark.1, end - start(landmark)))
    }

    /// Where a block begins, or the last one ends.
    fn start(&self, block: usize) -> u64 {
        self.starts.get(block).copied().unwrap_or(self.file_bytes)
    }

    /// Entries from `from` on.
    pub(super) fn reader(&self, fs: &dyn Fs, from: Option<&Bound>) -> Result<RunReader<'_>> {
        let file = fs.open_read(&self.path)?;
        let mut reader = RunReader { run: self, file, next: 0, block: Vec::new(), at: 0 };
        if let Some(from) = from {
            reader.next = reader.block_before(from)?;
        }
        reader.fill()?;
        while let Some(entry) = reader.head()
            && from.is_some_and(|from| from.is_behind(&entry))
        {
            reader.advance()?;
        }
        Ok(reader)
    }

    fn read_block(&self, file: &File, number: usize, block: &mut Vec<u8>) -> Result<()> {
        use std::os::unix::fs::FileExt as _;
        let (start, end) = (self.start(number), self.start(number + 1));
        let damaged = |what: Corruption| what.at(&self.path, start);
        let length = usize::try_from(end - start).unwrap_or(usize::MAX);
        if !(HEAD_BYTES..=MOST_BLOCK_BYTES).contains(&length) {
            let value = end - start;
            return Err(damaged(Corruption::OutOfRange { field: "block length", value }));
        }
        block.resize(length, 0);
        file.read_exact_at(block, start).map_err(|source| Error::Io {
            path: self.path.clone(),
            op: "read",
            source,
        })?;
        let expected = u32::from_le_bytes([block[4], block[5], block[6], block[7]]);
        let found = crc32c::crc32c(&block[HEAD_BYTES..]);
        if expected != found {
            return Err(damaged(Corruption::Checksum { expected, found }));
        }
        Ok(())
    }
}

/// Stands on an entry of a run, or behind the last one.
#[derive(Debug)]
pub(super) struct RunReader<'a> {
    run: &'a Run,
    file: File,
    /// The block that comes after this one.
    next: usize,
    block: Vec<u8>,
    at: usize,
}

impl RunReader<'_> {
    pub(super) fn head(&self) -> Option<Entry<'_>> {
        Entry::read(self.block.get(self.at..)?, self.run.code_bytes).map(|(entry, _)| entry)
    }

    pub(super) fn advance(&mut self) -> Result<()> {
        let here = self.block.get(self.at..).unwrap_or_default();
        self.at += Entry::read(here, self.run.code_bytes).map_or(0, |(_, length)| length);
        if self.at >= self.block.len() { self.fill() } else { Ok(()) }
    }

    /// The last block that begins before a bound, which may hold entries behind it; the first if there is none.
    fn block_before(&mut self, from: &Bound) -> Result<usize> {
        let Run { landmarks, starts, .. } = self.run;
        let behind = landmarks.partition_point(|(_, first)| first < from);
        let mut low = behind.checked_sub(1).map_or(0, |before| landmarks[before].0);
        let mut high = landmarks.get(behind).map_or(starts.len(), |(block, _)| *block);
        while high.saturating_sub(low) > 1 {
            let middle = low.midpoint(high);
            self.next = middle;
            self.fill()?;
            let before = self.head().is_some_and(|first| from.is_behind(&first));
            if before { low = middle } else { high = middle }
        }
        Ok(low)
    }

    fn fill(&mut self) -> Result<()> {
        self.block.clear();
        self.at = HEAD_BYTES;
        if self.next < self.run.starts.len() {
            self.run.read_block(&self.file, self.next, &mut self.block)?;
            self.next += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::fs::OsFs;

    fn run(path: &Path, count: u64, key_bytes: usize) -> Run {
        let mut writer = RunWriter::create(&OsFs, path, Order::Key, 0).unwrap();
        for id in 0..count {
            let key = format!("{id:0key_bytes$}");
            let key = key.as_bytes();
            let (code, patches) = (&[][..], &[][..]);
            let entry = Entry { id, address: 0, has_value: false, code, patches, key };
            writer.push(&entry).unwrap();
        }
        writer.finish().unwrap()
    }

    /// The first key of every block stayed in memory, a sixteenth of all bytes where keys have 4 KiB.
    #[test]
    fn what_a_run_keeps_in_memory_is_small_however_long_its_keys() {
        let folder = tempfile::tempdir().unwrap();
        for (count, key_bytes) in [(200_000, 20), (20_000, 4096)] {
            let run = run(&folder.path().join("run"), count, key_bytes);
            let landmarks = run.landmarks.iter();
            let bytes: usize =
                landmarks.map(|(_, first)| first.memory() + size_of::<usize>()).sum();
            let bytes = (bytes + run.starts.len() * size_of::<u64>()) as u64;
            assert!(bytes < run.file_bytes / 2000 + 2 * 4096, "{bytes} of {}", run.file_bytes);
            let told: u64 = run.landmarks().map(|(_, bytes)| bytes).sum();
            assert_eq!(told, run.file_bytes);
        }
    }

    #[test]
    fn a_reader_begins_at_any_bound() {
        const COUNT: u64 = 40_000;
        let folder = tempfile::tempdir().unwrap();
        let run = run(&folder.path().join("run"), COUNT, 100);
        assert!(run.landmarks.len() > 2 && run.starts.len() > 10 * run.landmarks.len());
        for id in (0..COUNT).step_by(97).chain([COUNT - 1, COUNT, COUNT + 5]) {
            // Keys that are there, and those right behind them.
            for (behind, expected) in [("", id), ("~", id + 1)] {
                let from = Bound::Key(format!("{id:0100}{behind}").into_bytes());
                let mut reader = run.reader(&OsFs, Some(&from)).unwrap();
                let expected = Some(expected).filter(|id| *id < COUNT);
                assert_eq!(reader.head().map(|entry| entry.id), expected, "from {id}{behind}");
                if expected.is_some() {
                    reader.advance().unwrap();
                    let next = expected.map(|id| id + 1).filter(|id| *id < COUNT);
                    assert_eq!(reader.head().map(|entry| entry.id), next);
                }
            }
        }
        assert_eq!(run.reader(&OsFs, None).unwrap().head().unwrap().id, 0);
    }
}
