//! Writes a segment file section by section; only a finished one ever gets its final name.

use std::path::{Path, PathBuf};

use super::{
    ALIGNMENT, CHECKSUM_OFFSET, ENTRY_BYTES, HEADER_BYTES, MAGIC, MAX_SECTIONS, SegmentId, Tag,
    aligned,
};
use crate::bytes::Writer;
use crate::error::{Error, Result};
use crate::storage::failpoint;
use crate::storage::fs::{Fs, FsFile};
use crate::storage::layout::FORMAT_VERSION;

/// A segment file under way.
#[derive(Debug)]
pub(crate) struct SegmentWriter<'a> {
    fs: &'a dyn Fs,
    file: Box<dyn FsFile>,
    draft: PathBuf,
    id: SegmentId,
    section_count: u16,
    directory: Writer,
    written: u16,
    position: usize,
}

impl<'a> SegmentWriter<'a> {
    /// Starts a file that will hold exactly `section_count` sections.
    pub(crate) fn create(
        fs: &'a dyn Fs,
        draft: &Path,
        id: SegmentId,
        section_count: u16,
    ) -> Result<Self> {
        debug_assert!(section_count <= MAX_SECTIONS);
        let mut file = fs.create(draft)?;
        failpoint::reach("segment.created");
        let position = HEADER_BYTES + ENTRY_BYTES * usize::from(section_count);
        // The header is written last, over these zeros: a file cut short has no valid header.
        file.write_all(&vec![0; position])?;
        let draft = draft.to_path_buf();
        let directory = Writer::new();
        Ok(Self { fs, file, draft, id, section_count, directory, written: 0, position })
    }

    fn pad(&mut self) -> Result<()> {
        let start = aligned(self.position);
        self.file.write_all(&[0; ALIGNMENT][..start - self.position])?;
        self.position = start;
        Ok(())
    }

    /// Appends a section.
    pub(crate) fn section(&mut self, tag: Tag, bytes: &[u8]) -> Result<()> {
        self.pad()?;
        self.file.write_all(bytes)?;
        self.directory.bytes(&tag);
        self.directory.u64(self.position as u64);
        self.directory.u64(bytes.len() as u64);
        self.directory.u32(crc32c::crc32c(bytes));
        self.directory.u32(0);
        self.position += bytes.len();
        self.written += 1;
        Ok(())
    }

    /// Completes the file, makes it durable and gives it its final name; returns its length.
    pub(crate) fn finish(mut self, path: &Path) -> Result<u64> {
        if self.written != self.section_count {
            return Err(Error::invalid("segment", "has another number of sections than announced"));
        }
        self.pad()?;
        failpoint::reach("segment.sections");
        let length = self.position as u64;
        let mut header = Writer::new();
        header.bytes(MAGIC);
        header.u16(FORMAT_VERSION);
        header.u16(self.section_count);
        header.u32(0);
        header.bytes(&self.id.database_id);
        header.u64(self.id.number);
        header.u64(length);
        header.bytes(&[0; 16]);
        let mut head = header.finish();
        debug_assert_eq!(head.len(), HEADER_BYTES);
        head.extend_from_slice(&self.directory.finish());
        let checksum = crc32c::crc32c(&head);
        head[CHECKSUM_OFFSET..CHECKSUM_OFFSET + 4].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_all_at(&head, 0)?;
        failpoint::reach("segment.header");
        // Content before name, name before manifest: a name without content must not exist after
        // a power cut.
        self.file.sync()?;
        failpoint::reach("segment.synced");
        self.fs.rename(&self.draft, path)?;
        failpoint::reach("segment.renamed");
        path.parent().map_or(Ok(()), |parent| self.fs.sync_dir(parent))?;
        failpoint::reach("segment.named");
        Ok(length)
    }
}
