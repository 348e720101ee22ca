//! Segment files: a header, a directory, and tagged, aligned, checksummed sections
//! (storage-format.md, section 3).
//!
//! A segment is written once under a draft name, made durable, renamed, and never changed. What
//! the sections mean is `db`'s affair.

mod reader;
mod writer;

pub(crate) use reader::SegmentReader;
pub(crate) use writer::SegmentWriter;

use crate::storage::superblock::DatabaseId;

const MAGIC: &[u8; 8] = b"HASHDBSG";
const HEADER_BYTES: usize = 64;
const CHECKSUM_OFFSET: usize = 12;
const ENTRY_BYTES: usize = 32;
/// Sections begin at multiples of this, so that a section is aligned for every load.
const ALIGNMENT: usize = 64;
/// More sections than any release writes; bounds what a crafted header can ask for.
const MAX_SECTIONS: u16 = 64;

/// The name of a section.
pub(crate) type Tag = [u8; 8];

/// Which segment a file is: the database it belongs to and its number there. A file that was
/// copied from elsewhere, or swapped with another one, does not match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentId {
    pub(crate) database_id: DatabaseId,
    pub(crate) number: u64,
}

fn aligned(offset: usize) -> usize {
    offset.next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests;
