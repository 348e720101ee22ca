//! Signals that must not kill the command in the middle of its work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result};

use crate::exit::Exit;

/// Makes a write beyond the file size limit fail, where it would kill the process: the engine then
/// reports it like a full disk. (Closed pipes are errors in every Rust program already.)
#[expect(unsafe_code, reason = "the standard library has no way to ignore a signal")]
pub(crate) fn make_file_size_limit_an_error() {
    // SAFETY: no handler is installed, and no thread runs yet that could rely on the default.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Set once the user presses Ctrl-C.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// From now on the first Ctrl-C only sets the flag; a second one ends the process at once.
    pub(crate) fn install() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&flag);
        ctrlc::set_handler(move || {
            if seen.swap(true, Ordering::SeqCst) {
                end_at_once();
            }
        })
        .context("cannot watch for Ctrl-C")?;
        Ok(Self(flag))
    }

    /// Whether the user wants to stop.
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// The flag itself, for code that keeps it.
    pub(crate) fn shared(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }

    /// The flag itself, for code that polls it.
    pub(crate) fn flag(&self) -> &AtomicBool {
        &self.0
    }
}

/// Ends the process as the signal would have; the engine recovers at the next open.
#[expect(unsafe_code, reason = "destructors of other threads' libraries must not run")]
fn end_at_once() -> ! {
    // SAFETY: `_exit` only ends the process.
    unsafe { libc::_exit(i32::from(Exit::Interrupted as u8)) }
}
