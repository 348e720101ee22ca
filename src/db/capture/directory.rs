//! The capture of a directory that another process may be writing to.
//!
//! The manifest is copied first, then tables are linked and logs are copied; if their [`Mark`] still
//! holds afterwards, the copy is what a crash at that moment would have left: opening it recovers
//! a consistent state. It is opened, and the segments that it names are linked; one that is gone by
//! then was compacted away. Whenever the writer was faster, all begins anew.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::db::capture::{Capture, Staging};
use crate::db::options::Options;
use crate::db::recover::{check_rollback, overtaken, read_superblock, recover};
use crate::error::{Error, Result};
use crate::storage::fs::Fs;
use crate::storage::layout::Layout;
use crate::storage::lock::Lock;
use crate::storage::mark::{Mark, kind};
use crate::storage::records::{Access, Records};
use crate::storage::superblock::Superblock;
use crate::storage::tree::{copy, is_absent, link_or_copy};
use crate::storage::watermark;

/// How often a capture begins anew because the writer was faster.
const ATTEMPTS: u32 = 40;
const RETRY_PAUSE: Duration = Duration::from_millis(5);

impl Capture {
    /// Captures the newest state of a directory, whoever writes to it.
    pub(crate) fn of_directory(origin: &Layout, options: &Options) -> Result<Self> {
        let fs = &options.fs;
        read_superblock(fs.as_ref(), origin)?;
        let staging = Staging::begin(fs, origin)?;
        for attempt in 1..=ATTEMPTS {
            match gather(&staging, origin, options) {
                Ok(Some(superblock)) => return staging.finish(superblock),
                Ok(None) => {}
                Err(error) if attempt == ATTEMPTS || !Lock::is_held(&origin.lock()) => {
                    return Err(error);
                }
                Err(error) if overtaken(&error) || is_absent(&error) => {}
                Err(error) => return Err(error),
            }
            std::thread::sleep(RETRY_PAUSE * attempt);
            staging.clear()?;
        }
        Err(Error::Locked { path: origin.root().into(), owner: Lock::owner(&origin.lock()) })
    }
}

/// Fills the staging folder; `None` if the writer was faster.
fn gather(staging: &Staging, origin: &Layout, options: &Options) -> Result<Option<Superblock>> {
    let fs = options.fs.as_ref();
    // Before the records: one of a later moment would look like a rollback.
    let (known, _torn) = read_superblock(fs, origin)?;
    // The copy has no watermark of its own.
    watermark::check(fs, &origin.records())?;
    if !gather_records(fs, &origin.records(), &staging.layout.records())? {
        return Ok(None);
    }
    let records = Records::open(&staging.layout.records(), Access::ReadOnly, 0, None)?;
    let records = Arc::new(records);
    check_rollback(origin, &known, records.latest_sequence())?;
    let recovered = recover(origin, options, &known, records.snapshot(), &[])?;
    for segment in &recovered.view.segments {
        staging.adopt(segment.path(), &staging.layout.segment(segment.number()))?;
    }
    if let Some(encoder) = &recovered.encoder {
        staging.adopt(&origin.model(encoder), &staging.layout.model(encoder))?;
    }
    // Tables and blob files that were being written are no part of this state: they grow.
    let live = records.live_files()?;
    for path in fs.list(&staging.layout.records())? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if matches!(kind(&path), Some("sst" | "blob")) && !live.iter().any(|file| *file == name) {
            fs.remove(&path)?;
        }
    }
    let state = recovered.view.state;
    Ok(Some(Superblock {
        generation: known.generation + 1,
        sequence: records.latest_sequence(),
        record_count: state.record_count,
        next_segment: state.next_segment,
        ..known
    }))
}

/// Copies and links the files of a record store; says whether they are of one moment.
fn gather_records(fs: &dyn Fs, from: &Path, to: &Path) -> Result<bool> {
    let before = Mark::of(fs, from)?;
    fs.create_dir(to)?;
    let manifest = &before.manifest;
    copy(fs, &from.join(manifest), &to.join(manifest), before.manifest_bytes, |_| ())?;
    let mut current = fs.create(&to.join("CURRENT"))?;
    current.write_all(&before.current)?;
    current.sync()?;
    for path in fs.list(from)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let target = to.join(&name);
        let done = match kind(&path) {
            Some("sst" | "blob") => link_or_copy(fs, &path, &target).map(|_| ()),
            Some("log") => copy(fs, &path, &target, u64::MAX, |_| ()).map(|_| ()),
            _ if name == "IDENTITY" => copy(fs, &path, &target, u64::MAX, |_| ()).map(|_| ()),
            _ => Ok(()),
        };
        match done {
            // No longer in use when the manifest was copied, or the marks will differ.
            Err(error) if is_absent(&error) => {}
            done => done?,
        }
    }
    fs.sync_dir(to)?;
    Ok(before.still_holds(&Mark::of(fs, from)?))
}
