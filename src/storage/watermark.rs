//! WATERMARK: how much of the record store's manifest is known to be durable, and its checksum
//! (storage-format.md, section 4.3).
//!
//! RocksDB takes a manifest that ends too early, or in whose last part a length was changed, for one
//! whose end was never written, and forgets the tables that were named there, of one family perhaps:
//! the sequence number in SUPERBLOCK cannot tell. So the manifest is held against this mark before
//! the store is opened. RocksDB begins a new manifest at every writable open, so the mark lies beside
//! it, with its number.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use crate::bytes::{Reader, Writer};
use crate::error::{Corruption, Error, Result};
use crate::storage::fs::{Fs, write_durably};
use crate::storage::log::Ending;
use crate::storage::tree::is_absent;

const MAGIC: &[u8; 8] = b"HASHDBWM";
const WATERMARK_BYTES: u64 = 32;
/// CURRENT holds one file name.
const MAX_CURRENT_BYTES: u64 = 4096;
/// More than RocksDB lets a manifest grow to before it begins another.
const MAX_MANIFEST_BYTES: u64 = 4 << 30;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    /// The number in the manifest's name.
    number: u64,
    /// How many of its bytes are durable.
    bytes: u64,
    /// The checksum of so many bytes.
    checksum: u32,
}

impl Mark {
    fn encode(self) -> Vec<u8> {
        let mut out = Writer::new();
        out.bytes(MAGIC);
        out.u64(self.number);
        out.u64(self.bytes);
        out.u32(self.checksum);
        let mut bytes = out.finish();
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let mut input = Reader::new(bytes);
        if input.bytes(8)? != MAGIC {
            return Err(Corruption::Magic);
        }
        let mark = Self { number: input.u64()?, bytes: input.u64()?, checksum: input.u32()? };
        let expected = input.u32()?;
        input.end("mark length")?;
        let found = crc32c::crc32c(&mark.encode()[..bytes.len() - 4]);
        if expected != found {
            return Err(Corruption::Checksum { expected, found });
        }
        Ok(mark)
    }

    /// The mark of a store, if it has one; `Err` if it cannot be read or is damaged.
    fn read(fs: &dyn Fs, records: &Path) -> Result<Option<Self>> {
        let path = mark_path(records);
        match fs.read(&path, WATERMARK_BYTES) {
            Err(error) if is_absent(&error) => Ok(None),
            read => Self::decode(&read?).map(Some).map_err(|what| what.at(&path, 0)),
        }
    }
}

fn mark_path(records: &Path) -> PathBuf {
    records.join("WATERMARK")
}

/// The manifest that CURRENT names; none if CURRENT does not say, which RocksDB will complain about.
fn manifest(fs: &dyn Fs, records: &Path) -> Result<Option<(PathBuf, u64)>> {
    let current = fs.read(&records.join("CURRENT"), MAX_CURRENT_BYTES)?;
    let name = std::str::from_utf8(&current).unwrap_or_default().trim_end();
    let number = name.strip_prefix("MANIFEST-").and_then(|number| number.parse().ok());
    Ok(number.map(|number| (records.join(name), number)))
}

/// Holds the manifest of a store that is not open against its mark. A store without a mark passes,
/// and so does one whose mark is damaged, which [`verify`] names: the mark is no record.
pub(crate) fn check(fs: &dyn Fs, records: &Path) -> Result<()> {
    // The mark first: beside a live writer CURRENT is then at least as new.
    let Ok(Some(mark)) = Mark::read(fs, records) else { return Ok(()) };
    let Ok(Some((path, number))) = manifest(fs, records) else { return Ok(()) };
    if number > mark.number {
        // Begun after the mark was made, whole before CURRENT named it.
        return Ok(());
    }
    if number < mark.number {
        let (expected, found) = (mark.number, number);
        let what = Corruption::Mismatch { field: "manifest number", expected, found };
        return Err(what.at(&records.join("CURRENT"), 0));
    }
    let bytes = match fs.read(&path, MAX_MANIFEST_BYTES) {
        // RocksDB tells, or a live writer has begun another.
        Err(error) if is_absent(&error) => return Ok(()),
        read => read?,
    };
    let durable = usize::try_from(mark.bytes).ok().and_then(|length| bytes.get(..length));
    let Some(durable) = durable else {
        let missing = mark.bytes.saturating_sub(bytes.len() as u64);
        return Err(Corruption::Truncated { missing }.at(&path, bytes.len() as u64));
    };
    let (expected, found) = (mark.checksum, crc32c::crc32c(durable));
    if expected != found {
        return Err(Corruption::Checksum { expected, found }.at(&path, 0));
    }
    Ok(())
}

/// Cuts off an edit at the manifest's end that a loss of power left unwritten, which RocksDB takes for
/// damage. It was not durable, so nothing was done on the strength of it. Only who has the lock may.
pub(crate) fn cut_unwritten(fs: &dyn Fs, records: &Path) -> Result<()> {
    match written_part(fs, records)? {
        None => Ok(()),
        Some((path, written)) => write_durably(fs, &path, &written),
    }
}

/// Whether there is such an edit.
pub(super) fn has_unwritten(fs: &dyn Fs, records: &Path) -> bool {
    matches!(written_part(fs, records), Ok(Some(_)))
}

/// The manifest without the edit at its end that was not written out, if there is one.
fn written_part(fs: &dyn Fs, records: &Path) -> Result<Option<(PathBuf, Vec<u8>)>> {
    let Ok(Some(mark)) = Mark::read(fs, records) else { return Ok(None) };
    let Ok(Some((path, number))) = manifest(fs, records) else { return Ok(None) };
    let durable = match number.cmp(&mark.number) {
        Ordering::Less => return Ok(None),
        Ordering::Equal => mark.bytes,
        // Begun after the mark was made; what was whole before CURRENT named it is not known.
        Ordering::Greater => 1,
    };
    let mut bytes = match fs.read(&path, MAX_MANIFEST_BYTES) {
        Err(error) if is_absent(&error) => return Ok(None),
        read => read?,
    };
    match Ending::of(bytes.as_slice()) {
        Ok(Ending::Torn { at }) if at >= durable => {
            bytes.truncate(usize::try_from(at).unwrap_or(usize::MAX));
            Ok(Some((path, bytes)))
        }
        _ => Ok(None),
    }
}

/// Says what is wrong with the mark itself.
pub(crate) fn verify(fs: &dyn Fs, records: &Path) -> Result<()> {
    Mark::read(fs, records).map(|_| ())
}

/// Makes the manifest of an open store durable as it stands, and marks it. Only its writer may.
pub(crate) fn write(fs: &dyn Fs, records: &Path) -> Result<()> {
    let Some((path, number)) = manifest(fs, records)? else { return Ok(()) };
    let seen = fs.open_read(&path)?.metadata();
    let seen = seen.map_err(|source| Error::Io { path: path.clone(), op: "inspect", source })?;
    if let Ok(Some(mark)) = Mark::read(fs, records)
        && (mark.number, mark.bytes) == (number, seen.len())
    {
        return Ok(());
    }
    // RocksDB only appends: what was there when the length was taken stays as it is.
    fs.open_write(&path)?.sync()?;
    let mut bytes = fs.read(&path, MAX_MANIFEST_BYTES)?;
    bytes.truncate(usize::try_from(seen.len()).unwrap_or(usize::MAX));
    let mark = Mark { number, bytes: bytes.len() as u64, checksum: crc32c::crc32c(&bytes) };
    write_durably(fs, &mark_path(records), &mark.encode())
}
