//! What ends a run. A bad image does not: it is a [`Reject`](super::Reject).

use std::io;
use std::path::PathBuf;

use crate::error::Error;

/// A run of ingest ended before its sources did. What was written until then stays.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IngestError {
    /// A path that was given cannot be looked at. Nothing was started; correct the path.
    #[error("cannot read {}: {source}", path.display())]
    Path {
        /// The path, as given.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The encoder failed on a batch. Its cause says what to change, often the device.
    #[error("the encoder failed: {0}")]
    Encoder(Box<dyn std::error::Error + Send + Sync>),
    /// The encoder gives another number of patch addresses for a picture than was said, or than the records of
    /// earlier runs have: such records would score otherwise.
    #[error("the encoder gives {found} patch addresses for a picture, expected {expected}")]
    Patches {
        /// The number of those in the database, or what the options say.
        expected: usize,
        /// The number that the encoder gives.
        found: usize,
    },
    /// The system gives no thread, of which a run needs three beside its own. Nothing was started; close something.
    #[error("cannot start a thread: {0}")]
    Threads(#[source] io::Error),
    /// What an earlier run noted in the database cannot be read. Begin anew with [`Redo::all`](super::Redo).
    #[error("{0}")]
    Journal(String),
    /// The database, or the file of the rejects, refused a write.
    #[error(transparent)]
    Database(#[from] Error),
}
