//! Runs that go on where others ended: by a flag, by a failing encoder, by changed and missing files.
#![expect(clippy::disallowed_methods, reason = "tests make their own files")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tempfile::TempDir;

use super::png;
use super::shards::tar as shard;
use crate::code::{Address, Code};
use crate::db::{Database, Options, Readable as _};
use crate::ingest::{
    IngestError, IngestOptions, Observer, Redo, Reject, Report, ingest_with, noted_rejects,
};

/// Twenty files, a broken one, and two shards with one broken entry each.
pub(super) fn sources() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for number in 0..20 {
        fs::write(folder.path().join(format!("{number:02}.png")), png(number)).unwrap();
    }
    fs::write(folder.path().join("07.png"), &png(7)[..40]).unwrap();
    for (name, first) in [("a.tar", 100_u8), ("b.tar", 150)] {
        let mut entries: Vec<_> =
            (first..first + 40).map(|shade| (format!("{shade}.png"), png(shade))).collect();
        entries[11].1.truncate(50);
        fs::write(folder.path().join(name), tar(&entries)).unwrap();
    }
    folder
}

pub(super) fn tar(entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let entries: Vec<_> =
        entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    shard(&entries)
}

pub(super) fn database(path: &Path) -> Database {
    let options = Options::new().code_bits(64).address_bits(8).background(false);
    if Database::exists(path) {
        Database::open(path, options).unwrap()
    } else {
        Database::create(path, options).unwrap()
    }
}

/// Rejects that a run told.
#[derive(Default)]
struct Told(Vec<String>);

impl Observer for Told {
    fn reject(&mut self, reject: Reject) -> Result<(), IngestError> {
        self.0.push(String::from_utf8_lossy(&reject.key).into_owned());
        Ok(())
    }
}

/// Sets a flag at the first reject.
struct Stop<'a>(&'a AtomicBool);

impl Observer for Stop<'_> {
    fn reject(&mut self, _reject: Reject) -> Result<(), IngestError> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Runs over the folder and returns the report and how many pictures were encoded; the encoder fails
/// after `most` pictures.
pub(super) fn run(
    db: &Database,
    folder: &Path,
    options: &IngestOptions<'_>,
    most: u64,
) -> (Result<Report, IngestError>, u64) {
    let encoded = AtomicU64::new(0);
    let encode = |pictures: Vec<Vec<u8>>| {
        let count = pictures.len() as u64;
        if encoded.fetch_add(count, Ordering::Relaxed) + count > most {
            encoded.fetch_sub(count, Ordering::Relaxed);
            return Err(IngestError::Encoder("it was switched off".into()));
        }
        let one = |picture: &Vec<u8>| {
            Ok((Address::new(picture[0].into(), 8)?, Code::from_bytes(&[picture[0]; 8])?))
        };
        pictures.iter().map(one).collect::<Result<_, IngestError>>()
    };
    let report = ingest_with(db, &[folder.to_path_buf()], options, &encode, &mut Told::default());
    (report, encoded.into_inner())
}

/// Every record by its key, without its id.
pub(super) fn content(db: &Database) -> BTreeMap<Vec<u8>, (u32, Vec<u8>)> {
    db.iter()
        .map(|record| record.unwrap())
        .map(|record| (record.key, (record.address.value(), record.code.as_bytes().to_vec())))
        .collect()
}

pub(super) fn options() -> IngestOptions<'static> {
    IngestOptions::default().threads(2).batch(4)
}

#[test]
fn a_run_that_was_stopped_anywhere_is_gone_on_with() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let whole = database(&home.path().join("whole"));
    let (report, pictures) = run(&whole, folder.path(), &options(), u64::MAX);
    assert_eq!((report.unwrap().rejected_count(), pictures), (3, 97));
    for most in (0..97).step_by(9) {
        let path = home.path().join(format!("stopped-{most}"));
        let (failed, first) = run(&database(&path), folder.path(), &options(), most);
        assert!(matches!(failed, Err(IngestError::Encoder(_))));
        let db = database(&path);
        let there = db.len();
        let (report, second) = run(&db, folder.path(), &options(), u64::MAX);
        assert!(!report.unwrap().cancelled);
        // Nothing that was stored is made again.
        assert_eq!(second, 97 - there, "{first} were encoded, {there} stored");
        assert_eq!(content(&db), content(&whole));
        let (report, third) = run(&db, folder.path(), &options(), u64::MAX);
        let report = report.unwrap();
        assert_eq!((third, report.rejected_count(), report.done_before), (0, 0, 22));
    }
}

#[test]
fn a_flag_ends_a_run_and_the_next_one_does_the_rest() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    let mut encoded = 0;
    for round in 0.. {
        let cancel = AtomicBool::new(false);
        let encode = |pictures: Vec<Vec<u8>>| {
            let one = |picture: &Vec<u8>| {
                Ok((Address::new(picture[0].into(), 8)?, Code::from_bytes(&[picture[0]; 8])?))
            };
            pictures.iter().map(one).collect::<Result<_, IngestError>>()
        };
        let paths = [folder.path().to_path_buf()];
        let stopping = options().threads(1).batch(1).cancel(&cancel);
        let report = ingest_with(&db, &paths, &stopping, &encode, &mut Stop(&cancel)).unwrap();
        encoded += report.done;
        if !report.cancelled {
            break;
        }
        assert!(round < 10, "it does not come to an end");
    }
    assert_eq!((encoded, db.len()), (97, 97));
}

#[test]
fn rejects_are_tried_again_when_asked_for() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), u64::MAX).0.unwrap();
    let again = options().redo(Redo { rejects: true, ..Redo::default() });
    let (report, pictures) = run(&db, folder.path(), &again, u64::MAX);
    let report = report.unwrap();
    assert_eq!((pictures, report.rejected_count(), report.done_before), (0, 3, 19));
    let noted: Vec<_> = noted_rejects(&db, &[folder.path().to_path_buf()])
        .unwrap()
        .into_iter()
        .map(|reject| (reject.key[folder.path().as_os_str().len()..].to_vec(), reject.kind))
        .collect();
    let names = ["/07.png", "/a.tar/111.png", "/b.tar/161.png"];
    assert_eq!(noted, names.map(|name| (name.as_bytes().to_vec(), "damaged".to_owned())));
    // The file is mended, with the size and the time that it had: nobody but who tries again sees it.
    fs::write(folder.path().join("07.png"), png(7)).unwrap();
    let (_, pictures) = run(&db, folder.path(), &options(), u64::MAX);
    assert_eq!(pictures, 0);
    let (report, pictures) = run(&db, folder.path(), &again, u64::MAX);
    assert_eq!((pictures, report.unwrap().rejected_count()), (1, 2));
    let (report, pictures) = run(&db, folder.path(), &again, u64::MAX);
    assert_eq!((pictures, report.unwrap().rejected_count()), (0, 2), "it is no reject any more");
}

#[test]
fn files_that_changed_are_read_again_when_asked_for() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), u64::MAX).0.unwrap();
    // One is another picture, one was only touched, one shard got an entry more.
    fs::write(folder.path().join("03.png"), png(203)).unwrap();
    let content_of_four = fs::read(folder.path().join("04.png")).unwrap();
    fs::remove_file(folder.path().join("04.png")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    fs::write(folder.path().join("04.png"), content_of_four).unwrap();
    let entries: Vec<_> = (100..150_u8).map(|shade| (format!("{shade}.png"), png(shade))).collect();
    fs::write(folder.path().join("a.tar"), tar(&entries)).unwrap();
    let (_, pictures) = run(&db, folder.path(), &options(), u64::MAX);
    assert_eq!(pictures, 0, "nobody asked for it");
    let changed = options().redo(Redo { changed: true, ..Redo::default() });
    let (report, pictures) = run(&db, folder.path(), &changed, u64::MAX);
    // 16 files as they were, the touched one, and the other shard; 07.png was a reject and stays one.
    assert_eq!((pictures, report.unwrap().done_before), (51, 20));
    let key = folder.path().join("03.png").into_os_string().into_encoded_bytes();
    assert_eq!(db.get(&key).unwrap().unwrap().address.value(), 203);
    let (_, pictures) = run(&db, folder.path(), &changed, u64::MAX);
    assert_eq!(pictures, 0);
    let all = options().redo(Redo { all: true, ..Redo::default() });
    let (report, pictures) = run(&db, folder.path(), &all, u64::MAX);
    assert_eq!((pictures, report.unwrap().rejected_count()), (108, 2));
}

/// A shard that had been replaced was noted as read when only its rejected entries had been tried again, so
/// that nobody ever read the rest.
#[test]
fn trying_rejects_again_reads_a_shard_that_changed_whole() {
    let folder = tempfile::tempdir().unwrap();
    let shard = folder.path().join("a.tar");
    let mut entries: Vec<_> =
        (0..10_u8).map(|shade| (format!("{shade}.png"), png(shade))).collect();
    entries[4].1.truncate(30);
    fs::write(&shard, tar(&entries)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), u64::MAX).0.unwrap();
    entries[4].1 = png(4);
    entries.push(("new.png".to_owned(), png(200)));
    fs::write(&shard, tar(&entries)).unwrap();
    let again = options().redo(Redo { rejects: true, ..Redo::default() });
    let (_, pictures) = run(&db, folder.path(), &again, u64::MAX);
    assert_eq!((pictures, db.len()), (11, 11));
    // A whole shard that was rejected is forgotten as a reject once it is read.
    fs::write(&shard, &tar(&entries)[..3000]).unwrap();
    let changed = options().redo(Redo { changed: true, ..Redo::default() });
    assert_eq!(run(&db, folder.path(), &changed, u64::MAX).0.unwrap().rejected_count(), 1);
    fs::write(&shard, tar(&entries)).unwrap();
    run(&db, folder.path(), &again, u64::MAX).0.unwrap();
    assert_eq!(noted_rejects(&db, &[folder.path().to_path_buf()]).unwrap(), []);
    let (report, pictures) = run(&db, folder.path(), &again, u64::MAX);
    assert_eq!((pictures, report.unwrap().done_before), (0, 1));
}

/// Rejects of a shard that was read in part were not tried again before the run after the one that was asked to.
#[test]
fn rejects_of_a_shard_that_was_read_in_part_are_tried_again_too() {
    let folder = tempfile::tempdir().unwrap();
    let shard = folder.path().join("a.tar");
    let mut entries: Vec<_> =
        (0..40_u8).map(|shade| (format!("{shade}.png"), png(shade))).collect();
    let sound = tar(&entries);
    for broken in [1, 3, 33] {
        entries[broken].1.fill(0);
    }
    let time = std::time::SystemTime::UNIX_EPOCH;
    let write = |bytes: &[u8]| {
        fs::write(&shard, bytes).unwrap();
        fs::File::options().write(true).open(&shard).unwrap().set_modified(time).unwrap();
    };
    let home = tempfile::tempdir().unwrap();
    let again = options().redo(Redo { rejects: true, ..Redo::default() });
    for (number, most) in [0, 4, 8, 20, 30].into_iter().enumerate() {
        write(&tar(&entries));
        let db = database(&home.path().join(number.to_string()));
        run(&db, folder.path(), &options(), 20).0.unwrap_err();
        let there = db.len();
        assert!(there >= 12, "{there}");
        // As long and as old as it was, so that it is the same shard.
        write(&sound);
        let (_, first) = run(&db, folder.path(), &again, most);
        let kept = db.len() - there;
        // Stopped as well, an ordinary run goes on with what is behind, and the rest of the rejects is left to the next.
        let (_, second) = run(&db, folder.path(), &options(), u64::MAX);
        let (report, third) = run(&db, folder.path(), &again, u64::MAX);
        assert_eq!((db.len(), report.unwrap().rejected_count()), (40, 0), "{most}");
        assert_eq!(noted_rejects(&db, &[folder.path().to_path_buf()]).unwrap(), []);
        assert_eq!(there + kept + second + third, 40, "{most}: {first} were encoded");
    }
}

/// A folder that took the name and the place of a shard: its files were stored, and then deleted as entries of
/// the shard that is missing.
#[test]
fn files_in_the_place_of_a_shard_are_not_its_entries() {
    let folder = tempfile::tempdir().unwrap();
    let shard = folder.path().join("x.tar");
    fs::write(&shard, tar(&[("1.png".to_owned(), png(1)), ("2.png".to_owned(), png(2))])).unwrap();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), u64::MAX).0.unwrap();
    fs::remove_file(&shard).unwrap();
    fs::create_dir(&shard).unwrap();
    fs::write(shard.join("1.png"), png(1)).unwrap();
    let (report, _) = run(&db, folder.path(), &options().delete_missing(true), u64::MAX);
    assert_eq!((report.unwrap().deleted, db.len()), (1, 1));
}

#[test]
fn a_shard_that_changed_half_way_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let shard = folder.path().join("a.tar");
    let entries = |first: u8| -> Vec<_> {
        (first..first + 30).map(|shade| (format!("{shade}.png"), png(shade))).collect()
    };
    fs::write(&shard, tar(&entries(0))).unwrap();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), 20).0.unwrap_err();
    let stored = db.len();
    assert!((1..=20).contains(&stored));
    let mut other = entries(0);
    other.insert(0, ("new.png".to_owned(), png(250)));
    fs::write(&shard, tar(&other)).unwrap();
    let (report, pictures) = run(&db, folder.path(), &options(), u64::MAX);
    assert_eq!((pictures, report.unwrap().done), (31, 31));
    assert_eq!(db.len(), 31);
}

/// A file that was copied or touched has another time and the same bytes, so it was passed over, and with it the
/// reject: it came into the database by no command any more.
#[test]
fn a_reject_that_was_only_touched_stays_one() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), u64::MAX).0.unwrap();
    let rejects = || -> Vec<_> {
        let noted = noted_rejects(&db, &[folder.path().to_path_buf()]).unwrap();
        noted.into_iter().map(|reject| reject.key).collect()
    };
    let before = rejects();
    assert_eq!(before.len(), 3);
    for name in ["07.png", "08.png"] {
        let file = fs::OpenOptions::new().append(true).open(folder.path().join(name)).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    }
    let changed = options().redo(Redo { changed: true, ..Redo::default() });
    let (report, pictures) = run(&db, folder.path(), &changed, u64::MAX);
    assert_eq!((report.unwrap().rejected_count(), pictures), (1, 0));
    assert_eq!(rejects(), before);
}

/// A file has no entries: what somebody stored below its key is not of this file.
#[test]
fn a_missing_file_takes_no_record_of_others_with_it() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.png"), png(1)).unwrap();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), u64::MAX).0.unwrap();
    let file = folder.path().join("a.png").into_os_string().into_encoded_bytes();
    let mine = [&file[..], b"/note"].concat();
    db.put(&mine, Address::new(1, 8).unwrap(), Code::from_bytes(&[1; 8]).unwrap(), b"").unwrap();
    fs::remove_file(folder.path().join("a.png")).unwrap();
    let (report, _) = run(&db, folder.path(), &options().delete_missing(true), u64::MAX);
    assert_eq!((report.unwrap().deleted, db.len()), (1, 1));
    assert!(db.get(&mine).unwrap().is_some());
}

#[test]
fn what_is_missing_is_deleted_when_asked_for() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), u64::MAX).0.unwrap();
    let key = |name: &str| folder.path().join(name).into_os_string().into_encoded_bytes();
    // A record of the user's own, and one of another folder whose name begins alike.
    db.put(b"mine", Address::new(1, 8).unwrap(), Code::from_bytes(&[1; 8]).unwrap(), b"").unwrap();
    let sibling = PathBuf::from(format!("{}-2", folder.path().display()));
    fs::create_dir(&sibling).unwrap();
    fs::write(sibling.join("x.png"), png(9)).unwrap();
    run(&db, &sibling, &options(), u64::MAX).0.unwrap();
    fs::remove_dir_all(&sibling).unwrap();
    fs::remove_file(folder.path().join("02.png")).unwrap();
    fs::remove_file(folder.path().join("07.png")).unwrap();
    fs::remove_file(folder.path().join("b.tar")).unwrap();
    let (report, _) = run(&db, folder.path(), &options(), u64::MAX);
    assert_eq!((report.unwrap().deleted, db.len()), (0, 99));
    let deleting = options().delete_missing(true);
    let (report, _) = run(&db, folder.path(), &deleting, u64::MAX);
    assert_eq!((report.unwrap().deleted, db.len()), (40, 59));
    assert!(db.get(&key("02.png")).unwrap().is_none());
    assert!(db.get(&key("b.tar/150.png")).unwrap().is_none());
    assert!(db.get(&key("01.png")).unwrap().is_some() && db.get(b"mine").unwrap().is_some());
    // What cannot be looked at is not missing: a folder behind a link that leads nowhere for a day.
    let (inside, elsewhere) = (folder.path().join("linked"), tempfile::tempdir().unwrap());
    fs::write(elsewhere.path().join("y.png"), png(99)).unwrap();
    let away = elsewhere.path().join("away");
    std::os::unix::fs::symlink(elsewhere.path(), &inside).unwrap();
    let (report, pictures) = run(&db, folder.path(), &deleting, u64::MAX);
    assert_eq!((pictures, report.unwrap().deleted), (1, 0));
    fs::remove_file(&inside).unwrap();
    std::os::unix::fs::symlink(&away, &inside).unwrap();
    let (report, _) = run(&db, folder.path(), &deleting, u64::MAX);
    let report = report.unwrap();
    assert_eq!((report.rejected_count(), report.deleted), (1, 0));
    fs::remove_file(&inside).unwrap();
    let (report, _) = run(&db, folder.path(), &deleting, u64::MAX);
    assert_eq!(report.unwrap().deleted, 1);
    // It is forgotten, too: when it is there again it is new.
    fs::write(folder.path().join("02.png"), png(2)).unwrap();
    let (_, pictures) = run(&db, folder.path(), &deleting, u64::MAX);
    assert_eq!(pictures, 1);
}
