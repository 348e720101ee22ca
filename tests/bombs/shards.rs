//! Archives of very many entries: the reader keeps none of them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use hashdb::ingest::{IngestOptions, collect_pixels};

use crate::{ALONE, allocator, mebibytes};

/// Entries of the archive.
const COUNT: u32 = 200_000;
/// What buffers, queues and the window of things on their way may take.
const FLAT: usize = 8 << 20;

/// A header of a kind and of a length of the content.
fn header(kind: u8, name: &str, length: usize) -> [u8; 512] {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[124..136].copy_from_slice(format!("{length:011o}\0").as_bytes());
    header[156] = kind;
    header[257..265].copy_from_slice(b"ustar  \0");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

/// Entries in turn: a link, a text, a picture that is none, one with a long name.
fn archive(out: &mut impl Write) {
    let mut block = [b'x'; 512];
    let long = "../".repeat(100);
    block[..long.len()].copy_from_slice(long.as_bytes());
    block[long.len()] = 0;
    for number in 0..COUNT {
        match number % 4 {
            0 => out.write_all(&header(b'2', &format!("{number}.png"), 0)),
            1 => out
                .write_all(&header(b'0', &format!("{number}.txt"), 9))
                .and_then(|()| out.write_all(&block)),
            2 => out
                .write_all(&header(b'0', &format!("{number}.png"), 512))
                .and_then(|()| out.write_all(&block)),
            _ => [&header(b'L', "././@LongLink", 400), &block, &header(b'0', "s", 0)]
                .into_iter()
                .try_for_each(|part| out.write_all(part)),
        }
        .unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
}

#[test]
fn two_hundred_thousand_entries_take_no_more_memory_than_a_few() {
    let _alone = ALONE.lock();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("many.tar.gz");
    let mut file = GzEncoder::new(tempfile::NamedTempFile::new().unwrap(), Compression::fast());
    archive(&mut file);
    let file = file.finish().unwrap();
    let length = file.as_file().metadata().unwrap().len();
    file.persist(&path).unwrap();
    let options = IngestOptions::default().threads(2);
    let (result, peak) = allocator::peak(|| collect_pixels(&[path], &options, &mut ()));
    let (pixels, report) = result.unwrap();
    eprintln!(
        "shard of {COUNT} entries: {length} bytes, {:.1} MiB at most, {:?}, {:?}",
        mebibytes(peak),
        report.elapsed,
        report.rejected
    );
    assert!(pixels.is_empty());
    let quarter = u64::from(COUNT / 4);
    assert_eq!(
        (report.rejected["not-regular"], report.rejected["unknown-format"]),
        (quarter, quarter)
    );
    assert_eq!(report.skipped, 2 * quarter);
    assert!(peak < FLAT, "{peak} bytes");
}
