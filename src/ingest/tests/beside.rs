//! Siblings of plain files: the same values as in a shard, whatever way leads to the files.
#![expect(clippy::disallowed_methods, reason = "tests make their own files")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

use super::samples::into;
use super::shards::tar;
use super::*;
use crate::db::{Options, Readable as _};

/// Names with contents; two of them come between the files of a sample in the order of names.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a/1-2.png", png(1)),
        ("a/1.cls", b"7".to_vec()),
        ("a/1.d/x.json", b"[\"of another folder\"]".to_vec()),
        ("a/1.d/x.png", png(2)),
        ("a/1.json", b"{\"x\": 1}".to_vec()),
        ("a/1.png", png(3)),
        ("a/1.seg.png", png(4)),
        ("a/1.txt", b"one".to_vec()),
        ("a/10.png", png(5)),
        ("b/.png", png(6)),
        ("b/1.png", png(7)),
        ("b/lonely.txt", b"no image".to_vec()),
        ("b/note", b"no sample".to_vec()),
    ]
}

fn written() -> tempfile::TempDir {
    let files = files();
    folder(&files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect::<Vec<_>>())
}

/// Values by key, of all records, with what stands before the names cut off; and the report.
fn values(
    base: &Path,
    paths: &[PathBuf],
    options: &IngestOptions<'_>,
) -> (BTreeMap<String, String>, Report, Vec<(String, &'static str)>) {
    let prefix = format!("{}/", base.display());
    let show = |key: &[u8]| {
        let key = key.strip_prefix(prefix.as_bytes()).unwrap_or(key);
        String::from_utf8(key.to_vec()).unwrap()
    };
    let mut values = BTreeMap::new();
    let mut sink = |items: Vec<(Label, Vec<u8>)>, _: &Passed| {
        let text = |label: &Label| String::from_utf8(label.value.clone()).unwrap();
        values.extend(items.iter().map(|(label, _)| (show(&label.key), text(label))));
        Ok(())
    };
    let mut rejects = Rejects::default();
    let report = pipeline::run(paths, options, &(), &Ok, &mut sink, &mut rejects).unwrap();
    let rejects = rejects.0.iter().map(|reject| (show(&reject.key), reject.kind)).collect();
    (values, report, rejects)
}

fn database(path: &Path) -> Database {
    let options = Options::new().code_bits(64).address_bits(8).background(false);
    let there = Database::exists(path);
    if there { Database::open(path, options) } else { Database::create(path, options) }.unwrap()
}

#[test]
fn files_of_a_folder_have_the_values_of_entries_of_a_shard() {
    let folder = written();
    let base = folder.path().join("x");
    fs::create_dir(&base).unwrap();
    for name in ["a", "b"] {
        fs::rename(folder.path().join(name), base.join(name)).unwrap();
    }
    let shard = folder.path().join("s.tar");
    let files = files();
    let entries: Vec<_> = files.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    // In a shard the samples lie together, as writers of shards have them.
    let (below, beside): (Vec<_>, _) =
        entries.into_iter().partition(|(name, _)| name.starts_with("a/1.d/"));
    fs::write(&shard, tar(&[beside, below].concat())).unwrap();
    for siblings in [Siblings::all(), Siblings::only(["TXT"]), Siblings::only(["npy"])] {
        let options = IngestOptions::default().siblings(&siblings).batch(3);
        let (from_shard, one, _) = values(&shard, std::slice::from_ref(&shard), &options);
        for threads in [1, 4] {
            let options = options.threads(threads);
            let (from_folder, other, rejects) =
                values(&base, std::slice::from_ref(&base), &options);
            assert_eq!((&from_folder, rejects.len()), (&from_shard, 0));
            assert_eq!(other.skipped, one.skipped);
        }
        if siblings == Siblings::all() {
            assert_eq!(from_shard["a/1.png"], r#"{"cls":"7","json":{"x": 1},"txt":"one"}"#);
            assert_eq!(from_shard["a/1.seg.png"], from_shard["a/1.png"]);
            assert_eq!((from_shard["a/1-2.png"].as_str(), from_shard.len()), ("", 7));
            assert_eq!(one.skipped, 2);
        }
    }
    let (plain, _, _) = values(&base, std::slice::from_ref(&base), &IngestOptions::default());
    assert!(plain.len() == 7 && plain.values().all(String::is_empty), "nobody asked for them");
}

#[test]
fn patterns_lists_and_single_files_lead_to_the_same_values() {
    let folder = written();
    let base = folder.path();
    let siblings = Siblings::all();
    let options = IngestOptions::default().siblings(&siblings);
    let (whole, _, _) = values(base, &[base.to_path_buf()], &options);
    let (found, report, _) = values(base, &[base.join("**/*.png")], &options);
    assert_eq!((&found, report.skipped), (&whole, 0));
    let images: Vec<_> = files()
        .iter()
        .filter(|(name, _)| name.ends_with(".png"))
        .map(|(name, _)| base.join(name))
        .collect();
    assert_eq!(values(base, &images, &options).0, whole);
    assert_eq!(values(base, &[], &options.listed(&images)).0, whole);
    // Of an image that is told by its place alone the others are siblings, and it is none of its own.
    fs::write(base.join("b/2.dat"), png(9)).unwrap();
    fs::write(base.join("b/2.txt"), b"two").unwrap();
    let (found, _, _) = values(base, &[base.join("b/2.dat")], &options);
    assert_eq!(found["b/2.dat"], r#"{"txt":"two"}"#);
}

#[test]
fn a_sibling_that_cannot_be_used_costs_the_images_of_its_sample_alone() {
    let folder = written();
    let base = folder.path();
    let link = base.join("a/1.zzz");
    symlink(base.join("nowhere"), &link).unwrap();
    let large = File::create(base.join("b/1.bin")).unwrap();
    large.set_len(MAX_SIBLING_BYTES as u64 + 1).unwrap();
    // What is no file is never opened.
    fs::create_dir(base.join("a/10.txt")).unwrap();
    assert!(
        std::process::Command::new("mkfifo")
            .arg(base.join("a/10.json"))
            .status()
            .unwrap()
            .success()
    );
    let siblings = Siblings::all();
    let options = IngestOptions::default().siblings(&siblings);
    let paths = [base.to_path_buf()];
    let (found, _, mut rejects) = values(base, &paths, &options);
    rejects.sort();
    let expected = [
        ("a/1.png", "sibling-unreadable"),
        ("a/1.seg.png", "sibling-unreadable"),
        ("a/1.zzz", "unreadable"),
        ("b/1.png", "value-too-large"),
    ];
    assert_eq!(rejects, expected.map(|(key, kind)| (key.to_owned(), kind)));
    assert_eq!(Vec::from_iter(found.keys()), ["a/1-2.png", "a/1.d/x.png", "a/10.png", "b/.png"]);
    let listed = [base.join("a/1.png"), base.join("b/1.png")];
    let (_, _, rejects) = values(base, &[], &options.listed(&listed));
    let kinds: Vec<_> = rejects.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, ["sibling-unreadable", "value-too-large"]);
    // Who does not take these endings does not meet them.
    let few = Siblings::only(["txt", "json"]);
    let (found, _, rejects) = values(base, &paths, &IngestOptions::default().siblings(&few));
    assert_eq!((found.len(), rejects.len()), (7, 1));
    // It is noted, and taken in once it is mended.
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    into(&db, base, &options, u64::MAX);
    fs::remove_file(&link).unwrap();
    fs::remove_file(base.join("b/1.bin")).unwrap();
    let (_, encoded, _) = into(&db, base, &options, u64::MAX);
    assert_eq!(encoded, 0);
    let again = options.redo(Redo { rejects: true, ..Redo::default() });
    let (_, encoded, records) = into(&db, base, &again, u64::MAX);
    assert_eq!((encoded, records.len()), (3, 7));
}

#[test]
fn a_run_over_samples_of_files_may_stop_anywhere() {
    let folder = written();
    let home = tempfile::tempdir().unwrap();
    let siblings = Siblings::all();
    let options = IngestOptions::default().siblings(&siblings).threads(2).batch(1);
    let (done, _, whole) =
        into(&database(&home.path().join("whole")), folder.path(), &options, u64::MAX);
    assert!(done && whole.len() == 7);
    for most in 1..7 {
        let db = database(&home.path().join(most.to_string()));
        assert!(!into(&db, folder.path(), &options, most).0);
        let there = db.len();
        let (done, second, records) = into(&db, folder.path(), &options, u64::MAX);
        assert!(done && records == whole && second == 7 - there, "stopped after {most}");
    }
}

#[test]
fn an_image_is_read_again_where_its_siblings_changed() {
    let folder = written();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    let siblings = Siblings::all();
    let options = IngestOptions::default().siblings(&siblings);
    let changed = options.redo(Redo { changed: true, ..Redo::default() });
    let base = folder.path();
    into(&db, base, &options, u64::MAX);
    assert_eq!(into(&db, base, &changed, u64::MAX).1, 0);
    let key = |name: &str| base.join(name).into_os_string().into_encoded_bytes();
    fs::write(base.join("a/1.json"), b"{\"x\": 22}").unwrap();
    fs::write(base.join("b/1.json"), b"2").unwrap();
    assert_eq!(into(&db, base, &options, u64::MAX).1, 0, "nobody asked for it");
    let (_, encoded, records) = into(&db, base, &changed, u64::MAX);
    assert_eq!(encoded, 3);
    assert_eq!(records[&key("a/1.png")], br#"{"cls":"7","json":{"x": 22},"txt":"one"}"#);
    assert_eq!(records[&key("b/1.png")], br#"{"json":2}"#);
    // A way that leads to the same files finds nothing changed.
    let listed = [base.join("a/1.png")];
    assert_eq!(into(&db, &base.join("a/1.png"), &changed.listed(&listed), u64::MAX).1, 0);
    fs::remove_file(base.join("b/1.json")).unwrap();
    let (_, encoded, records) = into(&db, base, &changed, u64::MAX);
    assert_eq!((encoded, records[&key("b/1.png")].as_slice()), (1, &b""[..]));
    // Who forgets to ask for siblings loses none: nothing changed.
    let none = IngestOptions::default();
    let forgotten = none.redo(Redo { changed: true, ..Redo::default() });
    assert_eq!(into(&db, base, &forgotten, u64::MAX), (true, 0, records.clone()));
    let paths = [base.to_path_buf()];
    let report = |options: &IngestOptions<'_>| {
        let nothing = |_| -> Result<Vec<(Address, Code)>, IngestError> { unreachable!() };
        ingest_with(&db, &paths, options, &nothing, &mut ()).unwrap()
    };
    // Another choice is another only where there is something to choose from.
    assert_eq!((report(&forgotten).stored_otherwise, report(&changed).stored_otherwise), (3, 0));
    let all = none.redo(Redo { all: true, ..Redo::default() });
    let (_, encoded, records) = into(&db, base, &all, u64::MAX);
    assert!(encoded == 7 && records.values().all(Vec::is_empty), "{encoded}");
    assert_eq!((report(&none).stored_otherwise, report(&options).stored_otherwise), (0, 3));
}
