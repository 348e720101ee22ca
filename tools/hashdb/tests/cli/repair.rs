//! `hashdb repair`, `check --strict` and `recover-space` as their users meet them.

use std::path::PathBuf;
use std::process::Command;

use crate::Place;

/// The log of the record store, which holds all records of a small database.
fn log(place: &Place) -> PathBuf {
    let files = std::fs::read_dir(place.path("db/records")).unwrap();
    let logs = files.map(|entry| entry.unwrap().path());
    let logs = logs.filter(|file| file.extension().is_some_and(|kind| kind == "log"));
    logs.max_by_key(|file| file.metadata().unwrap().len()).unwrap()
}

#[test]
fn a_damaged_segment_is_repaired_without_loss() {
    let place = Place::with_records();
    place.ok(&["compact", "db"]);
    let segment = place.path("db/segments/000000000001.seg");
    crate::write(&segment, b"something else");
    place.fails(
        1,
        "run hashdb check, then hashdb repair, or restore a backup",
        &["put", "db", "d", "--code", "0000000000000000", "--address", "0000"],
    );
    let dry = &place.json(&["repair", "db", "--dry-run"])[0];
    assert_eq!((&dry["segments_replaced"], &dry["lost_records"]), (&1.into(), &0.into()));
    assert_eq!(crate::read(&segment), b"something else");
    let done = &place.json(&["repair", "db"])[0];
    assert_eq!((&done["records"], &done["lost_records"]), (&3.into(), &0.into()), "{done}");
    let kept = PathBuf::from(done["kept"].as_str().unwrap()).join("segments/000000000001.seg");
    assert_eq!(crate::read(&place.folder.path().join(kept)), b"something else");
    assert_eq!(place.json(&["check", "db"])[0]["clean"], true);
    assert_eq!(place.ok(&["get", "db", "b", "--value"]), "second");
    assert_eq!(place.ok(&["repair", "db"]), "nothing to repair\n");
}

#[test]
fn a_flipped_bit_in_the_log_names_the_log_and_the_way_out() {
    let place = Place::with_records();
    let log = log(&place);
    let name = log.file_name().unwrap().to_str().unwrap().to_owned();
    let mut bytes = crate::read(&log);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    crate::write(&log, &bytes);
    let ran = place.run(&["info", "db"]);
    assert_eq!(ran.code, Some(1));
    ran.is_one_sentence_with(&name);
    ran.is_one_sentence_with("run hashdb check, then hashdb repair, or restore a backup");
    let check = place.run(&["check", "db"]);
    assert!(check.code == Some(3) && check.stdout.contains(&name), "{}", check.stdout);
    place.fails(
        3,
        "nothing was changed: restore a backup, or run hashdb repair --accept-loss",
        &["repair", "db"],
    );
    assert_eq!(crate::read(&log), bytes);
    let dry = place.run(&["repair", "db", "--dry-run"]);
    assert!(dry.code == Some(3) && dry.stdout.contains("nothing was changed"), "{}", dry.stdout);
    assert_eq!(crate::read(&log), bytes);
    let done = &place.json(&["repair", "db", "--accept-loss"])[0];
    let (left, lost) = (done["records"].as_u64().unwrap(), done["lost_records"].as_u64().unwrap());
    assert_eq!((done["records_before"].as_u64(), left + lost), (Some(3), 3), "{done}");
    assert!(lost > 0, "{done}");
    assert_eq!(place.json(&["check", "db"])[0]["records"], left);
}

#[test]
fn check_strict_reports_a_torn_log_and_strangers() {
    let place = Place::with_records();
    assert_eq!(place.json(&["check", "db", "--strict"])[0]["clean"], true);
    place.ok(&["put", "db", "d", "--code", "0000000000000000", "--address", "0000"]);
    crate::write(&place.path("db/segments/notes.txt"), b"mine");
    crate::write(&place.path("db/holiday.jpg"), b"mine");
    // Half a record behind the last one, as a crash during a write leaves it.
    let log = log(&place);
    let mut bytes = crate::read(&log);
    bytes.extend_from_slice(&bytes.clone()[..20]);
    crate::write(&log, &bytes);
    let strict = place.run(&["check", "db", "--strict"]);
    assert_eq!(strict.code, Some(3), "{}", strict.stdout);
    for words in ["notes.txt: does not belong there", "holiday.jpg: does not belong", "records"] {
        assert!(strict.stdout.contains(words), "{words}: {}", strict.stdout);
    }
    assert!(strict.stdout.contains("damage in 3 places"), "{}", strict.stdout);
    // A torn end is what recovery is there for.
    assert_eq!(place.json(&["check", "db"])[0]["clean"], true);
}

#[test]
fn recover_space_tells_what_is_free() {
    let place = Place::with_records();
    crate::write(&place.path("db/BALLAST"), &[0; 5000]);
    let report = &place.json(&["recover-space", "db"])[0];
    assert_eq!(report["released"], 5000);
    assert!(report["free"].as_u64().unwrap() > 0 && report["not_compacted"].is_null(), "{report}");
    assert!(!place.path("db/BALLAST").exists());
    assert_eq!(place.json(&["check", "db", "--strict"])[0]["clean"], true);
    place.fails(1, "nowhere is not a hashdb database", &["recover-space", "nowhere"]);
    place.fails(1, "nowhere is not a hashdb database", &["repair", "nowhere"]);
}

/// Unmounts when dropped.
pub(crate) struct Disk(pub(crate) PathBuf);

impl Drop for Disk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{}", self.0.display());
    }
}

#[test]
fn a_full_disk_is_told_with_the_way_out() {
    let place = Place::with_records();
    let disk = place.path("disk");
    crate::write(&disk.join("db/file"), b"");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(&disk).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "SKIPPED a_full_disk_is_told_with_the_way_out: cannot mount a tmpfs (needs root)"
        );
        return;
    }
    let _disk = Disk(disk);
    assert_eq!(place.shell("cp -r db disk/db && cat /dev/zero >disk/filler").code, Some(1));
    let put = ["put", "disk/db", "d", "--code", "0000000000000000", "--address", "0000"];
    place.fails(1, "hashdb recover-space makes room to write", &put);
    assert_eq!(place.json(&["scan", "disk/db"]).len(), 3);
    // It has no reserve, being so small; room has to be made by hand.
    place.fails(1, "the disk is full", &["recover-space", "disk/db"]);
    assert_eq!(place.shell("rm disk/filler").code, Some(0));
    place.ok(&put);
    assert_eq!(place.json(&["check", "disk/db"])[0]["records"], 4);
}

#[test]
fn a_load_onto_a_disk_that_fills_up_is_one_error_and_can_be_repeated() {
    let place = Place::empty();
    let disk = place.path("disk");
    crate::write(&disk.join("mount"), b"");
    let mount = |options: &str| {
        let all = ["-t", "tmpfs", "-o", options, "tmpfs"];
        Command::new("mount").args(all).arg(&disk).output().is_ok_and(|out| out.status.success())
    };
    if !mount("size=8m") {
        eprintln!(
            "SKIPPED a_load_onto_a_disk_that_fills_up_is_one_error_and_can_be_repeated: cannot \
             mount a tmpfs (needs root)"
        );
        return;
    }
    let _disk = Disk(disk.clone());
    place.array_of_codes("few.npy", &crate::arrays::codes::<8>(100, 3));
    place.array_of_codes("many.npy", &crate::arrays::codes::<8>(300_000, 4));
    let load = |file| ["load", "disk/db", "--codes", file, "--progress", "none"];
    place.ok(&load("few.npy"));
    let digest = place.digest("disk/db");
    let ran = place.run(&load("many.npy"));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    ran.is_one_sentence_with("nothing was loaded");
    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert_eq!(place.digest("disk/db"), digest);
    assert_eq!(place.json(&["check", "disk/db"])[0]["clean"], true);
    assert!(mount("remount,size=200m"));
    let report = &place.json(&load("many.npy"))[0];
    assert_eq!((&report["replaced"], &report["records"]), (&100.into(), &300_000.into()));
    assert_eq!(place.json(&["check", "disk/db"])[0]["clean"], true);
}
