//! Shards that were replaced by others, rejects that have no cause any more, and sources that a run meets twice.
#![expect(clippy::disallowed_methods, reason = "tests make their own files")]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::png;
use super::resume::{content, database, options, run, sources, tar};
use crate::code::{Address, Code};
use crate::db::{BulkOptions, Database, Readable as _, WriteBatch, WriteOptions};
use crate::ingest::{
    IngestError, IngestOptions, Observer, Progress, Redo, Report, ingest_with, noted_rejects,
};

/// Entries of these shades in this order; the broken ones are cut.
fn entries(shades: std::ops::Range<u8>, broken: &[u8]) -> Vec<(String, Vec<u8>)> {
    let entry = |shade: u8| {
        let mut bytes = png(shade);
        if broken.contains(&shade) {
            bytes.truncate(40);
        }
        (format!("{shade:03}.png"), bytes)
    };
    shades.map(entry).collect()
}

fn rejects(db: &Database, path: &Path) -> Vec<String> {
    let noted = noted_rejects(db, &[path.to_path_buf()]).unwrap();
    let name = |key: &[u8]| String::from_utf8_lossy(&key[path.as_os_str().len()..]).into_owned();
    noted.iter().map(|reject| name(&reject.key)).collect()
}

/// Keys below a path, without it.
fn keys(db: &Database, path: &Path) -> Vec<String> {
    let path = path.as_os_str().as_encoded_bytes();
    let name = |key: &[u8]| String::from_utf8_lossy(&key[path.len()..]).into_owned();
    content(db).keys().filter(|key| key.starts_with(path)).map(|key| name(key)).collect()
}

fn changed() -> IngestOptions<'static> {
    options().redo(Redo { changed: true, ..Redo::default() })
}

/// What the reading before had found in a shard stayed for ever: records and rejects of entries that are gone.
#[test]
fn a_shard_that_was_replaced_leaves_nothing_of_the_old_one() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    fs::write(path.join("a.tar"), tar(&entries(0..30, &[3, 4, 25]))).unwrap();
    fs::write(path.join("b.tar"), tar(&entries(0..9, &[8]))).unwrap();
    let write_new = || fs::write(path.join("a.tar"), tar(&entries(20..50, &[25, 27]))).unwrap();
    // Whether it is read to its end at once, or goes on after a failure, and whoever asks for the deleting.
    for (name, most, together) in [
        ("at once", u64::MAX, true),
        ("later", u64::MAX, false),
        ("in parts", 9, true),
        ("in parts, later", 17, false),
    ] {
        fs::write(path.join("a.tar"), tar(&entries(0..30, &[3, 4, 25]))).unwrap();
        let db = database(&home.path().join(name));
        run(&db, path, &options(), u64::MAX).0.unwrap();
        assert_eq!(
            rejects(&db, path),
            ["/a.tar/003.png", "/a.tar/004.png", "/a.tar/025.png", "/b.tar/008.png"]
        );
        let mine = [path.as_os_str().as_encoded_bytes(), b"/a.tar-mine"].concat();
        db.put(&mine, Address::new(1, 8).unwrap(), Code::from_bytes(&[1; 8]).unwrap(), b"")
            .unwrap();
        write_new();
        let deleting = options().delete_missing(true);
        let (report, _) = run(&db, path, &deleting, u64::MAX);
        assert_eq!(report.unwrap().deleted, 0, "{name}: nobody read it again");
        let asked = if together { changed().delete_missing(true) } else { changed() };
        let mut deleted = match run(&db, path, &asked, most).0 {
            Ok(report) => report.deleted,
            Err(_) => {
                let (report, _) = run(&db, path, &asked, u64::MAX);
                report.unwrap().deleted
            }
        };
        assert_eq!(deleted > 0, together, "{name}");
        assert_eq!(
            rejects(&db, path),
            ["/a.tar/025.png", "/a.tar/027.png", "/b.tar/008.png"],
            "{name}"
        );
        let (report, encoded) = run(&db, path, &deleting, u64::MAX);
        deleted += report.unwrap().deleted;
        // 18 pictures of the first reading below 20; what was rejected then had no record.
        assert_eq!((deleted, encoded), (18, 0), "{name}");
        let fresh = database(&home.path().join(format!("{name}, fresh")));
        run(&fresh, path, &options(), u64::MAX).0.unwrap();
        let mut expected = keys(&fresh, path);
        // Its entry is there and broken: as a file would, it keeps the record that it had.
        expected.extend(["/a.tar-mine", "/a.tar/027.png"].map(str::to_owned));
        expected.sort_unstable();
        assert_eq!(keys(&db, path), expected, "{name}");
        let (report, _) = run(&db, path, &deleting, u64::MAX);
        assert_eq!(report.unwrap().deleted, 0, "{name}");
    }
}

/// Nobody knows what was in the part that is lost.
#[test]
fn a_shard_that_is_damaged_loses_no_records() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    let whole = tar(&entries(0..30, &[]));
    fs::write(path.join("a.tar"), &whole).unwrap();
    let db = database(&home.path().join("db"));
    run(&db, path, &options(), u64::MAX).0.unwrap();
    fs::write(path.join("a.tar"), &whole[..whole.len() / 2]).unwrap();
    let deleting = changed().delete_missing(true);
    let report = run(&db, path, &deleting, u64::MAX).0.unwrap();
    assert_eq!((report.rejected_count(), report.deleted, db.len()), (1, 0, 30));
    // Once the rest is there again, what is missing is known.
    fs::write(path.join("a.tar"), tar(&entries(10..30, &[]))).unwrap();
    let report = run(&db, path, &deleting, u64::MAX).0.unwrap();
    assert_eq!((report.deleted, db.len(), rejects(&db, path)), (10, 20, Vec::new()));
}

/// A shard of the same size and time has other entries: the rejected one is not there, and was looked for in each run.
#[test]
fn a_reject_that_cannot_be_met_is_looked_for_once() {
    let folder = tempfile::tempdir().unwrap();
    let (shard, home) = (folder.path().join("a.tar"), tempfile::tempdir().unwrap());
    fs::write(&shard, tar(&entries(0..3, &[1]))).unwrap();
    let time = shard.metadata().unwrap().modified().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), u64::MAX).0.unwrap();
    let mut others = entries(0..3, &[1]);
    others[1].0 = "x01.png".to_owned();
    fs::write(&shard, tar(&others)).unwrap();
    File::options().write(true).open(&shard).unwrap().set_modified(time).unwrap();
    let again = options().redo(Redo { rejects: true, ..Redo::default() });
    let report = run(&db, folder.path(), &again, u64::MAX).0.unwrap();
    assert_eq!((report.done, report.done_before, rejects(&db, folder.path())), (0, 0, Vec::new()));
    let report = run(&db, folder.path(), &again, u64::MAX).0.unwrap();
    assert_eq!(report.done_before, 1);
}

/// What is no file has no note that tells when its reject is over.
#[test]
fn rejects_of_folders_and_loops_go_with_their_causes() {
    let folder = sources();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    fs::create_dir(path.join("sub")).unwrap();
    symlink("..", path.join("sub/up")).unwrap();
    symlink(path.join("nowhere"), path.join("sub/away")).unwrap();
    symlink(path.join("nowhere"), path.join("z.png")).unwrap();
    let db = database(&home.path().join("db"));
    run(&db, path, &options(), u64::MAX).0.unwrap();
    let files = ["/07.png", "/a.tar/111.png", "/b.tar/161.png"];
    let all = [&files[..], &["/sub/away", "/sub/up", "/z.png"]].concat();
    assert_eq!(rejects(&db, path), all);
    fs::remove_file(path.join("sub/up")).unwrap();
    fs::write(path.join("nowhere"), png(9)).unwrap();
    run(&db, &path.join("07.png"), &options(), u64::MAX).0.unwrap();
    assert_eq!(rejects(&db, path), all, "nobody walked there");
    fs::remove_file(path.join("sub/away")).unwrap();
    run(&db, path, &options(), u64::MAX).0.unwrap();
    assert_eq!(rejects(&db, path), files);
    assert_eq!(db.len(), 98, "{:?}", keys(&db, path));
}

/// Whether the second way to a file found it done depended on how far the writes were, and so did ids.
#[test]
fn what_is_met_twice_is_read_once() {
    let folder = sources();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    let file = path.join("03.png");
    let pattern = path.join("0*.png");
    let list = [file.clone(), path.join("a.tar"), file.clone()];
    let given = |paths: &[&Path]| paths.iter().map(|path| path.to_path_buf()).collect::<Vec<_>>();
    for (name, paths, listed) in [
        ("nested", given(&[&file, path, path]), &[][..]),
        ("listed", given(&[path]), &list[..]),
        ("a pattern", given(&[&pattern, path, &pattern]), &[]),
    ] {
        for batch in [1, 300] {
            let db = database(&home.path().join(format!("{name} {batch}")));
            let report = one_by_one(&db, &paths, &options().batch(batch).listed(listed));
            let counts = (report.done, report.replaced, report.rejected_count());
            assert_eq!(counts, (97, 0, 3), "{name}, {batch}");
            assert_eq!(db.stats().next_id, 97);
        }
    }
}

/// Entries of one name replace each other: the run says how many records it has less than pictures.
#[test]
fn records_that_take_the_place_of_others_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let home = tempfile::tempdir().unwrap();
    let mut twice = entries(0..9, &[]);
    twice.extend(entries(5..9, &[]));
    fs::write(folder.path().join("a.tar"), tar(&twice)).unwrap();
    let paths = [folder.path().to_path_buf()];
    for batch in [2, 100] {
        let db = database(&home.path().join(batch.to_string()));
        let report = one_by_one(&db, &paths, &options().batch(batch));
        assert_eq!((report.done, report.replaced, db.len()), (13, 4, 9), "{batch}");
    }
}

fn one_by_one(db: &Database, paths: &[PathBuf], options: &IngestOptions<'_>) -> Report {
    let encode = |pictures: Vec<Vec<u8>>| {
        let one = |picture: &Vec<u8>| {
            Ok((Address::new(picture[0].into(), 8)?, Code::from_bytes(&[picture[0]; 8])?))
        };
        pictures.iter().map(one).collect::<Result<_, IngestError>>()
    };
    ingest_with(db, paths, options, &encode, &mut ()).unwrap()
}

fn deleting() -> IngestOptions<'static> {
    options().delete_missing(true)
}

/// A file that was named itself need not look like an image, and a walk over its folder passes over it.
#[test]
fn what_a_walk_does_not_look_for_is_not_missing() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    fs::write(path.join("upload"), png(1)).unwrap();
    fs::write(path.join("x.png"), png(2)).unwrap();
    let db = database(&home.path().join("db"));
    run(&db, &path.join("upload"), &options(), u64::MAX).0.unwrap();
    let report = run(&db, path, &deleting(), u64::MAX).0.unwrap();
    assert_eq!((report.deleted, keys(&db, path)), (0, vec!["/upload".into(), "/x.png".into()]));
    fs::remove_file(path.join("upload")).unwrap();
    let report = run(&db, path, &deleting(), u64::MAX).0.unwrap();
    assert_eq!((report.deleted, keys(&db, path)), (1, vec!["/x.png".into()]));
}

/// The files were missing, and their keys were those of the shard's entries, which had just been stored.
#[test]
fn a_shard_in_the_place_of_a_folder_keeps_its_entries() {
    for together in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
        let place = path.join("x.tar");
        fs::create_dir(&place).unwrap();
        for (name, bytes) in entries(0..10, &[0]) {
            fs::write(place.join(name), bytes).unwrap();
        }
        let db = database(&home.path().join("db"));
        run(&db, path, &options(), u64::MAX).0.unwrap();
        assert_eq!((db.len(), rejects(&db, path).len()), (9, 1));
        fs::remove_dir_all(&place).unwrap();
        fs::write(&place, tar(&entries(0..3, &[]))).unwrap();
        let mut deleted = 0;
        if !together {
            deleted += run(&db, path, &options(), u64::MAX).0.unwrap().deleted;
        }
        deleted += run(&db, path, &deleting(), u64::MAX).0.unwrap().deleted;
        let expected = ["/x.tar/000.png", "/x.tar/001.png", "/x.tar/002.png"];
        assert_eq!((deleted, keys(&db, path)), (7, expected.map(str::to_owned).to_vec()));
        assert_eq!(rejects(&db, path), Vec::<String>::new());
        let report = run(&db, path, &deleting(), u64::MAX).0.unwrap();
        assert_eq!((report.deleted, report.done_before, db.len()), (0, 1, 3));
    }
}

/// What the folder holds is not of the shard that is missing: files, shards, and rejects.
#[test]
fn a_folder_in_the_place_of_a_shard_keeps_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    let place = path.join("a.tar");
    fs::write(&place, tar(&entries(0..3, &[]))).unwrap();
    let db = database(&home.path().join("db"));
    run(&db, path, &options(), u64::MAX).0.unwrap();
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    fs::write(place.join("b.tar"), tar(&entries(5..10, &[6]))).unwrap();
    fs::write(place.join("own.png"), png(1)).unwrap();
    fs::write(place.join("broken.png"), b"no picture").unwrap();
    let report = run(&db, path, &deleting(), u64::MAX).0.unwrap();
    assert_eq!((report.deleted, db.len()), (3, 5), "{:?}", keys(&db, path));
    assert_eq!(rejects(&db, path), ["/a.tar/b.tar/006.png", "/a.tar/broken.png"]);
}

/// A file that was rejected has no hash, and was taken for a shard.
#[test]
fn a_rejected_file_that_is_missing_takes_no_record_of_others_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    fs::write(path.join("a.png"), vec![0; 64 << 20 | 1]).unwrap();
    let db = database(&home.path().join("db"));
    run(&db, path, &options(), u64::MAX).0.unwrap();
    assert_eq!(rejects(&db, path), ["/a.png"]);
    let mine = [path.join("a.png").as_os_str().as_encoded_bytes(), b"/note"].concat();
    db.put(&mine, Address::new(1, 8).unwrap(), Code::from_bytes(&[1; 8]).unwrap(), b"").unwrap();
    fs::remove_file(path.join("a.png")).unwrap();
    let report = run(&db, path, &deleting(), u64::MAX).0.unwrap();
    assert_eq!((report.deleted, db.len(), rejects(&db, path)), (0, 1, Vec::new()));
}

/// Sets a flag when everything was written: what follows is the deleting.
struct StopAtTheEnd<'a>(&'a AtomicBool);

impl Observer for StopAtTheEnd<'_> {
    fn progress(&mut self, progress: &Progress) {
        self.0.store(progress.written == 1, Ordering::Relaxed);
    }
}

#[test]
fn the_deleting_can_be_stopped_and_gone_on_with() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    fs::write(path.join("a.tar"), tar(&entries(0..30, &[]))).unwrap();
    let db = database(&home.path().join("db"));
    run(&db, path, &options(), u64::MAX).0.unwrap();
    fs::remove_file(path.join("a.tar")).unwrap();
    fs::write(path.join("b.png"), png(40)).unwrap();
    let cancel = AtomicBool::new(false);
    let stopping = deleting().cancel(&cancel);
    let encode =
        |pictures: Vec<Vec<u8>>| Ok(pictures.iter().map(|picture| code(picture)).collect());
    let paths = [path.to_path_buf()];
    let stopped = ingest_with(&db, &paths, &stopping, &encode, &mut StopAtTheEnd(&cancel)).unwrap();
    assert_eq!((stopped.cancelled, stopped.deleted, db.len()), (true, 0, 31));
    let report = run(&db, path, &deleting(), u64::MAX).0.unwrap();
    assert_eq!((report.cancelled, report.deleted, db.len()), (false, 30, 1));
}

/// Ids that a load keeps are not all used: records of a reading that began meanwhile had smaller ones than it had noted.
#[test]
fn a_load_that_is_given_up_meanwhile_costs_a_shard_no_records() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    fs::write(path.join("a.tar"), tar(&entries(0..30, &[]))).unwrap();
    let db = database(&home.path().join("db"));
    run(&db, path, &options(), u64::MAX).0.unwrap();
    fs::write(path.join("a.tar"), tar(&entries(10..40, &[]))).unwrap();
    let loader = Mutex::new(Some(db.bulk_loader(BulkOptions::new()).unwrap()));
    let encode = |pictures: Vec<Vec<u8>>| {
        drop(loader.lock().take());
        Ok(pictures.iter().map(|picture| code(picture)).collect())
    };
    let paths = [path.to_path_buf()];
    let report =
        ingest_with(&db, &paths, &changed().delete_missing(true), &encode, &mut ()).unwrap();
    assert_eq!((report.done, report.deleted, db.len()), (30, 10, 30));
}

fn code(picture: &[u8]) -> (Address, Code) {
    (Address::new(picture[0].into(), 8).unwrap(), Code::from_bytes(&[picture[0]; 8]).unwrap())
}

/// Retrying found the shard damaged for a moment, and forgot what it was to retry.
#[test]
fn rejects_of_a_shard_that_cannot_be_read_stay() {
    let folder = tempfile::tempdir().unwrap();
    let (shard, home) = (folder.path().join("a.tar"), tempfile::tempdir().unwrap());
    let whole = tar(&entries(0..6, &[1, 4]));
    fs::write(&shard, &whole).unwrap();
    let time = shard.metadata().unwrap().modified().unwrap();
    let db = database(&home.path().join("db"));
    run(&db, folder.path(), &options(), u64::MAX).0.unwrap();
    fs::write(&shard, vec![0xff; whole.len()]).unwrap();
    File::options().write(true).open(&shard).unwrap().set_modified(time).unwrap();
    let again = options().redo(Redo { rejects: true, ..Redo::default() });
    run(&db, folder.path(), &again, u64::MAX).0.unwrap();
    assert_eq!(rejects(&db, folder.path()), ["/a.tar", "/a.tar/001.png", "/a.tar/004.png"]);
    fs::write(&shard, tar(&entries(0..6, &[4]))).unwrap();
    run(&db, folder.path(), &again, u64::MAX).0.unwrap();
    assert_eq!((rejects(&db, folder.path()), db.len()), (vec!["/a.tar/004.png".into()], 5));
}

/// What was away for a day was a reject for ever, although its records were there.
#[test]
fn a_reject_of_what_could_not_be_looked_at_for_a_while_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    let (shard, file) = (path.join("a.tar"), path.join("[1].png"));
    fs::write(&shard, tar(&entries(0..6, &[]))).unwrap();
    fs::write(&file, png(9)).unwrap();
    let db = database(&home.path().join("db"));
    let list = [shard.clone(), file.clone()];
    let listed = options().listed(&list);
    assert_eq!(one_by_one(&db, &[], &listed).done, 7);
    for path in &list {
        fs::rename(path, path.with_extension("away")).unwrap();
    }
    let walked = path.join("gone.png");
    symlink(path.join("nowhere"), &walked).unwrap();
    run(&db, &walked.with_file_name(""), &options(), u64::MAX).0.unwrap();
    assert_eq!(one_by_one(&db, &[], &listed).rejected_count(), 2);
    assert_eq!(rejects(&db, path), ["/[1].png", "/a.tar", "/gone.png"]);
    for path in &list {
        fs::rename(path.with_extension("away"), path).unwrap();
    }
    // A name of a list is no pattern, though it looks like one.
    let star = [path.join("*.png"), shard, file];
    let report = one_by_one(&db, &[], &options().listed(&star));
    assert_eq!((report.done, report.done_before), (0, 2));
    assert_eq!(rejects(&db, path), ["/*.png", "/gone.png"]);
}

#[test]
fn a_pattern_forgets_only_what_it_looks_at() {
    let folder = tempfile::tempdir().unwrap();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    fs::create_dir(path.join("sub")).unwrap();
    for name in ["sub/z.png", "x.png", "link.txt"] {
        symlink(path.join("nowhere"), path.join(name)).unwrap();
    }
    fs::write(path.join("y.png"), png(1)).unwrap();
    let db = database(&home.path().join("db"));
    run(&db, path, &options(), u64::MAX).0.unwrap();
    assert_eq!(rejects(&db, path), ["/link.txt", "/sub/z.png", "/x.png"]);
    fs::remove_file(path.join("x.png")).unwrap();
    // What does not match is no reject of it.
    let report = run(&db, &path.join("*.png"), &options(), u64::MAX).0.unwrap();
    assert_eq!((report.rejected_count(), report.done_before), (0, 1));
    assert_eq!(rejects(&db, path), ["/link.txt", "/sub/z.png"]);
}

#[test]
fn notes_that_cannot_be_read_are_no_hindrance_to_reading_everything() {
    let folder = sources();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    let db = database(&home.path().join("db"));
    run(&db, path, &options(), u64::MAX).0.unwrap();
    let mut batch = WriteBatch::new();
    for (what, name) in [("source", "a.tar"), ("source", "03.png"), ("reject", "07.png")] {
        let key = path.join(name).into_os_string().into_encoded_bytes();
        batch.put_note(&[format!("ingest/{what}/").as_bytes(), &key].concat(), b"nonsense");
    }
    db.write(batch, WriteOptions::default()).unwrap();
    let failed = run(&db, path, &options(), u64::MAX).0.unwrap_err();
    assert!(matches!(failed, IngestError::Journal(_)), "{failed}");
    let all = options().redo(Redo { all: true, ..Redo::default() });
    let report = run(&db, path, &all, u64::MAX).0.unwrap();
    assert_eq!((report.done, report.rejected_count()), (97, 3));
    run(&db, path, &options(), u64::MAX).0.unwrap();
}

/// A run that read everything again and was stopped began from the start the next time, however far it was.
#[test]
fn reading_everything_again_is_gone_on_with_and_then_begins_anew() {
    let folder = sources();
    let (path, home) = (folder.path(), tempfile::tempdir().unwrap());
    let db = database(&home.path().join("db"));
    run(&db, path, &options(), u64::MAX).0.unwrap();
    let expected = content(&db);
    let all = options().redo(Redo { all: true, ..Redo::default() });
    for most in [0, 30, 60, 90] {
        let before = db.stats().next_id;
        let (failed, _) = run(&db, path, &all, most);
        assert!(matches!(failed, Err(IngestError::Encoder(_))));
        let stored = db.stats().next_id - before;
        // An ordinary run in between has nothing to do but what was stopped in the middle.
        let (_, ordinary) = run(&db, path, &options(), u64::MAX);
        let (report, rest) = run(&db, path, &all, u64::MAX);
        let report = report.unwrap();
        assert_eq!((stored + ordinary + rest, report.done), (97, rest), "{most}");
        assert_eq!(content(&db), expected);
        assert_eq!(rejects(&db, path).len(), 3);
    }
    // Of a round that came to its end nothing is left out by the next one.
    let (report, pictures) = run(&db, path, &all, u64::MAX);
    assert_eq!((report.unwrap().done, pictures), (97, 97));
    // Other paths have a round of their own, and do not end this one.
    run(&db, path, &all, 60).0.unwrap_err();
    let (_, other) = run(&db, &path.join("a.tar"), &all, u64::MAX);
    assert!(other > 30, "{other}");
    let (_, rest) = run(&db, path, &all, u64::MAX);
    assert!(rest < 97, "{rest}");
    assert_eq!(content(&db), expected);
    // Rejects are tried again by the run that goes on: what stopped it may have caused them.
    run(&db, path, &all, 60).0.unwrap_err();
    let (report, _) = run(&db, path, &all, u64::MAX);
    assert_eq!(report.unwrap().rejected_count(), 3);
    // What changed meanwhile, or is asked for otherwise, is read again though it was in the round.
    run(&db, path, &all, 60).0.unwrap_err();
    fs::write(path.join("03.png"), png(77)).unwrap();
    run(&db, path, &all, u64::MAX).0.unwrap();
    let key = path.join("03.png").into_os_string().into_encoded_bytes();
    assert_eq!(content(&db)[&key].0, 77);
}
