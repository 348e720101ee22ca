//! What an ingest stores with each record on request, and where it is shown.
#![expect(clippy::disallowed_methods, reason = "a test removes its own files")]

use std::process::Stdio;

use serde_json::Value;

use crate::Place;
use crate::archives::{file, picture};
use crate::images::photos;

const INGEST: [&str; 5] = ["ingest", "db", "photos", "--progress", "none"];

fn stored(place: &Place, key: &str) -> Value {
    serde_json::from_str(&place.ok(&["get", "db", key, "--value"])).unwrap()
}

#[test]
fn facts_are_shown_with_a_record_and_with_results() {
    let place = photos(3);
    crate::write(&place.path("photos/broken.png"), b"\x89PNG no picture");
    let ran = place.run(&[&INGEST[..], &["--store", "all", "--thumbnail", "20"]].concat());
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let image = &stored(&place, "photos/1.png")["image"];
    let path = place.path("photos/1.png").canonicalize().unwrap();
    assert_eq!(image["path"], path.to_str().unwrap());
    assert_eq!((&image["width"], &image["height"]), (&48.into(), &40.into()));
    let bytes = crate::read(&place.path("photos/1.png"));
    assert_eq!(image["size"], bytes.len());
    assert_eq!(image["hash"].as_str().unwrap().len(), 64);

    let shown = place.ok(&["get", "db", "photos/1.png"]);
    for words in ["width      48 pixels", "height     40 pixels", "thumbnail  20 x 17 pixels, "] {
        assert!(shown.contains(words), "{shown}");
    }
    let record = &place.json(&["get", "db", "photos/1.png"])[0];
    assert_eq!(record["image"]["hash"], image["hash"]);
    assert!(record["image"]["thumbnail"]["bytes"].as_u64().unwrap() > 300, "{record}");
    let jpeg = place.command().args(["get", "db", "photos/1.png", "--thumbnail"]).output().unwrap();
    let small = image::load_from_memory(&jpeg.stdout).unwrap();
    assert_eq!((small.width(), small.height()), (20, 17));

    let found = &place.json(&["query", "db", "photos/1.png", "--stored", "-k", "1"])[0];
    assert_eq!(&found["results"][0]["image"], image);
    let plain = &place.json(&["query", "db", "photos/1.png", "-k", "1"])[0];
    assert!(plain["results"][0]["image"].is_null());
    let table = place.ok(&["query", "db", "--key", "photos/1.png", "--stored", "-k", "1"]);
    assert!(table.contains("width") && table.contains(" 48 "), "{table}");
    place.ok(&["put", "db", "by-hand", "--image", "photos/1.png", "--value", "x"]);
    place.fails(1, "no thumbnail is stored with by-hand", &["get", "db", "by-hand", "--thumbnail"]);
    place.ok(&["query", "db", "photos/1.png", "--stored", "-k", "4"]);
    assert!(place.run(&["get", "db", "photos/broken.png"]).code == Some(1));
}

#[test]
fn records_that_are_there_keep_what_they_hold() {
    let place = photos(2);
    place.ok(&[&INGEST[..], &["--store", "size,width"]].concat());
    let ran = place.run(&[&INGEST[..], &["--store", "hash", "--json"]].concat());
    let words = "2 files and shards that are done keep what they hold";
    assert!(ran.code == Some(0) && ran.stderr.contains(words), "{}", ran.stderr);
    assert_eq!(crate::objects(&ran.stdout)[0]["stored_otherwise"], 2);
    assert!(stored(&place, "photos/0.png")["image"]["hash"].is_null());
    place.ok(&[&INGEST[..], &["--store", "hash", "--again"]].concat());
    let image = &stored(&place, "photos/0.png")["image"];
    assert!(image["size"].is_null() && image["hash"].is_string(), "{image}");
}

#[test]
fn a_choice_that_makes_no_sense_is_refused_before_anything_is_done() {
    let place = photos(1);
    for (words, arguments) in [
        ("it takes path, size, width", &["--store", "colour"][..]),
        ("it takes path, size, width", &["--store", "size,,width"]),
        ("it takes path, size, width", &["--store", ""]),
        ("--store <FACTS>", &["--thumbnail", "64"]),
        ("513", &["--store", "thumbnail", "--thumbnail", "513"]),
        ("'0'", &["--store", "thumbnail", "--thumbnail", "0"]),
        ("what --store thumbnail stores", &["--store", "size", "--thumbnail", "64"]),
        ("rename the column", &["--store", "size", "--value-columns", "label,image"]),
    ] {
        let ran = place.run(&[&INGEST[..], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
    assert_eq!(place.json(&["info", "db"])[0]["records"], 0);
}

#[test]
fn a_sheet_shows_the_thumbnail_of_a_picture_that_is_gone() {
    let grey = |store: &[&str]| {
        let place = photos(3);
        place.ok(&[&INGEST[..], store].concat());
        for number in 0..3 {
            std::fs::remove_file(place.path(&format!("photos/{number}.png"))).unwrap();
        }
        place.ok(&["query", "db", "--key", "photos/1.png", "--sheet", "sheet.png"]);
        let sheet = image::load_from_memory(&crate::read(&place.path("sheet.png"))).unwrap();
        sheet.to_rgb8().pixels().filter(|pixel| pixel.0 == [224, 224, 224]).count()
    };
    assert!(grey(&[]) > 10_000, "pictures that are gone are grey tiles");
    assert!(grey(&["--store", "thumbnail"]) < 1000);
}

#[test]
fn an_ingest_that_stores_facts_and_was_killed_ends_like_one_that_was_not() {
    let place = Place::empty();
    let sample = |number: u8| {
        let name = |ending: &str| format!("{number}.{ending}").into_bytes();
        [file(&name("png"), &picture(number)), file(&name("txt"), b"a caption")].concat()
    };
    let mut shard: Vec<u8> = (0..80).flat_map(sample).collect();
    shard.extend([0; 1024]);
    crate::write(&place.path("s.tar"), &shard);
    let store = ["s.tar", "--siblings", "--store", "all", "--progress", "none"];
    for db in ["whole", "killed"] {
        place.ok(&["create", db]);
    }
    place.ok(&[&["ingest", "whole", "--threads", "1"][..], &store].concat());
    for wait in 0..6 {
        let mut command = place.command();
        command.args(["ingest", "killed"]).args(store);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(70 * wait));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    place.ok(&[&["ingest", "killed", "--threads", "3"][..], &store].concat());
    assert_eq!(place.digest("killed"), place.digest("whole"));
    let value = place.ok(&["get", "killed", "s.tar/7.png", "--value"]);
    assert!(value.contains(r#""entry":"7.png""#) && value.contains(r#""txt":"a caption""#));
}
