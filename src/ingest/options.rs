//! How a run of the pipeline is made: threads, batches, limits, and what is read and done again.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

use super::deadline::Clock;
use super::decode::ITEM_TIMEOUT;
use super::foreign::ShardFormat;
use super::journal::Redo;
use super::siblings::Siblings;
use super::store::Store;

/// Batches that may be found and not yet handed on in order: room for the decoders to work ahead while one
/// of their items is slow or a batch is encoded.
const WINDOW_BATCHES: usize = 8;
/// The same in things found, at least, and beyond one batch at most.
const WINDOW_BOUNDS: (usize, usize) = (256, 8192);

/// How a run is made. `IngestOptions::default()` suits a machine that has nothing else to do.
#[derive(Debug, Clone, Copy)]
pub struct IngestOptions<'a> {
    pub(super) threads: usize,
    pub(super) batch: usize,
    pub(super) item_timeout: Duration,
    pub(super) clock: Clock,
    pub(super) redo: Redo,
    pub(super) delete_missing: bool,
    pub(super) siblings: Option<&'a Siblings>,
    pub(super) store: Store,
    pub(super) patches: usize,
    pub(super) listed: &'a [PathBuf],
    pub(super) format: Option<&'a dyn ShardFormat>,
    pub(super) cancel: Option<&'a AtomicBool>,
}

impl Default for IngestOptions<'_> {
    fn default() -> Self {
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let (item_timeout, clock) = (ITEM_TIMEOUT, Clock::System);
        Self {
            threads,
            batch: 256,
            item_timeout,
            clock,
            redo: Redo::default(),
            delete_missing: false,
            siblings: None,
            store: Store::default(),
            patches: 0,
            listed: &[],
            format: None,
            cancel: None,
        }
    }
}

impl<'a> IngestOptions<'a> {
    /// Decoding threads, at least 1. Default: as many as the machine runs at once.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }

    /// Images encoded and written at once, 1 to 65536. Default: 256.
    #[must_use]
    pub fn batch(mut self, batch: usize) -> Self {
        self.batch = batch.clamp(1, 65_536);
        self
    }

    /// The time that decoding one image may take; one that takes longer is rejected as `too-slow`, and
    /// the others go on meanwhile. Waiting for memory does not count. Default: [`ITEM_TIMEOUT`];
    /// `Duration::MAX` for none.
    ///
    /// A decoder is stopped when it asks for its next bytes, so it may overrun its time by the work of one
    /// scan, strip or transform, which the other limits bound.
    #[must_use]
    pub fn item_timeout(mut self, timeout: Duration) -> Self {
        self.item_timeout = timeout;
        self
    }

    /// What of an earlier run is done again. Default: nothing.
    #[must_use]
    pub fn redo(mut self, redo: Redo) -> Self {
        self.redo = redo;
        self
    }

    /// Whether records of files and shards below the paths that are no longer there are deleted at the end
    /// of a run, those that an ingest has brought in; with a shard all records whose keys begin with its path
    /// and `/`, and of a shard that was read again since it changed ([`Redo`]) those of entries that it has no
    /// longer. What lies below a folder that cannot be read is kept. Default: no.
    #[must_use]
    pub fn delete_missing(mut self, delete: bool) -> Self {
        self.delete_missing = delete;
        self
    }

    /// Siblings of images that become the values of their records, see [`Siblings`]. Default: none, and values
    /// are empty.
    #[must_use]
    pub fn siblings(mut self, siblings: &'a Siblings) -> Self {
        self.siblings = Some(siblings);
        self
    }

    /// Facts about each image that are stored in the value of its record, where [`ImageFacts`](super::ImageFacts) reads
    /// them. Records of files and shards that are passed over keep what they hold. Default: none.
    #[must_use]
    pub fn store(mut self, store: Store) -> Self {
        self.store = store;
        self
    }

    /// Patch addresses that the encoder gives for each picture, 0 to [`MAX_PATCHES`](crate::MAX_PATCHES); they are
    /// stored with the record. Records of files and shards that are passed over keep what they hold;
    /// [`noted_patches`](super::noted_patches) tells what earlier runs stored. Default: 0.
    #[must_use]
    pub fn patches(mut self, count: usize) -> Self {
        self.patches = count;
        self
    }

    /// More paths, which come after those that are given to the run. They are no patterns, and one that cannot be
    /// looked at is a reject and does not keep the run from starting. Default: none.
    #[must_use]
    pub fn listed(mut self, paths: &'a [PathBuf]) -> Self {
        self.listed = paths;
        self
    }

    /// Shards of one more format. Default: none.
    #[must_use]
    pub fn format(mut self, format: &'a dyn ShardFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Things found that may be on their way to the encoder.
    pub(super) fn window(&self) -> usize {
        let (least, most) = WINDOW_BOUNDS;
        (WINDOW_BATCHES * self.batch).clamp(least, self.batch + most)
    }

    /// Where the time of an item comes from.
    #[cfg(test)]
    pub(super) fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// A flag that ends the run early once it is set: what is decoded by then is still written.
    #[must_use]
    pub fn cancel(mut self, cancel: &'a AtomicBool) -> Self {
        self.cancel = Some(cancel);
        self
    }
}
