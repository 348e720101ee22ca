//! Devices and precisions, and the check of a device.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::images::photos;
use crate::{Place, Ran, objects};

#[test]
fn a_database_keeps_the_precision_that_it_was_created_with() {
    let place = photos(4);
    let narrow = &place.json(&["create", "narrow", "--precision", "bf16"])[0];
    let wide = &place.json(&["info", "db"])[0];
    assert_ne!(narrow["encoder"], wide["encoder"]);

    place.ok(&["ingest", "narrow", "photos", "--progress", "none"]);
    place.ok(&["ingest", "narrow", "photos", "--precision", "bf16", "--progress", "none"]);
    let record = &place.json(&["get", "narrow", "photos/2.png"])[0];
    let encoded = &place.json(&["encode", "photos/2.png", "--precision", "bf16"])[0];
    assert_eq!((&record["code"], &record["address"]), (&encoded["code"], &encoded["address"]));
    let answers = place.json(&["query", "narrow", "photos/2.png", "-k", "1"]);
    assert_eq!(answers[0]["results"][0]["distance"], 0, "queries are encoded as the records were");
    assert!(place.ok(&["check", "narrow"]).starts_with("no damage"));
}

#[test]
fn codes_of_two_precisions_in_one_database_are_refused_with_both_named() {
    let place = photos(2);
    let narrow = place.json(&["create", "narrow", "--precision", "f16"])[0]["encoder"].clone();
    let wide = place.json(&["info", "db"])[0]["encoder"].clone();
    for (db, precision, own, other) in
        [("db", "f16", &wide, &narrow), ("narrow", "f32", &narrow, &wide)]
    {
        let ran =
            place.run(&["ingest", db, "photos", "--precision", precision, "--progress", "none"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
        for named in ["f32", "f16", own.as_str().unwrap(), other.as_str().unwrap()] {
            assert!(ran.stderr.contains(named), "{named} is not in {}", ran.stderr);
        }
        assert!(
            ran.stderr.trim_end().ends_with(&format!("--precision {precision}")),
            "{}",
            ran.stderr
        );
        assert_eq!(place.json(&["stats", db])[0]["records"], 0);
    }
    let ran = place.run(&["encode", "photos/1.png", "--precision", "tf32"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stderr.contains("expected f32, bf16 or f16"), "{}", ran.stderr);
}

#[test]
fn records_do_not_depend_on_the_batch() {
    let place = photos(9);
    place.ok(&["create", "one"]);
    place.ok(&["create", "tried"]);
    place.ok(&["ingest", "db", "photos", "--progress", "none"]);
    place.ok(&["ingest", "one", "photos", "--batch", "1", "--progress", "none"]);
    place.ok(&["ingest", "tried", "photos", "--batch", "auto", "--progress", "none"]);
    let digest = |db| place.json(&["stats", db, "--digest"])[0]["digest"].clone();
    assert!(digest("db").is_string());
    assert_eq!((digest("one"), digest("tried")), (digest("db"), digest("db")));
    for batch in ["0", "65537", "many"] {
        let ran = place.run(&["ingest", "db", "photos", "--batch", batch]);
        assert_eq!(ran.code, Some(2));
        assert!(ran.stderr.contains("expected auto or a number from 1 to 65536"), "{}", ran.stderr);
    }
}

/// A build without CUDA says so; one with it says what is missing on a machine without a GPU. On a machine
/// with one there is nothing to refuse.
#[test]
fn a_device_that_is_not_there_is_one_sentence() {
    let place = photos(1);
    let ran = place.run(&["encode", "photos/0.png", "--device", "cuda:77"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.starts_with("hashdb: cannot use device cuda:77: "), "{}", ran.stderr);
    assert_eq!(ran.stderr.lines().count(), 1, "{}", ran.stderr);
    // Asked for whatever is there, the command finds something.
    place.ok(&["encode", "photos/0.png", "--device", "auto"]);
}

/// What a check of the CPU must have found.
fn assert_sound(answer: &Value) {
    assert_eq!((&answer["device"], &answer["problems"]), (&"cpu".into(), &serde_json::json!([])));
    let precisions = answer["precisions"].as_array().unwrap();
    assert_eq!(precisions.len(), 3);
    for (precision, name) in precisions.iter().zip(["f32", "bf16", "f16"]) {
        assert_eq!(precision["precision"], name);
        assert_eq!(precision["against_cpu"]["bits"], 0, "the device is the CPU");
        assert_eq!(precision["same_in_other_batches"], true);
        let differs = precision["against_f32"]["bits"].as_u64().unwrap() > 0;
        assert_eq!(differs, name == "bf16" || (differs && name == "f16"), "{precision}");
    }
    assert_eq!(answer["rates"].as_array().unwrap().len(), 6);
    let stages: Vec<_> = answer["stages"].as_array().unwrap().iter().collect();
    let names: Vec<_> = stages.iter().map(|stage| stage["stage"].as_str().unwrap()).collect();
    assert_eq!(names, ["decode", "prepare", "copy in", "forward", "copy out", "write"]);
    for stage in stages {
        let copies = stage["stage"].as_str().unwrap().starts_with("copy");
        assert_eq!(stage["images_per_second"].is_null(), copies, "the CPU copies nothing: {stage}");
    }
    assert_eq!(
        (&answer["ingest"]["missing"], &answer["ingest"]["images"]),
        (&0.into(), &24.into())
    );
    assert!(answer["ingest"]["images_per_second"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_check_of_the_cpu_finds_it_equal_to_itself() {
    let place = Place::empty();
    let answer = &place.json(&["device-check", "--device", "cpu", "--quick", "--work", "work"])[0];
    assert_sound(answer);
    assert!(!place.path("work").exists(), "what it made is gone");
    let table = place.ok(&["device-check", "--device", "cpu", "--quick", "--precision", "f32"]);
    for part in ["images/s", "decode", "forward", "ingest of 24 JPEGs", "no problem"] {
        assert!(table.contains(part), "{part} is not in {table}");
    }
}

#[test]
fn a_check_of_a_device_that_is_not_there_or_not_named_fails() {
    let place = Place::empty();
    let ran = place.run(&["device-check", "--device", "cuda:77", "--quick"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.starts_with("hashdb: cannot use device cuda:77: "), "{}", ran.stderr);
    assert_eq!(place.run(&["device-check", "--device", "auto"]).code, Some(2));
}

/// Runs a script of `tools` with the tested command.
fn script(place: &Place, path: &Path, arguments: &[&str]) -> Ran {
    let mut command = Command::new(path);
    command.current_dir(place.path("")).stdin(Stdio::null());
    Ran::of(command.env("HASHDB_COMMAND", env!("CARGO_BIN_EXE_hashdb")).args(arguments))
}

#[test]
fn the_script_of_all_gpu_checks_runs_on_the_cpu_when_told_to() {
    let (place, tools) = (Place::empty(), Path::new(env!("CARGO_MANIFEST_DIR")).join(".."));
    let check = tools.join("gpu-check");
    let ran = script(&place, &check, &["--device", "cpu", "--quick", "--json", "answer.json"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
    assert_sound(&objects(&String::from_utf8(crate::read(&place.path("answer.json"))).unwrap())[0]);

    // Packed, it needs neither the checkout nor a built command.
    let ran = script(&place, &check, &["--pack", "packed"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let run = place.path("packed/run");
    let packed = Ran::of(Command::new(&run).env("PATH", "/usr/bin:/bin").args([
        "--device",
        "cpu",
        "--quick",
        "--precision",
        "f32",
    ]));
    assert_eq!(packed.code, Some(0), "{}", packed.stderr);
    assert!(packed.stdout.contains("no problem"), "{}", packed.stdout);
    // Without a GPU and without being told to do without, it fails in one sentence.
    let packed = Ran::of(Command::new(&run).args(["--device", "cuda:77"]));
    assert_eq!((packed.code, packed.stdout.as_str()), (Some(1), ""));
    assert!(packed.stderr.contains("cannot use device cuda:77: "), "{}", packed.stderr);
}

#[test]
fn calls_through_the_shims_of_a_cuda_build_are_the_calls_themselves() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../cuda.d");
    let mut python = Command::new("python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(folder).arg("test_shims.py");
    let ran = Ran::of(&mut python);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
}
