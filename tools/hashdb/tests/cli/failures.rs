//! Bad input and bad luck: one sentence, the right exit code, nothing lost.

use std::os::unix::fs::FileExt as _;
use std::path::Path;

use hashdb::{Database, Options};

use crate::{Place, objects};

#[test]
fn what_is_no_database_is_named() {
    let place = Place::empty();
    crate::write(&place.path("folder/file"), b"text");
    for command in ["info", "stats", "scan", "check", "compact"] {
        place.fails(1, "nowhere is not a hashdb database", &[command, "nowhere"]);
        place.fails(1, "folder is not a hashdb database", &[command, "folder"]);
        place.fails(1, "folder/file is not a hashdb database", &[command, "folder/file"]);
    }
    let way_out = "nowhere is not a hashdb database; hashdb create makes a new one";
    place.fails(1, way_out, &["ingest", "nowhere", "folder"]);
    // What is there is not made anew.
    let told = place.run(&["ingest", "folder", "folder"]).stderr;
    assert!(!told.contains("create"), "{told}");
    place.run(&["create", "db", "--encoder", "none"]);
    place.shell("rm db/SUPERBLOCK");
    place.fails(1, "hashdb repair saves what is left of it", &["info", "db"]);
    assert_eq!(place.run(&["repair", "db"]).code, Some(0));
    assert_eq!(place.run(&["info", "db"]).code, Some(0));
    place.shell("rm -r db");
    place.fails(1, "folder already exists", &["create", "folder", "--encoder", "none"]);
    let wide = ["create", "db", "--encoder", "none", "--code-bits", "100"];
    place.fails(1, "code bits must be 64 to 1024 in steps of 64, not 100", &wide);
    assert!(!place.path("db").exists());
}

#[test]
fn wrong_widths_and_keys_are_refused() {
    let place = Place::with_records();
    let wide = "00000000000000000000000000000000";
    place.fails(
        1,
        "the code has 128 bits, expected 64",
        &["put", "db", "k", "--code", wide, "--address", "0000"],
    );
    place.fails(1, "the code has 128 bits, expected 64", &["query", "db", "--code", wide]);
    place.fails(1, "hexadecimal digits only", &["query", "db", "--code", "zz00000000000000"]);
    let codes = ["--code", "0000000000000000", "--address", "0000"];
    let long = "k".repeat(4097);
    place.fails(
        1,
        "key must have 1 to 4096 bytes, not 4097",
        &[&["put", "db", &long], &codes[..]].concat(),
    );
    place.fails(1, "key must have 1 to 4096 bytes", &[&["put", "db", ""], &codes[..]].concat());
    place.fails(1, "there is no record with key zebra", &["query", "db", "--key", "zebra"]);
    assert_eq!(place.json(&["check", "db"])[0]["records"], 3);
}

#[test]
fn readers_work_beside_a_writer_and_a_second_writer_is_told() {
    let place = Place::with_records();
    let writer = Database::open(place.path("db"), Options::new()).unwrap();
    let locked = format!("db is locked by process {}", std::process::id());
    place.fails(1, &locked, &["delete", "db", "a"]);
    place.fails(1, &locked, &["compact", "db"]);
    assert_eq!(place.json(&["query", "db", "--key", "a", "-k", "1"])[0]["results"][0]["id"], 0);
    assert_eq!(place.json(&["scan", "db"]).len(), 3);
    assert_eq!(place.json(&["stats", "db"])[0]["records"], 3);
    let report = &place.json(&["check", "db"])[0];
    assert_eq!((&report["clean"], &report["read_only"]), (&true.into(), &true.into()));
    drop(writer);
    assert_eq!(place.json(&["check", "db"])[0]["read_only"], false);
}

#[test]
fn a_newer_format_is_refused_by_its_version() {
    let place = Place::with_records();
    for slot in [0, 4096] {
        overwrite(&place.path("db/SUPERBLOCK"), slot + 8, &9_u16.to_le_bytes());
    }
    for command in ["info", "scan", "check"] {
        place.fails(1, "has format version 9, this release reads versions", &[command, "db"]);
    }
}

#[test]
fn a_damaged_segment_is_found_by_check_and_never_answers() {
    let place = Place::with_records();
    place.ok(&["compact", "db"]);
    let segment = place.path("db/segments/000000000001.seg");
    let sound = crate::read(&segment);
    for at in (0..sound.len()).step_by(37) {
        overwrite(&segment, at as u64, &[sound[at] ^ 0x40]);
        let check = place.run(&["check", "db", "--json"]);
        assert_eq!(check.code, Some(3), "byte {at}: {}", check.stderr);
        let report = &objects(&check.stdout)[0];
        assert_eq!(report["clean"], false);
        let damage = report["damages"][0]["path"].as_str().unwrap();
        assert!(damage.contains("segments"), "{damage}");
        check.is_one_sentence_with("db is damaged");
        let query = place.run(&["query", "db", "--code", "0000000000000000", "--json"]);
        if query.code == Some(0) {
            assert_eq!(crate::keys(&objects(&query.stdout)[0]), ["a", "b", "c"], "byte {at}");
        } else {
            assert_eq!(query.code, Some(1));
            query.is_one_sentence_with("is damaged at byte");
        }
        overwrite(&segment, at as u64, &[sound[at]]);
    }
    assert_eq!(place.run(&["check", "db"]).code, Some(0));
}

#[test]
fn a_damaged_model_is_found_by_check() {
    let place = Place::empty();
    let created = &place.json(&["create", "db"])[0];
    let name = format!("db/models/{}.safetensors", created["encoder"].as_str().unwrap());
    let weights = crate::read(&place.path(&name));
    overwrite(&place.path(&name), weights.len() as u64 - 2000, &[0x11, 0x22, 0x11, 0x22]);
    let check = place.run(&["check", "db"]);
    assert_eq!(check.code, Some(3), "{}", check.stdout);
    assert!(check.stdout.contains(".safetensors: "), "{}", check.stdout);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Place::with_records();
    for line in [
        "\"$HASHDB\" scan db --json | head -c 1 >/dev/null; true",
        "{ \"$HASHDB\" scan db; echo $? >code; } | true; [ \"$(cat code)\" = 0 ]",
        "{ sleep 0.2; \"$HASHDB\" completions bash; echo $? >code; } | true; [ \"$(cat code)\" = 0 ]",
    ] {
        let ran = place.shell(line);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{line}");
    }
}

#[test]
fn a_full_disk_under_standard_output_is_an_error() {
    if !Path::new("/dev/full").exists() {
        eprintln!("SKIPPED a_full_disk_under_standard_output_is_an_error: no /dev/full");
        return;
    }
    let ran = Place::with_records().shell("\"$HASHDB\" scan db >/dev/full");
    assert_eq!(ran.code, Some(1));
    ran.is_one_sentence_with("cannot write to standard output: ");
}

#[test]
fn a_write_beyond_the_space_is_an_error_and_loses_nothing() {
    let place = Place::with_records();
    crate::write(&place.path("value"), &vec![7; 4 << 20]);
    // A limit on the length of files stands for a full disk: 512 blocks are 256 or 512 KiB.
    let ran = place.shell(
        "ulimit -f 512; exec \"$HASHDB\" put db big --code 0000000000000000 --address 0000 \
         --value-file value",
    );
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.is_one_sentence_with("db");
    let report = &place.json(&["check", "db"])[0];
    assert_eq!(report["clean"], true);
    assert_eq!(place.ok(&["get", "db", "b", "--value"]), "second");
    assert_eq!(place.run(&["get", "db", "big"]).code, Some(1));
}

/// Changes bytes of a file in place.
#[expect(clippy::disallowed_methods, reason = "a test may fail without naming the path")]
fn overwrite(path: &Path, offset: u64, bytes: &[u8]) {
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(bytes, offset).unwrap();
}
