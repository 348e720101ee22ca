//! `hashdb backup` and `hashdb restore`.

use hashdb::{Database, Options, Readable as _};

use crate::Place;

fn put(place: &Place, key: &str) {
    place.ok(&["put", "db", key, "--code", "00000000000000f0", "--address", "0003"]);
}

#[test]
fn generations_are_made_listed_verified_pruned_and_restored() {
    let place = Place::with_records();
    let first = &place.json(&["backup", "db", "backups"])[0]["created"];
    assert_eq!((&first["generation"], &first["records"]), (&1.into(), &3.into()));
    // Two files with the same bytes are stored once.
    assert!(first["new_bytes"].as_u64() > Some(20_000), "{first}");
    assert!(first["new_bytes"].as_u64() <= first["bytes"].as_u64(), "{first}");
    put(&place, "d");
    let both = &place.json(&["backup", "db", "backups", "--verify", "--list"])[0];
    assert_eq!(both["created"]["generation"], 2);
    assert!(both["created"]["new_bytes"].as_u64() < both["created"]["bytes"].as_u64());
    assert_eq!(both["generations"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&both["verified"]["clean"], &both["verified"]["whole"]),
        (&true.into(), &[1, 2].into())
    );

    let restored = &place.json(&["restore", "backups", "old", "--generation", "1"])[0];
    assert_eq!((&restored["generation"], &restored["records"]), (&1.into(), &3.into()));
    let restored = &place.json(&["restore", "backups", "new"])[0];
    assert_eq!((&restored["generation"], &restored["records"]), (&2.into(), &4.into()));
    for (name, records) in [("old", 3), ("new", 4)] {
        let report = &place.json(&["check", name])[0];
        assert_eq!((&report["clean"], &report["records"]), (&true.into(), &records.into()));
    }
    put(&place, "e");
    let third = &place.json(&["backup", "db", "backups", "--keep", "2"])[0]["created"];
    assert_eq!((&third["generation"], &third["pruned"]), (&3.into(), &[1].into()));
    let table = place.ok(&["backup", "backups", "--list"]);
    assert_eq!(table.lines().count(), 3, "{table}");
    let text = place.ok(&["backup", "backups", "--verify"]);
    assert!(text.starts_with("no damage: ") && text.contains("whole: 2, 3"), "{text}");
}

#[test]
fn a_backup_is_made_while_another_process_writes() {
    let place = Place::with_records();
    let options = Options::new();
    let writer = Database::open(place.path("db"), options.clone()).unwrap();
    let record = writer.get(b"a").unwrap().unwrap();
    writer.put(b"meanwhile", record.address, record.code, b"").unwrap();
    assert_eq!(place.json(&["backup", "db", "backups"])[0]["created"]["records"], 4);
    writer.delete(b"meanwhile").unwrap();
    drop(writer);
    place.ok(&["restore", "backups", "copy"]);
    let copy = Database::open(place.path("copy"), options).unwrap();
    assert_eq!(copy.len(), 4);
}

#[test]
fn damage_is_named_and_refused() {
    let place = Place::with_records();
    place.ok(&["backup", "db", "backups"]);
    put(&place, "d");
    place.ok(&["backup", "db", "backups"]);
    // The manifest of the second, then a file of both.
    let manifest = place.path("backups/generations/000000000002.manifest");
    let bytes = crate::read(&manifest);
    crate::write(&manifest, &bytes[..bytes.len() / 2]);
    let ran = place.run(&["backup", "backups", "--verify"]);
    assert_eq!(ran.code, Some(3));
    assert!(ran.stdout.contains("000000000002.manifest is damaged at byte"), "{}", ran.stdout);
    assert!(ran.stdout.contains("damaged: 2; whole: 1"), "{}", ran.stdout);
    let words = "generation 1 is whole";
    let ran = place.run(&["restore", "backups", "copy", "--progress", "none"]);
    assert_eq!(ran.code, Some(3));
    ran.is_one_sentence_with(words);
    assert!(!place.path("copy").exists());
    assert!(ran.stderr.contains("--generation restores one that is whole"), "{}", ran.stderr);
    let whole = ["restore", "backups", "copy", "--generation", "1", "--progress", "none"];
    place.ok(&whole);
}

#[test]
fn wrong_uses_are_told() {
    let place = Place::with_records();
    place.fails(2, "name the database and the backup folder", &["backup", "db"]);
    place.fails(2, "--keep goes with a new backup", &["backup", "db", "--list", "--keep", "1"]);
    place.fails(1, "db is not a folder of hashdb backups", &["backup", "db", "--list"]);
    place.fails(1, "nowhere is not a folder of hashdb backups", &["restore", "nowhere", "copy"]);
    place.fails(1, "nowhere is not a hashdb database", &["backup", "nowhere", "backups"]);
    place.ok(&["backup", "db", "backups"]);
    place.fails(1, "db already exists", &["restore", "backups", "db"]);
    place.fails(
        1,
        "9 is not in the backup folder",
        &["restore", "backups", "x", "--generation", "9"],
    );
    place.ok(&["create", "other", "--encoder", "none"]);
    place.fails(1, "holds backups of database", &["backup", "other", "backups"]);
    // What lies in a folder of ours is foreign to it.
    place.shell("ln -s db link; mkdir db/empty");
    for inside in ["db/backups", "link/backups/x", "db/empty", "other/../db/x"] {
        place.fails(1, "backup folder must not lie in ", &["backup", "db", inside]);
    }
    let into = ["restore", "backups", "backups/copy"];
    place.fails(1, "directory to restore into must not lie in ", &into);
    place.shell("rmdir db/empty");
    assert_eq!(place.json(&["check", "db"])[0]["clean"], true);
    place.ok(&["backup", "db", "backups"]);
    // Where no generation is whole, nothing that restores can help.
    place.shell("for file in backups/files/*; do : > $file; done");
    let ran = place.run(&["restore", "backups", "copy", "--progress", "none"]);
    ran.is_one_sentence_with("as long as the database is there, hashdb backup makes a new one");
}
