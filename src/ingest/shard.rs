//! Tar shards, plain or compressed by gzip or Zstandard, read as streams: an entry is bytes and a name, and
//! nothing is ever unpacked.
//!
//! `source` calls [`read`]. Invariant: a shard takes at most 64 MiB of memory for an entry, 1 MiB for its
//! headers and 128 MiB to decompress it, whatever it claims; damage costs the rest of that shard and one reject.

use std::cell::Cell;
use std::io::{self, BufReader, Read};
use std::path::Path;

use tar::{Archive, Entry as TarEntry};

use super::entries::{Entry, Kind, Shard, Unread};
use super::packed::unpack;
use super::source::{Counted, Walk, open};

/// The most bytes that the headers of one entry may take, long names and extensions included.
const MAX_HEADER_BYTES: u64 = 1 << 20;
/// The most padding behind the end marker that is read to reach the checksum of a compressed stream.
const MAX_PADDING_BYTES: u64 = 16 << 20;
/// Bytes read from disk at once.
const BUFFER_BYTES: usize = 256 << 10;

/// Emits what the plan asks for of the images of a shard; `false` if the walk shall end.
pub(super) fn read(walk: &mut Walk<'_, '_>, path: &Path, mut shard: Shard<'_>) -> bool {
    let outcome = read_entries(walk, path, &mut shard);
    shard.close(walk, outcome)
}

fn read_entries(walk: &mut Walk<'_, '_>, path: &Path, shard: &mut Shard<'_>) -> io::Result<bool> {
    let raw = Counted { inner: open(path)?, read: walk.read, stopped: walk.stopped };
    let (stream, is_packed) = unpack(BufReader::with_capacity(BUFFER_BYTES, raw))?;
    let (quota, ended) = (Cell::new(0), Cell::new(false));
    let mut archive = Archive::new(Metered { inner: stream, quota: &quota, ended: &ended });
    let mut entries = archive.entries()?;
    let mut unread = 0;
    loop {
        // The tar reader gathers long names in memory without a limit of its own.
        quota.set(MAX_HEADER_BYTES + unread);
        let Some(entry) = entries.next() else { break };
        let mut entry = entry?;
        quota.set(u64::MAX);
        let header = told(&entry);
        if !shard.take(walk, &header, &mut || content(&mut entry, header.size))? {
            return Ok(false);
        }
        unread = pass_over(&mut entry)?;
    }
    if ended.get() {
        return Err(io::Error::other("it has no end marker and may have been cut off"));
    }
    quota.set(MAX_PADDING_BYTES);
    let mut rest = archive.into_inner();
    if is_packed {
        io::copy(&mut rest.by_ref().take(MAX_PADDING_BYTES), &mut io::sink())?;
    }
    Ok(true)
}

/// What the headers of an entry tell.
fn told<R: Read>(entry: &TarEntry<'_, R>) -> Entry {
    let (kind, name) = (entry.header().entry_type(), entry.path_bytes().into_owned());
    let kind = if kind.is_dir() || kind.is_pax_global_extensions() || name.ends_with(b"/") {
        Kind::Folder
    } else if kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse() {
        Kind::File
    } else {
        Kind::Other
    };
    Entry { name, kind, size: entry.size() }
}

fn content<R: Read>(entry: &mut TarEntry<'_, R>, size: u64) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < size {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(bytes)
}

/// Reads what is left of an entry, so that the next step of the tar reader meets headers only. The
/// holes of a sparse entry may be endless, so those are left to it; returns the bytes left.
fn pass_over<R: Read>(entry: &mut TarEntry<'_, R>) -> io::Result<u64> {
    if entry.header().entry_type().is_gnu_sparse() {
        return entry.header().entry_size();
    }
    io::copy(entry, &mut io::sink())?;
    Ok(0)
}

/// Fails when more is read than allowed, and notes the end of the stream.
struct Metered<'a> {
    inner: Box<dyn Read + 'a>,
    quota: &'a Cell<u64>,
    ended: &'a Cell<bool>,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.ended.set(count == 0 && !buffer.is_empty());
        let left = self.quota.get().checked_sub(count as u64);
        self.quota.set(
            left.ok_or_else(|| io::Error::other("the headers of an entry are longer than 1 MiB"))?,
        );
        Ok(count)
    }
}
