//! The framing of RocksDB's logs, which its manifests have too, and how one ends.
//!
//! A loss of power may leave a file longer than what was written of it: a file system that has noted the
//! new length, as another file's sync makes it do, before the bytes of the last sectors went out, gives
//! zeros for them. ext4 does so wherever a block of the file was there before. What RocksDB finds is a
//! record with a wrong checksum, the same as after a flipped bit, but the two can be told apart: a disk
//! writes whole sectors, so a record that was never written to its end has nothing but zeros from some
//! sector on, and so has the rest of the file. Such a record was not synced, so it was promised to nobody.

use std::fs::File;
use std::io::{self, Read as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::error::{Corruption, Error, Result};
use crate::storage::fs::Fs;
use crate::storage::tree::is_absent;

/// Records do not cross blocks of this size; what is left of a block is zeros.
const BLOCK_BYTES: usize = 32 << 10;
/// The header of a record: its checksum, its length, its type.
const HEADER_BYTES: usize = 7;
/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// How a log ends, by its own checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// With a whole record.
    Whole,
    /// With a record at this offset that was not written to its end.
    Torn { at: u64 },
    /// With a record at this offset that is not what was written, whatever follows it.
    Damaged { at: u64 },
}

impl Ending {
    /// Reads a log to its end.
    pub(crate) fn of(log: impl io::Read) -> io::Result<Self> {
        // Where the first record lies that is not whole, and where it would end.
        let mut broken = None;
        let mut written = 0;
        let length = for_each_block(log, |begin, block| {
            broken = broken.or_else(|| {
                let record = broken_record(block)?;
                Some((begin + record.start as u64, begin + record.end as u64))
            });
            if let Some(last) = block.iter().rposition(|byte| *byte != 0) {
                written = begin + last as u64 + 1;
            }
            ControlFlow::Continue(())
        })?;
        let Some((at, end)) = broken.filter(|(at, _)| *at < written) else {
            // Zeros at the end were never written to at all.
            return Ok(Self::Whole);
        };
        let block_end = at / BLOCK_BYTES as u64 * BLOCK_BYTES as u64 + BLOCK_BYTES as u64;
        let is_cut = length < end && end <= block_end;
        let is_unwritten = written.next_multiple_of(SECTOR_BYTES) < end;
        Ok(if is_cut || is_unwritten { Self::Torn { at } } else { Self::Damaged { at } })
    }

    /// Reads a log by its name; `None` where it cannot be read.
    fn of_file(path: &Path) -> Option<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "an error is under way; another adds nothing"
        )]
        let file = File::open(path);
        Self::of(file.ok()?).ok()
    }
}

/// Refuses a store of whose logs or manifests one has a record of the kinds that logs have which are used again.
/// None of ours is, so its type is not what was written; RocksDB 11.8 never returns from reading it.
pub(super) fn refuse_recycled(fs: &dyn Fs, records: &Path) -> Result<()> {
    for file in fs.list(records)?.into_iter().filter(|file| is_framed(file)) {
        match recycled_record(fs, &file) {
            // Its owner removed it meanwhile.
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
            Ok(None) => {}
            Ok(Some((at, kind))) => {
                let what = Corruption::OutOfRange { field: "record type", value: kind.into() };
                return Err(what.at(&file, at));
            }
        }
    }
    Ok(())
}

/// How many bytes of a file RocksDB can be given to read.
pub(super) fn readable_bytes(fs: &dyn Fs, file: &Path) -> Result<u64> {
    if !is_framed(file) {
        return Ok(u64::MAX);
    }
    Ok(recycled_record(fs, file)?.map_or(u64::MAX, |(at, _)| at))
}

/// Whether a file of the store is a log or a manifest.
fn is_framed(file: &Path) -> bool {
    file.extension().is_some_and(|kind| kind == "log")
        || file
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with("MANIFEST-"))
}

/// Where the first such record of a file lies, and its type.
fn recycled_record(fs: &dyn Fs, file: &Path) -> Result<Option<(u64, u8)>> {
    let failed = |source| Error::Io { path: file.to_path_buf(), op: "read", source };
    first_recycled(fs.open_read(file)?).map_err(failed)
}

fn first_recycled(log: impl io::Read) -> io::Result<Option<(u64, u8)>> {
    let mut found = None;
    for_each_block(log, |begin, block| match recycled_in(block) {
        Some((at, kind)) => {
            found = Some((begin + at as u64, kind));
            ControlFlow::Break(())
        }
        None => ControlFlow::Continue(()),
    })?;
    Ok(found)
}

/// Shows `visit` the blocks of a log, each with its offset, until it breaks; returns how many bytes were read.
fn for_each_block(
    mut log: impl io::Read,
    mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
) -> io::Result<u64> {
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    let mut length = 0;
    loop {
        block.clear();
        log.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        let begin = length;
        length += block.len() as u64;
        if visit(begin, &block).is_break() || block.len() < BLOCK_BYTES {
            return Ok(length);
        }
    }
}

/// Walks the records of a block as RocksDB does, but for their checksums: where it would stop for one of
/// these, the block is damaged all the more.
fn recycled_in(block: &[u8]) -> Option<(usize, u8)> {
    let mut at = 0;
    while let Some(header) = block.get(at..at + HEADER_BYTES) {
        let kind = header[6];
        if matches!(kind, 5..=8 | 11 | 131) {
            return Some((at, kind));
        }
        at += HEADER_BYTES + usize::from(u16::from_le_bytes([header[4], header[5]]));
    }
    None
}

/// The first log of a store that is not whole.
pub(super) fn first_broken(records: &Path) -> Option<String> {
    let broken = logs(records).into_iter().find(|log| {
        matches!(Ending::of_file(log), Some(Ending::Torn { .. } | Ending::Damaged { .. }))
    })?;
    broken.file_name()?.to_str().map(str::to_owned)
}

/// Whether nothing is wrong with the logs of a store but that records at their ends were not written
/// out. Where a later log has records that were synced, those of earlier ones were synced before.
pub(super) fn are_torn_at_most(records: &Path) -> bool {
    let is_fine =
        |log: &PathBuf| matches!(Ending::of_file(log), Some(Ending::Whole | Ending::Torn { .. }));
    logs(records).iter().all(is_fine)
}

/// The logs of a store, oldest first; none if its folder cannot be read.
fn logs(records: &Path) -> Vec<PathBuf> {
    let mut logs: Vec<_> = std::fs::read_dir(records)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|kind| kind == "log"))
        .collect();
    logs.sort();
    logs
}

/// Where in a block its first record lies that is not whole: each has a masked CRC-32C over its type and
/// its payload. Records of logs that are used again have longer headers, but RocksDB is not asked for such.
fn broken_record(block: &[u8]) -> Option<std::ops::Range<usize>> {
    let mut at = 0;
    while let Some(header) = block.get(at..at + HEADER_BYTES) {
        let length = usize::from(u16::from_le_bytes([header[4], header[5]]));
        let end = at + HEADER_BYTES + length;
        let Some(record) = block.get(at + 6..end) else { return Some(at..end) };
        let stored = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
        if stored != crc32c::crc32c(record).rotate_right(15).wrapping_add(0xa282_ead8) {
            return Some(at..end);
        }
        at = end;
    }
    // A full block ends in fewer zeros than a header has bytes.
    let rest = &block[at..];
    let is_filled = block.len() == BLOCK_BYTES && rest.iter().all(|byte| *byte == 0);
    (!rest.is_empty() && !is_filled).then_some(at..at + HEADER_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(payload: &[u8]) -> Vec<u8> {
        let typed: Vec<_> = [1].into_iter().chain(payload.iter().copied()).collect();
        let checksum = crc32c::crc32c(&typed).rotate_right(15).wrapping_add(0xa282_ead8);
        let length = u16::try_from(payload.len()).unwrap();
        [&checksum.to_le_bytes()[..], &length.to_le_bytes(), &typed].concat()
    }

    fn log(lengths: &[usize]) -> Vec<u8> {
        lengths.iter().flat_map(|length| record(&vec![7; *length])).collect()
    }

    fn ending(log: &[u8]) -> Ending {
        Ending::of(log).unwrap()
    }

    #[test]
    fn whole_logs_are_whole() {
        for lengths in
            [&[][..], &[0], &[100, 200], &[BLOCK_BYTES - 7, 300], &[BLOCK_BYTES - 7 - 7, 0]]
        {
            assert_eq!(ending(&log(lengths)), Ending::Whole, "{lengths:?}");
            let mut longer = log(lengths);
            longer.resize(longer.len() + 5000, 0);
            assert_eq!(ending(&longer), Ending::Whole, "{lengths:?}, then zeros");
        }
        // What is left of a block is too short for a header.
        let mut two = log(&[BLOCK_BYTES - 7 - 5]);
        two.resize(BLOCK_BYTES, 0);
        two.extend(record(b"next"));
        assert_eq!(ending(&two), Ending::Whole);
    }

    #[test]
    fn a_record_without_its_last_sectors_is_torn() {
        let whole = log(&[300, 2000]);
        let at = 307;
        for sector in [512, 1024, 1536, 2048] {
            let mut torn = whole.clone();
            torn[sector..].fill(0);
            assert_eq!(ending(&torn), Ending::Torn { at }, "from {sector} on");
            // The file may be longer than the record.
            torn.resize(40_000, 0);
            assert_eq!(ending(&torn), Ending::Torn { at }, "from {sector} on, longer");
            torn[39_000] = 1;
            assert_eq!(ending(&torn), Ending::Damaged { at }, "something follows");
        }
        // No disk writes part of a sector: these zeros are damage.
        let mut zeroed = whole.clone();
        zeroed[2100..].fill(0);
        assert_eq!(ending(&zeroed), Ending::Damaged { at });
        for length in [at + 1, at + 100, 2300].map(|length| usize::try_from(length).unwrap()) {
            assert_eq!(ending(&whole[..length]), Ending::Torn { at }, "cut to {length}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage() {
        let whole = log(&[300, 40, 700]);
        for at in 0..whole.len() {
            // In the length of the last record it looks like a cut.
            if (358..360).contains(&at) {
                continue;
            }
            let mut flipped = whole.clone();
            flipped[at] ^= 4;
            let found = ending(&flipped);
            let is_length = [4, 5, 311, 312].contains(&at);
            assert!(
                matches!(found, Ending::Damaged { .. }) || is_length,
                "flipped at {at}: {found:?}"
            );
        }
    }

    #[test]
    fn a_record_of_a_log_that_is_used_again_is_found_wherever_it_is_reached() {
        let whole =
            [log(&[300, 40, BLOCK_BYTES - 354 - 7 - 3]), vec![0; 3], log(&[100, 200])].concat();
        let second = BLOCK_BYTES + 107;
        let found = |bytes: &[u8]| first_recycled(bytes).unwrap();
        assert_eq!(found(&whole), None);
        for at in [0, 307, 354, BLOCK_BYTES, second] {
            for kind in [5, 6, 7, 8, 11, 131] {
                let mut changed = whole.clone();
                changed[at + 6] = kind;
                assert_eq!(found(&changed), Some((at as u64, kind)), "{at}");
                // As large as a whole log can be without it.
                assert_eq!(found(&changed[..at]), None, "{at}");
            }
        }
    }

    #[test]
    fn a_hole_is_damage() {
        let mut log = log(&[300, BLOCK_BYTES - 7 - 307 - 7, 300]);
        log[307..BLOCK_BYTES].fill(0);
        assert_eq!(ending(&log), Ending::Damaged { at: 307 });
    }
}
