//! The bytes of an immutable file, mapped or read into memory.
//!
//! A mapped file that is cut by somebody else while it is mapped raises SIGBUS; `Options::mmap`
//! turned off reads into owned memory and takes that risk away. hashdb itself never changes or
//! cuts a file that it has published.
#![expect(unsafe_code, reason = "the one place that maps files")]

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use memmap2::Mmap;

use crate::error::{Error, Result};

/// The content of one file.
#[derive(Debug)]
pub(crate) enum Mapping {
    /// Mapped by the operating system.
    Mapped(Mmap),
    /// Read whole.
    Owned(Vec<u8>),
}

impl Mapping {
    /// Maps the file, or reads it where `mmap` is false.
    pub(crate) fn open(file: &File, path: &Path, mmap: bool) -> Result<Self> {
        let io = |op| move |source| Error::Io { path: path.to_path_buf(), op, source };
        let length = file.metadata().map_err(io("inspect"))?.len();
        // An empty file cannot be mapped; its reader reports what is missing.
        if !mmap || length == 0 {
            let mut bytes = Vec::new();
            let mut file = file;
            file.read_to_end(&mut bytes).map_err(io("read"))?;
            return Ok(Self::Owned(bytes));
        }
        // SAFETY: published files are never modified by hashdb; a change from outside is the
        // documented risk above, and every reader checks ranges before it uses a value.
        let map = unsafe { Mmap::map(file) }.map_err(io("map"))?;
        Ok(Self::Mapped(map))
    }

    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(bytes) => bytes,
        }
    }
}
