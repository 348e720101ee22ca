//! The manifest of a generation: which files a state of the database is made of
//! (storage-format.md, section 9.1).

use std::path::Path;

use crate::bytes::{Reader, Writer};
use crate::db::backup::Generation;
use crate::db::backup::folder::MAX_NUMBER;
use crate::error::{Corruption, Error, Result};
use crate::storage::superblock::DatabaseId;

const MAGIC: &[u8; 8] = b"HASHDBBK";
/// The version of the backup folder, which has nothing to do with that of the database in it.
const VERSION: u16 = 1;
const CHECKSUM_BYTES: usize = 4;
/// Longest name of a file: a folder, a slash and a name that a file system takes.
const MAX_NAME_BYTES: usize = 300;

/// The hash of a file's bytes (BLAKE3), which is also its name in the folder.
pub(super) type FileHash = blake3::Hash;

/// A file of a generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its name in a database.
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) hash: FileHash,
}

/// A generation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Manifest {
    pub(super) number: u64,
    pub(super) database_id: DatabaseId,
    pub(super) created: u64,
    pub(super) sequence: u64,
    pub(super) records: u64,
    /// Sorted by name; the superblock is one of them.
    pub(super) entries: Vec<Entry>,
}

impl Manifest {
    pub(super) fn generation(&self) -> Generation {
        Generation {
            number: self.number,
            created: self.created,
            sequence: self.sequence,
            records: self.records,
            files: self.entries.len() as u64,
            bytes: self.bytes(),
        }
    }

    /// Bytes of its files.
    pub(super) fn bytes(&self) -> u64 {
        self.entries.iter().fold(0, |sum: u64, entry| sum.saturating_add(entry.bytes))
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.bytes(MAGIC);
        out.u16(VERSION);
        out.u16(0);
        out.u32(u32::try_from(self.entries.len()).unwrap_or(u32::MAX));
        out.u64(self.number);
        out.bytes(&self.database_id);
        out.u64(self.created);
        out.u64(self.sequence);
        out.u64(self.records);
        for entry in &self.entries {
            out.bytes(entry.hash.as_bytes());
            out.u64(entry.bytes);
            out.u16(u16::try_from(entry.name.len()).unwrap_or(u16::MAX));
            out.bytes(entry.name.as_bytes());
        }
        let mut bytes = out.finish();
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads the manifest of generation `number`.
    pub(super) fn decode(bytes: &[u8], path: &Path, number: u64) -> Result<Self> {
        let damaged = |what: Corruption, offset: usize| what.at(path, offset as u64);
        if !bytes.starts_with(MAGIC) {
            return Err(damaged(Corruption::Magic, 0));
        }
        // The version, its place and that of the checksum stay in all versions.
        let Some(body_bytes) = bytes.len().checked_sub(CHECKSUM_BYTES) else {
            return Err(damaged(Corruption::Truncated { missing: 1 }, bytes.len()));
        };
        let (body, checksum) = bytes.split_at(body_bytes);
        let expected = Reader::new(checksum).u32().map_err(|what| damaged(what, body_bytes))?;
        let found = crc32c::crc32c(body);
        if expected != found {
            return Err(damaged(Corruption::Checksum { expected, found }, body_bytes));
        }
        let mut input = Reader::new(&body[MAGIC.len()..]);
        let version = input.u16().map_err(|what| damaged(what, MAGIC.len()))?;
        if version != VERSION {
            let (path, found) = (path.to_path_buf(), version);
            return Err(Error::UnsupportedFormat { path, found, oldest: VERSION, newest: VERSION });
        }
        let manifest = Self::decode_fields(input).map_err(|what| damaged(what, MAGIC.len() + 2))?;
        if manifest.number == 0 || manifest.number >= MAX_NUMBER {
            let (field, value) = ("generation", manifest.number);
            return Err(damaged(Corruption::OutOfRange { field, value }, 16));
        }
        if manifest.number != number {
            let (expected, found) = (number, manifest.number);
            let what = Corruption::Mismatch { field: "generation", expected, found };
            return Err(damaged(what, 16));
        }
        Ok(manifest)
    }

    fn decode_fields(mut input: Reader<'_>) -> Result<Self, Corruption> {
        let reserved = input.u16()?;
        if reserved != 0 {
            let value = u64::from(reserved);
            return Err(Corruption::OutOfRange { field: "reserved", value });
        }
        let count = input.u32()?;
        let number = input.u64()?;
        let mut database_id = DatabaseId::default();
        database_id.copy_from_slice(input.bytes(16)?);
        let (created, sequence, records) = (input.u64()?, input.u64()?, input.u64()?);
        let mut entries: Vec<Entry> = Vec::new();
        for _ in 0..count {
            let mut hash = [0; blake3::OUT_LEN];
            hash.copy_from_slice(input.bytes(blake3::OUT_LEN)?);
            let (bytes, name_bytes) = (input.u64()?, usize::from(input.u16()?));
            let name = std::str::from_utf8(input.bytes(name_bytes)?).unwrap_or_default();
            if !is_file_of_a_database(name) {
                let value = name_bytes as u64;
                return Err(Corruption::OutOfRange { field: "file name (bytes)", value });
            }
            if entries.last().is_some_and(|before| before.name.as_str() >= name) {
                return Err(Corruption::Unsorted { field: "file names" });
            }
            entries.push(Entry { name: name.to_owned(), bytes, hash: hash.into() });
        }
        input.end("manifest length")?;
        if !entries.iter().any(|entry| entry.name == SUPERBLOCK) {
            return Err(Corruption::Missing { what: "SUPERBLOCK" });
        }
        Ok(Self { number, database_id, created, sequence, records, entries })
    }
}

/// The name of the file that makes a directory a database.
pub(super) const SUPERBLOCK: &str = "SUPERBLOCK";

/// Whether a name is that of a file inside a database directory: no restore writes anywhere else.
fn is_file_of_a_database(name: &str) -> bool {
    if name == SUPERBLOCK {
        return true;
    }
    let Some((folder, file)) = name.split_once('/') else {
        return false;
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    crate::db::capture::FOLDERS.contains(&folder)
        && name.len() <= MAX_NAME_BYTES
        && !file.is_empty()
        && !file.starts_with('.')
        && file.bytes().all(plain)
}
