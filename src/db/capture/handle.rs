//! The capture of an open database: the record store's own checkpoint and the segments of the view,
//! at one moment between two commits.

use crate::db::capture::{Capture, Staging};
use crate::db::engine::Engine;
use crate::error::Result;
use crate::storage::failpoint;
use crate::storage::superblock::Superblock;
use crate::storage::tree::{file_bytes, is_absent};

/// Log up to this size is copied while writers wait; a longer one is written to tables before.
const SHORT_LOG_BYTES: u64 = 4 << 20;

impl Engine {
    /// Captures the current state; the caller holds the lock `capturing`. Writers wait while tables
    /// are linked and a short log is copied, readers never. A read-only handle captures the newest
    /// state in the directory, not the one it shows.
    pub(crate) fn capture(&self) -> Result<Capture> {
        if self.read_only {
            return Capture::of_directory(&self.layout, &self.options);
        }
        // A poisoned handle may touch no file.
        drop(self.lock_commit()?);
        let staging = Staging::begin(&self.options.fs, &self.layout)?;
        if self.log_bytes()? > SHORT_LOG_BYTES {
            self.records().flush()?;
        }
        let (view, superblock) = {
            let commit = self.lock_commit()?;
            let (records, view) = (self.records(), self.view());
            failpoint::reach("capture.begin");
            records.checkpoint(&staging.layout.records())?;
            failpoint::reach("capture.records");
            let superblock = Superblock {
                generation: commit.superblock.generation + 1,
                sequence: records.latest_sequence(),
                record_count: view.state.record_count,
                next_segment: view.state.next_segment,
                ..commit.superblock
            };
            (view, superblock)
        };
        // The view keeps its segments' files from being removed.
        for segment in &view.segments {
            staging.adopt(segment.path(), &staging.layout.segment(segment.number()))?;
        }
        drop(view);
        if let Some(encoder) = &self.encoder {
            staging.adopt(&self.layout.model(encoder), &staging.layout.model(encoder))?;
        }
        failpoint::reach("capture.end");
        staging.finish(superblock)
    }

    /// Bytes of the record store's logs.
    fn log_bytes(&self) -> Result<u64> {
        let fs = self.options.fs.as_ref();
        let mut total = 0;
        for path in fs.list(&self.layout.records())? {
            if path.extension().is_some_and(|kind| kind == "log") {
                match file_bytes(fs, &path) {
                    Err(error) if is_absent(&error) => {}
                    bytes => total += bytes?,
                }
            }
        }
        Ok(total)
    }

    /// [`Engine::capture`], one at a time.
    pub(crate) fn with_capture<T>(&self, take: impl FnOnce(&Capture) -> Result<T>) -> Result<T> {
        let _capturing = self.capturing.lock();
        let capture = self.capture()?;
        take(&capture)
    }
}
