//! `hashdb train --preset kmeans-itq`, and the encoder that comes of it in use.

use crate::training::photos;

/// Settings that train in a moment.
const SMALL: [&str; 16] = [
    "--preset",
    "kmeans-itq",
    "--bits",
    "64",
    "--address-bits",
    "8",
    "--centroids",
    "6",
    "--patches",
    "400",
    "--rounds",
    "2",
    "--distorted",
    "20",
    "--progress",
    "none",
];

#[test]
fn a_trained_encoder_fills_a_database_and_is_scored() {
    let place = photos();
    let trained = &place.json(&[&["train", "photos", "--out", "w"], &SMALL[..]].concat())[0];
    assert_eq!((&trained["images"], &trained["seed"]), (&40.into(), &1.into()));
    assert!(trained["code_entropy"].as_f64().unwrap() > 0.5, "{trained}");
    let created = &place.json(&["create", "db", "--encoder", "w"])[0];
    assert_eq!((&created["code_bits"], &created["address_bits"]), (&64.into(), &8.into()));
    assert_eq!(created["encoder"], trained["fingerprint"]);
    place.ok(&["ingest", "db", "photos", "--progress", "none"]);
    assert_eq!(place.json(&["check", "db"])[0]["records"], 40);
    let found = &place.json(&["query", "db", "photos/07.png", "-k", "1"])[0];
    assert_eq!(found["results"][0]["distance"], 0);
    let bf16 = ["create", "narrow", "--encoder", "w", "--precision", "bf16"];
    place.fails(1, "kmeans-itq have f32 alone", &bf16);
}

/// Sums are formed in one order whatever the number of threads that products are dealt to.
#[test]
fn the_number_of_threads_does_not_show_in_the_weights() {
    let place = photos();
    let weights = |threads: &str, out: &str| {
        let mut command = place.command();
        command.env("RAYON_NUM_THREADS", threads).args(["train", "photos", "--out", out]);
        let output = command.args(SMALL).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        crate::read(&place.path(out))
    };
    let one = weights("1", "one");
    assert!(one == weights("2", "two") && one == weights("5", "five"));
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    let place = photos();
    let train = |more: &[&'static str]| [&["train", "photos", "--out", "w"], more].concat();
    let preset = ["--preset", "kmeans-itq"];
    let with = |more: &[&'static str]| train(&[&preset[..], more].concat());
    place.fails(2, "need --preset kmeans-itq", &train(&["--centroids", "6"]));
    place.fails(2, "no layers, epochs and rates", &with(&["--epochs", "3"]));
    place.fails(2, "keeps no checkpoint", &with(&["--resume"]));
    place.fails(2, "computes on the CPU", &with(&["--device", "cuda"]));
    place.fails(1, "ends in 65 bits", &with(&["--bits", "65"]));
    place.fails(1, "the grid is 28, expected 1 to 27", &with(&["--grid", "28"]));
}
