//! The entries of the family `meta`: what a database is, what it holds and which segments are
//! live (storage-format.md, section 4.1).

use std::path::Path;

use crate::bytes::{Reader, Writer};
use crate::error::{Corruption, Error, Result};
use crate::storage::layout::FORMAT_VERSION;
use crate::storage::superblock::DatabaseId;

pub(crate) const SCHEMA_KEY: &[u8] = b"schema";
pub(crate) const STATE_KEY: &[u8] = b"state";
pub(crate) const ENCODER_KEY: &[u8] = b"encoder";
pub(crate) const INDEX_KEY: &[u8] = b"index";
/// What the names of notes begin with.
pub(crate) const NOTE_PREFIX: &[u8] = b"note/";
const SEGMENT_PREFIX: &[u8] = b"segment/";

/// The version of the entries of a record store of which a record has, or had, patch addresses.
pub(crate) const PATCHED_VERSION: u16 = 2;

/// What never changes after a database was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Schema {
    pub(crate) database_id: DatabaseId,
    pub(crate) code_bits: u16,
    pub(crate) address_bits: u8,
}

impl Schema {
    pub(crate) fn encode(&self) -> Vec<u8> {
        self.encode_as(FORMAT_VERSION)
    }

    /// The entry of a store with patch addresses, which a release that does not know them must refuse.
    pub(crate) fn encode_patched(&self) -> Vec<u8> {
        self.encode_as(PATCHED_VERSION)
    }

    fn encode_as(&self, version: u16) -> Vec<u8> {
        let mut out = Writer::new();
        out.u16(version);
        out.u16(self.code_bits);
        out.u8(self.address_bits);
        out.bytes(&self.database_id);
        out.finish()
    }

    /// Refuses an entry of another version, which every version has at its beginning; `path` is the
    /// store that holds it.
    pub(crate) fn check_version(bytes: &[u8], path: &Path) -> Result<(), Error> {
        match Reader::new(bytes).u16() {
            Ok(found) if !(FORMAT_VERSION..=PATCHED_VERSION).contains(&found) => {
                Err(Error::UnsupportedFormat {
                    path: path.to_path_buf(),
                    found,
                    oldest: FORMAT_VERSION,
                    newest: PATCHED_VERSION,
                })
            }
            // What is too short is damaged, as decoding it says.
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Whether an entry says that records may have patch addresses.
    pub(crate) fn is_patched(bytes: &[u8]) -> bool {
        Reader::new(bytes).u16() == Ok(PATCHED_VERSION)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let mut input = Reader::new(bytes);
        let version = input.u16()?;
        if !(FORMAT_VERSION..=PATCHED_VERSION).contains(&version) {
            let value = u64::from(version);
            return Err(Corruption::OutOfRange { field: "format version", value });
        }
        let (code_bits, address_bits) = (input.u16()?, input.u8()?);
        let mut database_id = [0; 16];
        database_id.copy_from_slice(input.bytes(16)?);
        input.end("schema length")?;
        Ok(Self { database_id, code_bits, address_bits })
    }
}

/// The counters, written with every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct State {
    /// The id that the next record gets.
    pub(crate) next_id: u64,
    /// Records below this id are in segments, from it on in `pending`.
    pub(crate) sealed_bound: u64,
    /// The number that the next segment gets.
    pub(crate) next_segment: u64,
    /// Live records.
    pub(crate) record_count: u64,
}

impl State {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u64(self.next_id);
        out.u64(self.sealed_bound);
        out.u64(self.next_segment);
        out.u64(self.record_count);
        out.finish()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let mut input = Reader::new(bytes);
        let state = Self {
            next_id: input.u64()?,
            sealed_bound: input.u64()?,
            next_segment: input.u64()?,
            record_count: input.u64()?,
        };
        input.end("state length")?;
        if state.sealed_bound > state.next_id {
            let value = state.sealed_bound;
            return Err(Corruption::OutOfRange { field: "sealed bound", value });
        }
        Ok(state)
    }
}

/// A live segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentEntry {
    pub(crate) number: u64,
    /// Rows in it, deleted ones included.
    pub(crate) row_count: u64,
    pub(crate) file_bytes: u64,
}

impl SegmentEntry {
    pub(crate) fn key(number: u64) -> Vec<u8> {
        let mut out = Writer::new();
        out.bytes(SEGMENT_PREFIX);
        out.u64_be(number);
        out.finish()
    }

    /// The key before all segment entries.
    pub(crate) fn first_key() -> &'static [u8] {
        SEGMENT_PREFIX
    }

    /// Whether a key of `meta` names a segment.
    pub(crate) fn is_key(key: &[u8]) -> bool {
        key.starts_with(SEGMENT_PREFIX)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u64(self.row_count);
        out.u64(self.file_bytes);
        out.finish()
    }

    pub(crate) fn decode(key: &[u8], value: &[u8]) -> Result<Self, Corruption> {
        let mut name = Reader::new(key);
        name.bytes(SEGMENT_PREFIX.len())?;
        let number = name.u64_be()?;
        name.end("segment key length")?;
        let mut input = Reader::new(value);
        let entry = Self { number, row_count: input.u64()?, file_bytes: input.u64()? };
        input.end("segment entry length")?;
        Ok(entry)
    }
}
