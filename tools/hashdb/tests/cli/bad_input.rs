//! What an ingest meets outside of its pictures: a disk that fills up, folders that may not be read, weights of another
//! encoder.

use std::process::Command;

use crate::images::photos;
use crate::repair::Disk;
use crate::training::SMALL;
use crate::{Place, objects};

/// Runs a line of shell as a user whom permissions hold, or says why it cannot.
fn without_privileges(place: &Place, line: &str) -> Option<crate::Ran> {
    let may_read_all = |prefix: &str| {
        crate::write(&place.path("closed/file"), b"");
        let tried = format!(
            "chmod 000 closed; {prefix} ls closed; tried=$?; chmod 700 closed; exit $tried"
        );
        place.shell(&tried).code == Some(0)
    };
    if !may_read_all("") {
        return Some(place.shell(line));
    }
    // Root without the right to pass over permissions is a user like others, who owns these files.
    let prefix = "setpriv --bounding-set=-dac_override,-dac_read_search";
    if may_read_all(prefix) || place.shell(&format!("{prefix} true")).code != Some(0) {
        return None;
    }
    Some(place.shell(&format!("{prefix} sh -c '{line}'")))
}

#[test]
fn folders_and_files_without_permission_are_rejects_and_are_read_once_they_may_be() {
    let place = photos(2);
    for path in ["photos/a b/3.png", "photos/a b/4.png", "photos/c/5.png", "photos/d.png"] {
        crate::write(&place.path(path), &crate::read(&place.path("photos/1.png")));
    }
    crate::write(&place.path("photos/1.json"), b"1");
    place.shell("chmod 000 \"photos/a b\" photos/d.png photos/1.json; chmod 600 photos/c");
    let ingest = "$HASHDB ingest db photos --siblings --progress none --json --rejects r.jsonl";
    let Some(ran) = without_privileges(&place, ingest) else {
        place.shell("chmod -R u+rwX photos");
        eprintln!("SKIPPED folders_and_files_without_permission...: this user may read everything");
        return;
    };
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert_eq!(objects(&ran.stdout)[0]["done"], 1);
    let rejects = objects(&String::from_utf8(crate::read(&place.path("r.jsonl"))).unwrap());
    let mut told: Vec<_> =
        rejects.iter().map(|reject| (&reject["path"], &reject["kind"])).collect();
    told.sort_by_key(|(path, _)| path.as_str().unwrap());
    let expected = [
        ("photos/1.png", "sibling-unreadable"),
        ("photos/a b", "unreadable"),
        ("photos/c/5.png", "unreadable"),
        ("photos/d.png", "unreadable"),
    ];
    assert_eq!(told.len(), expected.len(), "{rejects:?}");
    for ((path, kind), (other, cause)) in told.into_iter().zip(expected) {
        assert_eq!((path, kind), (&other.into(), &cause.into()));
    }
    let causes = rejects.iter().map(|reject| reject["cause"].as_str().unwrap());
    assert!(causes.clone().all(|cause| cause.contains("Permission denied")), "{rejects:?}");
    assert!(rejects.iter().all(|reject| reject["stage"] == "source"));
    // Nobody is taken for missing meanwhile, and what may be read by then is.
    place.shell("chmod -R u+rwX photos");
    let again = ["ingest", "db", "photos", "--siblings", "--retry-rejects", "--progress", "none"];
    assert_eq!(place.json(&again)[0]["done"], 5);
    place.shell("chmod 000 \"photos/a b\"");
    let missing = format!("{ingest} --delete-missing");
    let ran = without_privileges(&place, &missing).unwrap();
    place.shell("chmod -R u+rwX photos");
    assert_eq!((ran.code, &objects(&ran.stdout)[0]["deleted"]), (Some(4), &0.into()));
    assert_eq!(place.json(&["stats", "db"])[0]["records"], 6);
}

/// The weights of another encoder under the name of the database's own would make codes that do not belong to those
/// that are there.
#[test]
fn weights_of_another_fingerprint_are_refused_before_anything_is_read() {
    let place = photos(3);
    place.ok(&["ingest", "db", "photos", "--progress", "none"]);
    let weights = |db: &str| {
        let own = place.json(&["info", db])[0]["encoder"].as_str().unwrap().to_owned();
        (place.path(&format!("{db}/models/{own}.safetensors")), own)
    };
    let train = ["train", "photos", "--out", "mine.safetensors"];
    let trained = place.json(&[&train[..], &SMALL].concat())[0]["fingerprint"].clone();
    let (path, own) = weights("db");
    let before = crate::read(&path);
    crate::write(&path, &crate::read(&place.path("mine.safetensors")));
    let digest = place.digest("db");
    let ran = place.run(&["ingest", "db", "photos", "--again", "--progress", "none"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    ran.is_one_sentence_with(&format!("expected {own}"));
    assert!(ran.stderr.contains(trained.as_str().unwrap()), "{}", ran.stderr);
    assert_eq!((place.digest("db"), place.run(&["check", "db"]).code), (digest, Some(3)));
    crate::write(&path, &before);
    place.ok(&["ingest", "db", "photos", "--again", "--progress", "none"]);
    assert_eq!(place.run(&["check", "db"]).code, Some(0));
}

#[test]
fn an_ingest_onto_a_disk_that_fills_up_is_one_error_and_is_gone_on_with() {
    let place = photos(120);
    let disk = place.path("disk");
    crate::write(&disk.join("mount"), b"");
    let mount = |options: &str| {
        let all = ["-t", "tmpfs", "-o", options, "tmpfs"];
        Command::new("mount").args(all).arg(&disk).output().is_ok_and(|out| out.status.success())
    };
    if !mount("size=400m") {
        eprintln!(
            "SKIPPED an_ingest_onto_a_disk_that_fills_up...: cannot mount a tmpfs (needs root)"
        );
        return;
    }
    let _disk = Disk(disk.clone());
    place.ok(&["create", "disk/db"]);
    // Room for a part of the records alone.
    let fill = "head -c $(($(stat -f -c %a disk) * $(stat -f -c %S disk) - 100000)) /dev/zero >disk/filler";
    assert_eq!(place.shell(fill).code, Some(0));
    let ingest = |db| {
        let all = ["--store", "all", "--batch", "8", "--threads", "1", "--progress", "none"];
        [&["ingest", db, "photos"], &all[..]].concat()
    };
    let ran = place.run(&ingest("disk/db"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
    ran.is_one_sentence_with("No space left");
    place.shell("rm disk/filler");
    assert_eq!(place.json(&["check", "disk/db"])[0]["clean"], true);
    let there = place.json(&["stats", "disk/db"])[0]["records"].as_u64().unwrap();
    assert!((1..120).contains(&there), "{there}");
    // Nothing that is stored is done again, and the end is that of a run that met no full disk.
    assert_eq!(place.json(&ingest("disk/db"))[0]["done"], 120 - there);
    place.ok(&ingest("db"));
    assert_eq!(place.digest("disk/db"), place.digest("db"));
}

#[test]
fn rejects_that_find_no_space_end_the_run_with_an_error() {
    if !std::path::Path::new("/dev/full").exists() {
        eprintln!("SKIPPED rejects_that_find_no_space...: no /dev/full");
        return;
    }
    let place = photos(1);
    crate::write(&place.path("photos/broken.png"), b"no picture");
    let full = ["ingest", "db", "photos", "--rejects", "/dev/full", "--progress", "none"];
    place.fails(1, "cannot write /dev/full: ", &full);
    // The reject is not lost with the file that had no room for it.
    let told = ["ingest", "db", "photos", "--rejects", "r.jsonl", "--progress", "none"];
    place.ok(&told);
    let rejects = String::from_utf8(crate::read(&place.path("r.jsonl"))).unwrap();
    assert_eq!(objects(&rejects)[0]["path"], "photos/broken.png");
}
