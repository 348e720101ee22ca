//! What an ingest reads: values out of siblings, patterns, lists and Parquet.

use std::process::Stdio;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Int64Array, StringArray, StructArray};
use arrow_schema::{DataType, Field};

use crate::archives::{file, picture};
use crate::{Place, objects};

/// A shard of samples `N.png`, `N.json` and `N.txt`.
fn samples(count: u8) -> Vec<u8> {
    let sample = |number: u8| {
        [
            file(format!("{number}.json").as_bytes(), format!("{{\"n\": {number}}}").as_bytes()),
            file(format!("{number}.png").as_bytes(), &picture(number)),
            file(format!("{number}.txt").as_bytes(), b"a caption"),
        ]
        .concat()
    };
    let mut bytes: Vec<u8> = (0..count).flat_map(sample).collect();
    bytes.extend([0; 1024]);
    bytes
}

fn ingested(place: &Place, arguments: &[&str]) -> u64 {
    let report = &place.json(&[&["ingest", "db", "--progress", "none"], arguments].concat())[0];
    report["done"].as_u64().unwrap()
}

#[test]
fn siblings_become_values_when_asked_for() {
    let place = Place::empty();
    crate::write(&place.path("s.tar"), &samples(3));
    place.ok(&["create", "db"]);
    assert_eq!(ingested(&place, &["s.tar"]), 3);
    assert_eq!(place.ok(&["get", "db", "s.tar/1.png", "--value"]), "");
    for more in [&[][..], &["--update"]] {
        let ran = place.run(&[&["ingest", "db", "s.tar", "--siblings", "--json"], more].concat());
        assert!(ran.stderr.contains("1 files and shards that are done keep what they hold"));
        assert_eq!(objects(&ran.stdout)[0]["done"], 0, "what is done is done");
    }
    assert_eq!(ingested(&place, &["s.tar", "--siblings", "--again"]), 3);
    let value = r#"{"json":{"n": 1},"txt":"a caption"}"#;
    assert_eq!(place.ok(&["get", "db", "s.tar/1.png", "--value"]), value);
    let report = &place.json(&["ingest", "db", "s.tar", "--siblings=.JSON,cls", "--again"])[0];
    assert_eq!((&report["done"], &report["replaced"]), (&3.into(), &3.into()));
    assert_eq!(place.ok(&["get", "db", "s.tar/2.png", "--value"]), r#"{"json":{"n": 2}}"#);
    // Who forgets to ask for siblings, and finds nothing new, loses none.
    assert_eq!(ingested(&place, &["s.tar", "--update"]), 0);
    assert_eq!(place.ok(&["get", "db", "s.tar/2.png", "--value"]), r#"{"json":{"n": 2}}"#);
}

/// A folder of as many samples as `samples` has in a shard.
fn sampled_folder(place: &Place, folder: &str, count: u8) {
    for number in 0..count {
        let write = |ending: &str, bytes: &[u8]| {
            crate::write(&place.path(&format!("{folder}/{number}.{ending}")), bytes);
        };
        write("json", format!("{{\"n\": {number}}}").as_bytes());
        write("png", &picture(number));
        write("txt", b"a caption");
    }
}

#[test]
fn siblings_of_plain_files_become_values_too() {
    let place = Place::empty();
    sampled_folder(&place, "s", 3);
    place.ok(&["create", "db"]);
    assert_eq!(ingested(&place, &["s", "--siblings"]), 3);
    let value = r#"{"json":{"n": 1},"txt":"a caption"}"#;
    assert_eq!(place.ok(&["get", "db", "s/1.png", "--value"]), value);
    assert_eq!(ingested(&place, &["s", "--siblings"]), 0, "what is done is done");
    crate::write(&place.path("s/1.txt"), b"another caption");
    assert_eq!(ingested(&place, &["s", "--siblings", "--update"]), 1);
    let value = value.replace("a caption", "another caption");
    assert_eq!(place.ok(&["get", "db", "s/1.png", "--value"]), value);
    // One by one, by a list, they are the same.
    place.ok(&["create", "listed"]);
    let ran = place.shell("ls s/*.png | $HASHDB ingest listed @- --siblings --progress none");
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(place.digest("listed"), place.digest("db"));
}

#[test]
fn an_ingest_of_plain_files_with_values_that_was_killed_ends_like_one_that_was_not() {
    let place = Place::empty();
    sampled_folder(&place, "s", 80);
    place.ok(&["create", "db"]);
    assert_eq!(ingested(&place, &["s", "--siblings"]), 80);
    place.ok(&["create", "killed"]);
    for wait in 0..8 {
        let mut command = place.command();
        command.args(["ingest", "killed", "s", "--siblings", "--progress", "none"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50 * wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.ok(&["ingest", "killed", "s", "--siblings", "--progress", "none"]);
    assert_eq!(place.digest("killed"), place.digest("db"));
}

#[test]
fn an_ingest_with_values_that_was_killed_ends_like_one_that_was_not() {
    let place = Place::empty();
    crate::write(&place.path("s.tar"), &samples(80));
    place.ok(&["create", "db"]);
    assert_eq!(ingested(&place, &["s.tar", "--siblings"]), 80);
    place.ok(&["create", "killed"]);
    for wait in 0..8 {
        let mut command = place.command();
        command.args(["ingest", "killed", "s.tar", "--siblings", "--progress", "none"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(50 * wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.ok(&["ingest", "killed", "s.tar", "--siblings", "--progress", "none"]);
    assert_eq!(place.digest("killed"), place.digest("db"));
}

/// A folder `photos` with two pictures, one of them in a folder below, and another file.
fn photos() -> Place {
    let place = Place::empty();
    crate::write(&place.path("photos/1.png"), &picture(1));
    crate::write(&place.path("photos/a b/2.png"), &picture(2));
    crate::write(&place.path("photos/notes.txt"), b"no picture");
    crate::write(&place.path("3.png"), &picture(3));
    place.ok(&["create", "db"]);
    place
}

fn keys_of(place: &Place) -> Vec<String> {
    let records = place.json(&["scan", "db"]);
    let mut keys: Vec<_> =
        records.iter().map(|record| record["key"].as_str().unwrap().to_owned()).collect();
    keys.sort();
    keys
}

#[test]
fn patterns_that_the_shell_left_alone_are_expanded() {
    let place = photos();
    assert_eq!(ingested(&place, &["photos/**/*.png", "*.png"]), 3);
    assert_eq!(keys_of(&place), ["3.png", "photos/1.png", "photos/a b/2.png"]);
    let nothing = "cannot read photos/*.gif: no picture and no shard matches it";
    place.fails(1, nothing, &["ingest", "db", "photos/*.gif", "--progress", "none"]);
    let missing = ["ingest", "db", "photos/*.png", "--delete-missing"];
    place.fails(2, "a pattern does not tell what is missing", &missing);
}

#[test]
fn lists_come_from_files_and_from_standard_input() {
    let place = photos();
    crate::write(&place.path("list.txt"), b"photos/1.png\r\n\n3.png\nphotos/absent.png");
    let ran = place.run(&["ingest", "db", "--list", "list.txt", "--progress", "none", "--json"]);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(ran.stderr.contains("rejected photos/absent.png: "), "{}", ran.stderr);
    assert_eq!(keys_of(&place), ["3.png", "photos/1.png"]);
    // It is told again and does not keep the rest from being done.
    let ran = place.shell(
        "find photos -name '*.png' -print0 | $HASHDB ingest db --list - -0 --progress none --json",
    );
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(keys_of(&place), ["3.png", "photos/1.png", "photos/a b/2.png"]);
}

#[test]
fn lists_are_arguments_that_begin_with_an_at_sign() {
    let place = photos();
    crate::write(&place.path("list"), b"photos/1.png\n@4.png\n");
    crate::write(&place.path("@4.png"), &picture(4));
    // In a list it is a name and no list, nor a pattern.
    assert_eq!(ingested(&place, &["@list"]), 2);
    assert_eq!(keys_of(&place), ["@4.png", "photos/1.png"]);
    let find = "find photos -name '2*' -print0 | $HASHDB ingest db @- 3.png -0 --progress none";
    let ran = place.shell(find);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(keys_of(&place), ["3.png", "@4.png", "photos/1.png", "photos/a b/2.png"]);
    // What has the name itself is meant: a shell's * stands for it.
    place.ok(&["create", "other"]);
    place.ok(&["ingest", "other", "@4.png", "--progress", "none"]);
    assert_eq!(place.json(&["scan", "other"])[0]["key"], "@4.png");
    crate::write(&place.path("@eaDir/5.png"), &picture(5));
    assert_eq!(ingested(&place, &["@eaDir"]), 1);
    let ingest = |more: &[&'static str]| [&["ingest", "db", "--progress", "none"], more].concat();
    place.fails(1, "cannot read absent: ", &ingest(&["@absent"]));
    place.fails(1, "cannot read @", &ingest(&["@"]));
    place.fails(2, "a list does not tell what is missing", &ingest(&["@list", "--delete-missing"]));
    place.fails(2, "-0 is for lists, and there is none", &ingest(&["photos", "-0"]));
}

#[test]
fn a_list_may_change_between_runs() {
    let place = photos();
    let run = |list: &[u8]| {
        crate::write(&place.path("list"), list);
        let ingest =
            ["ingest", "db", "@list", "--rejects", "r.jsonl", "--progress", "none", "--json"];
        let ran = place.run(&ingest);
        let done = crate::objects(&ran.stdout)[0]["done"].clone();
        let rejects = String::from_utf8(crate::read(&place.path("r.jsonl"))).unwrap();
        (ran.code.unwrap(), done, crate::objects(&rejects))
    };
    // What is not there is a reject with its path, its stage and its cause, and keeps nothing else from being done.
    let (code, done, rejects) = run(b"absent/x.png\nphotos/1.png\n");
    assert_eq!((code, done, rejects.len()), (4, 1.into(), 1));
    assert_eq!(
        (&rejects[0]["path"], &rejects[0]["stage"]),
        (&"absent/x.png".into(), &"source".into())
    );
    assert_eq!(rejects[0]["kind"], "unreadable");
    assert!(rejects[0]["cause"].as_str().unwrap().contains("No such file"), "{rejects:?}");
    // More lines, in another order: what was done is passed over.
    let (code, done, rejects) = run(b"3.png\nabsent/x.png\nphotos/1.png\n");
    assert_eq!((code, done, rejects.len()), (4, 1.into(), 1));
    // A line that is gone takes no record with it, and its reject is not told any more.
    let (code, done, rejects) = run(b"photos/a b/2.png");
    assert_eq!((code, done, rejects.len()), (0, 1.into(), 0));
    assert_eq!(keys_of(&place), ["3.png", "photos/1.png", "photos/a b/2.png"]);
    // What was not there is taken in as soon as it is.
    crate::write(&place.path("absent/x.png"), &picture(9));
    let (code, done, rejects) = run(b"absent/x.png\n");
    assert_eq!((code, done, rejects.len()), (0, 1.into(), 0));
    assert_eq!(run(b"absent/x.png\n"), (0, 0.into(), Vec::new()));
}

#[test]
fn errors_of_a_list_name_its_line() {
    let place = photos();
    let ingest = |list| ["ingest", "db", "--progress", "none", "--list", list];
    crate::write(&place.path("nul.txt"), b"3.png\nphotos/1.png\0photos/2.png\n");
    place.fails(1, "nul.txt, line 2: a NUL byte; -0 reads", &ingest("nul.txt"));
    crate::write(&place.path("long.txt"), &[b"3.png\n", &[b'x'; 70_000][..]].concat());
    place.fails(1, "long.txt, line 2: more than 65536 bytes", &ingest("long.txt"));
    place.fails(1, "cannot read absent.txt: ", &ingest("absent.txt"));
    place.fails(1, "cannot read photos", &ingest("photos"));
    let missing = [&ingest("3.txt")[..], &["--delete-missing"]].concat();
    assert_eq!(place.run(&missing).code, Some(2));
    assert_eq!(place.run(&["ingest", "db"]).code, Some(2), "nothing to read");
    assert_eq!(keys_of(&place), Vec::<String>::new());
}

/// A Parquet file of three pictures as Hugging Face writes them, the last of them null.
fn hugging_face(place: &Place, name: &str) {
    let pictures = [Some(picture(1)), Some(picture(2)), None];
    let bytes: ArrayRef = Arc::new(BinaryArray::from_iter(pictures));
    let paths: ArrayRef = Arc::new(StringArray::from(vec![Some("1.png"), None, None]));
    let binary = Arc::new(Field::new("bytes", DataType::Binary, true));
    let utf8 = Arc::new(Field::new("path", DataType::Utf8, true));
    let images: ArrayRef = Arc::new(StructArray::from(vec![(binary, bytes), (utf8, paths)]));
    let labels: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None, Some(9)]));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["one", "two", "three"]));
    place.parquet(name, &[("label", labels), ("img", images), ("name", names)]);
}

#[test]
fn images_in_parquet_become_records_with_columns_as_values() {
    let place = Place::empty();
    hugging_face(&place, "p.parquet");
    place.ok(&["create", "db"]);
    let ingest = ["ingest", "db", "p.parquet", "--progress", "none"];
    let ran = place.run(&ingest);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert!(ran.stderr.contains("rejected p.parquet/2: its image is null"), "{}", ran.stderr);
    assert_eq!(keys_of(&place), ["p.parquet/0", "p.parquet/1"]);
    assert_eq!(ingested(&place, &["p.parquet"]), 0, "what is done is passed over");
    let named = ["--key-column", "name", "--value-columns", "label,name"];
    let ran = place.run(&[&ingest[..], &named, &["--update"]].concat());
    assert!(
        ran.code == Some(0) && ran.stderr.contains("keep what they hold, of another"),
        "{}",
        ran.stderr
    );
    assert_eq!(keys_of(&place), ["p.parquet/0", "p.parquet/1"], "it did not change");
    let ran = place.run(&[&ingest[..], &named, &["--again", "--delete-missing"]].concat());
    assert!(ran.code == Some(4) && ran.stdout.contains("deleted 2 records"), "{}", ran.stdout);
    assert_eq!(keys_of(&place), ["p.parquet/one", "p.parquet/two"]);
    let value = |key: &str| place.ok(&["get", "db", &format!("p.parquet/{key}"), "--value"]);
    assert_eq!(value("one"), r#"{"label":7,"name":"one"}"#);
    assert_eq!(value("two"), r#"{"label":null,"name":"two"}"#);
}

#[test]
fn pictures_in_parquet_are_found_again_for_a_sheet() {
    let place = Place::empty();
    hugging_face(&place, "p.parquet");
    place.ok(&["create", "db"]);
    let ingest = ["ingest", "db", "p.parquet", "--progress", "none"];
    place.run(&[&ingest[..], &["--key-column", "name", "--image-column", "img"]].concat());
    let grey = || {
        place.ok(&["query", "db", "--key", "p.parquet/two", "--sheet", "sheet.png"]);
        let sheet = image::load_from_memory(&crate::read(&place.path("sheet.png"))).unwrap();
        sheet.to_rgb8().pixels().filter(|pixel| pixel.0 == [224, 224, 224]).count()
    };
    assert_eq!(grey(), 0);
    crate::write(&place.path("p.parquet"), b"no Parquet any more");
    assert!(grey() > 10_000, "pictures that are gone are grey tiles");
}

#[test]
fn parquet_without_images_is_refused_by_its_columns_and_passed_over_in_a_folder() {
    let place = Place::empty();
    let urls: ArrayRef = Arc::new(StringArray::from(vec!["http://x"]));
    let sizes: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    crate::write(&place.path("f/1.png"), &picture(1));
    place.parquet("f/meta.parquet", &[("url", urls), ("size", sizes)]);
    crate::write(&place.path("f/cut.parquet"), b"PAR1 and nothing else");
    place.ok(&["create", "db"]);
    let refused = |arguments: &[&str], words: &str| {
        let ran = place.run(&[&["ingest", "db", "--progress", "none"], arguments].concat());
        assert_eq!(ran.code, Some(4), "{}", ran.stderr);
        assert!(ran.stderr.contains(words), "{}", ran.stderr);
    };
    refused(&["f"], "rejected f/cut.parquet: the rest of the archive is lost: ");
    assert_eq!(keys_of(&place), ["f/1.png"]);
    let words = "f/meta.parquet: it has no column image of images; its columns are url (Utf8), size (Int64)";
    refused(&["f/meta.parquet"], words);
    let words = "column url: its type is Utf8, expected binary or a struct with a field bytes";
    // Of another column it is tried without being told to.
    refused(&["f/meta.parquet", "--image-column", "url"], words);
    let words = "it has no column absent; its columns are url (Utf8), size (Int64)";
    refused(&["f/meta.parquet", "--image-column", "absent", "--retry-rejects"], words);
    // The right one, once it is there.
    hugging_face(&place, "f/meta.parquet");
    let ran = place.run(&["ingest", "db", "f/meta.parquet", "--image-column", "img"]);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert_eq!(keys_of(&place), ["f/1.png", "f/meta.parquet/0", "f/meta.parquet/1"]);
    place.ok(&["ingest", "db", "f/meta.parquet", "--image-column", "img", "--rejects", "left"]);
    let left = String::from_utf8(crate::read(&place.path("left"))).unwrap();
    assert!(left.lines().count() == 1 && left.contains("its image is null"), "{left}");
    // A column that was asked for and is missing is a reject in a folder too: there are images.
    let ran = place.run(&["ingest", "db", "f", "--value-columns", "lable", "--retry-rejects"]);
    let words =
        "rejected f/meta.parquet: it has no column lable; its columns are label (Int64), img";
    assert!(ran.code == Some(4) && ran.stderr.contains(words), "{}", ran.stderr);
    // One that holds no images any more leaves nothing behind.
    let sizes: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    place.parquet("f/meta.parquet", &[("size", sizes)]);
    let gone = ["ingest", "db", "f", "--update", "--delete-missing", "--rejects", "left", "--json"];
    place.run(&gone);
    assert_eq!(keys_of(&place), ["f/1.png"]);
    let left = String::from_utf8(crate::read(&place.path("left"))).unwrap();
    assert!(left.lines().count() == 1 && left.contains("f/cut.parquet"), "{left}");
}
