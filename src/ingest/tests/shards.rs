//! Tar shards, honest and hostile.

use std::io::Write;

use tar::{Builder, EntryType, Header};

use super::*;

/// A shard of regular files.
pub(super) fn tar(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = Header::new_gnu();
        header.set_size(bytes.len() as u64);
        builder.append_data(&mut header, name, *bytes).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A header block with any name, type and claimed size, followed by the padded bytes.
fn raw(name: &[u8], kind: EntryType, size: u64, bytes: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_cksum();
    let mut block = header.as_bytes().to_vec();
    block.extend(bytes);
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

fn file(name: &[u8], bytes: &[u8]) -> Vec<u8> {
    raw(name, EntryType::Regular, bytes.len() as u64, bytes)
}

/// The two blocks that end an archive.
const END: [u8; 1024] = [0; 1024];

/// Runs over one shard in a folder of its own, and checks that nothing else appeared there.
fn shard(name: &str, bytes: &[u8]) -> Outcome {
    let folder = folder(&[(name, bytes)]);
    let outcome = outcome(folder.path(), &[folder.path().join(name)], &IngestOptions::default());
    let entries: Vec<_> = folder.path().read_dir().unwrap().collect();
    assert_eq!(entries.len(), 1, "a shard must not create files");
    outcome
}

fn rejects(expected: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    expected.iter().map(|(key, kind)| ((*key).to_owned(), *kind)).collect()
}

#[test]
fn names_are_only_bytes_of_keys() {
    let long = format!("{}/x.png", "d".repeat(90));
    let picture = png(1);
    let names: [&[u8]; 6] = [
        b"../../up.png",
        b"/etc/absolute.png",
        b"a\xff\xfe.png",
        b"same.png",
        b"same.png",
        long.as_bytes(),
    ];
    let mut bytes: Vec<u8> = names.iter().flat_map(|name| file(name, &picture)).collect();
    bytes.extend(END);
    let found = shard("s.tar", &bytes);
    let expected = [
        "s.tar/../../up.png",
        "s.tar//etc/absolute.png",
        "s.tar/a\\xff\\xfe.png",
        "s.tar/same.png",
        "s.tar/same.png",
        &format!("s.tar/{long}"),
    ];
    assert_eq!(found.keys(), expected);
    assert_eq!(found.rejects, []);
}

#[test]
fn long_names_of_both_dialects_are_read() {
    let gnu = format!("{}gnu.png", "long/".repeat(60));
    let pax = format!("{}pax.png", "long/".repeat(60));
    let picture = png(1);
    let mut builder = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(picture.len() as u64);
    builder.append_data(&mut header, &gnu, &picture[..]).unwrap();
    builder.append_pax_extensions([("path", pax.as_bytes())]).unwrap();
    builder.append_data(&mut header, "short.png", &picture[..]).unwrap();
    let too_long = format!("{}.png", "k".repeat(5000));
    builder.append_data(&mut header, &too_long, &picture[..]).unwrap();
    let found = shard("s.tar", &builder.into_inner().unwrap());
    assert_eq!(found.keys(), [format!("s.tar/{gnu}"), format!("s.tar/{pax}")]);
    assert_eq!(found.rejects, rejects(&[(&format!("s.tar/{too_long}"), "key-too-long")]));
}

#[test]
fn only_regular_files_are_read() {
    let picture = png(1);
    let bytes = [
        raw(b"folder/", EntryType::Directory, 0, b""),
        raw(b"soft.png", EntryType::Symlink, 0, b""),
        raw(b"hard.png", EntryType::Link, 0, b""),
        raw(b"device.png", EntryType::Char, 0, b""),
        raw(b"pipe.png", EntryType::Fifo, 0, b""),
        file(b"label.cls", b"7"),
        file(b"inner.tar", &tar(&[("x.png", &picture)])),
        file(b"last.png", &picture),
        END.to_vec(),
    ];
    let found = shard("s.tar", &bytes.concat());
    assert_eq!(found.keys(), ["s.tar/last.png"]);
    let links = ["soft", "hard", "device", "pipe"].map(|name| format!("s.tar/{name}.png"));
    assert_eq!(found.rejects, links.map(|key| (key, "not-regular")));
}

#[test]
fn an_entry_over_the_cap_is_passed_over_and_the_next_one_is_read() {
    let size = MAX_INPUT_BYTES + 1;
    let mut bytes = raw(b"big.png", EntryType::Regular, size, b"");
    bytes.resize(bytes.len() + usize::try_from(size.next_multiple_of(512)).unwrap(), 0);
    bytes.extend(file(b"next.png", &png(1)));
    bytes.extend(END);
    let found = shard("s.tar", &bytes);
    assert_eq!(found.keys(), ["s.tar/next.png"]);
    assert_eq!(found.rejects, rejects(&[("s.tar/big.png", "too-large")]));
}

#[test]
fn a_claimed_size_that_is_not_there_costs_the_rest_of_the_shard() {
    for size in [4096, 1 << 32, (1 << 33) - 1] {
        let mut bytes = file(b"first.png", &png(1));
        bytes.extend(raw(b"liar.png", EntryType::Regular, size, b"short"));
        let found = shard("s.tar", &bytes);
        assert_eq!(found.keys(), ["s.tar/first.png"]);
        assert_eq!(found.rejects.last(), rejects(&[("s.tar", "damaged-archive")]).last());
    }
}

#[test]
fn a_pax_size_beyond_all_bounds_is_one_reject() {
    for size in ["18446744073709551615", "18446744073709551000", "9223372036854775807"] {
        let record = format!(" size={size}\n");
        let length = record.len() + 2;
        let record = format!("{length}{record}");
        let bytes = [
            file(b"first.png", &png(1)),
            raw(b"pax", EntryType::XHeader, record.len() as u64, record.as_bytes()),
            file(b"liar.png", &png(2)),
            END.to_vec(),
        ];
        let found = shard("s.tar", &bytes.concat());
        assert_eq!(found.keys(), ["s.tar/first.png"]);
        assert!(!found.rejects.is_empty() && found.rejects.len() <= 2, "{:?}", found.rejects);
    }
}

#[test]
fn endless_headers_are_refused_without_gathering_them() {
    let size = 3 << 20;
    let name = vec![b'n'; size];
    let bytes = [
        file(b"first.png", &png(1)),
        raw(b"././@LongLink", EntryType::GNULongName, size as u64, &name),
        file(b"x.png", &png(1)),
        END.to_vec(),
    ];
    let mut bytes = bytes.concat();
    // Long names are only read behind GNU headers.
    let at = file(b"first.png", &png(1)).len();
    bytes[at + 257..at + 265].copy_from_slice(b"ustar  \0");
    let sum: u32 =
        (0..512).map(|n| if (148..156).contains(&n) { 32 } else { u32::from(bytes[at + n]) }).sum();
    bytes[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let found = shard("s.tar", &bytes);
    assert_eq!(found.keys(), ["s.tar/first.png"]);
    assert_eq!(found.rejects, rejects(&[("s.tar", "damaged-archive")]));
}

#[test]
fn a_shard_cut_anywhere_gives_its_whole_entries_and_one_reject() {
    let whole = tar(&[("a.png", &png(1)), ("b.png", &png(2)), ("c.png", &png(3))]);
    for length in (0..whole.len() - 1024).step_by(97) {
        let found = shard("s.tar", &whole[..length]);
        assert_eq!(found.rejects, rejects(&[("s.tar", "damaged-archive")]), "cut at {length}");
        let complete = (0..3).filter(|n| n * 1024 + 512 + png(1).len() <= length).count();
        assert_eq!(found.items.len(), complete, "cut at {length}");
    }
    assert_eq!(shard("s.tar", &whole).items.len(), 3);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_is_told_by_content_and_may_have_several_members() {
    let plain = tar(&[("a.png", &png(1)), ("b.png", &png(2))]);
    let expected = shard("s.tar", &plain).items.len();
    let (left, right) = plain.split_at(700);
    for bytes in [gzip(&plain), [gzip(left), gzip(right)].concat()] {
        for name in ["s.tar.gz", "s.tgz", "s.tar"] {
            let found = shard(name, &bytes);
            assert_eq!((found.items.len(), found.rejects.len()), (expected, 0), "{name}");
        }
    }
}

#[test]
fn damage_in_a_gzip_stream_is_reported() {
    let whole = gzip(&tar(&[("a.png", &png(1)), ("b.png", &png(2))]));
    for length in (2..whole.len()).step_by(13) {
        let found = shard("s.tar.gz", &whole[..length]);
        assert_eq!(found.rejects, rejects(&[("s.tar.gz", "damaged-archive")]), "cut at {length}");
    }
    let mut wrong_sum = whole.clone();
    let at = whole.len() - 8;
    wrong_sum[at] ^= 1;
    let found = shard("s.tar.gz", &wrong_sum);
    assert_eq!((found.items.len(), found.rejects.len()), (2, 1));
}

/// One Zstandard frame with a checksum.
pub(super) fn zstd_of(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A frame of one stored byte whose header asks for a window of two to this power.
pub(super) fn zstd_frame_of_window(log: u8) -> Vec<u8> {
    vec![0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3, 0b1001, 0, 0, b'x']
}

#[test]
fn zstandard_is_told_by_content_and_may_have_several_frames() {
    let plain = tar(&[("a.png", &png(1)), ("b.png", &png(2))]);
    let (left, right) = plain.split_at(700);
    // Parallel compressors write the size of the next frame into a frame that readers pass over.
    let skipped = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    let cases = [
        zstd_of(&plain),
        [zstd_of(left), zstd_of(right)].concat(),
        [&skipped[..], &zstd_of(left), &skipped, &zstd_of(right)].concat(),
    ];
    for bytes in cases {
        for name in ["s.tar.zst", "s.tzst", "s.tar"] {
            let found = shard(name, &bytes);
            assert_eq!((found.items.len(), found.rejects.len()), (2, 0), "{name}");
        }
    }
}

#[test]
fn damage_in_a_zstandard_stream_is_reported() {
    let whole = zstd_of(&tar(&[("a.png", &png(1)), ("b.png", &png(2))]));
    for length in (4..whole.len()).step_by(11) {
        let found = shard("s.tar.zst", &whole[..length]);
        assert_eq!(found.rejects, rejects(&[("s.tar.zst", "damaged-archive")]), "cut at {length}");
    }
    let mut wrong_sum = whole.clone();
    *wrong_sum.last_mut().unwrap() ^= 1;
    assert_eq!(shard("s.tar.zst", &wrong_sum).rejects.len(), 1);
}

#[test]
fn a_zstandard_frame_with_a_giant_window_is_refused() {
    let refused = |log| {
        let folder = folder(&[("s.tar.zst", &zstd_frame_of_window(log))]);
        let mut rejects = Rejects::default();
        let paths = [folder.path().to_path_buf()];
        collect_pixels(&paths, &IngestOptions::default(), &mut rejects).unwrap();
        assert_eq!(rejects.0.len(), 1);
        rejects.0[0].cause.clone()
    };
    // One that fits is no archive, but it was unpacked.
    assert!(!refused(27).contains("memory"), "{}", refused(27));
    for log in [28, 31, 41] {
        assert!(refused(log).contains("too much memory"), "{}", refused(log));
    }
}

#[test]
fn bytes_that_are_no_archive_are_one_reject() {
    for bytes in [&b""[..], b"x", &[b'x'; 2000], &png(1), b"\x1f\x8b", b"\x1f\x8b\x08junk"] {
        let found = shard("s.tar", bytes);
        assert_eq!(found.rejects, rejects(&[("s.tar", "damaged-archive")]));
    }
    assert_eq!(shard("s.tar", &[0; 10240]), Outcome::default());
}

#[test]
fn sparse_entries_are_read_whole_or_passed_over() {
    let sparse = |hole: u64, picture: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNUSparse);
        header.set_path("sparse.png").unwrap();
        header.set_size(picture.len() as u64);
        let gnu = header.as_gnu_mut().unwrap();
        let number = |n: u64| -> [u8; 12] { format!("{n:011o}\0").as_bytes().try_into().unwrap() };
        gnu.sparse[0].offset = number(0);
        gnu.sparse[0].numbytes = number(picture.len() as u64);
        gnu.sparse[1].offset = number(picture.len() as u64 + hole);
        gnu.sparse[1].numbytes = number(0);
        gnu.realsize = number(picture.len() as u64 + hole);
        header.set_cksum();
        let mut bytes = header.as_bytes().to_vec();
        bytes.extend(picture);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes.extend(file(b"next.png", &png(2)));
        bytes.extend(END);
        bytes
    };
    let found = shard("s.tar", &sparse(512, &png(1)));
    assert_eq!(found.keys(), ["s.tar/sparse.png", "s.tar/next.png"]);
    let found = shard("s.tar", &sparse((8 << 30) - 8192, &png(1)));
    assert_eq!(found.keys(), ["s.tar/next.png"]);
    assert_eq!(found.rejects, rejects(&[("s.tar/sparse.png", "too-large")]));
}
