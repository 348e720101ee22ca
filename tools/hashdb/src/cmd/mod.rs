//! One file or folder a subcommand: its arguments and what it does. Called by `main`.

pub(crate) mod backup;
pub(crate) mod bench;
pub(crate) mod check;
pub(crate) mod compact;
pub(crate) mod completions;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod device_check;
pub(crate) mod dump;
pub(crate) mod encode;
pub(crate) mod eval;
pub(crate) mod get;
pub(crate) mod info;
pub(crate) mod ingest;
pub(crate) mod load;
pub(crate) mod put;
pub(crate) mod query;
pub(crate) mod recover_space;
pub(crate) mod repair;
pub(crate) mod restore;
pub(crate) mod scan;
pub(crate) mod stats;
pub(crate) mod train;

use std::path::Path;

use anyhow::Result;
use hashdb::{Database, Options};

/// Opens a database for a change or two: without a background thread.
fn open(path: &Path) -> Result<Database> {
    Ok(Database::open(path, Options::new().background(false))?)
}

/// Opens a database for reading, also while another process writes to it.
fn open_read_only(path: &Path) -> Result<Database> {
    Ok(Database::open_read_only(path, Options::new())?)
}
