//! A run: sorted entries that left the memory, in checksummed blocks.
//!
//! A run lives no longer than its load, so its bytes are described here alone: blocks of u32 length, u32
//! checksum and so many bytes of whole entries.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::chunk::{Chunk, Place};
use super::entry::{Bound, Entry, Order};
use crate::error::{Corruption, Error, Result};
use crate::storage::fs::Fs;

/// A block ends with the entry that reaches this.
pub(super) const BLOCK_BYTES: usize = 64 << 10;
/// No block is longer: an entry has at most 5 KiB.
const MOST_BLOCK_BYTES: usize = BLOCK_BYTES + (8 << 10);
const HEAD_BYTES: usize = 8;

/// A file of sorted entries.
#[derive(Debug)]
pub(super) struct Run {
    path: PathBuf,
    code_bytes: usize,
    /// Where each block begins, and its first entry.
    blocks: Vec<(u64, Bound)>,
    file_bytes: u64,
}

impl Run {
    /// Writes the entries of a chunk in the order of `places`.
    pub(super) fn write(
        fs: &dyn Fs,
        path: &Path,
        chunk: &Chunk,
        order: Order,
        places: &[Place],
    ) -> Result<Self> {
        let mut file = fs.create(path)?;
        let mut blocks = Vec::new();
        let mut position = 0;
        let mut block = vec![0; HEAD_BYTES];
        for (at, place) in places.iter().enumerate() {
            let bytes = chunk.bytes_at(*place);
            let Some((entry, length)) = Entry::read(bytes, chunk.code_bytes()) else { continue };
            if block.len() == HEAD_BYTES {
                blocks.push((position, order.bound(&entry)));
            }
            block.extend_from_slice(&bytes[..length]);
            if block.len() >= BLOCK_BYTES || at + 1 == places.len() {
                let content = block.len() - HEAD_BYTES;
                let length = u32::try_from(content).unwrap_or(u32::MAX);
                let checksum = crc32c::crc32c(&block[HEAD_BYTES..]);
                block[..4].copy_from_slice(&length.to_le_bytes());
                block[4..8].copy_from_slice(&checksum.to_le_bytes());
                file.write_all(&block)?;
                position += block.len() as u64;
                block.truncate(HEAD_BYTES);
            }
        }
        let code_bytes = chunk.code_bytes();
        Ok(Self { path: path.to_path_buf(), code_bytes, blocks, file_bytes: position })
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
