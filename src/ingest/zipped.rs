//! Zip shards: entries in the order of the directory at the end of the file, names as raw bytes, contents
//! stored, deflated or compressed with Zstandard.
//!
//! `source` calls [`read`]. Invariant: an entry takes at most the bytes that its header tells and 128 MiB to
//! decompress it; the directory is read as a stream, and sixteen bytes of it are kept for each entry, to see that
//! no two share bytes (a small file could be endless otherwise). A damaged entry is one reject, a damaged
//! directory costs the rest of the archive and one reject.

use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::atomic::Ordering;

use flate2::Crc;
use flate2::bufread::DeflateDecoder;
use zip::CompressionMethod;
use zip::read::{Config, ZipFileEntry};
use zip::result::ZipError;
use zip::unstable::read::ZipIterable;

use super::entries::{Entry, Kind, Shard, Unread};
use super::packed::unpack_zstd;
use super::seeking::Seeking;
use super::source::{Walk, open};

/// Bytes of an entry's own header before its name.
const LOCAL_HEADER_BYTES: usize = 30;
/// What it begins with.
const LOCAL_MAGIC: &[u8] = b"PK\x03\x04";
/// Bits of a file's mode that tell its kind, and those of a regular one.
const KIND_BITS: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// Emits what the plan asks for of the images of a shard; `false` if the walk shall end.
pub(super) fn read(walk: &mut Walk<'_, '_>, path: &Path, mut shard: Shard<'_>) -> bool {
    let outcome = read_entries(walk, path, &mut shard);
    shard.close(walk, outcome)
}

fn read_entries(walk: &mut Walk<'_, '_>, path: &Path, shard: &mut Shard<'_>) -> io::Result<bool> {
    let length = shard.bytes();
    let directory = Seeking::new(open(path)?, walk.stopped);
    let mut bodies = Seeking::new(open(path)?, walk.stopped);
    let mut archive = ZipIterable::try_new(directory, Config::default()).map_err(cause)?;
    check_overlaps(&mut archive)?;
    let mut counted = 0;
    for entry in archive.files().map_err(cause)? {
        let entry = entry.map_err(cause)?;
        // Bytes are counted whether they are read or passed over: so far the walk has come.
        let passed = entry.compressed_size().min(length - counted);
        counted += passed;
        walk.read.fetch_add(passed, Ordering::Relaxed);
        let header = told(&entry);
        if !shard.take(walk, &header, &mut || content(&mut bodies, &entry))? {
            return Ok(false);
        }
    }
    walk.read.fetch_add(length - counted, Ordering::Relaxed);
    Ok(true)
}

fn cause(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// Refuses an archive in which two entries share bytes.
fn check_overlaps(archive: &mut ZipIterable<Seeking<'_>>) -> io::Result<()> {
    let mut places = Vec::new();
    for entry in archive.files().map_err(cause)? {
        let entry = entry.map_err(cause)?;
        let bytes = (LOCAL_HEADER_BYTES + entry.name_raw().len()) as u64;
        let start = entry.header_start();
        places.push((start, start.saturating_add(bytes.saturating_add(entry.compressed_size()))));
    }
    places.sort_unstable();
    if places.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(io::Error::other("two of its entries share bytes"));
    }
    Ok(())
}

/// What the directory tells of an entry.
fn told(entry: &ZipFileEntry<'_>) -> Entry {
    let name = entry.name_raw().to_vec();
    // Archives from systems without modes have none, or nothing in the bits of the kind.
    let mode = entry.unix_mode().map_or(0, |mode| mode & KIND_BITS);
    let kind = if name.ends_with(b"/") {
        Kind::Folder
    } else if mode == 0 || mode == REGULAR {
        Kind::File
    } else {
        Kind::Other
    };
    Entry { name, kind, size: entry.size() }
}

/// Reads and checks the bytes of an entry.
fn content(bodies: &mut Seeking<'_>, entry: &ZipFileEntry<'_>) -> Result<Vec<u8>, Unread> {
    if entry.encrypted() {
        return Err(Unread::Entry("encrypted", "it is encrypted".to_owned()));
    }
    let wrong = |cause: String| Unread::Entry("damaged-entry", cause);
    let failed = |error: io::Error| wrong(error.to_string());
    let raw = body(bodies, entry).map_err(failed)?;
    let mut unpacked: Box<dyn Read + '_> = match entry.compression() {
        CompressionMethod::STORE => Box::new(raw),
        CompressionMethod::DEFLATE => Box::new(DeflateDecoder::new(BufReader::new(raw))),
        CompressionMethod::ZSTD => Box::new(unpack_zstd(BufReader::new(raw)).map_err(failed)?),
        other => {
            let cause = format!("it is compressed by {other}, expected none, Deflate or Zstandard");
            return Err(Unread::Entry("unsupported-method", cause));
        }
    };
    let mut bytes = Vec::new();
    // One byte more than it tells shows a lie; nobody wants the rest.
    unpacked
        .by_ref()
        .take(entry.size().saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 != entry.size() {
        let more = if bytes.len() as u64 > entry.size() { "more" } else { "fewer" };
        return Err(wrong(format!("it has {more} bytes than the directory tells")));
    }
    let mut sum = Crc::new();
    sum.update(&bytes);
    if sum.sum() != entry.crc32() {
        return Err(wrong(format!(
            "its checksum is {:08x}, expected {:08x}",
            sum.sum(),
            entry.crc32()
        )));
    }
    Ok(bytes)
}

/// The compressed bytes of an entry, which lie behind its own header.
fn body<'b>(bodies: &'b mut Seeking<'_>, entry: &ZipFileEntry<'_>) -> io::Result<impl Read + 'b> {
    let mut header = [0; LOCAL_HEADER_BYTES];
    bodies.seek(SeekFrom::Start(entry.header_start()))?;
    bodies.read_exact(&mut header)?;
    if !header.starts_with(LOCAL_MAGIC) {
        return Err(io::Error::other("there is no entry where the directory tells"));
    }
    let length = |at: usize| i64::from(u16::from_le_bytes([header[at], header[at + 1]]));
    bodies.seek(SeekFrom::Current(length(26) + length(28)))?;
    Ok(bodies.take(entry.compressed_size()))
}
