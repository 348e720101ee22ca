//! Opens a segment file and hands out its sections, each checked against its checksum at its
//! first use. No byte pattern makes it panic, read out of range or answer from damaged bytes.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::{
    CHECKSUM_OFFSET, ENTRY_BYTES, HEADER_BYTES, MAGIC, MAX_SECTIONS, SegmentId, Tag, aligned,
};
use crate::bytes::Reader;
use crate::error::{Corruption, Error, Result};
use crate::storage::fs::Fs;
use crate::storage::layout::FORMAT_VERSION;
use crate::storage::mmap::Mapping;

/// Bytes that are checked as one piece: far more than it takes to put checksums together.
const PIECE_BYTES: usize = 1 << 22;

/// A validated segment file.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    path: PathBuf,
    mapping: Mapping,
    sections: Vec<Section>,
}

#[derive(Debug)]
struct Section {
    tag: Tag,
    offset: usize,
    length: usize,
    checksum: u32,
    /// Set once the checksum has been found right.
    verified: OnceLock<()>,
}

impl SegmentReader {
    /// Opens the file and checks its header and directory; sections are checked when first used. A
    /// file of another length than `length` is refused before any of it is read.
    pub(crate) fn open(
        fs: &dyn Fs,
        path: &Path,
        id: SegmentId,
        length: Option<u64>,
        mmap: bool,
    ) -> Result<Self> {
        let file = fs.open_read(path)?;
        if let Some(expected) = length {
            let io = |source| Error::Io { path: path.to_path_buf(), op: "inspect", source };
            let found = file.metadata().map_err(io)?.len();
            if found != expected {
                let what = Corruption::Mismatch { field: "file length", expected, found };
                return Err(what.at(path, expected.min(found)));
            }
        }
        Self::of_mapping(path, Mapping::open(&file, path, mmap)?, id)
    }

    /// The same for bytes that are at hand; errors name `path`.
    pub(crate) fn of_mapping(path: &Path, mapping: Mapping, id: SegmentId) -> Result<Self> {
        let head = Head { path, bytes: mapping.bytes() };
        let section_count = head.check_header(id)?;
        let sections = head.read_directory(section_count)?;
        Ok(Self { path: path.to_path_buf(), mapping, sections })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The length of the file in bytes.
    pub(crate) fn file_bytes(&self) -> u64 {
        self.mapping.bytes().len() as u64
    }

    /// The bytes of a section, `None` where the segment has no such section.
    pub(crate) fn section(&self, tag: Tag) -> Result<Option<&[u8]>> {
        let Some(section) = self.sections.iter().find(|section| section.tag == tag) else {
            return Ok(None);
        };
        let bytes = self.bytes_of(section);
        if section.verified.get().is_none() {
            self.verify_section(section)?;
            // Two readers may both have checked; the second finds the mark set.
            let _already_set = section.verified.set(());
        }
        Ok(Some(bytes))
    }

    /// The bytes of a section that must be there.
    pub(crate) fn required(&self, tag: Tag, what: &'static str) -> Result<&[u8]> {
        let missing = || Corruption::Missing { what }.at(&self.path, HEADER_BYTES as u64);
        self.section(tag)?.ok_or_else(missing)
    }

    /// Whether all of these sections that are there were found right before.
    pub(crate) fn are_checked(&self, tags: &[Tag]) -> bool {
        self.unverified(tags).next().is_none()
    }

    fn unverified(&self, tags: &[Tag]) -> impl Iterator<Item = &Section> {
        let of_tags = self.sections.iter().filter(|section| tags.contains(&section.tag));
        of_tags.filter(|section| section.verified.get().is_none())
    }

    /// Checks those of some sections that were not checked yet. `run` calls the job that it gets with every
    /// number below a count, on as many threads as it likes.
    pub(crate) fn check_by(
        &self,
        tags: &[Tag],
        run: impl FnOnce(usize, &(dyn Fn(usize) + Sync)),
    ) -> Result<()> {
        let sections: Vec<_> = self.unverified(tags).collect();
        let pieces = sections.iter().flat_map(|section| self.bytes_of(section).chunks(PIECE_BYTES));
        let pieces: Vec<_> = pieces.map(|bytes| (bytes, OnceLock::new())).collect();
        let checksum =
            |piece: &(&[u8], OnceLock<u32>)| *piece.1.get_or_init(|| crc32c::crc32c(piece.0));
        run(pieces.len(), &|number| {
            checksum(&pieces[number]);
        });
        let mut rest = &pieces[..];
        for section in sections {
            let (own, behind) = rest.split_at(section.length.div_ceil(PIECE_BYTES));
            rest = behind;
            // A piece that nobody took is checked here.
            let found = own.iter().fold(crc32c::crc32c(&[]), |found, piece| {
                crc32c::crc32c_combine(found, checksum(piece), piece.0.len())
            });
            self.compare(section, found)?;
            let _already_set = section.verified.set(());
        }
        Ok(())
    }

    /// The bytes of a section whose content nobody has checked and nobody may look at: for its length.
    pub(crate) fn unchecked(&self, tag: Tag, what: &'static str) -> Result<&[u8]> {
        let missing = || Corruption::Missing { what }.at(&self.path, HEADER_BYTES as u64);
        let section = self.sections.iter().find(|section| section.tag == tag);
        section.map(|section| self.bytes_of(section)).ok_or_else(missing)
    }

    fn bytes_of(&self, section: &Section) -> &[u8] {
        &self.mapping.bytes()[section.offset..section.offset + section.length]
    }

    /// Whether there is such a section.
    pub(crate) fn contains(&self, tag: Tag) -> bool {
        self.sections.iter().any(|section| section.tag == tag)
    }

    /// Where a section begins in the file, for error messages.
    pub(crate) fn section_offset(&self, tag: Tag) -> u64 {
        self.sections.iter().find(|s| s.tag == tag).map_or(0, |s| s.offset as u64)
    }

    fn verify_section(&self, section: &Section) -> Result<()> {
        self.compare(section, crc32c::crc32c(self.bytes_of(section)))
    }

    fn compare(&self, section: &Section, found: u32) -> Result<()> {
        if found == section.checksum {
            return Ok(());
        }
        let expected = section.checksum;
        Err(Corruption::Checksum { expected, found }.at(&self.path, section.offset as u64))
    }

    /// Reads every byte of the file again: all checksums, and zeros wherever padding is.
    pub(crate) fn verify(&self) -> Result<()> {
        let bytes = self.mapping.bytes();
        let mut position = HEADER_BYTES + ENTRY_BYTES * self.sections.len();
        let padding = |from: usize, to: usize| {
            let stray = bytes[from..to].iter().position(|&byte| byte != 0);
            stray.map_or(Ok(()), |at| {
                let value = u64::from(bytes[from + at]);
                let what = Corruption::OutOfRange { field: "padding", value };
                Err(what.at(&self.path, (from + at) as u64))
            })
        };
        for section in &self.sections {
            padding(position, section.offset)?;
            self.verify_section(section)?;
            position = section.offset + section.length;
        }
        padding(position, bytes.len())
    }
}

/// The bytes of a file that is being opened.
struct Head<'a> {
    path: &'a Path,
    bytes: &'a [u8],
}

impl Head<'_> {
    fn damaged(&self, what: Corruption, offset: usize) -> Error {
        what.at(self.path, offset as u64)
    }

    fn mismatch(&self, field: &'static str, expected: u64, found: u64, offset: usize) -> Error {
        self.damaged(Corruption::Mismatch { field, expected, found }, offset)
    }

    /// Checks magic, version, length, checksum and identity, in this order; returns the number of
    /// sections.
    fn check_header(&self, id: SegmentId) -> Result<u16> {
        let truncated = |missing: usize| {
            self.damaged(Corruption::Truncated { missing: missing as u64 }, self.bytes.len())
        };
        let Some(header) = self.bytes.get(..HEADER_BYTES) else {
            return Err(truncated(HEADER_BYTES - self.bytes.len()));
        };
        let mut input = Reader::new(header);
        let fields = || -> Result<_, Corruption> {
            if input.bytes(8)? != MAGIC {
                return Err(Corruption::Magic);
            }
            let (version, sections, checksum) = (input.u16()?, input.u16()?, input.u32()?);
            let database_id = input.bytes(16)?;
            let (number, length) = (input.u64()?, input.u64()?);
            Ok((version, sections, checksum, database_id, number, length, input.rest()))
        };
        let (version, sections, expected, database_id, number, length, reserved) =
            { fields }().map_err(|what| self.damaged(what, 0))?;
        if version != FORMAT_VERSION {
            return Err(Error::UnsupportedFormat {
                path: self.path.to_path_buf(),
                found: version,
                oldest: FORMAT_VERSION,
                newest: FORMAT_VERSION,
            });
        }
        if length != self.bytes.len() as u64 {
            return Err(self.mismatch("file length", length, self.bytes.len() as u64, 40));
        }
        if sections > MAX_SECTIONS {
            let value = u64::from(sections);
            return Err(self.damaged(Corruption::OutOfRange { field: "section count", value }, 10));
        }
        let head_bytes = HEADER_BYTES + ENTRY_BYTES * usize::from(sections);
        let Some(head) = self.bytes.get(..head_bytes) else {
            return Err(truncated(head_bytes - self.bytes.len()));
        };
        let found = crc32c::crc32c(&head[..CHECKSUM_OFFSET]);
        let found = crc32c::crc32c_append(found, &[0; 4]);
        let found = crc32c::crc32c_append(found, &head[CHECKSUM_OFFSET + 4..]);
        if expected != found {
            return Err(self.damaged(Corruption::Checksum { expected, found }, CHECKSUM_OFFSET));
        }
        if database_id != id.database_id {
            let start = |bytes: &[u8]| Reader::new(bytes).u64_be().unwrap_or_default();
            let (expected, found) = (start(&id.database_id), start(database_id));
            return Err(self.mismatch("database id", expected, found, 16));
        }
        if number != id.number {
            return Err(self.mismatch("segment number", id.number, number, 32));
        }
        if reserved.iter().any(|&byte| byte != 0) {
            return Err(self.damaged(Corruption::OutOfRange { field: "reserved", value: 1 }, 48));
        }
        Ok(sections)
    }

    /// Reads the directory: sections lie one behind the other, aligned and inside the file.
    fn read_directory(&self, section_count: u16) -> Result<Vec<Section>> {
        let mut sections = Vec::with_capacity(usize::from(section_count));
        let mut end = HEADER_BYTES + ENTRY_BYTES * usize::from(section_count);
        for index in 0..usize::from(section_count) {
            let at = HEADER_BYTES + ENTRY_BYTES * index;
            let section = read_entry(&self.bytes[at..at + ENTRY_BYTES], end, self.bytes.len())
                .map_err(|what| self.damaged(what, at))?;
            end = section.offset + section.length;
            sections.push(section);
        }
        if aligned(end) != self.bytes.len() {
            return Err(self.mismatch(
                "file length",
                aligned(end) as u64,
                self.bytes.len() as u64,
                end,
            ));
        }
        Ok(sections)
    }
}

/// Reads a directory entry whose section must begin at the first aligned offset from `end` on.
fn read_entry(entry: &[u8], end: usize, file_bytes: usize) -> Result<Section, Corruption> {
    let mut input = Reader::new(entry);
    let mut tag = Tag::default();
    tag.copy_from_slice(input.bytes(8)?);
    let (offset, length, checksum) = (input.u64()?, input.u64()?, input.u32()?);
    let reserved = input.u32()?;
    if reserved != 0 {
        return Err(Corruption::OutOfRange { field: "reserved", value: u64::from(reserved) });
    }
    if offset != aligned(end) as u64 {
        return Err(Corruption::OutOfRange { field: "section offset", value: offset });
    }
    let room = file_bytes.saturating_sub(aligned(end));
    match usize::try_from(length) {
        Ok(length) if length <= room => {
            let offset = aligned(end);
            Ok(Section { tag, offset, length, checksum, verified: OnceLock::new() })
        }
        _ => Err(Corruption::OutOfRange { field: "section length", value: length }),
    }
}
