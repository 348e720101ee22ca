//! The values of a load: they come in the order of their ids, so they are written at once, block after
//! block, each to a table of its own, on threads of their own.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::storage::records::Family;
use crate::storage::tables::{Table, write_table};

/// Values that become one table.
#[derive(Debug, Default)]
struct Block {
    ids: Vec<u64>,
    ends: Vec<usize>,
    bytes: Vec<u8>,
}

/// A block whose memory is free again, and the table that was made of it.
type Written = Result<(Block, Option<Table>)>;

impl Block {
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
        write_table(path, Family::Values, |table| {
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
    /// Blocks that are being written, oldest first.
    writing: VecDeque<JoinHandle<Written>>,
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
        self.block.ids.push(id);
        self.block.bytes.extend_from_slice(value);
        self.block.ends.push(self.block.bytes.len());
        if self.block.bytes.len() + self.block.ids.len() * 16 >= self.block_bytes {
            self.send(path())?;
        }
        Ok(())
    }

    fn send(&mut self, path: PathBuf) -> Result<()> {
        if self.writing.len() >= self.threads {
            self.take_oldest()?;
        }
        let block = std::mem::replace(&mut self.block, std::mem::take(&mut self.spare));
        let (name, block_bytes) = (path.clone(), self.block_bytes);
        let thread = std::thread::Builder::new().name("hashdb-values".to_owned());
        let writing = thread.spawn(move || block.write_out(&path, block_bytes));
        let refused = |source| Error::Io { path: name, op: "start a thread for", source };
        self.writing.push_back(writing.map_err(refused)?);
        Ok(())
    }

    fn take_oldest(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.pop_front() {
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
        for writing in self.writing.drain(..) {
            let _given_up = writing.join();
        }
    }
}
