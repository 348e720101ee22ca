//! Checkpoint: a second database of one state of the first, made of links.
//!
//! Everything but the superblock is put into a folder of a temporary name, made durable, and renamed;
//! the superblock comes last. So nothing that a crash leaves looks like a database.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::db::capture::{Capture, FOLDERS};
use crate::db::engine::Engine;
use crate::error::{Error, Result};
use crate::storage::failpoint;
use crate::storage::fs::Fs;
use crate::storage::layout::Layout;
use crate::storage::tree::{is_absent, link_or_copy, refuse_inside, remove_tree, sync_with_parent};

/// What [`Database::checkpoint`](crate::Database::checkpoint) made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// The directory of the new database.
    pub path: PathBuf,
    /// The record store's sequence number that it holds: all changes up to it, none behind it.
    pub sequence: u64,
    /// Its records.
    pub records: u64,
    /// Bytes of files that it shares with its origin.
    pub linked_bytes: u64,
    /// Bytes of files that it has of its own.
    pub copied_bytes: u64,
}

impl Engine {
    /// Makes a database of the current state in `target`, which is absent or an empty directory.
    pub(crate) fn checkpoint(&self, target: &Path) -> Result<CheckpointInfo> {
        let fs = self.options.fs.as_ref();
        let draft = draft_of(target);
        refuse_inside(target, self.layout.root(), "checkpoint")?;
        refuse_taken(fs, target)?;
        self.with_capture(|capture| {
            // Not before: it may be that of another checkpoint under way.
            refuse_taken(fs, target)?;
            remove_draft(fs, &draft)?;
            let info = fill(fs, capture, target, &draft).inspect_err(|_| {
                // The space may matter now. What cannot be removed goes at the next attempt.
                let _left_for_the_next = remove_tree(fs, &draft);
            })?;
            failpoint::reach("checkpoint.filled");
            fs.rename(&draft, target).inspect_err(|_| {
                // Its links would keep tables that the database removes.
                let _left_for_the_next = remove_tree(fs, &draft);
            })?;
            failpoint::reach("checkpoint.renamed");
            let finished = sync_with_parent(fs, target)
                .and_then(|()| capture.superblock.create(fs, &Layout::new(target).superblock()));
            if finished.is_err() {
                let _no_database_without_superblock = remove_tree(fs, target);
            }
            failpoint::reach("checkpoint.end");
            finished.map(|()| info)
        })
    }
}

/// Puts the captured files into the draft, durably.
fn fill(fs: &dyn Fs, capture: &Capture, target: &Path, draft: &Path) -> Result<CheckpointInfo> {
    let mut info = CheckpointInfo {
        path: target.to_path_buf(),
        sequence: capture.superblock.sequence,
        records: capture.superblock.record_count,
        linked_bytes: 0,
        copied_bytes: 0,
    };
    fs.create_dir(draft)?;
    for folder in FOLDERS {
        fs.create_dir(&draft.join(folder))?;
    }
    for file in &capture.files {
        let linked = link_or_copy(fs, &file.path, &draft.join(&file.name))?;
        let shared = linked && file.is_shared();
        let bytes = if shared { &mut info.linked_bytes } else { &mut info.copied_bytes };
        *bytes += file.bytes;
    }
    for folder in FOLDERS {
        fs.sync_dir(&draft.join(folder))?;
    }
    fs.sync_dir(draft)?;
    Ok(info)
}

/// The temporary name beside the target.
fn draft_of(target: &Path) -> PathBuf {
    // Without a slash at the end, which would put the draft into the target.
    let target: PathBuf = target.components().collect();
    let mut name = OsString::from(target);
    name.push(".tmp");
    name.into()
}

fn refuse_taken(fs: &dyn Fs, target: &Path) -> Result<()> {
    match fs.list(target) {
        Ok(entries) if entries.is_empty() => Ok(()),
        Err(error) if is_absent(&error) => Ok(()),
        _ => Err(Error::AlreadyExists { path: target.to_path_buf() }),
    }
}

/// Removes the draft that a killed checkpoint left; whatever else has its name is not ours.
fn remove_draft(fs: &dyn Fs, draft: &Path) -> Result<()> {
    let Ok(entries) = fs.list(draft) else {
        return Ok(());
    };
    let ours = |path: &PathBuf| FOLDERS.iter().any(|folder| path.ends_with(folder));
    // The records are the first.
    let is_begun = entries.is_empty() || entries.iter().any(|path| path.ends_with(FOLDERS[0]));
    if !is_begun || !entries.iter().all(ours) {
        return Err(Error::AlreadyExists { path: draft.to_path_buf() });
    }
    remove_tree(fs, draft)
}
