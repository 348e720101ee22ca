//! Room on the disk: the reserve that is kept back, and how it is given back on a full disk.

use std::path::Path;

use crate::db::engine::Engine;
use crate::db::options::Options;
use crate::db::recover::{look, read_superblock};
use crate::error::Result;
use crate::storage::ballast;
use crate::storage::failpoint;
use crate::storage::layout::Layout;
use crate::storage::lock::Lock;

/// What [`Database::recover_space`](crate::Database::recover_space) did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceReport {
    /// Bytes that BALLAST held, whole or half made.
    pub released: u64,
    /// Free bytes before.
    pub free_before: u64,
    /// Free bytes now.
    pub free: u64,
    /// Why the space of deleted records could not be reclaimed too, if it could not.
    pub not_compacted: Option<String>,
}

impl Engine {
    /// Makes the reserve if it is due. A seal or merge that is done does not fail for it: without
    /// a reserve the database works as well, and `Stats` tells that there is none.
    pub(crate) fn keep_ballast(&self) {
        let (fs, path) = (self.options.fs.as_ref(), self.layout.ballast());
        let _told_by_stats = ballast::keep(fs, &path, self.options.ballast_bytes, self.size());
    }

    /// Bytes of the segments and of the record store's tables.
    fn size(&self) -> u64 {
        let segments: u64 = self.view().segments.iter().map(|segment| segment.file_bytes()).sum();
        segments + self.records().file_bytes()
    }
}

/// Gives the reserve back, recovers the database and reclaims what space it can.
pub(crate) fn recover_space(path: &Path, options: Options) -> Result<SpaceReport> {
    let (layout, fs) = (Layout::new(path), options.fs.clone());
    let (superblock, _torn) = read_superblock(fs.as_ref(), &layout)?;
    let lock = Lock::acquire(&layout.lock(), path)?;
    look(&layout, &options, &superblock)?;
    failpoint::reach("space.begin");
    let free_before = fs.free_bytes(path)?;
    let released = ballast::release(fs.as_ref(), &layout.ballast())?;
    failpoint::reach("space.released");
    drop(lock);
    // It would be made again at once otherwise.
    let engine = Engine::open(path, options.background(false).ballast_bytes(0))?;
    failpoint::reach("space.opened");
    engine.sync()?;
    // Compacting writes everything anew before it removes anything.
    let needed = engine.size().saturating_mul(9) / 8;
    let free = fs.free_bytes(path)?;
    let not_compacted = if free < needed {
        Some(format!("it takes {needed} free bytes, there are {free}"))
    } else {
        engine.compact().err().map(|error| error.to_string())
    };
    failpoint::reach("space.end");
    drop(engine);
    Ok(SpaceReport { released, free_before, free: fs.free_bytes(path)?, not_compacted })
}
