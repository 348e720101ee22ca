//! What all handles of one open database share: its parts, its locks and its current view.
//!
//! Locks, in the order in which they may be taken: `capturing` (one checkpoint or backup at a time),
//! `merging` (one merge at a time), `sealing` (one seal at a time), `commit` (one change of the store at a time), `view` (held for the swap of a
//! pointer). A seal and a merge may run side by side: a merge touches segments only, and both
//! change the newest view under the commit lock. The others (`queue`, `index`, `maintenance_errors`)
//! are leaves: nothing is locked while one of them is held.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Mutex, MutexGuard};

use crate::db::options::{IndexOptions, Options};
use crate::db::published::Published;
use crate::db::ticket::Ticket;
use crate::db::view::View;
use crate::error::{Error, Result};
use crate::hamming::Level;
use crate::index::HalfBalls;
use crate::storage::failpoint;
use crate::storage::layout::Layout;
use crate::storage::manifest::Schema;
use crate::storage::records::Records;
use crate::storage::superblock::Superblock;
use crate::storage::watermark;

/// An open database.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) layout: Layout,
    pub(crate) options: Options,
    pub(crate) schema: Schema,
    /// Fingerprint of the encoder that fills the database.
    pub(crate) encoder: Option<String>,
    pub(crate) read_only: bool,
    pub(crate) search: Arc<SearchTools>,
    pub(crate) queue: Mutex<Vec<Arc<Ticket>>>,
    /// One checkpoint or backup at a time; taken before all others.
    pub(crate) capturing: Mutex<()>,
    pub(crate) merging: Mutex<()>,
    pub(crate) sealing: Mutex<()>,
    /// The number that the next segment file gets; a number is used once, even if its file fails.
    next_segment: AtomicU64,
    /// The indexes that merged segments carry.
    pub(crate) index: Mutex<IndexOptions>,
    pub(crate) maintenance_errors: Mutex<MaintenanceErrors>,
    /// Deleted rows when they were last found to be many.
    pub(crate) deleted_seen: AtomicUsize,
    /// A bulk load is under way.
    pub(crate) loading: AtomicBool,
    /// The handle is about to be closed: no further merge begins.
    pub(crate) closing: AtomicBool,
    commit: Mutex<CommitState>,
    view: Published<View>,
}

/// Why the background could not do its last work, until it can.
#[derive(Debug, Default)]
pub(crate) struct MaintenanceErrors {
    pub(crate) seal: Option<String>,
    pub(crate) merge: Option<String>,
}

/// What a search needs beside a view.
#[derive(Debug)]
pub(crate) struct SearchTools {
    pub(crate) schema: Schema,
    pub(crate) level: Level,
    pub(crate) half_balls: HalfBalls,
}

/// What only the holder of the commit lock may touch.
#[derive(Debug)]
pub(crate) struct CommitState {
    /// A write failed: what is on disk is in doubt until the database is reopened.
    pub(crate) poisoned: bool,
    pub(crate) superblock: Superblock,
}

impl Engine {
    pub(crate) fn new(
        layout: Layout,
        options: Options,
        search: SearchTools,
        recovered: Recovered,
        read_only: bool,
    ) -> Self {
        Self {
            layout,
            options,
            schema: search.schema,
            encoder: recovered.encoder,
            read_only,
            search: Arc::new(search),
            queue: Mutex::default(),
            capturing: Mutex::default(),
            merging: Mutex::default(),
            sealing: Mutex::default(),
            next_segment: AtomicU64::new(recovered.view.state.next_segment),
            index: Mutex::new(recovered.index),
            maintenance_errors: Mutex::default(),
            deleted_seen: AtomicUsize::new(0),
            loading: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            commit: Mutex::new(CommitState { poisoned: false, superblock: recovered.superblock }),
            view: Published::new(recovered.view),
        }
    }

    /// A number that no segment file has had.
    pub(crate) fn reserve_segment_number(&self) -> u64 {
        self.next_segment.fetch_add(1, Ordering::Relaxed)
    }

    /// The current view; never waits for a write.
    pub(crate) fn view(&self) -> Arc<View> {
        self.view.get()
    }

    /// The record store of the current view.
    pub(crate) fn records(&self) -> Arc<Records> {
        Arc::clone(self.view.get().records.records())
    }

    /// Waits until no commit is under way and keeps others out.
    pub(crate) fn lock_commit(&self) -> Result<MutexGuard<'_, CommitState>> {
        if self.read_only {
            return Err(Error::ReadOnly);
        }
        let commit = self.commit.lock();
        if commit.poisoned { Err(Error::Poisoned) } else { Ok(commit) }
    }

    /// The same for a handle that only reads, whose state changes by catching up alone.
    pub(crate) fn lock_reading(&self) -> MutexGuard<'_, CommitState> {
        self.commit.lock()
    }

    /// Makes `next` what new readers see. The caller holds the commit lock, whose state it shows.
    pub(crate) fn publish(&self, _commit: &mut CommitState, next: View) {
        self.view.replace(next);
    }

    /// Notes in the superblock that everything up to now is durable. The caller has just synced
    /// the record store.
    pub(crate) fn write_superblock(&self, commit: &mut CommitState) -> Result<()> {
        watermark::write(self.options.fs.as_ref(), &self.layout.records())?;
        let state = self.view.get().state;
        let next = Superblock {
            generation: commit.superblock.generation + 1,
            sequence: self.records().latest_sequence(),
            record_count: state.record_count,
            next_segment: state.next_segment,
            ..commit.superblock
        };
        next.write(self.options.fs.as_ref(), &self.layout.superblock())?;
        commit.superblock = next;
        Ok(())
    }

    /// Makes every write so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let mut commit = self.lock_commit()?;
        if let Err(error) = self.records().sync() {
            commit.poisoned = true;
            return Err(error);
        }
        failpoint::reach("sync.flushed");
        // Closing ends here: the manifest may have grown without a write.
        watermark::write(self.options.fs.as_ref(), &self.layout.records())?;
        if self.records().latest_sequence() == commit.superblock.sequence {
            return Ok(());
        }
        self.write_superblock(&mut commit)
    }
}

/// What opening found.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) encoder: Option<String>,
    pub(crate) index: IndexOptions,
    pub(crate) superblock: Superblock,
    pub(crate) view: View,
}
