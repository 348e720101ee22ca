//! Shards that were replaced by others, rejects that have no cause any more, and sources that a run meets twice.
#![expect(clippy::disallowed_methods, reason = "tests make their own files")]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::png;
use super::resume::{content, database, options, run, sources, tar};
use crate::code::{Address, Code};
use crate::db::{Database, Readable as _};
use crate::ingest::{IngestError, IngestOptions, Redo, Report, ingest_with, noted_rejects};

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
