//! storage-format.md is true: a Python script written from it alone reads the segments of a real
//! database and answers a ball and a k-NN query as the engine does.

use std::path::Path;
use std::process::Command;

use hashdb::{Address, Database, Neighbor, Options, Readable as _};

use crate::{Random, filled, key};

fn ask(path: &Path, deleted: &[u64], arguments: &[String]) -> Vec<Neighbor> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reader/reader.py");
    let deleted = deleted.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
    let output = Command::new("python3")
        .arg(script)
        .arg(path)
        .args(arguments)
        .args(["--deleted", &deleted])
        .output()
        .expect("python3 runs (tools/setup installs it)");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let neighbor = |line: &str| {
        let mut numbers = line.split(' ').map(|word| word.parse::<u64>().unwrap());
        let (distance, id) = (numbers.next().unwrap(), numbers.next().unwrap());
        let address = numbers.next().unwrap().try_into().unwrap();
        Neighbor { distance: distance.try_into().unwrap(), id, address }
    };
    text.lines().map(neighbor).collect()
}

fn compare(db: &Database, path: &Path, deleted: &[u64]) {
    let stats = db.stats();
    let mut random = Random(11);
    for round in 0..3 {
        let address: Address = random.address(stats.address_bits, round % 2 == 0);
        for radius in [0, 2, 3] {
            let arguments = ["ball".to_owned(), address.to_string(), radius.to_string()];
            assert_eq!(ask(path, deleted, &arguments), db.ball(address, radius).unwrap());
        }
        let code = random.code(stats.code_bits, round % 2 == 0);
        let arguments = ["knn".to_owned(), code.to_string(), "10".to_owned()];
        assert_eq!(ask(path, deleted, &arguments), db.knn(&code, 10).unwrap());
    }
}

#[test]
fn a_reader_written_from_the_document_answers_as_the_engine_does() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    // 13 bits: halves of 7 and 6 bits; tables in both segments.
    let options = Options::new().address_bits(13).background(false);
    let db = filled(&path, options, 700, 350);
    assert_eq!(db.stats().segments.len(), 2);
    let mut deleted = Vec::new();
    for number in (0..700).step_by(50) {
        deleted.push(db.get(&key(number)).unwrap().unwrap().id);
        db.delete(&key(number)).unwrap();
    }
    compare(&db, &path, &deleted);
    db.compact().unwrap();
    compare(&db, &path, &[]);
}

#[test]
fn segments_too_small_for_a_pair_table_are_read_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = filled(&path, Options::new().background(false), 100, 50);
    compare(&db, &path, &[]);
}
