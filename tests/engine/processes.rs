//! Several processes: one writer, readers that catch up, backups that are killed, disks that fill.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hashdb::{Backup, Database, Error, Options, Readable as _, WriteBatch, WriteOptions};

use crate::checkpoint::assert_sound;
use crate::{Random, filled, key, low_byte, small};

const ROLE: &str = "HASHDB_PROCESS_ROLE";
const PLACE: &str = "HASHDB_PROCESS_PLACE";
/// Large enough for a blob file.
const LARGE: usize = 6000;
/// Newer states that a reader must see.
const STATES: u64 = 25;

fn options() -> Options {
    small().background(true).memtable_records(100)
}

/// Not a test of its own: what the tests below have another process do.
#[test]
fn child() {
    let (Ok(role), Ok(place)) = (std::env::var(ROLE), std::env::var(PLACE)) else {
        return;
    };
    let place = PathBuf::from(place);
    match role.as_str() {
        "own" => own(&place),
        "follow" => follow(&place),
        "back up" => back_up(&place),
        role => unreachable!("no role {role}"),
    }
}

fn spawn(role: &str, place: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::child", "--nocapture"])
        .env(ROLE, role)
        .env(PLACE, place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Waits for a line that begins with `word`, and returns the rest of it.
fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, word: &str) -> String {
    for line in lines {
        // The name of the test may stand before it on the line.
        if let Some((_, rest)) = line.unwrap().split_once(word) {
            return rest.trim().to_owned();
        }
    }
    unreachable!("the child ended without saying {word}");
}

fn own(place: &Path) {
    let db = Database::open(place.join("db"), small()).unwrap();
    say("opened");
    std::thread::sleep(Duration::from_secs(60));
    drop(db);
}

#[test]
fn a_second_writer_is_refused_with_the_owners_pid_until_the_owner_dies() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    drop(filled(&path, small(), 20, 20));
    let mut owner = spawn("own", directory.path());
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    wait_for(&mut lines, "opened");
    let error = Database::open(&path, small()).unwrap_err();
    let told = matches!(&error, Error::Locked { owner: Some(pid), .. } if *pid == owner.id());
    assert!(told && error.to_string().contains(&owner.id().to_string()), "{error}");
    assert_eq!(Database::open_read_only(&path, small()).unwrap().len(), 20);
    // Beside a writer that does nothing, a reader can make checkpoints and backups.
    let reader = Database::open_read_only(&path, small()).unwrap();
    reader.checkpoint(directory.path().join("copy")).unwrap();
    reader.backup(&Backup::at(directory.path().join("backups"))).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    // The lock of a killed owner is stale at once.
    let db = Database::open(&path, small()).unwrap();
    assert!(matches!(Database::open(&path, small()), Err(Error::Locked { .. })));
    assert_sound(&db);
}

/// A batch of a writer that others look at: ten records of which one has a large value, and every
/// record of the batch before the last is deleted.
fn batch(number: u64) -> WriteBatch {
    let mut random = Random(number);
    let mut batch = WriteBatch::new();
    for record in 0..10 {
        let value = vec![low_byte(number); if record == 0 { LARGE } else { 5 }];
        let (address, code) = (random.address(8, true), random.code(64, true));
        batch.put(&key(number * 10 + record), address, code, &value);
        if number >= 40 {
            batch.delete(&key((number - 40) * 10 + record));
        }
    }
    batch
}

/// Follows a writer: every state that it shows is whole, and none is older than the one before.
fn follow(place: &Path) {
    let db = Database::open_read_only(place.join("db"), options()).unwrap();
    let (mut newest, mut newer) = (0, 0);
    let started = std::time::Instant::now();
    while newer < STATES {
        assert!(started.elapsed() < Duration::from_secs(60), "only {newer} newer states");
        newer += u64::from(db.catch_up().unwrap());
        let snapshot = db.snapshot();
        assert_eq!(snapshot.len() % 10, 0, "a part of a batch");
        let found = snapshot.range_search(&Random(1).code(64, false), 64).unwrap();
        assert_eq!(found.len() as u64, snapshot.len());
        let records: Vec<_> = snapshot.iter().map(Result::unwrap).collect();
        assert_eq!(records.len() as u64, snapshot.len());
        let last = records.iter().map(|record| record.id).max().unwrap();
        assert!(last >= newest, "the state before was newer");
        newest = last;
        assert_eq!(db.stats().records, db.len());
    }
}

#[test]
fn a_reader_catches_up_with_a_writer_in_another_process() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), options()).unwrap();
    db.write(batch(0), WriteOptions::default()).unwrap();
    let mut child = spawn("follow", directory.path());
    let mut number = 1;
    let status = loop {
        db.write(batch(number), WriteOptions { sync: false }).unwrap();
        number += 1;
        if number % 150 == 0 {
            db.compact().unwrap();
        }
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
    };
    assert!(status.success(), "the reader failed: {status}");
    assert!(number > STATES, "the writer wrote only {number} batches meanwhile");
}

/// A value in a blob file is found by the name of that file. A writer that compacts moves it to
/// another file and removes the first, which a reader has not opened yet: it can no longer read the
/// value. Catching up mends that.
#[test]
fn a_value_that_the_writer_moved_is_found_after_catching_up() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, small()).unwrap();
    for number in 0..4 {
        db.write(batch(number), WriteOptions::default()).unwrap();
    }
    db.compact().unwrap();
    let reader = Database::open_read_only(&path, small()).unwrap();
    let before = reader.snapshot();
    assert!(!reader.catch_up().unwrap(), "nothing was written");
    for record in 0..10 {
        db.delete(&key(record)).unwrap();
        db.delete(&key(10 + record)).unwrap();
    }
    db.compact().unwrap();
    let name = key(20);
    let record = reader.get(&name).unwrap().unwrap();
    assert!(reader.value(&record).is_err(), "the blob file is there: this test shows nothing");

    assert_eq!(reader.len(), 40);
    assert!(reader.catch_up().unwrap());
    assert_eq!(reader.len(), 20);
    assert_eq!(reader.value(&reader.get(&name).unwrap().unwrap()).unwrap(), [2; LARGE]);
    assert!(reader.verify().unwrap().is_clean());
    assert!(!reader.catch_up().unwrap());
    // Taken before, a snapshot shows what it showed.
    assert_eq!(before.len(), 40);
    let small = before.get(&key(11)).unwrap().unwrap();
    assert_eq!(before.value(&small).unwrap(), [1; 5]);
    assert_eq!(before.range_search(&Random(1).code(64, false), 64).unwrap().len(), 40);
    // A writer has nothing to catch up with.
    assert!(!db.catch_up().unwrap());
}

#[test]
fn catching_up_reuses_open_segments_and_survives_a_compaction() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = filled(&path, small(), 100, 50);
    let reader = Database::open_read_only(&path, small()).unwrap();
    for round in 0..5 {
        db.put(
            &key(500 + round),
            Random(round).address(8, false),
            Random(round).code(64, false),
            b"",
        )
        .unwrap();
        if round % 2 == 0 {
            db.seal().unwrap();
        } else {
            db.compact().unwrap();
        }
        db.set_index(hashdb::IndexOptions::none().prefix(round % 2 == 0)).unwrap();
        assert!(reader.catch_up().unwrap());
        assert_sound(&reader);
        let (here, there) = (reader.stats(), db.stats());
        assert_eq!((here.segments, here.index), (there.segments, there.index));
        assert_eq!((here.records, here.sequence), (there.records, there.sequence));
    }
}

/// Backs up and restores until it is killed, while the parent writes. Says whatever it does.
fn back_up(place: &Path) {
    let backup = Backup::at(place.join("backups")).keep(3).progress(|_| say("reading"));
    for round in 0.. {
        let created = backup.create(place.join("db")).unwrap();
        say(&format!("made {}", created.generation.number));
        if round % 2 == 1 {
            // Out of the way first: killed in the middle of the removal it would leave half a database.
            let (copy, gone) = (place.join("copy"), place.join("gone"));
            let _absent_at_first = std::fs::remove_dir_all(&gone);
            let _absent_at_first = std::fs::rename(&copy, &gone);
            backup.restore(None, &copy).unwrap();
        }
    }
}

#[test]
fn a_backup_that_is_killed_leaves_the_earlier_generations_whole() {
    const ROUNDS: u64 = 12;
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), options()).unwrap();
    let backup = Backup::at(directory.path().join("backups")).keep(3);
    let mut random = Random(u64::from(std::process::id()));
    let (mut number, mut left_behind) = (0, 0);
    for round in 0.. {
        // How many kills hit the middle is a matter of timing; whether one ever does shall not be.
        if round >= ROUNDS && left_behind > 0 {
            break;
        }
        assert!(round < 50 * ROUNDS, "no kill hit the middle of a backup: this shows nothing");
        let mut child = spawn("back up", directory.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut made = wait_for(&mut lines, "made");
        // Killed while it reads one of the next files, or just behind.
        for line in lines.by_ref().take(1 + random.index(20)) {
            if let Some((_, rest)) = line.unwrap().split_once("made") {
                made = rest.trim().to_owned();
            }
            db.write(batch(number), WriteOptions { sync: false }).unwrap();
            number += 1;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for line in lines.map_while(Result::ok) {
            if let Some((_, rest)) = line.split_once("made") {
                made = rest.trim().to_owned();
            }
        }
        let report = backup.verify().unwrap();
        assert!(report.is_clean(), "round {round}: {:?}", report.damages);
        let made: u64 = made.parse().unwrap();
        assert!(report.whole.contains(&made), "round {round}: {made} is not in {report:?}");
        // Killed before pruning, one more than is kept may be there.
        assert!(report.whole.len() <= 4, "round {round}: {report:?}");
        let entries = std::fs::read_dir(directory.path().join("backups/files")).unwrap();
        left_behind += u64::from(entries.count() as u64 != report.files);
        let copy = directory.path().join("copy");
        if Database::exists(&copy) {
            assert_sound(&Database::open(&copy, small()).unwrap());
        }
        if round % 4 == 3 {
            let target = directory.path().join(format!("copy {round}"));
            db.backup(&backup).unwrap();
            backup.restore(None, &target).unwrap();
            let copy = Database::open(&target, small()).unwrap();
            assert_eq!(copy.len(), db.len());
            assert_sound(&copy);
            assert_eq!(backup.list().unwrap().len(), 3);
        }
    }
    db.backup(&backup).unwrap();
    assert!(!directory.path().join("db/staging").exists(), "the last backup swept");
}

/// A small file system in memory, gone when dropped.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then(|| Self(path.to_path_buf()))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left_to_the_machine = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn is_full(error: &Error) -> bool {
    let full = std::io::ErrorKind::StorageFull;
    matches!(error, Error::Io { source, .. } if source.kind() == full)
}

/// More than the small disk holds.
fn put_large(db: &Database) {
    let mut random = Random(3);
    let mut batch = WriteBatch::new();
    for number in 0..400 {
        let value = random.bytes(LARGE);
        batch.put(&key(1000 + number), random.address(8, true), random.code(64, true), &value);
    }
    db.write(batch, WriteOptions::default()).unwrap();
}

#[test]
fn a_full_disk_leaves_the_earlier_generations_whole() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk");
    let Some(_mounted) = SmallDisk::mount(&disk, "2m") else {
        eprintln!("SKIPPED: this needs the right to mount a tmpfs");
        return;
    };
    let db = filled(&directory.path().join("db"), small(), 100, 50);
    let backup = Backup::at(disk.join("backups"));
    db.backup(&backup).unwrap();
    let first = db.len();
    put_large(&db);
    for _ in 0..2 {
        assert!(is_full(&db.backup(&backup).unwrap_err()));
        let report = backup.verify().unwrap();
        assert_eq!((report.is_clean(), report.whole), (true, vec![1]));
        assert!(is_full(&db.checkpoint(disk.join("copy")).unwrap_err()));
        assert!(!disk.join("copy").exists() && !disk.join("copy.tmp").exists());
    }
    // With most of it deleted the next one has room: what was left over is removed first.
    let mut batch = WriteBatch::new();
    for number in 0..400 {
        batch.delete(&key(1000 + number));
    }
    db.write(batch, WriteOptions::default()).unwrap();
    db.compact().unwrap();
    assert_eq!(db.backup(&backup).unwrap().generation.number, 2);
    // A restore that does not fit leaves no database, and gives the space back.
    let large = Backup::at(directory.path().join("large"));
    put_large(&db);
    db.backup(&large).unwrap();
    assert!(is_full(&large.restore(None, disk.join("copy")).unwrap_err()));
    assert!(!disk.join("copy").exists());
    backup.restore(Some(1), disk.join("copy")).unwrap();
    let copy = Database::open(disk.join("copy"), small()).unwrap();
    assert_eq!(copy.len(), first);
    assert_sound(&copy);
}
