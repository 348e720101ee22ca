//! Searches that are approximate, filtered, explained or asked in batches, and the indexes that
//! carry them.

use serde_json::Value;

use crate::arrays::{address, codes, distance, hex};
use crate::{Place, keys};

/// A database of 64-bit codes whose keys are `even/N` and `odd/N`, queries, and their true
/// distances in `truth.npy`.
fn place() -> (Place, Vec<[u8; 8]>, Vec<[u8; 8]>) {
    let (place, rows, queries) = (Place::empty(), codes::<8>(6000, 11), codes::<8>(60, 12));
    place.array_of_codes("codes.npy", &rows);
    place.array_of_codes("queries.npy", &queries);
    let parity = |row: usize| if row.is_multiple_of(2) { "even" } else { "odd" };
    let lines: String = (0..6000).map(|row| format!("{}/{row}\n", parity(row))).collect();
    crate::write(&place.path("keys"), lines.as_bytes());
    let truth = queries.iter().map(|query| ranked(&rows, query, |_| true, 10));
    let distances = truth.map(|nearest| nearest.into_iter().map(|(distance, _)| distance));
    let distances: Vec<Vec<u32>> = distances.map(Iterator::collect).collect();
    place.array_of_distances("truth.npy", &distances);
    let load = ["load", "db", "--codes", "codes.npy", "--keys", "keys", "--progress", "none"];
    place.ok(&load);
    (place, rows, queries)
}

/// The `k` nearest of the rows that are wanted.
fn ranked(
    rows: &[[u8; 8]],
    query: &[u8],
    wanted: impl Fn(usize) -> bool,
    k: usize,
) -> Vec<(u32, usize)> {
    let numbers = (0..rows.len()).filter(|&row| wanted(row));
    let mut ranked: Vec<_> = numbers.map(|row| (distance(&rows[row], query), row)).collect();
    ranked.sort_unstable();
    ranked.truncate(k);
    ranked
}

/// The neighbours of a line of JSON.
fn neighbors(answer: &Value) -> Vec<(u32, usize)> {
    let number = |value: &Value| usize::try_from(value.as_u64().unwrap()).unwrap();
    let neighbors = answer["results"].as_array().unwrap().iter();
    neighbors
        .map(|hit| (u32::try_from(number(&hit["distance"])).unwrap(), number(&hit["id"])))
        .collect()
}

#[test]
fn approximate_searches_find_most_and_say_so() {
    let (place, rows, queries) = place();
    let bench = ["bench", "db", "--queries", "queries.npy", "--truth", "truth.npy", "--mode"];
    for effort in [&["approx"][..], &["approx", "--recall", "1"], &["approx", "--probes", "50"]] {
        let report = &place.json(&[&bench, effort].concat())[0];
        assert!(report["recall"].as_f64().unwrap() >= 0.9, "{report}");
        assert!(report["exact"] == true || report["plans"].get("lists").is_some(), "{report}");
    }
    let many = ["query", "db", "--codes", "queries.npy", "--approx", "--probes", "9"];
    let answers = place.json(&many);
    for (query, answer) in queries.iter().zip(&answers) {
        let found = neighbors(answer);
        assert_eq!(found.len(), 10);
        assert!(found.iter().all(|&(far, row)| far == distance(&rows[row], query)));
        if answer["exact"] == true {
            assert_eq!(found, ranked(&rows, query, |_| true, 10));
        }
    }
    let one = ["query", "db", "--code", &hex(&rows[7]), "--approx", "-k", "1"];
    assert_eq!(place.json(&one)[0]["results"][0]["distance"], 0);
}

#[test]
fn efforts_belong_to_approximate_searches() {
    let (place, ..) = place();
    let query = ["query", "db", "--codes", "queries.npy"];
    let with = |more: &[&'static str]| [&query[..], more].concat();
    let foreign = "--recall and --probes do not go with --mode knn";
    place.fails(2, foreign, &with(&["--mode", "knn", "--recall", "0.5"]));
    place.fails(2, "--exact does not go with", &with(&["--mode", "approx", "--exact"]));
    for more in [
        &["--recall", "0"][..],
        &["--recall", "1.01"],
        &["--recall", "NaN"],
        &["--recall", "-1"],
        &["--probes", "0"],
        &["--probes", "3", "--recall", "0.9"],
        &["--radius", "3", "--recall", "0.9"],
        &["--approx", "--radius", "3"],
        &["--approx", "--exact"],
        &["--ball", "3"],
        &["--sheet", "sheet.png"],
    ] {
        let ran = place.run(&with(more));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{more:?}: {}", ran.stderr);
    }
    let batch = ["bench", "db", "--queries", "queries.npy", "--batch", "0"];
    assert_eq!(place.run(&batch).code, Some(2));
    let all = place.json(&with(&["-k", "1", "--probes", "18446744073709551615"]));
    assert_eq!(all.len(), 60);
}

#[test]
fn a_key_prefix_restricts_every_search() {
    let (place, rows, queries) = place();
    let odd = |row: usize| !row.is_multiple_of(2);
    let ask = |more: &[&str]| {
        let filter = ["query", "db", "--codes", "queries.npy", "--filter-prefix", "odd/"];
        place.json(&[&filter, more].concat())
    };
    let (nearest, within) = (ask(&["-k", "6"]), ask(&["--radius", "14"]));
    let balls = ask(&["--mode", "ball", "--radius", "6"]);
    for (index, query) in queries.iter().enumerate() {
        let right = ranked(&rows, query, odd, usize::MAX);
        assert_eq!(neighbors(&nearest[index]), right[..6]);
        let inside = right.partition_point(|&(distance, _)| distance <= 14);
        assert_eq!(neighbors(&within[index]), right[..inside]);
        let difference = |row: usize| (address(&rows[row]) ^ address(query)).count_ones();
        let inside = (0..rows.len()).filter(|&row| odd(row) && difference(row) <= 6).count();
        assert_eq!(neighbors(&balls[index]).len(), inside);
    }
    let single = ["query", "db", "--key", "even/10", "--filter-prefix", "odd/"];
    let one = &place.json(&single)[0];
    assert!(keys(one).iter().all(|key| key.starts_with("odd/")));
    // The radius that is taken is told, and answers as if it had been given.
    let ran = place.run(&[&single[..], &["--ball", "auto", "--json"]].concat());
    let told = ran.stderr.strip_prefix("hashdb: --ball auto: a radius of ");
    let (radius, rest) = told.and_then(|told| told.split_once(',')).expect(&ran.stderr);
    assert_eq!(rest, " for 1000 candidates\n");
    let given = &place.json(&[&single[..], &["--ball", radius]].concat())[0];
    assert_eq!(crate::objects(&ran.stdout)[0]["results"], given["results"]);
    let wrong = place.run(&[&single[..], &["--ball", "five"]].concat());
    let said = wrong.stderr.contains("neither a number of bits nor auto: five");
    assert!(wrong.code == Some(2) && said, "{}", wrong.stderr);
    // A ball of all addresses holds every record.
    let ball = &place.json(&[&single[..], &["--ball", "28"]].concat())[0];
    assert_eq!((&ball["results"], &ball["exact"]), (&one["results"], &false.into()));

    let nothing = ["bench", "db", "--queries", "queries.npy", "--filter-prefix", "absent"];
    for mode in [&["-k", "4"][..], &["--radius", "64"], &["--mode", "ball", "--radius", "28"]] {
        assert_eq!(place.json(&[&nothing, mode].concat())[0]["neighbors_mean"], 0.0);
    }
    let everything = ["query", "db", "--codes", "queries.npy", "--filter-prefix", "", "-k", "2"];
    for (answer, query) in place.json(&everything).iter().zip(&queries) {
        assert_eq!(neighbors(answer), ranked(&rows, query, |_| true, 2));
    }
}

#[test]
fn batches_are_measured_by_the_call() {
    let (place, ..) = place();
    let bench = ["bench", "db", "--queries", "queries.npy", "--truth", "truth.npy"];
    for batch in ["1", "7", "1000"] {
        for threads in ["1", "2"] {
            let more = ["--batch", batch, "--threads", threads];
            let report = &place.json(&[&bench[..], &more].concat())[0];
            assert_eq!((&report["recall"], &report["queries"]), (&1.0.into(), &60.into()));
            assert_eq!(report["batch"], batch.parse::<u64>().unwrap());
        }
    }
    let text = place.ok(&[&bench[..], &["--batch", "30"]].concat());
    assert!(text.contains("of a call of 30, divided by its queries"), "{text}");
}

#[test]
fn an_explanation_tells_of_every_segment() {
    let (place, rows, _) = place();
    let code = hex(&rows[3]);
    let single = ["query", "db", "--code", &code, "--explain"];
    let explained = &place.json(&single)[0];
    let source = &explained["explain"][0];
    assert_eq!((&source["rows"], &source["plan"]), (&6000.into(), &explained["plan"]));
    assert!(source["segment"].is_u64() && source["micros"].is_f64(), "{source}");
    assert!(source["weighed"].is_object());
    let text = place.ok(&single);
    assert!(text.contains("weighed") && text.contains("\nsegment "), "{text}");
    assert!(text.contains("odd/3"), "{text}");
    let many = ["query", "db", "--codes", "queries.npy", "--explain"];
    let lines = place.json(&many);
    assert!(lines.iter().all(|line| line["explain"][0]["rows"] == 6000));
    assert_eq!(place.ok(&many).matches("weighed").count(), 60);
    assert!(place.json(&single[..4])[0].get("explain").is_none());
}

#[test]
fn indexes_are_chosen_and_changed() {
    let place = Place::empty();
    let created = &place.json(&["create", "bare", "--encoder", "none", "--index", "none"])[0];
    assert_eq!(created["indexes"], "none");
    place.array_of_codes("codes.npy", &codes::<8>(5000, 13));
    let load = ["load", "db", "--codes", "codes.npy", "--progress", "none"];
    place.ok(&[&load[..], &["--index", "prefix,multi"]].concat());
    assert_eq!(place.json(&["info", "db"])[0]["indexes"], "multi,prefix");
    let again = [&load[..], &["--index", "all"]].concat();
    place.fails(2, "db is there already; hashdb compact --index changes its indexes", &again);
    let query = ["query", "db", "--codes", "codes.npy", "-k", "2"];
    let before = place.json(&query);
    for index in ["all", "none", "clusters"] {
        place.ok(&["compact", "db", "--index", index]);
        let plain = |answers: Vec<Value>| answers.iter().map(neighbors).collect::<Vec<_>>();
        assert_eq!(plain(place.json(&query)), plain(before.clone()), "{index}");
        assert_eq!(place.json(&["check", "db"])[0]["clean"], true);
    }
    assert!(place.ok(&["info", "db"]).contains("clusters"));
    for wrong in ["", "most", "multi;prefix"] {
        let ran = place.run(&["create", "other", "--index", wrong]);
        assert_eq!((ran.code, place.existing("other")), (Some(2), None));
    }
}
