//! Where things lie inside a database directory (storage-format.md, section 1).

use std::path::{Path, PathBuf};

/// The newest format version that this release writes and the only one it reads.
pub const FORMAT_VERSION: u16 = 1;

/// The paths of one database.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("LOCK")
    }

    pub(crate) fn superblock(&self) -> PathBuf {
        self.root.join("SUPERBLOCK")
    }

    pub(crate) fn records(&self) -> PathBuf {
        self.root.join("records")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.root.join("segments")
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.segments().join(format!("{number:012}.seg"))
    }

    /// Where a segment is written before it is complete.
    pub(crate) fn segment_draft(&self, number: u64) -> PathBuf {
        self.segments().join(format!("{number:012}.tmp"))
    }

    /// The room kept back for a full disk.
    pub(crate) fn ballast(&self) -> PathBuf {
        self.root.join("BALLAST")
    }

    /// What repair set aside, one folder a run; never removed by hashdb.
    pub(crate) fn damaged(&self) -> PathBuf {
        self.root.join("damaged")
    }

    /// Where repair works on copies; nothing in it lasts.
    pub(crate) fn salvage(&self) -> PathBuf {
        self.root.join("salvage")
    }

    /// Where a checkpoint or a backup gathers its files; nothing lasting is kept there.
    pub(crate) fn staging(&self) -> PathBuf {
        self.root.join("staging")
    }

    pub(crate) fn staging_lock(&self) -> PathBuf {
        self.root.join("staging.lock")
    }

    /// Where a bulk load keeps what is not part of the database yet; nothing in it lasts.
    pub(crate) fn load(&self) -> PathBuf {
        self.root.join("load")
    }

    pub(crate) fn models(&self) -> PathBuf {
        self.root.join("models")
    }

    pub(crate) fn model(&self, fingerprint: &str) -> PathBuf {
        self.models().join(format!("{fingerprint}.safetensors"))
    }
}
