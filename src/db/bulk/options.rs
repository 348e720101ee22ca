//! How a bulk load is done, how far it has come, and what it did.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::db::options::IndexOptions;

/// Least memory that a load works with: 16 MiB.
const MIN_BUDGET: usize = 16 << 20;

/// What happens to a key that is there already, in the database or earlier in the same load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// The load fails with [`Error::DuplicateKey`](crate::Error::DuplicateKey) and changes nothing.
    #[default]
    Error,
    /// What is there stays: the record of the database, or the first one of the load.
    Skip,
    /// The new record takes the place of the old one: the last one of the load stays.
    Replace,
}

/// How a bulk load is done. Every default is written beside its setter.
#[derive(Clone)]
pub struct BulkOptions {
    pub(super) memory_budget: usize,
    pub(super) duplicates: Duplicates,
    pub(super) threads: usize,
    pub(super) index: Option<IndexOptions>,
    pub(super) cancel: Option<Arc<AtomicBool>>,
    pub(super) progress: Option<Arc<Progress>>,
}

type Progress = dyn Fn(BulkProgress) + Send + Sync;

impl fmt::Debug for BulkOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("BulkOptions")
            .field("memory_budget", &self.memory_budget)
            .field("duplicates", &self.duplicates)
            .field("threads", &self.threads)
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Default for BulkOptions {
    fn default() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            memory_budget: 1 << 30,
            duplicates: Duplicates::default(),
            threads,
            index: None,
            cancel: None,
            progress: None,
        }
    }
}

impl BulkOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bytes of memory that the load works with, default 1 GiB, at least 16 MiB. What does not fit is
    /// sorted in parts on the disk. Larger budgets make fewer and larger segments, too, which answer
    /// faster. The whole process takes up to half as much again, a bit or two for each record, a byte for each
    /// 2 KiB that are sorted on the disk, and what the largest value takes.
    #[must_use]
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.memory_budget = bytes.max(MIN_BUDGET);
        self
    }

    /// So little memory that a few records do not fit.
    #[cfg(test)]
    pub(crate) fn tiny_budget(mut self) -> Self {
        self.memory_budget = 2 << 10;
        self
    }

    /// What happens to keys that are there already, default [`Duplicates::Error`].
    #[must_use]
    pub fn duplicates(mut self, duplicates: Duplicates) -> Self {
        self.duplicates = duplicates;
        self
    }

    /// Threads, default as many as the machine has processors.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// The indexes over codes that the new segments carry, default those of the database
    /// ([`Database::set_index`](crate::Database::set_index)). With [`IndexOptions::none`] the load is
    /// several times faster, and [`Database::compact`](crate::Database::compact) builds them later.
    #[must_use]
    pub fn index(mut self, index: IndexOptions) -> Self {
        self.index = Some(index);
        self
    }

    /// A flag that stops the load with [`Error::Cancelled`](crate::Error::Cancelled) once it is set,
    /// default none; within a second or so, while indexes are built too. Nothing is loaded then.
    #[must_use]
    pub fn cancel(mut self, flag: Arc<AtomicBool>) -> Self {
        self.cancel = Some(flag);
        self
    }

    /// Is called from time to time while [`BulkLoader::finish`](crate::BulkLoader::finish) works, from
    /// several threads, with what has been done. Writers wait meanwhile: it must not write to the database.
    #[must_use]
    pub fn progress(mut self, progress: impl Fn(BulkProgress) + Send + Sync + 'static) -> Self {
        self.progress = Some(Arc::new(progress));
        self
    }
}

/// What [`BulkLoader::finish`](crate::BulkLoader::finish) is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum BulkStage {
    /// Sorted parts that are too many to be read at once are merged into fewer, by key and by address; a record is
    /// counted each time that it is. A load whose parts are few has no such stage.
    Merge,
    /// Keys are put in order, compared with each other and with the database.
    Keys,
    /// Records are written in the order of their addresses.
    Records,
    /// The rows of segments are gathered.
    Segments,
    /// Indexes of segments are built, and their files are written. A record is counted little by little, as the
    /// indexes of its segment are; a load of more than one segment goes on with their rows in between.
    Indexes,
    /// All of it becomes part of the database.
    Commit,
}

/// How far a bulk load has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkProgress {
    /// The stage; records are written beside segments and their indexes.
    pub stage: BulkStage,
    /// Records that have been through it.
    pub done: u64,
    /// Records that go through it.
    pub total: u64,
}

/// What a bulk load did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BulkReport {
    /// Records whose keys were new.
    pub inserted: u64,
    /// Records of the database that others took the place of.
    pub replaced: u64,
    /// Records that were given and left out, for another of the same key.
    pub skipped: u64,
    /// New segments.
    pub segments: u64,
    /// Sorted parts that did not fit into memory.
    pub runs: u64,
}
