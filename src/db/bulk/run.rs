//! A run: sorted entries that left the memory, in checksummed blocks.
//!
//! A run lives no longer than its load, so its bytes are described here alone: blocks of u32 length, u32
//! checksum and so many bytes of whole entries.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::chunk::Chunk;
use super::entry::{self, Bound, Entry, Order};
use crate::error::{Corruption, Error, Result};
use crate::storage::fs::{Fs, FsFile};

/// A block ends with the entry that reaches this.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
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
    /// Where each block begins, and its first entry.
    blocks: Vec<(u64, Bound)>,
    file_bytes: u64,
    entries: u64,
}

/// A run under way.
pub(super) struct RunWriter {
    file: Box<dyn FsFile>,
    order: Order,
    block: Vec<u8>,
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
        let run =
            Run { path: path_kept, code_bytes, blocks: Vec::new(), file_bytes: 0, entries: 0 };
        Ok(Self { file, order, block: vec![0; HEAD_BYTES], run })
    }

    /// Appends an entry, which none before comes behind.
    pub(super) fn push(&mut self, entry: &Entry<'_>) -> Result<()> {
        self.run.entries += 1;
        if self.block.len() == HEAD_BYTES {
            self.run.blocks.push((self.run.file_bytes, self.order.bound(entry)));
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
        for place in chunk.sorted(order) {
            writer.push(&chunk.entry(place))?;
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

    /// The first entries of its blocks.
    pub(super) fn landmarks(&self) -> impl Iterator<Item = &Bound> {
        self.blocks.iter().map(|(_, first)| first)
    }

    /// Entries from `from` on.
    pub(super) fn reader(&self, fs: &dyn Fs, from: Option<&Bound>) -> Result<RunReader<'_>> {
        // The block before the first one that begins at or behind the bound may hold some of them.
        let block = from.map_or(0, |from| {
            self.blocks.partition_point(|(_, first)| first < from).saturating_sub(1)
        });
        let file = fs.open_read(&self.path)?;
        let mut reader = RunReader { run: self, file, next: block, block: Vec::new(), at: 0 };
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
        let start = self.blocks[number].0;
        let end = self.blocks.get(number + 1).map_or(self.file_bytes, |(start, _)| *start);
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

    fn fill(&mut self) -> Result<()> {
        self.block.clear();
        self.at = HEAD_BYTES;
        if self.next < self.run.blocks.len() {
            self.run.read_block(&self.file, self.next, &mut self.block)?;
            self.next += 1;
        }
        Ok(())
    }
}
