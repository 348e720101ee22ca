//! What an ingest reads: values out of siblings, packed shards, patterns and lists.

use std::process::Stdio;

use crate::Place;
use crate::archives::{file, picture};

/// A shard of WebDataset samples `N.png`, `N.json` and `N.txt`.
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
    assert_eq!(ingested(&place, &["s.tar", "--siblings"]), 0, "what is done is done");
    assert_eq!(ingested(&place, &["s.tar", "--siblings", "--update"]), 3);
    let value = r#"{"json":{"n": 1},"txt":"a caption"}"#;
    assert_eq!(place.ok(&["get", "db", "s.tar/1.png", "--value"]), value);
    assert_eq!(ingested(&place, &["s.tar", "--siblings=json,cls", "--update"]), 3);
    assert_eq!(place.ok(&["get", "db", "s.tar/2.png", "--value"]), r#"{"json":{"n": 2}}"#);
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
