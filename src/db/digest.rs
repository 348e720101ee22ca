//! The digest of all records (storage-format.md, section 10): one number for what a database says,
//! whatever its ids, segments and history are.
//!
//! Keys are read in their order, and the records of many of them are looked up together, by several threads and in the
//! order in which they lie, and so are their values: a block that holds several is read once. What is hashed does not
//! depend on either.

use std::fmt;
use std::num::NonZero;
use std::ops::ControlFlow;

use parking_lot::Mutex;

use crate::bytes::Writer;
use crate::db::record::{KeyEntry, Record, decode_record, encode_id};
use crate::db::snapshot::Snapshot;
use crate::error::{Corruption, Result};
use crate::storage::records::Family;

/// What the hash begins with: the name of this definition.
const NAME: &[u8; 16] = b"hashdb digest 1\0";
/// Stands before patch addresses, with their number.
const PATCHES: u32 = 1 << 31;
/// Records that are looked up together, at first and at least, and at most.
const FIRST_CHUNK: usize = 1 << 13;
const LARGEST_CHUNK: usize = 1 << 17;
/// Bytes that a chunk takes, about.
const CHUNK_BYTES: usize = 64 << 20;
/// Of these, a thread takes this many at least.
const SHARE: usize = 256;
/// More threads would only wait for each other.
const MAX_THREADS: usize = 64;
/// Bytes that are hashed at once, at least.
const HASHED_BYTES: usize = 128 << 10;
/// Bytes of values that are kept of a chunk; beyond them a value is read when it is hashed.
const KEPT_BYTES: usize = CHUNK_BYTES;

/// The digest of the records of one state. Two databases have the same if and only if they have the
/// same widths and the same records by key, address, code, value and patch addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest {
    /// The BLAKE3 hash that storage-format.md defines in section 10.
    pub hash: [u8; 32],
    /// Records that it covers.
    pub records: u64,
}

impl fmt::Display for Digest {
    /// The hash in 64 hexadecimal digits.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hash.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// A record on its way into the hash.
struct Found {
    key: Vec<u8>,
    entry: KeyEntry,
    record: Option<Record>,
    value: Option<Vec<u8>>,
}

impl Found {
    /// Bytes of memory that it takes.
    fn memory(&self) -> usize {
        let of_record = |record: &Record| {
            record.key.len() + record.code.as_bytes().len() + size_of_val(record.patches.as_slice())
        };
        let of_value = self.value.as_ref().map_or(0, Vec::len);
        size_of::<Self>() + self.key.len() + self.record.as_ref().map_or(0, of_record) + of_value
    }
}

/// Hashes all records, with `threads` threads for looking them up, 0 for one a core.
pub(crate) fn digest(
    snapshot: &Snapshot,
    threads: usize,
    progress: &mut dyn FnMut(u64),
) -> Result<Digest> {
    let (schema, view) = (&snapshot.tools.schema, &snapshot.view);
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let threads = if threads == 0 { cores() } else { threads.min(MAX_THREADS) };
    let (mut hasher, mut bytes) = (blake3::Hasher::new(), Writer::new());
    bytes.bytes(NAME);
    bytes.u16(schema.code_bits);
    bytes.u8(schema.address_bits);
    bytes.u8(0);
    let mut bytes = bytes.finish();
    let mut records = 0;
    let (mut chunk, mut most, mut key_bytes) = (Vec::with_capacity(FIRST_CHUNK), FIRST_CHUNK, 0);
    // Says how many records of this kind fit into a chunk.
    let mut take = |chunk: &mut Vec<Found>| {
        look_up(snapshot, chunk, threads)?;
        let (count, taken) = (chunk.len(), chunk.iter().map(Found::memory).sum::<usize>());
        for found in chunk.drain(..) {
            add(snapshot, found, &mut bytes)?;
            records += 1;
            // Many small updates would take several times as long as a few large ones.
            if bytes.len() >= HASHED_BYTES {
                hasher.update(&bytes);
                bytes.clear();
            }
        }
        progress(records);
        Ok(count.saturating_mul(CHUNK_BYTES) / taken.max(1))
    };
    view.records.scan(Family::Keys, &[], |key, value| {
        let entry = KeyEntry::decode(value).map_err(|what| view.records.damage(&what))?;
        chunk.push(Found { key: key.to_vec(), entry, record: None, value: None });
        key_bytes += key.len();
        if chunk.len() >= most || key_bytes > CHUNK_BYTES / 2 {
            most = take(&mut chunk)?.clamp(FIRST_CHUNK, LARGEST_CHUNK.min(most * 4));
            key_bytes = 0;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    take(&mut chunk)?;
    let expected = view.state.record_count;
    if records != expected {
        let what =
            Corruption::Mismatch { field: "live records", expected: records, found: expected };
        return Err(view.records.damage(&what));
    }
    bytes.extend(records.to_le_bytes());
    hasher.update(&bytes);
    Ok(Digest { hash: *hasher.finalize().as_bytes(), records })
}

/// Reads records, which come in the order in which they lie.
fn read_records(snapshot: &Snapshot, part: &mut [&mut Found]) -> Result<()> {
    let (schema, records) = (&snapshot.tools.schema, &snapshot.view.records);
    let mut cursor = records.sparse_cursor(Family::Records)?;
    for found in part {
        let location = found.entry.location;
        let record = cursor.find(&location.encode())?;
        let record = record.map(|bytes| decode_record(schema, location, bytes)).transpose();
        found.record = record.map_err(|what| records.damage(&what))?;
    }
    Ok(())
}

/// Reads values, which come in the order in which they lie, as many as are kept.
fn read_values(snapshot: &Snapshot, part: &mut [&mut Found], most_bytes: usize) -> Result<()> {
    let mut cursor = snapshot.view.records.sparse_cursor(Family::Values)?;
    let (mut kept, mut last) = (0, 0);
    let with_value =
        part.iter_mut().filter(|found| found.record.is_some() && found.entry.has_value);
    for found in with_value {
        if kept >= most_bytes {
            break;
        }
        let id = found.entry.location.id;
        let between = id - std::mem::replace(&mut last, id);
        let value = cursor.find_behind(&encode_id(id), between)?;
        kept += value.map_or(0, <[u8]>::len);
        found.value = value.map(<[u8]>::to_vec);
    }
    Ok(())
}

/// Reads the records of a chunk and the first of their values.
fn look_up(snapshot: &Snapshot, chunk: &mut [Found], threads: usize) -> Result<()> {
    let mut order: Vec<_> = chunk.iter_mut().collect();
    order.sort_unstable_by_key(|found| found.entry.location);
    let share = order.len().div_ceil(threads).max(SHARE);
    let chunks = order.len().div_ceil(share);
    let read = |part: &mut [&mut Found]| {
        read_records(snapshot, part)?;
        part.sort_unstable_by_key(|found| found.entry.location.id);
        read_values(snapshot, part, KEPT_BYTES / chunks.max(1))
    };
    let parts: Mutex<Vec<_>> = Mutex::new(order.chunks_mut(share).collect());
    let failed = Mutex::new(None);
    let work = || {
        // The guard must go before the part is read.
        let next = || parts.lock().pop();
        while let Some(part) = next() {
            if let Err(error) = read(part) {
                *failed.lock() = Some(error);
                parts.lock().clear();
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads.min(chunks) {
            // Without another thread the work is done by those there are.
            let _fewer = std::thread::Builder::new()
                .name("hashdb-digest".to_owned())
                .spawn_scoped(scope, work);
        }
        work();
    });
    failed.into_inner().map_or(Ok(()), Err)
}

/// Appends what is hashed of one record.
fn add(snapshot: &Snapshot, found: Found, bytes: &mut Vec<u8>) -> Result<()> {
    let records = &snapshot.view.records;
    let missing = |what| records.damage(&Corruption::Missing { what });
    // An entry that lies may lead to the record of another key.
    let same =
        |record: &Record| record.key == found.key && record.has_value == found.entry.has_value;
    let record = found.record.filter(same).ok_or_else(|| missing("the record of a key"))?;
    let value = match found.value {
        None if record.has_value => records.get(Family::Values, &encode_id(record.id))?,
        value => value,
    };
    if record.has_value && value.is_none() {
        return Err(missing("the value of a record"));
    }
    let value = value.unwrap_or_default();
    bytes.extend(u32::try_from(record.key.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend(&record.key);
    bytes.extend(record.address.value().to_le_bytes());
    bytes.extend(record.code.as_bytes());
    bytes.extend((value.len() as u64).to_le_bytes());
    bytes.extend(&value);
    if !record.patches.is_empty() {
        // No key is as long as this says, and behind the last record stand eight bytes alone.
        let count = u32::try_from(record.patches.len()).unwrap_or(u32::MAX);
        bytes.extend((PATCHES | count).to_le_bytes());
        bytes.extend(record.patch_values().flat_map(u32::to_le_bytes));
    }
    Ok(())
}
