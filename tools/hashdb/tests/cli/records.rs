//! Everything that needs no picture.

use crate::{Place, keys, objects};

/// Names of files are bytes, and so are the keys that an ingest makes of them.
#[test]
fn keys_that_are_no_text_can_be_named() {
    let place = Place::with_records();
    let ran = place.shell(
        r#"key=$(printf 'p\377.png'); $HASHDB put db "$key" --code a5a5a5a5a5a5a5a5 --address 0001 &&
        $HASHDB get db "$key" --json && $HASHDB query db --key "$key" -k 1 --json &&
        $HASHDB query db --code 0000000000000000 --filter-prefix "$(printf 'p\377')" -k 9 --json &&
        $HASHDB delete db "$key" --json; $HASHDB get db "$key""#,
    );
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.is_one_sentence_with("there is no record with key p\u{fffd}.png in db");
    let answers: Vec<_> = ran.stdout.lines().skip(1).collect();
    assert!(answers[0].contains(r#""key_hex":"70ff2e706e67""#), "{}", ran.stdout);
    let [named, filtered, deleted] = [1, 2, 3].map(|line| objects(answers[line]).remove(0));
    assert_eq!(named["results"][0]["key_hex"], "70ff2e706e67");
    assert_eq!(filtered["results"].as_array().unwrap().len(), 1);
    assert_eq!(deleted["deleted"], 1);
}

#[test]
fn create_says_what_it_made_and_info_repeats_it() {
    let place = Place::empty();
    let created = &place.json(&["create", "db", "--encoder", "none", "--code-bits", "128"])[0];
    assert_eq!((&created["code_bits"], &created["address_bits"]), (&128.into(), &28.into()));
    assert!(created["encoder"].is_null());
    let info = &place.json(&["info", "db"])[0];
    assert_eq!(info["database_id"], created["database_id"]);
    assert_eq!((&info["format"], &info["records"]), (&1.into(), &0.into()));
    assert!(place.ok(&["info", "db"]).contains("128 bits"));
}

#[test]
fn the_default_encoder_decides_the_widths() {
    let place = Place::empty();
    let created = &place.json(&["create", "db"])[0];
    assert_eq!((&created["code_bits"], &created["address_bits"]), (&256.into(), &28.into()));
    assert_eq!(created["encoder"].as_str().unwrap().len(), 32);
    place.ok(&["create", "agreeing", "--code-bits", "256", "--address-bits", "28"]);
    place.fails(2, "--code-bits 64 contradicts", &["create", "other", "--code-bits", "64"]);
    assert!(!place.path("other").exists());
}

#[test]
fn put_get_and_delete_keep_a_record() {
    let place = Place::with_records();
    let record = &place.json(&["get", "db", "b"])[0];
    assert_eq!((&record["id"], &record["value_bytes"]), (&1.into(), &6.into()));
    assert_eq!((&record["address"], &record["code"]), (&"0001".into(), &"00000000000000ff".into()));
    assert!(record.get("value").is_none());
    assert_eq!(place.ok(&["get", "db", "b", "--value"]), "second");
    assert_eq!(place.json(&["get", "db", "b", "--value"])[0]["value"], "second");

    let again = ["put", "db", "b", "--code", "00000000000000fe", "--address", "0001"];
    assert_eq!(place.json(&again)[0], serde_json::json!({ "inserted": 0, "replaced": 1 }));
    assert_eq!(place.ok(&["get", "db", "b", "--value"]), "");

    let deleted = &place.json(&["delete", "db", "b", "zebra"])[0];
    assert_eq!(*deleted, serde_json::json!({ "deleted": 1, "absent": 1 }));
    place.fails(1, "there is no record with key b in db", &["get", "db", "b"]);
}

#[test]
fn values_come_from_files_byte_for_byte() {
    let place = Place::with_records();
    crate::write(&place.path("value"), b"\x00\xff\n");
    let codes = ["--code", "0000000000000000", "--address", "0000"];
    place.ok(&[&["put", "db", "v", "--value-file", "value"], &codes[..]].concat());
    assert_eq!(place.json(&["get", "db", "v", "--value"])[0]["value_hex"], "00ff0a");
    let both = ["put", "db", "v", "--value-file", "value", "--value", "x"];
    assert_eq!(place.run(&[&both[..], &codes].concat()).code, Some(2));
}

#[test]
fn scan_lists_records_by_address() {
    let place = Place::with_records();
    let listed = place.json(&["scan", "db"]);
    let order: Vec<_> = listed.iter().map(|row| row["key"].as_str().unwrap()).collect();
    assert_eq!(order, ["a", "b", "c"]);
    assert_eq!(place.json(&["scan", "db", "--from", "0001", "--limit", "1"])[0]["key"], "b");
    assert_eq!(place.ok(&["scan", "db"]).lines().count(), 4);
    place.fails(1, "must be 4 hexadecimal digits", &["scan", "db", "--from", "1"]);
}

#[test]
fn queries_answer_by_code_by_key_and_by_ball() {
    let place = Place::with_records();
    let nearest = &place.json(&["query", "db", "--code", "0000000000000001", "-k", "2"])[0];
    assert_eq!(nearest["query"], "0000000000000001");
    assert_eq!((&nearest["plan"], &nearest["exact"]), (&"scan".into(), &true.into()));
    assert!(nearest["micros"].is_u64());
    let expected = serde_json::json!([
        { "key": "a", "id": 0, "distance": 1 },
        { "key": "b", "id": 1, "distance": 7 },
    ]);
    assert_eq!(nearest["results"], expected);

    assert_eq!(keys(&place.json(&["query", "db", "--key", "c"])[0]), ["c", "b", "a"]);
    assert_eq!(keys(&place.json(&["query", "db", "--key", "a", "--radius", "8"])[0]), ["a", "b"]);
    let ball = &place.json(&["query", "db", "--key", "a", "--ball", "1"])[0];
    assert_eq!((keys(ball), &ball["exact"]), (vec!["a", "b"], &false.into()));
    let code = ["query", "db", "--code", "0000000000000001", "--ball", "1"];
    place.fails(2, "--address HEX", &code);
    assert_eq!(keys(&place.json(&[&code[..], &["--address", "0001"]].concat())[0]), ["a", "b"]);
    assert!(place.ok(&["query", "db", "--key", "a"]).contains("distance"));
}

#[test]
fn contradicting_arguments_are_usage_errors() {
    let place = Place::with_records();
    for arguments in [
        &["query", "db"][..],
        &["query", "db", "--key", "a", "--ball", "1", "--exact"],
        &["query", "db", "--key", "a", "--ball", "1", "--radius", "1"],
        &["query", "db", "--key", "a", "picture.png"],
        &["put", "db", "k"],
        &["put", "db", "k", "--code", "0000000000000000"],
        &["frobnicate"],
    ] {
        assert_eq!(place.run(arguments).code, Some(2), "{arguments:?}");
    }
}

#[test]
fn stats_check_and_compact_report_a_sound_database() {
    let place = Place::with_records();
    place.ok(&["compact", "db"]);
    place.ok(&["delete", "db", "c"]);
    let stats = &place.json(&["stats", "db"])[0];
    assert_eq!((&stats["records"], &stats["deleted_rows"]), (&2.into(), &1.into()));
    assert!(!stats["simd"].as_str().unwrap().is_empty());
    let compacted = &place.json(&["compact", "db"])[0];
    assert_eq!((&compacted["segments"], &compacted["records"]), (&1.into(), &2.into()));
    let report = &place.json(&["check", "db"])[0];
    assert_eq!((&report["clean"], &report["segment_rows"]), (&true.into(), &2.into()));
    assert!(place.ok(&["stats", "db"]).contains("distances by"));
    assert!(place.ok(&["check", "db"]).starts_with("no damage"));
}

#[test]
fn completions_name_every_subcommand() {
    let script = Place::empty().ok(&["completions", "bash"]);
    for name in ["create", "ingest", "query", "check", "compact"] {
        assert!(script.contains(name), "{name}");
    }
}

#[test]
fn keys_that_are_no_utf8_are_shown_in_hexadecimal() {
    use hashdb::{Address, Code, Database, Options};
    let place = Place::with_records();
    let db = Database::open(place.path("db"), Options::new()).unwrap();
    let (address, code) = (Address::new(2, 16).unwrap(), Code::from_bytes(&[3; 8]).unwrap());
    db.put(b"\xffk\x1b", address, code, b"").unwrap();
    drop(db);
    let row = &place.json(&["scan", "db", "--from", "0002", "--limit", "1"])[0];
    assert_eq!((&row["key"], &row["key_hex"]), (&"\u{fffd}k\u{1b}".into(), &"ff6b1b".into()));
    assert!(!place.ok(&["scan", "db"]).contains('\u{1b}'));
}
