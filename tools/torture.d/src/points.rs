//! The named places of the library, seen from a child that is to die in one.

use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Result, anyhow};
use hashdb::internals::failpoint;

/// Every failpoint.
pub(crate) const ALL: &[&str] = failpoint::POINTS;

/// Has this process die when it comes by `point` for the `hit`-th time.
pub(crate) fn die_at(point: &str, hit: u64) -> Result<()> {
    let left = AtomicU64::new(hit);
    failpoint::set(point, move || {
        if left.fetch_sub(1, Ordering::SeqCst) == 1 {
            std::process::abort();
        }
    })
    .map_err(|message| anyhow!(message))
}
