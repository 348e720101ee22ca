//! Multiple semantic hashing by the command: patch addresses of pictures stored, searched, shown and carried along.

use std::process::Stdio;
use std::sync::OnceLock;

use hashdb::model::{Autoencoder, DeviceChoice};
use hashdb::{Database, Options, Readable as _, Record, WriteBatch, WriteOptions};
use serde_json::Value;

use crate::tables::FORMATS;
use crate::training::{QUICK, SMALL, photos};
use crate::{Place, keys, objects};

const INGEST: [&str; 5] = ["ingest", "db", "photos", "--progress", "none"];

/// Encoders that learn in a moment, with codes of 64 bits and addresses of 8: without a patch net, with one, and
/// with one of 12 bits. They are trained once for all tests.
fn encoders() -> &'static [Vec<u8>; 3] {
    static TRAINED: OnceLock<[Vec<u8>; 3]> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let place = photos();
        place.ok(&[&["train", "photos", "--out", "plain"], &SMALL[..]].concat());
        let train = ["train", "photos", "--preset", "kh2011-patch", "--base", "plain", "--out"];
        let layers = ["net", "--places", "2", "--patch-layers", "16,8"];
        place.ok(&[&train[..], &layers, &QUICK].concat());
        let [plain, net] = ["plain", "net"].map(|name| crate::read(&place.path(name)));
        let wide = Autoencoder::from_bytes(&plain, DeviceChoice::Cpu).unwrap();
        let wide = wide.with_random_patches(&[16, 12], 1).unwrap().to_bytes().unwrap();
        [plain, net, wide]
    })
}

/// Forty pictures, and an empty database `db` of the encoder with a patch net.
fn place() -> Place {
    let place = photos();
    let names = ["plain", "net", "wide"];
    for (name, weights) in names.iter().zip(encoders()) {
        crate::write(&place.path(name), weights);
    }
    place.ok(&["create", "db", "--encoder", "net"]);
    place
}

/// The same with the pictures in it.
fn filled() -> Place {
    let place = place();
    place.ok(&[&INGEST[..], &["--patches"]].concat());
    place
}

fn records(place: &Place, db: &str) -> Vec<Record> {
    let db = Database::open_read_only(place.path(db), Options::new()).unwrap();
    db.iter().map(Result::unwrap).collect()
}

/// How many patch addresses a record has.
fn patches(place: &Place, db: &str, key: &str) -> usize {
    let shown = &place.json(&["get", db, key])[0];
    shown["patches"].as_array().map_or(0, Vec::len)
}

/// What a record scores, by its definition.
fn score(query: &Record, record: &Record, radius: u32, every: bool) -> u32 {
    let of_patch = |patch: u32| {
        let near = record.patches.iter().map(|own| (patch ^ own.value()).count_ones());
        let worth = near.filter(|near| *near <= radius).map(|near| 1 << (radius - near));
        if every { worth.sum() } else { worth.max().unwrap_or(0) }
    };
    query.patches.iter().map(|patch| of_patch(patch.value())).sum()
}

/// Keys and scores of all records that score anything, the highest first.
fn by_patches(records: &[Record], key: &str, radius: u32, every: bool) -> Vec<(String, u32)> {
    let query = records.iter().find(|record| record.key == key.as_bytes()).unwrap();
    let scored = records.iter().map(|record| (score(query, record, radius, every), record));
    let mut scored: Vec<_> = scored.filter(|(score, _)| *score > 0).collect();
    scored.sort_by_key(|(score, record)| (std::cmp::Reverse(*score), record.id));
    let named = |record: &Record| String::from_utf8(record.key.clone()).unwrap();
    scored.into_iter().map(|(score, record)| (named(record), score)).collect()
}

/// Keys and sums of ranks of all records, the least first.
fn by_both(records: &[Record], key: &str, weights: (f64, f64)) -> Vec<(String, f64)> {
    let query = records.iter().find(|record| record.key == key.as_bytes()).unwrap();
    let scores: Vec<_> = records.iter().map(|record| score(query, record, 3, false)).collect();
    let bits = |record: &Record| -> u32 {
        let pairs = query.code.as_bytes().iter().zip(record.code.as_bytes());
        pairs.map(|(left, right)| (left ^ right).count_ones()).sum()
    };
    let distances: Vec<_> = records.iter().map(bits).collect();
    let rank = |better: usize| f64::from(u32::try_from(better + 1).unwrap());
    let mut ranked: Vec<_> = records
        .iter()
        .enumerate()
        .map(|(at, record)| {
            let higher = scores.iter().filter(|score| **score > scores[at]).count();
            let nearer = distances.iter().filter(|other| **other < distances[at]).count();
            (weights.0 * rank(higher) + weights.1 * rank(nearer), record)
        })
        .collect();
    ranked.sort_by(|(left, a), (right, b)| left.total_cmp(right).then(a.id.cmp(&b.id)));
    let named = |record: &Record| String::from_utf8(record.key.clone()).unwrap();
    ranked.into_iter().map(|(sum, record)| (named(record), sum)).collect()
}

fn results<T>(answer: &Value, take: impl Fn(&Value) -> T) -> Vec<(String, T)> {
    let results = answer["results"].as_array().unwrap().iter();
    results.map(|hit| (hit["key"].as_str().unwrap().to_owned(), take(hit))).collect()
}

#[test]
fn patches_of_pictures_are_stored_and_found_by_their_definition() {
    let place = filled();
    let stats = &place.json(&["stats", "db"])[0];
    assert_eq!((&stats["patched_records"], &stats["patches"]), (&40.into(), &3240.into()));
    let shown = place.ok(&["get", "db", "photos/07.png"]);
    assert!(shown.contains("patches  81"), "{shown}");
    for state in ["pending", "in a segment"] {
        let records = records(&place, "db");
        for key in ["photos/07.png", "photos/31.png"] {
            let ask = |more: &[&str]| {
                let query = ["query", "db", key, "--patches", "-k", "40"];
                place.json(&[&query[..], more].concat()).remove(0)
            };
            let alone = |hit: &Value| {
                assert!(hit["distance"].is_null() && hit["rank_sum"].is_null());
                u32::try_from(hit["score"].as_u64().unwrap()).unwrap()
            };
            let found = ask(&["--weights", "1,0"]);
            assert_eq!((&found["plan"], &found["exact"]), (&"patches".into(), &true.into()));
            assert_eq!(results(&found, alone), by_patches(&records, key, 3, false), "{state}");
            let found = ask(&["--weights", "1,0", "--counting", "every", "--radius", "1"]);
            assert_eq!(results(&found, alone), by_patches(&records, key, 1, true), "{state}");
            let sum = |hit: &Value| {
                assert!(hit["distance"].is_u64() && hit["score"].is_u64());
                hit["rank_sum"].as_f64().unwrap()
            };
            assert_eq!(results(&ask(&[]), sum), by_both(&records, key, (1.0, 1.0)), "{state}");
            let found = ask(&["--weights", "0.5,2"]);
            assert_eq!(results(&found, sum), by_both(&records, key, (0.5, 2.0)), "{state}");
            // The record's own patches are those of its picture.
            let own = ["query", "db", "--key", key, "--patches", "-k", "40"];
            assert_eq!(place.json(&own)[0]["results"], ask(&[])["results"]);
        }
        place.ok(&["compact", "db"]);
    }
    let stats = &place.json(&["stats", "db"])[0];
    assert_eq!(stats["patched_records"], 40);
    assert!(stats["patch_bytes"].as_u64().unwrap() >= 3240 * 8, "{stats}");
    let shown = place.ok(&["stats", "db"]);
    assert!(shown.contains("with patches") && shown.contains("patch bytes"), "{shown}");
    assert!(place.ok(&["check", "db"]).starts_with("no damage"));
}

#[test]
fn several_pictures_are_answered_in_one_call_and_drawn_and_explained() {
    let place = filled();
    place.ok(&["compact", "db"]);
    let many = ["query", "db", "photos/01.png", "photos/02.png", "photos/03.png", "--patches"];
    let answers = place.json(&[&many[..], &["-k", "3"]].concat());
    for (answer, key) in answers.iter().zip(["photos/01.png", "photos/02.png", "photos/03.png"]) {
        let alone = &place.json(&["query", "db", key, "--patches", "-k", "3"])[0];
        assert_eq!((&answer["query"], &answer["results"]), (&key.into(), &alone["results"]));
        assert!(answer["explain"].is_null());
    }
    let sheet = ["--sheet", "sheet.png", "--explain", "--filter-prefix", "photos/0"];
    let explained = place.json(&[&many[..], &sheet].concat());
    assert!(crate::read(&place.path("sheet.png")).starts_with(b"\x89PNG"));
    assert!(keys(&explained[2]).iter().all(|key| key.starts_with("photos/0")));
    let source = &explained[2]["explain"][0];
    assert_eq!((&source["rows"], &source["plan"]), (&40.into(), &"patches".into()));
    assert!(source["segment"].is_u64() && source["micros"].as_f64().unwrap() > 0.0, "{source}");
    let table = place.ok(&[&many[..], &["--explain"]].concat());
    for word in ["rank sum", "score", "distance", "segment ", "(patches, exact, "] {
        assert!(table.contains(word), "{word}: {table}");
    }
    let alone = place.ok(&["query", "db", "photos/01.png", "--patches", "--weights", "1,0"]);
    assert!(!alone.contains("distance") && alone.contains("score"), "{alone}");
    let text = place.run(&["query", "db", "photos/01.png", "plain", "--patches", "--json"]);
    assert_eq!((text.code, objects(&text.stdout).len()), (Some(4), 1), "{}", text.stderr);
}

#[test]
fn an_ingest_of_patches_ends_the_same_with_any_threads_and_however_often_it_was_killed() {
    let place = filled();
    for (db, threads) in [("one", "1"), ("killed", "3")] {
        place.ok(&["create", db, "--encoder", "net"]);
        let ingest = ["ingest", db, "photos", "--patches", "--threads", threads, "--batch", "4"];
        let ingest = [&ingest[..], &["--progress", "none"]].concat();
        for wait in 0..if db == "killed" { 6 } else { 0 } {
            let mut command = place.command();
            command.args(&ingest).stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = command.spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(40 * wait));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        place.ok(&ingest);
        assert_eq!(place.digest(db), place.digest("db"), "{db}");
        assert_eq!(place.json(&["stats", db])[0]["patched_records"], 40);
    }
}

#[test]
fn what_earlier_ingests_did_goes_on_until_the_user_says_otherwise() {
    let place = filled();
    let digest = place.digest("db");
    let told = "patch addresses are stored too, as by earlier ingests; --no-patches leaves them";
    let again = place.run(&[&INGEST[..], &["--again", "--json"]].concat());
    assert!(again.code == Some(0) && again.stderr.contains(told), "{}", again.stderr);
    assert_eq!(objects(&again.stdout)[0]["patches"], 81);
    assert_eq!(place.digest("db"), digest, "a picture that is read again keeps its patches");

    // Another picture under the same key has other patches.
    place.shell("cp photos/09.png photos/08.png");
    place.ok(&[&INGEST[..], &["--update"]].concat());
    let of = |key: &str| place.json(&["get", "db", key])[0]["patches"].clone();
    assert_eq!(of("photos/08.png"), of("photos/09.png"));
    place.ok(&["put", "db", "by-hand", "--image", "photos/11.png"]);
    assert_eq!(of("by-hand"), of("photos/11.png"));

    // Without patches what is done keeps them, and the run says so; what is read anew has none.
    let without = [&INGEST[..], &["--no-patches", "--json"]].concat();
    let ran = place.run(&without);
    let words =
        "40 files and shards that are done keep what they hold, of another --store, --patches";
    assert!(ran.stderr.contains(words) && !ran.stderr.contains(told), "{}", ran.stderr);
    assert_eq!(objects(&ran.stdout)[0]["stored_otherwise"], 40);
    assert_eq!(patches(&place, "db", "photos/07.png"), 81);
    place.ok(&[&without[..], &["--again"]].concat());
    assert_eq!(patches(&place, "db", "photos/07.png"), 0);
    let stats = &place.json(&["stats", "db"])[0];
    assert_eq!(stats["patched_records"], 1, "the one by hand");
    place.fails(
        1,
        "the record with key photos/07.png in db has no patch addresses",
        &["query", "db", "--key", "photos/07.png", "--patches"],
    );
    let back = place.run(&[&INGEST[..], &["--patches"]].concat());
    assert!(back.stderr.contains(words), "{}", back.stderr);
    // A file that changed in its time alone keeps its record; what is read anew has what is wanted now.
    place.shell("touch photos/07.png");
    for (how, count) in [("--update", 0), ("--again", 81)] {
        place.ok(&[&INGEST[..], &["--patches", how]].concat());
        assert_eq!(patches(&place, "db", "photos/07.png"), count, "{how}");
    }
}

#[test]
fn what_cannot_be_is_one_clear_error_before_anything_is_written() {
    let place = place();
    let image = "photos/01.png";
    let ask = |db: &'static str| ["query", db, image, "--patches"];
    place.fails(1, "no record of db has patch addresses; hashdb ingest --patches", &ask("db"));
    for (db, encoder, words) in [
        ("a", "plain", "the encoder of a has no patch net; hashdb train --preset kh2011-patch"),
        ("b", "kmeans-itq", "the encoder of b has no patch net"),
        ("c", "wide", "the patch net of the encoder of c gives addresses of 12 bits, expected 8"),
    ] {
        place.ok(&["create", db, "--encoder", encoder]);
        place.fails(1, words, &["ingest", db, "photos", "--patches"]);
        place.fails(1, words, &ask(db));
        assert_eq!(place.json(&["info", db])[0]["records"], 0);
        let ran = place.run(&["ingest", db, "photos/01.png", "--progress", "none"]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "nothing was noted");
    }
    place.ok(&["create", "d", "--encoder", "none"]);
    place.fails(1, "d has no encoder", &ask("d"));

    // Records of another number of patches, as another release may store them.
    let db = Database::open(place.path("db"), Options::new()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put_note(b"ingest/patches", b"64");
    db.write(batch, WriteOptions::default()).unwrap();
    drop(db);
    let words = "the records of db have 64 patch addresses a picture, this hashdb computes 81";
    for arguments in [&INGEST[..], &[&INGEST[..], &["--patches"]].concat(), &ask("db")] {
        place.fails(1, words, arguments);
    }
    place.ok(&[&INGEST[..], &["--no-patches"]].concat());

    for (words, arguments) in [
        ("cannot be used with", &["--patches", "--mode", "knn"][..]),
        ("cannot be used with", &["--patches", "--ball", "3"]),
        ("cannot be used with", &["--patches", "--recall", "0.9"]),
        ("--patches", &["--counting", "every"]),
        ("--patches", &["--weights", "1,1"]),
        ("two numbers with a comma", &["--patches", "--weights", "1"]),
        ("two numbers with a comma", &["--patches", "--weights", "0,0"]),
        ("two numbers with a comma", &["--patches", "--weights=-1,1"]),
        ("two numbers with a comma", &["--patches", "--weights", "NaN,1"]),
        ("two numbers with a comma", &["--patches", "--weights", "inf,1"]),
        ("-k does not go with --radius", &["-k", "3", "--radius", "3"]),
    ] {
        let ran = place.run(&[&["query", "db", image], arguments].concat());
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(words), "{arguments:?}: {}", ran.stderr);
    }
    let code = ["query", "db", "--code", "0000000000000000", "--patches"];
    assert_eq!(place.run(&code).code, Some(2));
    assert_eq!(place.run(&[&INGEST[..], &["--patches", "--no-patches"]].concat()).code, Some(2));
}

#[test]
fn a_radius_beyond_the_largest_and_a_net_of_another_width_are_refused() {
    let place = filled();
    let train = ["train", "photos", "--preset", "kh2011-patch", "--base", "plain", "--out", "o"];
    let words = "--patch-layers has to end with 8, the bits of the encoder's addresses";
    place.fails(2, words, &[&train[..], &["--patch-layers", "16,12"]].concat());
    let ask = ["query", "db", "photos/01.png", "--patches", "--radius"];
    place.fails(1, "patch radius must be 0 to 8, not 9", &[&ask[..], &["9"]].concat());
}

#[test]
fn a_load_of_a_dump_has_the_patches_in_every_format() {
    let place = filled();
    // One without, so that not all lists are alike.
    place.ok(&["put", "db", "none", "--code", "0000000000000000", "--address", "00"]);
    let digest = place.digest("db");
    for format in FORMATS {
        let (file, back) = (format!("t.{format}"), format!("back-{format}"));
        let dump = place.run(&["dump", "db", &file, "--progress", "none"]);
        assert_eq!((dump.code, dump.stderr.as_str()), (Some(0), ""), "{format}");
        place.ok(&["load", &back, &file, "--progress", "none"]);
        assert_eq!(place.digest(&back), digest, "{format}");
        let stats = &place.json(&["stats", &back])[0];
        assert_eq!((&stats["patched_records"], &stats["patches"]), (&40.into(), &3240.into()));
        // Equals are ordered by their ids, which a load gives anew.
        let near = |db: &str| {
            let ask = ["query", db, "--key", "photos/07.png", "--patches", "-k", "40"];
            let pair = |hit: &Value| (hit["score"].clone(), hit["rank_sum"].clone());
            let found = results(&place.json(&ask)[0], pair).into_iter();
            found.map(|(_, pair)| pair).collect::<Vec<_>>()
        };
        assert_eq!(near(&back), near("db"), "{format}");
    }
}
