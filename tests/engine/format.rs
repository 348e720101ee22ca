//! Databases of every released format open, answer, and take what this release writes. The fixtures were
//! written by tools/fixture of their release, never by this test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use hashdb::{Address, Code, Database, Options, Readable as _};

use crate::fixtures::{self, Fixture, export, files};

fn all() -> Vec<Fixture> {
    let found = fixtures::all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures"));
    let found = found.unwrap();
    assert!(found.len() >= 3, "fixtures are missing");
    found
}

/// A copy of every fixture in a folder of its own.
fn copies() -> impl Iterator<Item = (Fixture, tempfile::TempDir, PathBuf)> {
    all().into_iter().map(|fixture| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("db");
        fixture.copy_to(&path).unwrap();
        (fixture, directory, path)
    })
}

/// Small reserves are made, so that the rule about them is tried.
fn options() -> Options {
    Options::new().background(false).ballast_bytes(1000)
}

#[test]
fn every_fixture_answers_a_reader_and_keeps_its_bytes() {
    for (fixture, _directory, path) in copies() {
        let before = files(&path).unwrap();
        for options in [options(), options().mmap(false)] {
            let db = Database::open_read_only(&path, options).unwrap();
            fixture.check_counters(&db).unwrap();
            fixture.check(&db).unwrap();
            let report = db.verify().unwrap();
            assert!(report.is_clean(), "{}: {report:?}", fixture.name);
        }
        assert!(files(&path).unwrap() == before, "{}: reading changed a file", fixture.name);
    }
}

#[test]
fn every_fixture_is_written_to_compacted_and_answers_as_before() {
    for (fixture, _directory, path) in copies() {
        let db = Database::open(&path, options()).unwrap();
        fixture.check_counters(&db).unwrap();
        fixture.check(&db).unwrap();
        assert!(path.join("records/WATERMARK").is_file(), "{}", fixture.name);
        assert!(!path.join("BALLAST").exists(), "a reserve is made when something is sealed");
        let before = export(&db).unwrap();
        let stats = db.stats();
        let address = Address::new(0, stats.address_bits).unwrap();
        let code = Code::from_bytes(&vec![0; usize::from(stats.code_bits / 8)]).unwrap();
        db.put(b"new", address, code, b"in a database of another release").unwrap();
        let new = db.get(b"new").unwrap().unwrap();
        assert_eq!((new.id, db.len()), (stats.next_id, stats.records + 1));
        assert_ne!(export(&db).unwrap(), before);
        db.seal().unwrap();
        assert_eq!(path.join("BALLAST").metadata().unwrap().len(), 1000, "{}", fixture.name);
        assert!(db.delete(b"new").unwrap());
        fixture.check(&db).unwrap();
        db.compact().unwrap();
        assert_eq!(db.stats().segments.len(), 1);
        fixture.check(&db).unwrap();
        drop(db);
        let db = Database::open(&path, options()).unwrap();
        fixture.check(&db).unwrap();
        assert_eq!(export(&db).unwrap(), before);
        let report = db.verify().unwrap();
        assert!(report.is_clean(), "{}: {report:?}", fixture.name);
    }
}

/// The tags in the directory of a segment file (storage-format.md, section 3).
fn tags(segment: &[u8]) -> impl Iterator<Item = String> {
    let count = usize::from(u16::from_le_bytes([segment[10], segment[11]]));
    let entries = segment[64..].chunks(32).take(count);
    entries.map(|entry| String::from_utf8_lossy(&entry[..8]).into_owned())
}

#[test]
fn every_section_and_every_kind_of_file_of_the_document_is_in_a_fixture() {
    let document =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("storage-format.md"));
    let document = document.unwrap();
    let cells = document.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let is_tag = |cell: &&str| {
        cell.len() == 8
            && cell.bytes().all(|byte| b" .".contains(&byte) || byte.is_ascii_uppercase())
    };
    let named: BTreeSet<String> =
        cells.map(|(cell, _)| cell).filter(is_tag).map(str::to_owned).collect();
    assert!(named.len() >= 21, "{named:?}");
    let (mut there, mut kinds) = (BTreeSet::new(), BTreeSet::new());
    for (_, _directory, path) in copies() {
        for (file, bytes) in files(&path).unwrap() {
            let ending = file.extension().map(|ending| ending.to_string_lossy().into_owned());
            if ending.as_deref() == Some("seg") {
                there.extend(tags(&bytes));
            }
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            kinds.insert(ending.unwrap_or(name.split('-').next().unwrap().to_owned()));
        }
    }
    assert_eq!(named.difference(&there).collect::<Vec<_>>(), Vec::<&String>::new());
    for kind in ["SUPERBLOCK", "WATERMARK", "MANIFEST", "seg", "log", "sst", "blob", "safetensors"]
    {
        assert!(kinds.contains(kind), "no fixture has a file of the kind {kind}: {kinds:?}");
    }
}

/// A segment is asked through each of its indexes, however small it is, which the planner would not do.
#[cfg(feature = "__internals")]
#[test]
fn every_index_in_a_fixture_answers_as_the_scan_does() {
    use hashdb::internals::db::{Probe, ProbedSegment};
    let mut most = 0;
    for (fixture, _directory, path) in copies() {
        for (file, _) in files(&path.join("segments")).unwrap() {
            let segment = ProbedSegment::of_mapped_file(&file).unwrap();
            for code in [0x00, 0xef, 0xff, 0xab, 0x89, 0x23] {
                for level in hashdb::Level::available() {
                    for radius in [0, 3, 8, 20, 30] {
                        let probe = Probe { level, address: 77, radius, code, k: 10 };
                        let answer = segment.ask(&probe).unwrap();
                        for within in &answer.within {
                            assert_eq!(within, &answer.within[0], "{} {probe:?}", fixture.name);
                        }
                        most = most.max(answer.within.len());
                    }
                }
            }
            segment.verify().unwrap();
        }
    }
    assert_eq!(most, 3, "the scan and two indexes");
}

#[test]
fn the_annotated_dump_in_the_document_is_the_fixture() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (document, segment) = (
        std::fs::read_to_string(root.join("storage-format.md")).unwrap(),
        std::fs::read(root.join("tests/fixtures/v1/segments/000000000001.seg")).unwrap(),
    );
    let mut rows = 0;
    for line in document.lines() {
        let Some((offset, rest)) = line.split_once("  ") else {
            continue;
        };
        let (Ok(offset), 3) = (usize::from_str_radix(offset, 16), offset.len()) else {
            continue;
        };
        let shown: Vec<u8> =
            rest[..47].split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        assert_eq!(shown, segment[offset..offset + 16], "offset {offset:x}");
        rows += 1;
    }
    let padding = segment.chunks(16).filter(|row| row.iter().all(|byte| *byte == 0)).count();
    assert!(rows >= segment.len() / 16 - padding, "only {rows} rows are shown");
}
