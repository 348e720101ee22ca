//! Zip shards, honest and hostile.

use std::io::Write as _;

use super::samples::into;
use super::shards::zstd_of;
use super::*;
use crate::db::Options;

/// An entry of an archive under way, with everything about it that may lie.
#[derive(Clone)]
struct Entry {
    name: Vec<u8>,
    method: u16,
    flags: u16,
    packed: Vec<u8>,
    size: u32,
    sum: u32,
    mode: u32,
}

fn stored(name: &str, bytes: &[u8]) -> Entry {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    let size = u32::try_from(bytes.len()).unwrap();
    let (name, packed) = (name.as_bytes().to_vec(), bytes.to_vec());
    Entry { name, method: 0, flags: 0, packed, size, sum: sum.sum(), mode: 0o100_644 }
}

fn deflated(name: &str, bytes: &[u8]) -> Entry {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    Entry { method: 8, packed: encoder.finish().unwrap(), ..stored(name, bytes) }
}

fn zstandard(name: &str, bytes: &[u8]) -> Entry {
    Entry { method: 93, packed: zstd_of(bytes), ..stored(name, bytes) }
}

fn put_u16(bytes: &mut Vec<u8>, numbers: &[u16]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

fn put_u32(bytes: &mut Vec<u8>, numbers: &[u32]) {
    bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
}

/// An archive whose directory names the entries at these places of the file.
fn directory_of(mut bytes: Vec<u8>, entries: &[(Entry, usize)]) -> Vec<u8> {
    let start = bytes.len();
    for (entry, at) in entries {
        let packed = u32::try_from(entry.packed.len()).unwrap();
        let name_bytes = u16::try_from(entry.name.len()).unwrap();
        bytes.extend(b"PK\x01\x02");
        put_u16(&mut bytes, &[0x031e, 20, entry.flags, entry.method, 0, 0]);
        put_u32(&mut bytes, &[entry.sum, packed, entry.size]);
        put_u16(&mut bytes, &[name_bytes, 0, 0, 0, 0]);
        put_u32(&mut bytes, &[entry.mode << 16, u32::try_from(*at).unwrap()]);
        bytes.extend(&entry.name);
    }
    let length = u32::try_from(bytes.len() - start).unwrap();
    let count = u16::try_from(entries.len()).unwrap();
    bytes.extend(b"PK\x05\x06");
    put_u16(&mut bytes, &[0, 0, count, count]);
    put_u32(&mut bytes, &[length, u32::try_from(start).unwrap()]);
    bytes.extend([0, 0]);
    bytes
}

fn zip(entries: &[Entry]) -> Vec<u8> {
    let (mut bytes, mut places) = (Vec::new(), Vec::new());
    for entry in entries {
        places.push((entry.clone(), bytes.len()));
        let packed = u32::try_from(entry.packed.len()).unwrap();
        bytes.extend(b"PK\x03\x04");
        put_u16(&mut bytes, &[20, entry.flags, entry.method, 0, 0]);
        put_u32(&mut bytes, &[entry.sum, packed, entry.size]);
        let name_bytes = u16::try_from(entry.name.len()).unwrap();
        put_u16(&mut bytes, &[name_bytes, 0]);
        bytes.extend(&entry.name);
        bytes.extend(&entry.packed);
    }
    directory_of(bytes, &places)
}

/// Runs over one archive in a folder of its own, and checks that nothing else appeared there.
fn archive(bytes: &[u8]) -> Outcome {
    let folder = folder(&[("s.zip", bytes)]);
    let paths = [folder.path().join("s.zip")];
    let outcome = outcome(folder.path(), &paths, &IngestOptions::default().threads(1));
    assert_eq!(folder.path().read_dir().unwrap().count(), 1, "an archive must not create files");
    outcome
}

fn rejects(expected: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    expected.iter().map(|(key, kind)| ((*key).to_owned(), *kind)).collect()
}

#[test]
fn entries_of_each_method_are_read_in_the_order_of_the_directory() {
    let bytes = zip(&[
        stored("b.png", &png(1)),
        stored("folder/", b""),
        deflated("folder/a.png", &png(2)),
        stored("notes.txt", b"no image"),
        zstandard("c.png", &png(3)),
        Entry { mode: 0, ..stored("d.png", &png(4)) },
    ]);
    for bytes in [bytes.clone(), [b"#!/bin/sh\n".to_vec(), bytes].concat()] {
        let found = archive(&bytes);
        let expected = ["s.zip/b.png", "s.zip/folder/a.png", "s.zip/c.png", "s.zip/d.png"];
        assert_eq!((found.keys(), found.rejects.len()), (expected.to_vec(), 0));
        let shades: Vec<_> = found.items.iter().map(|(_, pixels)| pixels[0]).collect();
        assert_eq!(shades, [1, 2, 3, 4]);
    }
    assert_eq!(archive(&zip(&[])), Outcome::default());
}

#[test]
fn names_are_only_bytes_of_keys_and_may_come_twice() {
    let names = ["../../up.png", "/etc/absolute.png", "C:\\windows.png", "same.png", "same.png"];
    let mut entries: Vec<_> = names.iter().map(|name| stored(name, &png(1))).collect();
    entries.push(Entry { name: b"a\xff\xfe.png".to_vec(), ..stored("", &png(1)) });
    let found = archive(&zip(&entries));
    let expected = [
        "s.zip/../../up.png",
        "s.zip//etc/absolute.png",
        "s.zip/C:\\\\windows.png",
        "s.zip/same.png",
        "s.zip/same.png",
        "s.zip/a\\xff\\xfe.png",
    ];
    assert_eq!((found.keys(), found.rejects.len()), (expected.to_vec(), 0));
}

#[test]
fn an_entry_that_cannot_be_used_is_one_reject_and_the_others_are_read() {
    let good = deflated("good.png", &png(1));
    let with = |name: &str, change: &dyn Fn(&mut Entry)| {
        let mut entry = deflated(name, &png(2));
        change(&mut entry);
        entry
    };
    let entries = [
        with("encrypted.png", &|entry| entry.flags = 1),
        with("bzip.png", &|entry| entry.method = 12),
        with("sum.png", &|entry| entry.sum ^= 1),
        with("more.png", &|entry| entry.size -= 1),
        with("fewer.png", &|entry| entry.size += 1),
        with("huge.png", &|entry| entry.size = u32::try_from(MAX_INPUT_BYTES).unwrap() + 1),
        with("link.png", &|entry| entry.mode = 0o120_777),
        with("pipe.png", &|entry| entry.mode = 0o010_644),
        with("rubbish.png", &|entry| entry.packed = vec![0xff; 50]),
        with("cut.png", &|entry| entry.packed.truncate(20)),
        with("window.png", &|entry| {
            entry.method = 93;
            entry.packed = super::shards::zstd_frame_of_window(31);
        }),
        good.clone(),
    ];
    let found = archive(&zip(&entries));
    assert_eq!(found.keys(), ["s.zip/good.png"]);
    let expected = [
        ("s.zip/encrypted.png", "encrypted"),
        ("s.zip/bzip.png", "unsupported-method"),
        ("s.zip/sum.png", "damaged-entry"),
        ("s.zip/more.png", "damaged-entry"),
        ("s.zip/fewer.png", "damaged-entry"),
        ("s.zip/huge.png", "too-large"),
        ("s.zip/link.png", "not-regular"),
        ("s.zip/pipe.png", "not-regular"),
        ("s.zip/rubbish.png", "damaged-entry"),
        ("s.zip/cut.png", "damaged-entry"),
        ("s.zip/window.png", "damaged-entry"),
    ];
    assert_eq!(found.rejects, rejects(&expected));
}

#[test]
fn a_bomb_is_unpacked_no_further_than_it_tells() {
    let zeros = vec![0; 80 << 20];
    let bomb = deflated("bomb.png", &zeros);
    assert!(bomb.packed.len() < 100_000);
    let liar = Entry { name: b"liar.png".to_vec(), size: 100, ..bomb.clone() };
    let found = archive(&zip(&[bomb, liar, stored("good.png", &png(1))]));
    assert_eq!(found.keys(), ["s.zip/good.png"]);
    let expected = [("s.zip/bomb.png", "too-large"), ("s.zip/liar.png", "damaged-entry")];
    assert_eq!(found.rejects, rejects(&expected));
}

#[test]
fn entries_that_share_bytes_cost_the_archive() {
    let entry = stored("a.png", &png(1));
    let bytes = zip(std::slice::from_ref(&entry));
    let body = bytes[..30 + 5 + entry.packed.len()].to_vec();
    let other = Entry { name: b"b.png".to_vec(), ..entry.clone() };
    let twice = directory_of(body.clone(), &[(entry.clone(), 0), (other.clone(), 0)]);
    let inside = directory_of([&body[..], &body].concat(), &[(entry, 0), (other, 20)]);
    for bytes in [twice, inside] {
        assert_eq!(archive(&bytes).rejects, rejects(&[("s.zip", "damaged-archive")]));
    }
}

#[test]
fn an_archive_cut_anywhere_is_one_reject() {
    let whole = zip(&[stored("a.png", &png(1)), deflated("b.png", &png(2))]);
    for length in (0..whole.len()).step_by(7) {
        let found = archive(&whole[..length]);
        assert_eq!(found.rejects, rejects(&[("s.zip", "damaged-archive")]), "cut at {length}");
        assert_eq!(found.items, [], "cut at {length}");
    }
}

#[test]
fn any_damage_is_rejects_and_the_rest() {
    let whole =
        zip(&[stored("a.png", &png(1)), deflated("b.png", &png(2)), zstandard("c.png", &png(3))]);
    let mut state = 1_u64;
    for round in 0..150 {
        let mut bytes = whole.clone();
        for _ in 0..=round % 4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = usize::try_from(state >> 33).unwrap() % bytes.len();
            bytes[at] = state.to_le_bytes()[3];
        }
        let found = archive(&bytes);
        assert!(found.items.len() + found.rejects.len() <= 4, "round {round}: {found:?}");
    }
}

#[test]
fn a_run_that_was_stopped_within_an_archive_is_gone_on_with() {
    let entries: Vec<_> = (0..12_u8)
        .flat_map(|shade| {
            let name = |ending| format!("{shade}.{ending}");
            [stored(&name("txt"), &[b'a' + shade]), deflated(&name("png"), &png(shade))]
        })
        .collect();
    let folder = folder(&[("s.zip", &zip(&entries))]);
    let path = folder.path().join("s.zip");
    let home = tempfile::tempdir().unwrap();
    let siblings = Siblings::all();
    let options = IngestOptions::default().threads(2).batch(2).siblings(&siblings);
    let database = |name: String| {
        let options = Options::new().code_bits(64).address_bits(8).background(false);
        Database::create(home.path().join(name), options).unwrap()
    };
    let (done, _, whole) = into(&database("whole".into()), &path, &options, u64::MAX);
    assert!(done && whole.len() == 12);
    assert!(whole.values().all(|value| value.starts_with(b"{\"txt\":\"")));
    for most in [1, 5, 9] {
        let db = database(format!("{most}"));
        let (done, first, _) = into(&db, &path, &options, most);
        assert!(!done);
        let (done, second, records) = into(&db, &path, &options, u64::MAX);
        assert!(done && records == whole);
        assert_eq!(second, 12 - (first - 2), "nothing that was stored is made again");
    }
}

#[test]
fn keys_lead_back_to_entries() {
    let folder = folder(&[("s.zip", &zip(&[stored("a.png", &png(1)), stored("b.png", &png(2))]))]);
    let key = source::key_of(&folder.path().join("s.zip/b.png"));
    let mut found = Vec::new();
    reread(&[key.clone()].into(), &mut |key, bytes| found.push((key.to_vec(), bytes)));
    assert_eq!(found, [(key, png(2))]);
}
