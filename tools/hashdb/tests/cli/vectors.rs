//! Codes from `.npy` files: loaded, asked for, measured.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::Place;
use crate::arrays::{address, codes, distance, npy};

/// The neighbours of an answer as (distance, id).
fn neighbors(answer: &Value) -> Vec<(u64, u64)> {
    let neighbors = answer["results"].as_array().unwrap().iter();
    neighbors.map(|hit| (hit["distance"].as_u64().unwrap(), hit["id"].as_u64().unwrap())).collect()
}

/// Every row by its distance, then its number, which is its id.
fn ranked(distances: impl Iterator<Item = u32>) -> Vec<(u64, u64)> {
    let mut ranked: Vec<_> = distances.map(u64::from).zip(0..).collect();
    ranked.sort_unstable();
    ranked
}

#[test]
fn loaded_codes_answer_as_brute_force_does() {
    let (place, rows, queries) = (Place::empty(), codes::<16>(3000, 1), codes::<16>(40, 2));
    place.array_of_codes("codes.npy", &rows);
    place.array_of_codes("queries.npy", &queries);
    place.array_of_addresses(
        "balls.npy",
        &queries.iter().map(|query| address(query)).collect::<Vec<_>>(),
    );
    let load = ["load", "db", "--codes", "codes.npy", "--progress", "none"];
    let report = &place.json(&load)[0];
    assert_eq!((&report["loaded"], &report["replaced"]), (&3000.into(), &0.into()));
    assert_eq!((&report["created"], &report["segments"]), (&true.into(), &1.into()));
    let ask = |arguments: &[&str]| place.json(&[&["query", "db", "--codes"], arguments].concat());
    let nearest = ask(&["queries.npy", "-k", "7"]);
    let within = ask(&["queries.npy", "--mode", "range", "--radius", "40"]);
    let balls = ask(&["queries.npy", "--mode", "ball", "--radius", "5"]);
    assert_eq!(ask(&["balls.npy", "--mode", "ball", "--radius", "5"]), balls);
    assert_eq!([nearest.len(), within.len(), balls.len()], [40; 3]);
    for (index, query) in queries.iter().enumerate() {
        let by_code = ranked(rows.iter().map(|row| distance(row, query)));
        let difference = |row: &[u8; 16]| (address(row) ^ address(query)).count_ones();
        let by_address = ranked(rows.iter().map(difference));
        assert_eq!(nearest[index]["query"], index);
        assert_eq!(neighbors(&nearest[index]), by_code[..7]);
        let inside = by_code.partition_point(|&(distance, _)| distance <= 40);
        assert_eq!(neighbors(&within[index]), by_code[..inside]);
        let inside = by_address.partition_point(|&(distance, _)| distance <= 5);
        assert_eq!(neighbors(&balls[index]), by_address[..inside]);
        assert_eq!([&nearest, &within, &balls].map(|answers| &answers[index]["exact"]), [true; 3]);
    }
    let first = &nearest[0]["results"][0];
    assert_eq!(first["key"], first["id"].to_string(), "the key is the number of the row");
    let nameless = &ask(&["queries.npy", "-k", "7", "--no-keys"])[0];
    assert_eq!(neighbors(nameless), neighbors(&nearest[0]));
    assert!(nameless["results"][0].get("key").is_none());
    let text = place.ok(&["query", "db", "--codes", "queries.npy", "-k", "1"]);
    assert!(text.starts_with("query 0  (") && text.contains("\nquery 39  ("), "{text}");
}

#[test]
fn a_bench_reports_rate_latency_plans_and_recall() {
    let (rows, queries) = (codes::<8>(2000, 3), codes::<8>(50, 4));
    let place = Place::with_loaded(&rows);
    place.array_of_codes("queries.npy", &queries);
    let truth: Vec<Vec<u32>> = queries
        .iter()
        .map(|query| {
            let mut distances: Vec<_> = rows.iter().map(|row| distance(row, query)).collect();
            distances.sort_unstable();
            distances[..12].to_vec()
        })
        .collect();
    place.array_of_distances("truth.npy", &truth);
    let bench = ["bench", "db", "--queries", "queries.npy", "--mode"];
    let run = |arguments: &[&str]| place.json(&[&bench, arguments].concat()).pop().unwrap();
    for threads in ["1", "3"] {
        let report = run(&["knn", "--truth", "truth.npy", "--threads", threads]);
        assert_eq!((&report["queries"], &report["k"]), (&50.into(), &10.into()));
        assert_eq!((&report["recall"], &report["exact"]), (&1.0.into(), &true.into()));
        assert_eq!((&report["mode"], &report["neighbors_mean"]), (&"knn".into(), &10.0.into()));
        let plans = report["plans"].as_object().unwrap().values();
        assert_eq!(plans.map(|count| count.as_u64().unwrap()).sum::<u64>(), 50);
        assert!(report["qps"].as_f64().unwrap() > 0.0);
        assert!(report["p50_micros"].as_f64() <= report["p99_micros"].as_f64());
    }
    // A truth that nothing can reach, and one of half the queries.
    let unreachable = |row: &mut Vec<u32>| *row = vec![0; 12];
    let mut half = truth;
    half[..25].iter_mut().for_each(unreachable);
    place.array_of_distances("half.npy", &half);
    assert_eq!(run(&["knn", "--truth", "half.npy"])["recall"], 0.5);

    let range = run(&["range", "--radius", "64"]);
    assert_eq!((&range["neighbors_mean"], &range["recall"]), (&2000.0.into(), &Value::Null));
    assert_eq!((&range["radius"], &range["k"]), (&64.into(), &Value::Null));
    assert_eq!(run(&["ball", "--radius", "28"])["neighbors_mean"], 2000.0);
    let text = place.ok(&[&bench[..], &["knn", "-k", "3"]].concat());
    assert!(text.contains("queries a second") && text.contains("no truth given"), "{text}");
}

#[test]
fn keys_and_addresses_come_from_files() {
    let place = Place::empty();
    place.array_of_codes("codes.npy", &codes::<8>(3, 5));
    place.array_of_addresses("addresses.npy", &[7, 0xfff, 0]);
    crate::write(&place.path("keys"), b"first\nsecond one\n\xff\xfe");
    let load = ["load", "db", "--codes", "codes.npy", "--addresses", "addresses.npy"];
    let load = [&load[..], &["--keys", "keys"]].concat();
    let loaded = place.run(&load);
    assert!(loaded.stderr.contains("created db: 64-bit codes, 12-bit addresses"));
    assert!(loaded.stdout.starts_with("loaded 3 records in "), "{}", loaded.stdout);
    let second = &place.json(&["get", "db", "second one"])[0];
    assert_eq!((&second["address"], &second["id"]), (&"fff".into(), &1.into()));
    let all = place.json(&["scan", "db"]);
    assert_eq!(all.iter().filter(|record| record["key_hex"] == "fffe").count(), 1);
    let again = &place.json(&load)[0];
    assert_eq!((&again["created"], &again["replaced"]), (&false.into(), &3.into()));
    assert_eq!((&again["records"], &again["inserted"]), (&3.into(), &0.into()));
    let narrow = ["--address-bits", "8"];
    place.fails(2, "--address-bits 8 contradicts db", &[&load[..], &narrow].concat());
    assert!(place.ok(&["check", "db"]).starts_with("no damage"));
}

#[test]
fn a_database_is_created_as_the_files_are() {
    let place = Place::empty();
    place.array_of_codes("codes.npy", &[[0xab; 24], [0xcd; 24]]);
    let load = ["load", "db", "--codes", "codes.npy", "--create"];
    place.ok(&[&load[..], &["--address-bits", "20"]].concat());
    let info = &place.json(&["info", "db"])[0];
    assert_eq!((&info["code_bits"], &info["address_bits"]), (&192.into(), &20.into()));
    assert_eq!(place.json(&["get", "db", "1"])[0]["address"], "cdcdc");
    place.fails(1, "db already exists and holds 2 records", &load);
    // What a load leaves that was killed before its end is as good as nothing.
    place.ok(&["create", "left", "--encoder", "none", "--code-bits", "192"]);
    let load = ["load", "left", "--codes", "codes.npy", "--create", "--index", "prefix"];
    let wrong = [&load[..], &["--values", "codes.npy", "--code-bits", "64"]].concat();
    place.fails(2, "--code-bits 64 contradicts left", &wrong);
    assert_eq!(place.json(&["info", "left"])[0]["indexes"], "multi,clusters", "as it was");
    assert_eq!(place.json(&load)[0]["records"], 2);
    assert_eq!(place.json(&["info", "left"])[0]["indexes"], "prefix");
    let bits = ["load", "other", "--codes", "codes.npy", "--address-bits", "7"];
    place.fails(2, "--address-bits must be 8 to 32, not 7", &bits);
    assert_eq!(place.existing("other"), None);
}

#[test]
fn files_that_disagree_load_nothing() {
    let place = Place::with_loaded(&codes::<8>(4, 6));
    place.array_of_codes("wide.npy", &codes::<16>(4, 6));
    place.array_of_codes("odd.npy", &codes::<9>(4, 6));
    place.array_of_addresses("three.npy", &[1, 2, 3]);
    place.array_of_addresses("large.npy", &[1, 2, 3, 1 << 28]);
    crate::write(&place.path("three"), b"a\nb\nc\n");
    crate::write(&place.path("gap"), b"a\n\nc\nd\n");
    crate::write(&place.path("long"), &[b"a\nb\nc\n", &[b'd'; 4097][..]].concat());
    let refused = |words: &str, more: &[&str]| {
        for db in ["db", "new"] {
            let load = ["load", db, "--codes", "codes.npy"];
            place.fails(1, words, &[&load, more].concat());
        }
    };
    refused("three.npy holds 3 addresses, expected 4", &["--addresses", "three.npy"]);
    refused("three holds 3 keys, expected 4", &["--keys", "three"]);
    refused("gap, line 2: the key is empty", &["--keys", "gap"]);
    refused("long, line 4: the key has more than 4096 bytes", &["--keys", "long"]);
    refused("cannot read absent: ", &["--keys", "absent"]);
    assert_eq!(place.existing("new"), None);
    let large = ["load", "db", "--codes", "codes.npy", "--addresses", "large.npy"];
    place.fails(1, "large.npy holds address 10000000, expected addresses of 28 bits", &large);
    let wide = ["load", "db", "--codes", "wide.npy"];
    place.fails(1, "wide.npy holds codes of 128 bits, expected 64", &wide);
    place.fails(1, "odd.npy has rows of 9 bytes", &["load", "new", "--codes", "odd.npy"]);
    let from = ["load", "db", "--codes", "codes.npy", "--from", "5"];
    place.fails(2, "--from 5 is beyond the 4 rows", &from);
    assert_eq!(place.json(&["stats", "db"])[0]["next_id"], 4);
    let query = ["query", "db", "--codes", "wide.npy"];
    place.fails(1, "wide.npy holds codes of 128 bits, expected 64", &query);
    let balls = ["query", "db", "--codes", "large.npy", "--mode", "ball", "--radius", "1"];
    place.fails(1, "large.npy, row 3: address must fit 28 bits", &balls);
}

#[test]
fn arrays_of_other_kinds_are_named() {
    let place = Place::empty();
    let data = [0; 64];
    let sound = npy(1, "|u1", "(8, 8)", &data);
    let cases: [(&str, Vec<u8>); 14] = [
        (
            "an array of <i8 with shape (1, 8), expected a 2-d array of uint8",
            npy(1, "<i8", "(1, 8)", &data),
        ),
        ("an array of |u1 with shape (64,), expected", npy(1, "|u1", "(64,)", &data)),
        ("an array of |b1 with shape (8, 8), expected", npy(1, "|b1", "(8, 8)", &data)),
        ("with shape (2, 4, 8), expected", npy(1, "|u1", "(2, 4, 8)", &data)),
        (
            "in Fortran order, expected",
            String::from_utf8_lossy(&sound[10..]).replace("False", "True ").into(),
        ),
        ("has 191 bytes, expected 192", sound[..191].into()),
        ("has 193 bytes, expected 192", [&sound[..], b"x"].concat()),
        (
            "has 192 bytes, expected 18446744073709551615",
            npy(1, "|u1", "(9223372036854775807, 8)", &data),
        ),
        ("it does not begin with", [b"PK", &sound[2..]].concat()),
        ("it has 0 bytes", Vec::new()),
        ("has .npy version 4, expected 1 to 3", [&sound[..6], &[4], &sound[7..]].concat()),
        ("its header is cut short", sound[..100].into()),
        (
            "its header has 4294967295 bytes",
            [&sound[..6], &[2, 0], &[0xff; 4], &sound[12..]].concat(),
        ),
        ("its header has ", [&sound[..10], b"[1, 2]", &sound[16..]].concat()),
    ];
    for (words, bytes) in cases {
        let bytes = if words.contains("Fortran") { [&sound[..10], &bytes].concat() } else { bytes };
        crate::write(&place.path("array.npy"), &bytes);
        let ran = place.run(&["load", "db", "--codes", "array.npy"]);
        assert_eq!(ran.code, Some(1), "{words}: {}", ran.stderr);
        ran.is_one_sentence_with(words);
        ran.is_one_sentence_with("array.npy");
    }
    for version in [1, 2, 3] {
        crate::write(&place.path("array.npy"), &npy(version, "|u1", "(8, 8)", &data));
        let report = &place.json(&["load", "db", "--codes", "array.npy", "--progress", "none"])[0];
        assert_eq!(report["records"], 8, "version {version}");
    }
    place.fails(1, "cannot read folder", &["load", "db", "--codes", "folder"]);
}

#[test]
fn numpys_own_files_are_read() {
    let place = Place::empty();
    let script = "import numpy as n; r = n.random.default_rng(1); \
        n.save('codes.npy', n.packbits(r.random((500, 128)) < 0.5, axis=1)); \
        n.save('addresses.npy', r.integers(0, 1 << 28, 500, dtype=n.uint32))";
    let python = Command::new("python3").args(["-c", script]).current_dir(place.path("")).output();
    if !python.is_ok_and(|python| python.status.success()) {
        eprintln!("SKIPPED numpys_own_files_are_read: no python3 with numpy");
        return;
    }
    let load = ["load", "db", "--codes", "codes.npy", "--addresses", "addresses.npy"];
    assert_eq!(place.json(&[&load[..], &["--progress", "none"]].concat())[0]["records"], 500);
    let answers = place.json(&["query", "db", "--codes", "codes.npy", "-k", "1"]);
    for (row, answer) in answers.iter().enumerate() {
        assert_eq!(neighbors(answer), [(0, row as u64)]);
    }
}

#[test]
fn small_and_large_numbers_have_an_answer_or_one_error() {
    let place = Place::with_loaded(&codes::<8>(5, 7));
    place.array_of_codes("none.npy", &codes::<8>(0, 7));
    place.array_of_distances("truth.npy", &vec![vec![64; 3]; 5]);
    let query = |arguments: &[&str]| {
        let answers = place.json(&[&["query", "db", "--codes", "codes.npy"], arguments].concat());
        answers.iter().map(|answer| neighbors(answer).len()).collect::<Vec<_>>()
    };
    assert_eq!(query(&["-k", "0"]), [0; 5]);
    assert_eq!(query(&["-k", "99999999999"]), [5; 5]);
    assert_eq!(query(&["--radius", "4294967295"]), [5; 5]);
    assert_eq!(query(&["--mode", "ball", "--radius", "4294967295"]), [5; 5]);
    assert_eq!(place.ok(&["query", "db", "--codes", "none.npy", "--json"]), "");

    let bench = ["bench", "db", "--queries", "codes.npy"];
    let with = |arguments: &[&'static str]| [&bench[..], arguments].concat();
    let nothing = &place.json(&with(&["-k", "0", "--truth", "truth.npy"]))[0];
    assert_eq!((&nothing["neighbors_mean"], &nothing["recall"]), (&0.0.into(), &Value::Null));
    let three = &place.json(&with(&["-k", "3", "--truth", "truth.npy"]))[0];
    assert_eq!(three["recall"], 1.0);
    place.fails(1, "truth.npy has shape (5, 3), expected (5, 5)", &with(&["--truth", "truth.npy"]));
    place.fails(1, "none.npy holds no queries", &["bench", "db", "--queries", "none.npy"]);
    place.fails(2, "--mode range needs --radius", &with(&["--mode", "range"]));
    place.fails(2, "--mode ball needs --radius", &with(&["--mode", "ball"]));
    place.fails(
        2,
        "--radius does not go with --mode knn",
        &with(&["--mode", "knn", "--radius", "1"]),
    );
    place.fails(2, "--truth is for k nearest", &with(&["--radius", "1", "--truth", "truth.npy"]));
    for more in [["--threads", "0"], ["--mode", "nearest"], ["-k", "-1"]] {
        assert_eq!(place.run(&with(&more)).code, Some(2), "{more:?}");
    }
}

#[test]
fn empty_databases_and_empty_files_answer() {
    let place = Place::empty();
    place.array_of_codes("none.npy", &codes::<8>(0, 8));
    place.array_of_codes("queries.npy", &codes::<8>(2, 8));
    let report = &place.json(&["load", "db", "--codes", "none.npy", "--progress", "none"])[0];
    assert_eq!((&report["loaded"], &report["records"]), (&0.into(), &0.into()));
    for mode in [&["-k", "3"][..], &["--radius", "64"], &["--mode", "ball", "--radius", "28"]] {
        let answers = place.json(&[&["query", "db", "--codes", "queries.npy"], mode].concat());
        assert_eq!(answers.len(), 2);
        assert!(answers.iter().all(|answer| neighbors(answer).is_empty()));
        let bench = &place.json(&[&["bench", "db", "--queries", "queries.npy"], mode].concat())[0];
        assert_eq!(bench["neighbors_mean"], 0.0);
    }
}

#[test]
fn an_interrupted_load_loads_nothing_and_can_be_repeated() {
    let place = Place::empty();
    place.array_of_codes("codes.npy", &codes::<8>(4_000_000, 9));
    let mut command = place.command();
    let load = ["load", "db", "--codes", "codes.npy", "--memory", "64MiB"];
    command.args(load).args(["--progress", "json", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    // The note of the creation, then progress after a second.
    stderr.read_line(&mut text).unwrap();
    stderr.read_line(&mut text).unwrap();
    assert_eq!(place.shell(&format!("kill -INT {}", child.id())).code, Some(0));
    stderr.read_to_string(&mut text).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(text.contains("nothing was loaded, and the same command begins anew"), "{text}");
    assert_eq!(place.existing("db"), None, "it was made for the load");

    let short = codes::<8>(30_000, 9);
    place.array_of_codes("codes.npy", &short);
    let report = &place.json(&[&load[..], &["--progress", "none"]].concat())[0];
    assert_eq!((&report["loaded"], &report["replaced"]), (&30_000.into(), &0.into()));
    let code = crate::arrays::hex(short.last().unwrap());
    assert_eq!(place.json(&["get", "db", "29999"])[0]["code"], code);
}

#[test]
fn a_load_shows_its_stages() {
    let place = Place::empty();
    place.array_of_codes("codes.npy", &codes::<8>(30_000, 9));
    let load = ["load", "db", "--codes", "codes.npy", "--progress"];
    let ran = place.run(&[&load[..], &["plain", "--json"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stderr.contains("\ncommit: 30,000 of 30,000 rows\n"), "{}", ran.stderr);
    let ran = place.run(&[&load[..], &["json"]].concat());
    let last = ran.stderr.lines().last().unwrap();
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!((&last["done"], &last["rows"]), (&json!(30_000), &json!(30_000)));
    assert_eq!((&last["stage"], &last["seconds_left"]), (&json!("commit"), &json!(0)));
    assert!(last["rows_per_second"].as_f64().unwrap() > 0.0, "{last}");
    let wanted = "exec $HASHDB load db --codes codes.npy > out.txt";
    let ran = place.shell(&format!("script -qec '{wanted}' /dev/null"));
    if ran.code == Some(127) {
        eprintln!("SKIPPED a_load_shows_its_stages: there is no script here");
        return;
    }
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    for stage in ["read   [====", "merge  [====", "keys   [====", "rows   [====", "index  [===="] {
        assert!(ran.stdout.contains(stage), "{stage}: {}", ran.stdout);
    }
    assert!(ran.stdout.contains("not needed"), "{}", ran.stdout);
}

/// A load of ten million codes wrote four segments, which the background began to merge at once: the command
/// reported its end, went on for nearly as long again, and took twice the memory that it was given. What it
/// may merge is bounded by that memory.
#[test]
fn a_load_does_not_merge_its_segments_beyond_its_memory() {
    let place = Place::empty();
    place.array_of_codes("codes.npy", &codes::<8>(400_000, 11));
    let load = ["load", "db", "--codes", "codes.npy", "--memory", "16MiB", "--progress", "none"];
    let report = &place.json(&load)[0];
    let written = report["segments"].as_u64().unwrap();
    assert!(written >= 4, "{report}");
    let left = place.json(&["stats", "db"])[0]["segments"].as_array().map(Vec::len);
    assert_eq!(left, Some(usize::try_from(written).unwrap()));
}

#[test]
fn keys_that_are_there_are_refused_skipped_or_replaced() {
    let place = Place::with_loaded(&codes::<8>(40, 6));
    place.array_of_codes("more.npy", &codes::<8>(60, 7));
    let load = ["load", "db", "--codes", "more.npy", "--progress", "none"];
    let first = |place: &Place| place.json(&["get", "db", "0"])[0]["code"].clone();
    let before = first(&place);
    let with = |choice| [&load[..], &["--duplicates", choice]].concat();
    place.fails(
        1,
        "is in the database already; 60 rows were read, nothing was loaded",
        &with("error"),
    );
    assert_eq!(place.json(&["stats", "db"])[0]["records"], 40);
    let report = &place.json(&with("skip"))[0];
    assert_eq!((&report["inserted"], &report["skipped"]), (&20.into(), &40.into()));
    assert_eq!(first(&place), before);
    let report = &place.json(&with("replace"))[0];
    assert_eq!((&report["replaced"], &report["records"]), (&60.into(), &60.into()));
    assert_ne!(first(&place), before);
    let odd = place.run(&[&load[..], &["--memory", "1XB"]].concat());
    assert!(odd.code == Some(2) && odd.stderr.contains("no unit of bytes"), "{}", odd.stderr);
    assert!(place.ok(&["check", "db"]).starts_with("no damage"));
}

#[test]
fn a_load_without_space_says_what_is_in_and_can_be_repeated() {
    let place = Place::empty();
    place.array_of_codes("codes.npy", &codes::<8>(30_000, 10));
    // A limit on the length of files stands for a full disk: 512 blocks are 256 or 512 KiB.
    let load = "load db --codes codes.npy --progress none";
    let ran = place.shell(&format!("ulimit -f 512; exec \"$HASHDB\" {load}"));
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(ran.stderr.contains("nothing was loaded"), "{}", ran.stderr);
    let arguments: Vec<_> = load.split(' ').collect();
    assert_eq!(place.json(&arguments)[0]["records"], 30_000);
    assert_eq!(place.json(&["check", "db"])[0]["clean"], json!(true));
}
