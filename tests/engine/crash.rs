//! kill -9 at random times: what was acknowledged is there, in order and without holes, and
//! nothing is damaged. The child is this test binary, told by its environment to write.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use hashdb::{Database, Options, Readable as _, WriteBatch, WriteOptions};

use crate::{Random, key};

const CHILD: &str = "HASHDB_CRASH_CHILD";
const ROUNDS: u64 = 50;
/// Each batch: puts of three new keys, an upsert of an older one, a delete of another.
const BATCH: u64 = 3;

fn options() -> Options {
    Options::new().code_bits(64).address_bits(8).memtable_records(40)
}

/// Not a test of its own: the child of the test below. Says the number of each batch before it
/// writes it ("try") and after it was acknowledged ("done").
#[test]
fn child_writes_until_it_is_killed() {
    let Ok(path) = std::env::var(CHILD) else {
        return;
    };
    let db = Database::open(&path, options()).unwrap();
    let mut out = std::io::stdout().lock();
    let first = batches(&db);
    for number in first.. {
        writeln!(out, "try {number}").unwrap();
        out.flush().unwrap();
        db.write(batch(number), WriteOptions::default()).unwrap();
        writeln!(out, "done {number}").unwrap();
        out.flush().unwrap();
        if number % 37 == 36 {
            db.compact().unwrap();
        }
    }
}

fn batch(number: u64) -> WriteBatch {
    let mut random = Random(number);
    let mut batch = WriteBatch::new();
    for offset in 0..BATCH {
        let (address, code) = (random.address(8, true), random.code(64, true));
        batch.put(&key(number * BATCH + offset), address, code, &number.to_le_bytes());
    }
    batch.put(b"newest", random.address(8, false), random.code(64, false), &number.to_le_bytes());
    if number > 4 {
        batch.delete(&key((number - 4) * BATCH));
    }
    batch
}

/// How many batches the database holds; they must be whole and without holes.
fn batches(db: &Database) -> u64 {
    let count = match db.get(b"newest").unwrap() {
        None => 0,
        Some(newest) => u64::from_le_bytes(db.value(&newest).unwrap().try_into().unwrap()) + 1,
    };
    for number in 0..count + 2 {
        for offset in 0..BATCH {
            let deleted = offset == 0 && number >= 1 && number + 4 < count;
            let expected = number < count && !deleted;
            let found = db.get(&key(number * BATCH + offset)).unwrap().is_some();
            assert!(found == expected, "batch {number} of {count}, key {offset}: {found}");
        }
    }
    count
}

#[test]
fn every_acknowledged_batch_survives_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    drop(Database::create(&path, options()).unwrap());
    let seed = std::process::id();
    eprintln!("seed {seed}");
    let mut random = Random(u64::from(seed));
    let (mut before, mut with_segments) = (0, 0);
    for round in 0..ROUNDS {
        let (attempted, acknowledged) = run_child(&path, before, random.below(60));
        let db = Database::open(&path, options()).unwrap();
        let recovered = batches(&db);
        assert!(
            acknowledged <= recovered && recovered <= attempted,
            "round {round}: {acknowledged} acknowledged, {recovered} recovered, {attempted} attempted"
        );
        let report = db.verify().unwrap();
        assert!(report.is_clean(), "round {round}: {report:?}");
        let all = db.range_search(&Random(1).code(64, false), 64).unwrap();
        assert_eq!(all.len() as u64, db.len());
        before = recovered;
        with_segments += u64::from(!db.stats().segments.is_empty());
    }
    assert!(with_segments > ROUNDS / 2, "only {with_segments} rounds had segments");
    assert!(before > ROUNDS, "only {before} batches were written: the test shows little");
}

/// Lets a child write for a while after it began, kills it, and returns how many batches were
/// attempted and how many acknowledged.
fn run_child(path: &Path, before: u64, millis: u64) -> (u64, u64) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::child_writes_until_it_is_killed", "--nocapture"])
        .env(CHILD, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (mut attempted, mut acknowledged) = (before, before);
    let mut note = |line: &str| {
        let mut words = line.rsplit(' ');
        let number = words.next().and_then(|word| word.parse::<u64>().ok());
        match (words.next(), number) {
            (Some("try"), Some(number)) => attempted = number + 1,
            (Some("done"), Some(number)) => acknowledged = number + 1,
            _ => return false,
        }
        true
    };
    for line in lines.by_ref() {
        if note(&line.unwrap()) {
            break;
        }
    }
    std::thread::sleep(Duration::from_millis(millis));
    child.kill().unwrap();
    child.wait().unwrap();
    for line in lines.map_while(Result::ok) {
        note(&line);
    }
    (attempted, acknowledged)
}
