//! What the fuzz targets ask of the superblock and of the entries of the record store. A segment is
//! asked in `segment/probe.rs`.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use crate::db::options::IndexOptions;
use crate::db::record::{
    KeyEntry, Location, Pending, decode_id, decode_pending, decode_record, encode_id,
    encode_pending, encode_record,
};
use crate::error::{Corruption, Result};
use crate::storage::layout::Layout;
use crate::storage::manifest::{Schema, SegmentEntry, State};
use crate::storage::records::{Access, Family, Records, RecordsBatch};
use crate::storage::superblock::Superblock;

/// What a superblock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbedSuperblock {
    /// The sixteen bytes that name the database.
    pub database_id: [u8; 16],
    /// Widths of codes and addresses.
    pub bits: (u16, u8),
    /// Generation, sequence number, record count and next segment.
    pub numbers: [u64; 4],
    /// Whether the other slot cannot be read.
    pub torn: bool,
}

/// Reads bytes as a superblock.
///
/// # Errors
///
/// [`Error::Corruption`](crate::Error::Corruption) or
/// [`Error::UnsupportedFormat`](crate::Error::UnsupportedFormat) if no slot can be read.
pub fn probe_superblock(bytes: &[u8]) -> Result<ProbedSuperblock> {
    let (block, other) = Superblock::of_bytes(bytes, Path::new("SUPERBLOCK"))?;
    Ok(ProbedSuperblock {
        database_id: block.database_id,
        bits: (block.code_bits, block.address_bits),
        numbers: [block.generation, block.sequence, block.record_count, block.next_segment],
        torn: other.is_some(),
    })
}

/// The entries of the record store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// Family `meta`: widths and the name of the database.
    Schema,
    /// Family `meta`: the counters.
    State,
    /// Family `meta`: the indexes that segments carry.
    Index,
    /// Family `meta`: a segment.
    Segment,
    /// Family `keys`.
    Key,
    /// Family `records`.
    Record,
    /// Family `pending`.
    Pending,
}

/// Reads an entry of a database with codes and addresses of these widths, and writes what was read:
/// an entry that is accepted must come back as it was.
///
/// # Errors
///
/// [`Corruption`] for an entry that breaks its format.
pub fn probe_entry(
    kind: EntryKind,
    (code_bits, address_bits): (u16, u8),
    key: &[u8],
    value: &[u8],
) -> Result<(Vec<u8>, Vec<u8>), Corruption> {
    let schema = Schema { database_id: [0; 16], code_bits, address_bits };
    let same_key = |value| Ok((key.to_vec(), value));
    match kind {
        EntryKind::Schema => {
            let schema = Schema::decode(value)?;
            let patched = Schema::is_patched(value);
            same_key(if patched { schema.encode_patched() } else { schema.encode() })
        }
        EntryKind::State => same_key(State::decode(value)?.encode()),
        EntryKind::Index => same_key(IndexOptions::decode(Some(value))?.encode()),
        EntryKind::Segment => {
            let entry = SegmentEntry::decode(key, value)?;
            let known = SegmentEntry::is_key(key);
            let key = if known { SegmentEntry::key(entry.number) } else { key.to_vec() };
            Ok((key, entry.encode()))
        }
        EntryKind::Key => same_key(KeyEntry::decode(value)?.encode().to_vec()),
        EntryKind::Record => {
            let location = Location::decode(key)?;
            let record = decode_record(&schema, location, value)?;
            let location = Location { address: record.address.value(), id: record.id };
            let (code, patches) = (&record.code, record.patch_values());
            let value = encode_record(code, &record.key, record.has_value, patches);
            Ok((location.encode().to_vec(), value))
        }
        EntryKind::Pending => {
            let id = decode_id(key)?;
            let Pending { address, code, patches } = decode_pending(&schema, value)?;
            let patches = patches.into_iter();
            let wide = |_error| Corruption::OutOfRange { field: "address", value: address.into() };
            let address = crate::code::Address::new(address, address_bits).map_err(wide)?;
            let value = crate::code::Code::from_bytes(code)
                .map_or_else(|_| value.to_vec(), |code| encode_pending(address, &code, patches));
            Ok((encode_id(id).to_vec(), value))
        }
    }
}

/// An entry of the record store: its family, counted from `meta` in the order of storage-format.md,
/// its key, and its value; none to remove it.
pub type PlantedEntry = (usize, Vec<u8>, Option<Vec<u8>>);

/// Every entry of the record store of a database that nobody has open.
///
/// # Errors
///
/// [`Error::Records`](crate::Error::Records) if the record store fails.
pub fn list_entries(path: &Path) -> Result<Vec<PlantedEntry>> {
    let records = Records::open(&Layout::new(path).records(), Access::ReadOnly, 0, None)?;
    let (snapshot, mut entries) = (Arc::new(records).snapshot(), Vec::new());
    for (number, family) in Family::ALL.into_iter().enumerate() {
        snapshot.scan(family, &[], |key, value| {
            entries.push((number, key.to_vec(), Some(value.to_vec())));
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(entries)
}

/// Writes entries into the record store of a database that nobody has open, past every check of the
/// engine.
///
/// # Errors
///
/// [`Error::Records`](crate::Error::Records) if the record store fails.
pub fn plant_entries(path: &Path, entries: Vec<PlantedEntry>) -> Result<()> {
    let records = Records::open(&Layout::new(path).records(), Access::Write, 0, None)?;
    let mut changes = RecordsBatch::default();
    for (family, key, value) in entries {
        let family = Family::ALL[family % Family::ALL.len()];
        match value {
            Some(value) => changes.put(family, key, value),
            None => changes.delete(family, key),
        }
    }
    records.write(changes, true)
}
