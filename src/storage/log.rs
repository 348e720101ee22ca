//! The framing of RocksDB's logs, which its manifests have too, and how one ends.
//!
//! A loss of power may leave a file longer than what was written of it: a file system that has noted the
//! new length, as another file's sync makes it do, before the bytes of the last sectors went out, gives
//! zeros for them. ext4 does so wherever a block of the file was there before. What RocksDB finds is a
//! record with a wrong checksum, the same as after a flipped bit, but the two can be told apart: a disk
//! writes whole sectors, so a record that was never written to its end has nothing but zeros from some
//! sector on, and so has the rest of the file. Such a record was not synced, so it was promised to nobody.
//!
//! RocksDB takes a record that is longer than what is left of its log for such a tail too, and so passes over
//! all that lies behind a length in which a bit flipped; and it passes over what follows zeros in a block. Logs
//! are therefore read here before it opens them.

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
        let mut broken = None;
        let mut written = 0;
        let length = for_each_block(log, |begin, block| {
            broken = broken.or_else(|| Broken::first_in(begin, block));
            if let Some(last) = block.iter().rposition(|byte| *byte != 0) {
                written = begin + last as u64 + 1;
            }
            ControlFlow::Continue(())
        })?;
        let Some(Broken { at, end, fits, is_followed }) =
            broken.filter(|broken| broken.at < written)
        else {
            // Zeros at the end were never written to at all.
            return Ok(Self::Whole);
        };
        let is_unwritten = length < end || written.next_multiple_of(SECTOR_BYTES) < end;
        let is_torn = is_unwritten && fits && !is_followed;
        Ok(if is_torn { Self::Torn { at } } else { Self::Damaged { at } })
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

/// The first record of a log that is not whole.
#[derive(Debug, Clone, Copy)]
struct Broken {
    at: u64,
    /// Where it would end.
    end: u64,
    /// It would end in its block, as every record does.
    fits: bool,
    /// Whole records follow it in its block, up to where the block ends or nothing but zeros follows: something
    /// was written behind it, so it was written itself.
    is_followed: bool,
}

impl Broken {
    fn first_in(begin: u64, block: &[u8]) -> Option<Self> {
        let record = broken_record(block)?;
        let is_end = |bytes: &[u8]| match broken_record(bytes) {
            None => true,
            Some(rest) => rest.start > 0 && bytes[rest.start..].iter().all(|byte| *byte == 0),
        };
        // Of types that RocksDB writes to our logs; others cost a checksum each.
        let is_followed = (record.start + 1..block.len())
            .any(|at| matches!(block.get(at + 6), Some(1..=4)) && is_end(&block[at..]));
        Some(Self {
            at: begin + record.start as u64,
            end: begin + record.end as u64,
            fits: record.end <= BLOCK_BYTES,
            is_followed,
        })
    }
}

/// Refuses a store of whose logs one has a record that is not what was written. A record at the end that was
/// never written out is none.
pub(super) fn refuse_damaged(fs: &dyn Fs, records: &Path) -> Result<()> {
    for log in fs.list(records)?.into_iter().filter(|file| is_log(file)) {
        match damaged_record(fs, &log) {
            // Its owner removed it meanwhile.
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(error),
            Ok(None) => {}
            Ok(Some(at)) => return Err(Corruption::LogRecord.at(&log, at)),
        }
    }
    Ok(())
}

/// Where the first record of a log lies that is not what was written.
fn damaged_record(fs: &dyn Fs, log: &Path) -> Result<Option<u64>> {
    let failed = |source| Error::Io { path: log.to_path_buf(), op: "read", source };
    match Ending::of(fs.open_read(log)?).map_err(failed)? {
        Ending::Damaged { at } => Ok(Some(at)),
        Ending::Whole | Ending::Torn { .. } => Ok(None),
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

/// How many bytes of a file RocksDB can be given to read: up to the first damage, with a part of a header, so that
/// it sees that something is missing there and does not go on with the next log.
pub(super) fn readable_bytes(fs: &dyn Fs, file: &Path) -> Result<u64> {
    if !is_framed(file) {
        return Ok(u64::MAX);
    }
    let recycled = recycled_record(fs, file)?.map(|(at, _)| at);
    let damaged = if is_log(file) { damaged_record(fs, file)? } else { None };
    let first = recycled.into_iter().chain(damaged).min();
    Ok(first.map_or(u64::MAX, |at| at + HEADER_BYTES as u64 / 2))
}

fn is_log(file: &Path) -> bool {
    file.extension().is_some_and(|kind| kind == "log")
}

/// Whether a file of the store is a log or a manifest.
fn is_framed(file: &Path) -> bool {
    is_log(file)
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
        .filter(|file| is_log(file))
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
    // What is left of a full block is for no record, and nobody reads it.
    let is_cut = at < block.len() && block.len() < BLOCK_BYTES;
    is_cut.then_some(at..at + HEADER_BYTES)
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
        for (at, bit) in (0..whole.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = whole.clone();
            flipped[at] ^= 1 << bit;
            let found = ending(&flipped);
            // A longer last record looks like a cut, while it fits into its block.
            let is_longer =
                matches!(at, 358 | 359) && flipped[at] > whole[at] && (at, bit) != (359, 7);
            let expected = match at {
                0..307 => Ending::Damaged { at: 0 },
                307..354 => Ending::Damaged { at: 307 },
                _ if is_longer => Ending::Torn { at: 354 },
                _ => Ending::Damaged { at: 354 },
            };
            assert_eq!(found, expected, "bit {bit} flipped at {at}");
        }
    }

    /// RocksDB took a length that reaches beyond the end of the log for a record that was not written out, and
    /// passed over all that follows it.
    #[test]
    fn a_length_beyond_the_end_is_damage_where_something_was_written_behind_it() {
        let whole = log(&[300, 40, 700]);
        for zeros in [0, 3, 600, 20_000] {
            let mut longer = whole.clone();
            longer.resize(whole.len() + zeros, 0);
            for (at, record) in [(5, 0), (312, 307)] {
                for bit in 3..8 {
                    let mut flipped = longer.clone();
                    flipped[at] ^= 1 << bit;
                    let found = ending(&flipped);
                    assert_eq!(found, Ending::Damaged { at: record }, "bit {bit}, {zeros} zeros");
                }
            }
        }
        // A record crosses no block, so this was never one, though nothing follows.
        let mut crossing = log(&[BLOCK_BYTES - 7 - 1000, 500]);
        crossing[BLOCK_BYTES - 1000 + 5] ^= 1 << 6;
        let at = (BLOCK_BYTES - 1000) as u64;
        assert_eq!(ending(&crossing), Ending::Damaged { at });
    }

    #[test]
    fn zeros_before_a_whole_record_are_damage() {
        let mut zeroed = log(&[300, 40, 700]);
        zeroed[307..354].fill(0);
        assert_eq!(ending(&zeroed), Ending::Damaged { at: 307 });
    }

    /// The rest of a block that is too short for a header.
    #[test]
    fn what_lies_between_records_may_be_anything() {
        let mut two = log(&[BLOCK_BYTES - 7 - 5]);
        two.extend([0, 3, 0, 0, 9]);
        two.extend(record(b"next"));
        assert_eq!(ending(&two), Ending::Whole);
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
