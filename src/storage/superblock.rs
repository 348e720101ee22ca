//! SUPERBLOCK: what hashdb knows to be durable, kept outside RocksDB so that a log or manifest
//! that was cut or replaced is noticed (storage-format.md, section 2).
//!
//! Two slots are written in turn, each with a generation and a checksum; a torn write leaves the
//! other slot whole.

use std::path::Path;

use crate::bytes::{Reader, Writer};
use crate::error::{Corruption, Error, Result};
use crate::storage::failpoint;
use crate::storage::fs::{Fs, write_durably};
use crate::storage::layout::FORMAT_VERSION;

const MAGIC: &[u8; 8] = b"HASHDBSB";
/// Slots lie in pages of their own, so that a torn page spoils one of them at most.
const SLOT_BYTES: usize = 4096;
const BODY_BYTES: usize = 72;

/// The sixteen random bytes that name a database; its segments carry them too.
pub(crate) type DatabaseId = [u8; 16];

/// One state of the superblock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Superblock {
    pub(crate) database_id: DatabaseId,
    pub(crate) code_bits: u16,
    pub(crate) address_bits: u8,
    pub(crate) generation: u64,
    /// The record store's sequence number up to which everything is durable.
    pub(crate) sequence: u64,
    /// Live records at that sequence number.
    pub(crate) record_count: u64,
    /// The number that the next segment will get.
    pub(crate) next_segment: u64,
}

/// Whether the checksum of a slot matches it.
fn is_sealed(slot: &[u8]) -> bool {
    let (body, checksum) = slot.split_at(BODY_BYTES - 4);
    Reader::new(checksum).u32() == Ok(crc32c::crc32c(body))
}

impl Superblock {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.bytes(MAGIC);
        out.u16(FORMAT_VERSION);
        out.u16(self.code_bits);
        out.u8(self.address_bits);
        out.bytes(&[0; 3]);
        out.bytes(&self.database_id);
        out.u64(self.generation);
        out.u64(self.sequence);
        out.u64(self.record_count);
        out.u64(self.next_segment);
        out.bytes(&[0; 4]);
        let mut slot = out.finish();
        let checksum = crc32c::crc32c(&slot);
        slot.extend_from_slice(&checksum.to_le_bytes());
        debug_assert_eq!(slot.len(), BODY_BYTES);
        slot.resize(SLOT_BYTES, 0);
        slot
    }

    /// Reads one slot; the version is checked before the checksum, since a newer format may lay
    /// out the rest differently.
    fn decode(slot: &[u8], path: &Path, offset: u64) -> Result<Self> {
        let damaged = |what: Corruption, at: usize| what.at(path, offset + at as u64);
        if slot.len() < SLOT_BYTES {
            let missing = (SLOT_BYTES - slot.len()) as u64;
            return Err(damaged(Corruption::Truncated { missing }, slot.len()));
        }
        let mut input = Reader::new(&slot[..BODY_BYTES]);
        let mut read = || -> Result<(Self, u16), Corruption> {
            if input.bytes(8)? != MAGIC {
                return Err(Corruption::Magic);
            }
            let version = input.u16()?;
            let code_bits = input.u16()?;
            let address_bits = input.u8()?;
            input.bytes(3)?;
            let mut database_id = [0; 16];
            database_id.copy_from_slice(input.bytes(16)?);
            let (generation, sequence) = (input.u64()?, input.u64()?);
            let (record_count, next_segment) = (input.u64()?, input.u64()?);
            let block = Self {
                database_id,
                code_bits,
                address_bits,
                generation,
                sequence,
                record_count,
                next_segment,
            };
            Ok((block, version))
        };
        let (block, version) = read().map_err(|what| damaged(what, 0))?;
        if version != FORMAT_VERSION {
            return Err(Error::UnsupportedFormat {
                path: path.to_path_buf(),
                found: version,
                oldest: FORMAT_VERSION,
                newest: FORMAT_VERSION,
            });
        }
        let checked = BODY_BYTES - 4;
        let expected = Reader::new(&slot[checked..]).u32().unwrap_or_default();
        let found = crc32c::crc32c(&slot[..checked]);
        if expected != found {
            return Err(damaged(Corruption::Checksum { expected, found }, checked));
        }
        if slot[BODY_BYTES..].iter().any(|&byte| byte != 0) {
            let what = Corruption::OutOfRange { field: "superblock padding", value: 1 };
            return Err(damaged(what, BODY_BYTES));
        }
        Ok(block)
    }

    /// Reads the newer valid slot, and the error of the other slot if it has one.
    pub(crate) fn read(fs: &dyn Fs, path: &Path) -> Result<(Self, Option<Error>)> {
        Self::of_bytes(&fs.read(path, 2 * SLOT_BYTES as u64)?, path)
    }

    /// The same for bytes that are at hand; errors name `path`.
    pub(crate) fn of_bytes(bytes: &[u8], path: &Path) -> Result<(Self, Option<Error>)> {
        let (first, second) = bytes.split_at(SLOT_BYTES.min(bytes.len()));
        let slots = [(first, 0), (second, SLOT_BYTES as u64)];
        let [first, second] = slots.map(|(slot, offset)| {
            let block = Self::decode(slot, path, offset);
            // Of a newer format, or torn right there: the checksum keeps its place in all formats.
            let newer = matches!(block, Err(Error::UnsupportedFormat { .. })) && is_sealed(slot);
            (block, newer)
        });
        match (first, second) {
            ((Err(error), true), _) | (_, (Err(error), true)) => Err(error),
            ((Ok(a), _), (Ok(b), _)) => Ok((if a.generation > b.generation { a } else { b }, None)),
            ((Ok(block), _), (Err(error), _)) | ((Err(error), _), (Ok(block), _)) => {
                Ok((block, Some(error)))
            }
            // Of two unreadable slots the one with a newer format is the one to hear about.
            ((Err(_), _), (Err(error @ Error::UnsupportedFormat { .. }), _))
            | ((Err(error), _), (Err(_), _)) => Err(error),
        }
    }

    /// Creates the file with both slots, whole or not at all.
    pub(crate) fn create(&self, fs: &dyn Fs, path: &Path) -> Result<()> {
        write_durably(fs, path, &self.file_bytes())
    }

    /// A whole file: this state in its slot, and the same of a generation before in the other.
    pub(crate) fn file_bytes(&self) -> Vec<u8> {
        let older = Self { generation: self.generation.saturating_sub(1), ..*self };
        let (even, odd) =
            if self.generation.is_multiple_of(2) { (self, &older) } else { (&older, self) };
        [even.encode(), odd.encode()].concat()
    }

    /// Writes this state over the older slot and makes it durable.
    pub(crate) fn write(&self, fs: &dyn Fs, path: &Path) -> Result<()> {
        failpoint::reach("superblock.begin");
        let mut file = fs.open_write(path)?;
        let slot = self.generation % 2;
        file.write_all_at(&self.encode(), slot * SLOT_BYTES as u64)?;
        failpoint::reach("superblock.written");
        file.sync()?;
        failpoint::reach("superblock.synced");
        Ok(())
    }
}
