//! Every byte may lie: flips, cuts and swaps of a small segment.

use std::path::Path;

use super::{SegmentId, SegmentReader, SegmentWriter};
use crate::error::{Corruption, Error};
use crate::storage::fs::{Fs as _, OsFs};

const ID: SegmentId = SegmentId { database_id: *b"0123456789abcdef", number: 7 };
const SECTIONS: [(&[u8; 8], &[u8]); 3] =
    [(b"FIRST   ", b"some bytes"), (b"EMPTY   ", b""), (b"SECOND  ", &[7; 100])];

fn write(directory: &Path) -> Vec<u8> {
    let path = directory.join("a.seg");
    let mut writer = SegmentWriter::create(&OsFs, &directory.join("a.tmp"), ID, 3).unwrap();
    for (tag, bytes) in SECTIONS {
        writer.section(*tag, bytes).unwrap();
    }
    let length = writer.finish(&path).unwrap();
    let bytes = OsFs.read(&path, 1 << 20).unwrap();
    assert_eq!(bytes.len() as u64, length);
    bytes
}

fn reopen(directory: &Path, bytes: &[u8], id: SegmentId) -> Result<SegmentReader, Error> {
    let path = directory.join("b.seg");
    OsFs.create(&path).unwrap().write_all(bytes).unwrap();
    SegmentReader::open(&OsFs, &path, id, None, true)
}

/// All sections are as written, or the error.
fn read_all(reader: &SegmentReader) -> Result<(), Error> {
    for (tag, bytes) in SECTIONS {
        assert_eq!(reader.required(*tag, "section")?, bytes);
    }
    Ok(())
}

#[test]
fn what_was_written_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = write(directory.path());
    let reader = reopen(directory.path(), &bytes, ID).unwrap();
    read_all(&reader).unwrap();
    reader.verify().unwrap();
    assert!(reader.section(*b"ABSENT  ").unwrap().is_none());
    assert!(matches!(
        reader.required(*b"ABSENT  ", "absent section"),
        Err(Error::Corruption { what: Corruption::Missing { .. }, .. })
    ));
}

#[test]
fn every_flipped_bit_is_found_by_verify_and_never_changes_an_answer() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = write(directory.path());
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Ok(reader) = reopen(directory.path(), &flipped, ID) else {
            continue;
        };
        // Reading gives the bytes as written (asserted inside) or an error.
        let _either = read_all(&reader);
        assert!(reader.verify().is_err(), "bit {bit} was flipped and not noticed");
    }
}

#[test]
fn every_cut_and_every_appended_byte_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = write(directory.path());
    for length in 0..bytes.len() {
        assert!(reopen(directory.path(), &bytes[..length], ID).is_err(), "cut at {length}");
    }
    let mut longer = bytes;
    longer.push(0);
    assert!(reopen(directory.path(), &longer, ID).is_err());
}

#[test]
fn a_segment_of_another_number_or_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let bytes = write(directory.path());
    let other_number = SegmentId { number: 8, ..ID };
    assert!(reopen(directory.path(), &bytes, other_number).is_err());
    let other_database = SegmentId { database_id: [1; 16], ..ID };
    assert!(reopen(directory.path(), &bytes, other_database).is_err());
}

#[test]
fn a_newer_version_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let mut bytes = write(directory.path());
    bytes[8] = 2;
    let error = reopen(directory.path(), &bytes, ID).unwrap_err();
    assert!(matches!(error, Error::UnsupportedFormat { found: 2, newest: 1, .. }), "{error}");
}

/// Takes some of so many pieces.
type Taker = fn(usize, &(dyn Fn(usize) + Sync));

#[test]
fn a_section_that_is_checked_in_pieces_is_checked_whole_whoever_takes_the_pieces() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.seg");
    let long: Vec<u8> = (0..9_u32 << 20).map(|at| (at % 251).to_le_bytes()[0]).collect();
    let mut writer = SegmentWriter::create(&OsFs, &directory.path().join("a.tmp"), ID, 2).unwrap();
    writer.section(*b"LONG    ", &long).unwrap();
    writer.section(*b"EMPTY   ", b"").unwrap();
    writer.finish(&path).unwrap();
    let bytes = OsFs.read(&path, 1 << 30).unwrap();
    let tags = [*b"LONG    ", *b"EMPTY   ", *b"ABSENT  "];
    // All of the pieces are taken, one of them, none.
    let takers: [Taker; 3] =
        [|count, job| (0..count).rev().for_each(job), |_, job| job(1), |_, _| ()];
    for take in takers {
        let reader = reopen(directory.path(), &bytes, ID).unwrap();
        assert!(!reader.are_checked(&tags));
        reader.check_by(&tags, take).unwrap();
        assert!(reader.are_checked(&tags));
        // The first byte, the last, both sides of a boundary.
        let start = usize::try_from(reader.section_offset(tags[0])).unwrap();
        for at in [0, (4 << 20) - 1, 4 << 20, long.len() - 1] {
            let mut flipped = bytes.clone();
            flipped[start + at] ^= 4;
            let reader = reopen(directory.path(), &flipped, ID).unwrap();
            let error = reader.check_by(&tags, take).unwrap_err();
            let Error::Corruption { what: Corruption::Checksum { .. }, offset, .. } = error else {
                panic!("{error}");
            };
            assert_eq!(offset, start as u64);
            assert!(!reader.are_checked(&tags) && reader.required(tags[0], "it").is_err());
        }
    }
}
