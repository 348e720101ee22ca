//! The values of a load: they come in the order of their ids, so they are written at once, block after
//! block, each to a table of its own, on threads of their own.
//!
//! All blocks together stay within their part of the budget. A value that is larger than a block is one by itself, and
//! where many such come fewer are written at a time; one that is larger than the part waits until it is alone.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::storage::tables::{Table, write_values};

/// Values that become one table.
#[derive(Debug, Default)]
struct Block {
    ids: Vec<u64>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

/// Bytes that a value takes beside its own: the id and the end.
const VALUE_BYTES: usize = 16;

/// A block whose memory is free again, and the table that was made of it.
type Written = Result<(Block, Option<Table>)>;

impl Block {
    /// Bytes of memory that it takes, filled to the end.
    fn bytes(&self) -> usize {
        self.bytes.len() + self.ids.len() * VALUE_BYTES
    }

    /// Writes the table and empties the block, whose memory stays up to `block_bytes`: one large value may have
    /// taken more.
    fn write_out(mut self, path: &Path, block_bytes: usize) -> Written {
        let table = self.write(path)?;
        self.ids.clear();
        self.ends.clear();
        self.bytes.clear();
        self.bytes.shrink_to(block_bytes);
        Ok((self, table))
    }

    fn write(&self, path: &Path) -> Result<Option<Table>> {
        write_values(path, |table| {
            let mut start = 0;
            for (id, &end) in self.ids.iter().zip(&self.ends) {
                table.put(&id.to_be_bytes(), &self.bytes[start..end])?;
                start = end;
            }
            Ok(())
        })
    }
}

/// Writes values beside the caller.
#[derive(Debug)]
pub(super) struct ValueTables {
    threads: usize,
    block_bytes: usize,
    block: Block,
    /// Blocks that are being written, oldest first, and the bytes of each.
    writing: VecDeque<(usize, JoinHandle<Written>)>,
    /// The memory of a block that was written: what is new has to be cleared by the system page by page.
    spare: Block,
    written: Vec<Table>,
}

impl ValueTables {
    pub(super) fn new(threads: usize, block_bytes: usize) -> Self {
        Self {
            threads,
            block_bytes,
            block: Block::default(),
            writing: VecDeque::new(),
            spare: Block::default(),
            written: Vec::new(),
        }
    }

    /// Adds a value of an id above all others; `path` names a new file when one is begun.
    pub(super) fn push(
        &mut self,
        id: u64,
        value: &[u8],
        path: impl FnOnce() -> PathBuf,
    ) -> Result<()> {
        let more = value.len() + VALUE_BYTES;
        if !self.block.ids.is_empty() && self.block.bytes() + more > self.block_bytes {
            self.send(path())?;
        }
        if more > self.block_bytes {
            self.make_room(more)?;
        }
        if self.block.ids.is_empty() {
            // No more than it needs: growing takes twice as much.
            self.block.bytes.reserve_exact(self.block_bytes.max(value.len()));
        }
        self.block.ids.push(id);
        self.block.bytes.extend_from_slice(value);
        self.block.ends.push(self.block.bytes.len());
        Ok(())
    }

    /// Waits until a value larger than a block fits in beside what is being written, or is alone.
    fn make_room(&mut self, bytes: usize) -> Result<()> {
        // What a block keeps for the next one is a block at most.
        let most = self.block_bytes * (self.threads + 1);
        while self.bytes_being_written() + bytes > most && !self.writing.is_empty() {
            self.take_oldest()?;
        }
        Ok(())
    }

    fn bytes_being_written(&self) -> usize {
        self.writing.iter().map(|(bytes, _)| bytes).sum()
    }

    fn send(&mut self, path: PathBuf) -> Result<()> {
        if self.writing.len() >= self.threads {
            self.take_oldest()?;
        }
        let block = std::mem::replace(&mut self.block, std::mem::take(&mut self.spare));
        let (name, block_bytes, bytes) = (path.clone(), self.block_bytes, block.bytes());
        let thread = std::thread::Builder::new().name("hashdb-values".to_owned());
        let writing = thread.spawn(move || block.write_out(&path, block_bytes));
        let refused = |source| Error::Io { path: name, op: "start a thread for", source };
        self.writing.push_back((bytes, writing.map_err(refused)?));
        Ok(())
    }

    fn take_oldest(&mut self) -> Result<()> {
        if let Some((_, writing)) = self.writing.pop_front() {
            // A thread that panicked wrote no table that could be trusted.
            let lost = || Error::invalid("bulk load", "has lost a thread; begin anew");
            let (block, table) = writing.join().unwrap_or_else(|_| Err(lost()))?;
            self.spare = block;
            self.written.extend(table);
        }
        Ok(())
    }

    /// All tables, written to the end.
    pub(super) fn finish(&mut self, path: impl FnOnce() -> PathBuf) -> Result<Vec<Table>> {
        if !self.block.ids.is_empty() {
            self.send(path())?;
        }
        while !self.writing.is_empty() {
            self.take_oldest()?;
        }
        (self.block, self.spare) = (Block::default(), Block::default());
        Ok(std::mem::take(&mut self.written))
    }
}

impl Drop for ValueTables {
    fn drop(&mut self) {
        // Their folder is about to be removed.
        for (_, writing) in self.writing.drain(..) {
            let _given_up = writing.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each block could take a value of 64 MiB beyond its size, and its memory grew by doubling: with 16 threads and a
    /// budget of 16 MiB values took 2 GiB.
    #[test]
    fn blocks_of_large_values_stay_within_their_part_of_the_budget() {
        const BLOCK: usize = 64 << 10;
        const THREADS: usize = 8;
        let folder = tempfile::tempdir().unwrap();
        let mut values = ValueTables::new(THREADS, BLOCK);
        const HUGE: usize = 4 << 20;
        let mut files = 0;
        let mut path = || {
            files += 1;
            folder.path().join(format!("{files}.sst"))
        };
        // Small ones, those of some blocks, and one that is larger than all of them.
        for id in 0..400_usize {
            let size = match id {
                200 => HUGE,
                _ if id % 7 == 0 => 3 * BLOCK,
                _ => 500 * (id % 100),
            };
            values.push(id as u64, &vec![7; size], &mut path).unwrap();
            let blocks = [&values.block, &values.spare];
            let held: usize = blocks.iter().map(|block| block.bytes.capacity()).sum();
            let held = held + values.bytes_being_written();
            // One that is filled, one to spare, and those that are being written.
            let most = (THREADS + 2) * BLOCK + 3 * BLOCK + if id < 200 { 0 } else { HUGE };
            assert!(held <= most, "{held} bytes at {id}, not {most}");
        }
        let tables = values.finish(&mut path).unwrap();
        assert!(tables.len() > 50, "{}", tables.len());
    }
}
