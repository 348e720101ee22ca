//! Catching up: a read-only handle shows what the writer did since.

use crate::bytes::Reader;
use crate::db::engine::Engine;
use crate::db::recover::{check_rollback, read_newest};
use crate::error::{Corruption, Result};
use crate::storage::superblock::Superblock;

impl Engine {
    /// Publishes the newest state in the directory; says whether it is newer than the one before.
    /// The record store is opened anew, which also finds values that the writer has moved; segments
    /// that are open stay so.
    pub(crate) fn catch_up(&self) -> Result<bool> {
        if !self.read_only {
            return Ok(false);
        }
        let mut commit = self.lock_reading();
        let before = self.view();
        let recovered = read_newest(&self.layout, &self.options, &before.segments)?;
        let (known, found) = (&commit.superblock, &recovered.superblock);
        if known.database_id != found.database_id {
            let start = |id: &[u8]| Reader::new(id).u64_be().unwrap_or_default();
            let (expected, found) = (start(&known.database_id), start(&found.database_id));
            let what = Corruption::Mismatch { field: "database id", expected, found };
            return Err(what.at(&self.layout.superblock(), 16));
        }
        let shown = before.records.records().latest_sequence();
        let newest = recovered.view.records.records().latest_sequence();
        // What was shown once must not be taken back, even if a crash of the machine did so.
        check_rollback(&self.layout, &Superblock { sequence: shown, ..*found }, newest)?;
        *self.index.lock() = recovered.index;
        commit.superblock = recovered.superblock;
        self.publish(&mut commit, recovered.view);
        Ok(newest > shown)
    }
}
