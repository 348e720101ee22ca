//! Databases of every released format open and answer. The fixtures were written by tools/fixture of
//! their release, never by this test.

use std::path::Path;

use hashdb::{Address, Code, Database, Readable as _};

use crate::small;

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn version_1_opens_and_answers() {
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    copy(&fixture, &path);
    // Git keeps no empty folders.
    std::fs::create_dir_all(path.join("models")).unwrap();
    for read_only in [true, false] {
        let db = if read_only {
            Database::open_read_only(&path, small()).unwrap()
        } else {
            Database::open(&path, small()).unwrap()
        };
        assert!(db.verify().unwrap().is_clean());
        assert_eq!((db.len(), db.stats().next_id), (5, 7));
        let alpha = db.get(b"alpha").unwrap().unwrap();
        assert_eq!(alpha.code, "0123456789abcdef".parse::<Code>().unwrap());
        assert_eq!(alpha.address, Address::from_hex("5a", 8).unwrap());
        assert_eq!(db.value(&alpha).unwrap(), b"the first value");
        assert!(db.get(b"deleted").unwrap().is_none());
        // Four rows in the segment, one of them replaced and one deleted; the others in the memtable.
        assert_eq!(db.stats().segments.len(), 1);
        let ids = |found: Vec<hashdb::Neighbor>| found.iter().map(|n| n.id).collect::<Vec<_>>();
        assert_eq!(ids(db.ball(alpha.address, 1).unwrap()), [0, 6]);
        assert_eq!(ids(db.knn(&alpha.code, 2).unwrap()), [0, 4]);
    }
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
