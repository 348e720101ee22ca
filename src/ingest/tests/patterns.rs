//! Patterns and lists of paths.

use super::source::key_of;
use super::*;
use crate::db::Options;

fn tree() -> tempfile::TempDir {
    let shard = shards::tar(&[("x.png", &png(9)), ("y.png", &png(8))]);
    folder(&[
        ("p/1.png", &png(1)),
        ("p/2.jpg", b"rubbish"),
        ("p/a/3.png", &png(3)),
        ("p/a/b/4.png", &png(4)),
        ("p/a/notes.txt", b"no image"),
        ("p/a/5.dat", &png(5)),
        ("p/s.tar", &shard),
        ("p/[6].png", &png(6)),
        ("q/7.png", &png(7)),
    ])
}

#[test]
fn a_pattern_means_the_files_that_it_matches_in_order() {
    let folder = tree();
    let shown = |pattern: &str| {
        let paths = [folder.path().join(pattern)];
        let found = outcome(folder.path(), &paths, &IngestOptions::default());
        let keys: Vec<_> = found.keys().iter().map(|key| (*key).to_owned()).collect();
        let rejects: Vec<_> = found.rejects.into_iter().map(|(key, _)| key).collect();
        (keys.join(" "), rejects.join(" "))
    };
    let cases = [
        ("p/*.png", "p/1.png p/[6].png", ""),
        ("p/*/*.png", "p/a/3.png", ""),
        ("p/**/*.png", "p/1.png p/[6].png p/a/3.png p/a/b/4.png", ""),
        ("*/?.png", "p/1.png q/7.png", ""),
        ("[!p]/*", "q/7.png", ""),
        ("p/{1,2}.{png,jpg}", "p/1.png", "p/2.jpg"),
        ("{p/a,q}/?.png", "p/a/3.png q/7.png", ""),
        ("p/a/*", "p/a/3.png", ""),
        ("p/a/*.dat", "p/a/5.dat", ""),
        ("p/*.tar", "p/s.tar/x.png p/s.tar/y.png", ""),
        // It is there under this name.
        ("p/[6].png", "p/[6].png", ""),
        ("p/[[]6].png", "p/[6].png", ""),
    ];
    for (pattern, keys, rejects) in cases {
        assert_eq!(shown(pattern), (keys.to_owned(), rejects.to_owned()), "{pattern}");
    }
}

#[test]
fn a_pattern_that_matches_nothing_or_is_none_stops_everything_before_it_starts() {
    let folder = tree();
    let cases = [
        ("p/*.gif", "no picture and no shard matches it"),
        ("p/a/*.txtx", "no picture and no shard matches it"),
        ("p/[.png", "no pattern: "),
        ("absent/*.png", "No such file"),
        ("p/absent.png", "No such file"),
    ];
    for (pattern, words) in cases {
        let paths = [folder.path().join("p/1.png"), folder.path().join(pattern)];
        let mut sink = |_: Vec<(Label, Vec<u8>)>, _: &Passed| panic!("nothing may be written");
        let run = pipeline::run(&paths, &IngestOptions::default(), &(), &Ok, &mut sink, &mut ());
        let error = run.unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(pattern), "{error}");
    }
}

#[test]
fn paths_of_a_list_are_what_they_are_and_may_be_missing() {
    let folder = tree();
    let listed = ["q/7.png", "p/absent.png", "p/*.png", "p/a"].map(|name| folder.path().join(name));
    let options = IngestOptions::default().listed(&listed);
    let found = outcome(folder.path(), &[folder.path().join("p/1.png")], &options);
    assert_eq!(found.keys(), ["p/1.png", "q/7.png", "p/a/3.png", "p/a/b/4.png"]);
    let rejects = ["p/absent.png", "p/*.png"].map(|key| (key.to_owned(), "unreadable"));
    assert_eq!(found.rejects, rejects);
}

#[test]
fn noted_rejects_are_found_by_patterns_and_by_many_paths() {
    let folder = tree();
    let home = tempfile::tempdir().unwrap();
    let options = Options::new().code_bits(64).address_bits(8).background(false);
    let db = Database::create(home.path().join("db"), options).unwrap();
    let encode = |_: Vec<Vec<u8>>| -> Result<Vec<Encoding>, IngestError> {
        Err(IngestError::Encoder("there is nothing to encode".into()))
    };
    let path = folder.path().join("p/2.jpg");
    ingest_with(&db, std::slice::from_ref(&path), &IngestOptions::default(), &encode, &mut ())
        .unwrap();
    let rejected = |paths: &[PathBuf]| -> Vec<Vec<u8>> {
        noted_rejects(&db, paths).unwrap().into_iter().map(|reject| reject.key).collect()
    };
    let expected = [key_of(&path)];
    assert_eq!(rejected(&[folder.path().join("p/*.jpg")]), expected);
    assert_eq!(rejected(&[folder.path().join("p/*.png")]), Vec::<Vec<u8>>::new());
    let mut many: Vec<_> = (0..100).map(|n| folder.path().join(format!("p/{n}.png"))).collect();
    assert_eq!(rejected(&many), Vec::<Vec<u8>>::new());
    many.push(folder.path().join("p/"));
    assert_eq!(rejected(&many), expected);
}
