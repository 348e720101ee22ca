//! What repair is asked for and what it says afterwards.

use std::path::{Path, PathBuf};

use crate::db::verify::Damage;

/// How [`Database::repair`](crate::Database::repair) goes about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct RepairOptions {
    pub(crate) accept_loss: bool,
    pub(crate) dry_run: bool,
}

impl RepairOptions {
    /// Nothing may be lost, everything else is repaired.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether records and values that cannot be read may be given up, default false. What is set
    /// aside in `damaged/` still holds what is left of them.
    #[must_use]
    pub fn accept_loss(mut self, accepted: bool) -> Self {
        self.accept_loss = accepted;
        self
    }

    /// Whether to report what would be done and change nothing, default false. Copies that it needs to
    /// look at are made in the folder `salvage` and removed again.
    #[must_use]
    pub fn dry_run(mut self, enabled: bool) -> Self {
        self.dry_run = enabled;
        self
    }
}

/// What a repair found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RepairReport {
    /// Whether nothing was changed because that was asked for.
    pub dry_run: bool,
    /// Everything that was wrong, file by file.
    pub damages: Vec<Damage>,
    /// Records that there were: by the record store if it could be read whole, else by the
    /// superblock, which knows them as of its last write.
    pub records_before: Option<u64>,
    /// Records that there are.
    pub records_after: u64,
    /// Records known to be gone. What came after the superblock's last write is not counted: nobody
    /// knows it.
    pub lost_records: u64,
    /// Records that are there without their value, which could not be read.
    pub lost_values: u64,
    /// Whether a part of the record store cannot be read that may have held notes, those of ingests among them:
    /// nothing tells which there were.
    pub notes_in_doubt: bool,
    /// Whether the record store could not be used as it was and a copy took its place.
    pub salvaged: bool,
    /// The sequence number up to which all was durable, as the superblock knew it.
    pub sequence_expected: Option<u64>,
    /// The sequence number that the record store could be read up to.
    pub sequence_found: u64,
    /// Segment files that were replaced.
    pub segments_replaced: u64,
    /// Rows of segments that were made from records.
    pub rows_rebuilt: u64,
    /// Records that were made from their key and their row.
    pub records_rebuilt: u64,
    /// Keys that were made from their record.
    pub keys_rebuilt: u64,
    /// Entries of the record store that had to be written or removed.
    pub changes: u64,
    /// Whether SUPERBLOCK was written from what the record store says. If it could not be read at
    /// all, nobody can tell whether the records were rolled back.
    pub superblock_rebuilt: bool,
    /// Where the damaged files lie now, if there were any.
    pub kept: Option<PathBuf>,
    /// What [`Database::verify`](crate::Database::verify) still finds afterwards.
    pub remaining: Vec<Damage>,
}

impl RepairReport {
    /// Whether something is gone that cannot be derived from what is left.
    #[must_use]
    pub fn is_lossy(&self) -> bool {
        let rolled_back =
            self.sequence_expected.is_some_and(|expected| expected > self.sequence_found);
        let lost = self.lost_records > 0 || self.lost_values > 0 || self.notes_in_doubt;
        lost || self.salvaged || rolled_back
    }

    /// Whether there was nothing to repair.
    #[must_use]
    pub fn was_sound(&self) -> bool {
        self.damages.is_empty() && self.changes == 0 && !self.superblock_rebuilt && !self.is_lossy()
    }

    pub(super) fn note(&mut self, path: &Path, description: &str) {
        let damage = Damage { path: path.to_path_buf(), description: description.to_owned() };
        if !self.damages.contains(&damage) {
            self.damages.push(damage);
        }
    }
}
