//! Training an encoder and using it.

use std::process::Stdio;
use std::time::Duration;

use image::{ImageFormat, Rgb, RgbImage};

use crate::Place;

/// Settings that train in a moment.
pub(crate) const SMALL: [&str; 10] = [
    "--code-layers",
    "16,64",
    "--address-layers",
    "16,8",
    "--rbm-epochs",
    "1",
    "--epochs",
    "1",
    "--progress",
    "none",
];

/// A folder `photos` of 40 small pictures.
pub(crate) fn photos() -> Place {
    let place = Place::empty();
    for number in 0..40_u8 {
        let image = RgbImage::from_fn(32, 32, |x, y| {
            let [x, y] = [x, y].map(|at| u8::try_from(at).unwrap());
            Rgb([x.wrapping_mul(number), y.wrapping_mul(8), number.wrapping_mul(6) ^ x])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        crate::write(&place.path(&format!("photos/{number:02}.png")), &bytes.into_inner());
    }
    place
}

#[test]
fn a_trained_encoder_fills_a_database() {
    let place = photos();
    let trained = &place.json(&[&["train", "photos", "--out", "w"], &SMALL[..]].concat())[0];
    assert_eq!((&trained["images"], &trained["seed"]), (&40.into(), &1.into()));
    assert!(trained["code"]["loss"].is_f64());
    assert!(!place.path("w.checkpoint").exists());
    let created = &place.json(&["create", "db", "--encoder", "w"])[0];
    assert_eq!((&created["code_bits"], &created["address_bits"]), (&64.into(), &8.into()));
    assert_eq!(created["encoder"], trained["fingerprint"]);
    place.ok(&["ingest", "db", "photos", "--progress", "none"]);
    assert_eq!(place.json(&["check", "db"])[0]["records"], 40);
    let again = &place.json(&[&["train", "photos", "--out", "v"], &SMALL[..]].concat())[0];
    assert_eq!(again["fingerprint"], trained["fingerprint"], "the same seed, the same weights");
}

#[test]
fn an_interrupted_training_goes_on_from_its_checkpoint() {
    let place = photos();
    let long = ["train", "photos", "--out", "w", "--code-layers", "16,64", "--address-layers"];
    let long = [&long[..], &["16,8", "--epochs", "100000", "--progress", "none"]].concat();
    let mut command = place.command();
    command.args(&long).stdout(Stdio::null()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    for _ in 0..200 {
        std::thread::sleep(Duration::from_millis(100));
        if place.path("w.checkpoint").exists() {
            break;
        }
    }
    assert_eq!(place.shell(&format!("kill -INT {}", child.id())).code, Some(0));
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("--resume goes on from w.checkpoint"), "{stderr}");
    place.fails(2, "w.checkpoint is the checkpoint of an earlier training", &long);
    let other = ["train", "photos", "--out", "w", "--resume"];
    place.fails(1, "cannot resume from w.checkpoint", &[&other[..], &SMALL].concat());
}

#[test]
fn trainings_that_cannot_be_are_refused() {
    let place = photos();
    let out = ["--out", "w"];
    place.fails(1, "cannot read absent", &[&["train", "absent"], &out[..]].concat());
    crate::write(&place.path("empty/notes.txt"), b"no picture");
    place.fails(1, "no picture to train on in empty", &[&["train", "empty"], &out[..]].concat());
    let odd = ["train", "photos", "--code-layers", "16,65"];
    place.fails(1, "65", &[&odd[..], &out].concat());
    let resume = ["train", "photos", "--resume"];
    place.fails(1, "no checkpoint w.checkpoint", &[&resume[..], &out].concat());
}

/// What cannot be written shows before hours of training.
#[test]
fn results_that_could_not_be_written_are_refused_at_once() {
    let place = photos();
    crate::write(&place.path("folder/x"), b"");
    let refused = |words: &str, arguments: &[&str]| {
        place.fails(1, words, &[&["train", "photos"], arguments, &SMALL].concat());
    };
    refused("cannot write nowhere/losses.png: ", &["--out", "w", "--plot", "nowhere/losses.png"]);
    refused("cannot write folder: it is a folder", &["--out", "w", "--plot", "folder"]);
    refused("cannot write folder: it is a folder", &["--out", "folder"]);
    refused("cannot write nowhere/w: ", &["--out", "nowhere/w"]);
    let kmeans = ["train", "photos", "--preset", "kmeans-itq", "--out", "folder"];
    place.fails(1, "cannot write folder: it is a folder", &kmeans);
    assert_eq!(place.shell("ls").stdout, "folder\nphotos\n", "nothing is left");
    // What looks like a draft may be somebody's.
    crate::write(&place.path("w.tmp"), b"mine");
    place.fails(1, "cannot read absent", &["train", "absent", "--out", "w"]);
    assert_eq!(crate::read(&place.path("w.tmp")), b"mine");
}

/// The picture was drawn first, and what was trained was lost with it.
#[test]
fn a_plot_that_can_no_longer_be_written_costs_no_weights() {
    let place = photos();
    let plot = "train photos --out w --plot charts/losses.png --log l --code-layers 16,64 --address-layers 16,8 \
        --rbm-epochs 1 --epochs 1 --progress none";
    // The folder goes when the first epoch is logged.
    let line = format!(
        "mkdir charts; (until [ -s l ]; do sleep 0.01; done; rm -r charts) & $HASHDB {plot}; e=$?; wait; exit $e"
    );
    let ran = place.shell(&line);
    assert!(ran.code == Some(1) && ran.stderr.contains("charts/losses.png"), "{}", ran.stderr);
    assert!(place.path("w").exists() && !place.path("w.checkpoint").exists());
}

/// Scripts that look at the exit code alone took broken pictures for trained on.
#[test]
fn trainings_and_scores_without_some_pictures_say_so_in_their_exit_code() {
    let place = photos();
    crate::write(&place.path("photos/40.png"), b"no picture");
    let ran = place.run(&[&["train", "photos", "--out", "w"], &SMALL[..]].concat());
    assert!(ran.code == Some(4) && place.path("w").exists(), "{}", ran.stderr);
    assert!(ran.stderr.contains("training on 40 pictures; 1 were rejected"), "{}", ran.stderr);
    place.ok(&["create", "db", "--encoder", "w"]);
    place.run(&["ingest", "db", "photos", "--progress", "none"]);
    let score = ["eval", "--db", "db", "--queries", "photos", "--labels", "folders"];
    let ran = place.run(&score);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    let words = "leak warning: 40 of 40 queries have the keys of records, and each finds itself";
    assert!(ran.stderr.contains(words), "{}", ran.stderr);
    place.shell("mkdir others; mv photos/1*.png others");
    let apart = ["eval", "--db", "db", "--queries", "others", "--labels", "folders"];
    let ran = place.run(&apart);
    assert!(ran.code == Some(1) && ran.stdout.is_empty(), "{}", ran.stdout);
    assert!(ran.stderr.contains("no query has the label of an item"), "{}", ran.stderr);
    let data = [&score[..], &["--data", "cifar10"]].concat();
    assert_eq!(place.run(&data).code, Some(2), "shards of a protocol that nobody asked for");
}

/// What a paper's preset is cut down to, so that it trains in a moment.
pub(crate) const QUICK: [&str; 8] =
    ["--rbm-epochs", "2", "--epochs", "3", "--batch", "16", "--progress", "none"];

/// The lines of a log of losses, as "net phase epoch".
fn logged(place: &Place, name: &str) -> Vec<String> {
    let text = String::from_utf8(crate::read(&place.path(name))).unwrap();
    let line = |line: &str| {
        let epoch: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(epoch["loss"].as_f64().unwrap() > 0.0 && epoch["rate"].is_f64(), "{line}");
        let [net, phase] = ["net", "phase"].map(|name| epoch[name].as_str().unwrap());
        format!("{net} {phase} {}", epoch["epoch"])
    };
    text.lines().map(line).collect()
}

#[test]
fn a_preset_of_the_paper_trains_and_its_losses_are_logged_and_drawn() {
    let place = photos();
    let layers = ["--code-layers", "16,64", "--address-layers", "16,64,12,8"];
    let train = ["train", "photos", "--out", "w", "--preset", "kh2011-28", "--log", "losses"];
    let train = [&train[..], &["--plot", "losses.png"], &layers, &QUICK].concat();
    let trained = &place.json(&train)[0];
    assert_eq!(trained["address"]["rbm_losses"].as_array().unwrap().len(), 4);
    assert_eq!(trained["address"]["rbm_losses"][1], trained["code"]["rbm_losses"][1]);
    let expected = [
        "code rbm 1/2 1",
        "code rbm 1/2 2",
        "code rbm 2/2 1",
        "code rbm 2/2 2",
        "code fine-tuning 1",
        "code fine-tuning 2",
        "code fine-tuning 3",
        "address rbm 3/4 1",
        "address rbm 3/4 2",
        "address rbm 4/4 1",
        "address rbm 4/4 2",
        "address fine-tuning 1",
        "address fine-tuning 2",
        "address fine-tuning 3",
    ];
    assert_eq!(logged(&place, "losses"), expected);
    let picture = image::open(place.path("losses.png")).unwrap().to_rgb8();
    assert_eq!(picture.dimensions(), (1500, 640));
    let blue = |pixel: &&Rgb<u8>| pixel.0 == [31, 119, 180];
    assert!(picture.pixels().filter(blue).count() > 100, "no curve is drawn");
}

#[test]
fn a_patch_net_is_added_to_an_encoder() {
    let place = photos();
    let base = &place.json(&[&["train", "photos", "--out", "w"], &SMALL[..]].concat())[0];
    let train = ["train", "photos", "--preset", "kh2011-patch", "--base", "w", "--patch-layers"];
    let train = [&train[..], &["16,8", "--log", "losses"], &QUICK].concat();
    let trained = &place.json(&[&train[..], &["--places", "2", "--out", "p"]].concat())[0];
    assert_ne!(trained["fingerprint"], base["fingerprint"]);
    assert_eq!((&trained["images"], trained.get("code")), (&40.into(), None));
    assert_eq!(trained["patch"]["rbm_losses"].as_array().unwrap().len(), 2);
    assert_eq!(logged(&place, "losses").len(), 7);
    let created = &place.json(&["create", "db", "--encoder", "p"])[0];
    assert_eq!((&created["code_bits"], &created["address_bits"]), (&64.into(), &8.into()));
    place.fails(
        2,
        "--base needs --preset kh2011-patch",
        &["train", "photos", "--base", "w", "--out", "q"],
    );
    let nested = ["--prefixes", "16", "--out", "q"];
    place.fails(2, "are of codes and whole pictures", &[&train[..], &nested].concat());
    let other = ["train", "photos", "--places", "2", "--out", "q"];
    place.fails(2, "need --preset kh2011-patch", &other);
    place.fails(1, "expected 1 to 81", &[&train[..], &["--places", "82", "--out", "q"]].concat());
}

#[test]
fn settings_of_nested_codes_change_the_weights_and_are_checked() {
    let place = photos();
    let train = |name, more: &[&str]| {
        let arguments = [&["train", "photos", "--out", name], &SMALL[..], more].concat();
        place.json(&arguments)[0]["fingerprint"].as_str().unwrap().to_owned()
    };
    let plain = train("plain", &[]);
    assert_eq!(plain, train("same", &["--prefixes", "16,32", "--components", "256"]));
    let whole = train("whole", &["--prefixes", "none"]);
    let pixels = train("pixels", &["--components", "0"]);
    assert!(plain != whole && plain != pixels && whole != pixels);
    for (prefixes, words) in
        [("64", "from 1 to 63"), ("32,16", "rising"), ("a", "no number of bits")]
    {
        let arguments = [&["train", "photos", "--out", "w"], &SMALL[..], &["--prefixes", prefixes]];
        let run = place.run(&arguments.concat());
        assert!(run.code != Some(0) && run.stderr.contains(words), "{}", run.stderr);
    }
}

/// Weights must not depend on how many threads share a matrix product.
#[test]
fn any_number_of_threads_gives_the_same_weights() {
    let place = photos();
    let train = ["train", "photos", "--preset", "kh2011-256", "--code-layers", "512,256"];
    let train = [&train[..], &["--address-layers", "200,28", "--batch", "40"]].concat();
    let train = [&train[..], &["--rbm-epochs", "1", "--epochs", "1", "--json", "--out"]].concat();
    let weights = ["1", "2", "5"].map(|threads| {
        let mut command = place.command();
        command.args(&train).arg(threads).env("RAYON_NUM_THREADS", threads);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        crate::read(&place.path(threads))
    });
    assert!(weights[0] == weights[1] && weights[1] == weights[2]);
}

#[test]
fn a_training_that_was_killed_goes_on_with_its_log_and_gives_the_same_weights() {
    let place = photos();
    let train = ["train", "photos", "--address-layers", "16,8", "--rbm-epochs", "2", "--epochs"];
    let train = [&train[..], &["40", "--batch", "4", "--progress", "none"]].concat();
    let layers = ["--code-layers", "16,64"];
    place.ok(&[&train[..], &layers, &["--log", "whole.log", "--out", "whole"]].concat());
    let log = ["--log", "stopped.log", "--out", "stopped"];
    let stopped = [&train[..], &layers, &log].concat();
    let mut command = place.command();
    let mut child = command.args(&stopped).stdout(Stdio::null()).spawn().unwrap();
    for _ in 0..400 {
        std::thread::sleep(Duration::from_millis(25));
        if place.path("stopped.checkpoint").exists() {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(place.path("stopped.checkpoint").exists(), "it was done before it could be killed");
    let other = [&train[..], &["--code-layers", "12,64", "--resume"], &log].concat();
    let both = "it is of the networks code 3072-16-64, address 3072-16-8; this training is of code \
                3072-12-64, address 3072-16-8";
    place.fails(1, both, &other);
    place.ok(&[&stopped[..], &["--resume", "--plot", "stopped.png"]].concat());
    let read = |name| crate::read(&place.path(name));
    assert!(read("stopped") == read("whole"));
    assert_eq!(logged(&place, "stopped.log"), logged(&place, "whole.log"));
    assert!(place.path("stopped.png").exists());
}

#[test]
fn a_training_that_runs_away_keeps_its_checkpoint_and_says_where() {
    let place = photos();
    let train = ["train", "photos", "--out", "w", "--linear-rate", "10", "--rbm-epochs", "90"];
    let run = place.run(&[&train[..], &["--code-layers", "16,64", "--progress", "none"]].concat());
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    let words = ["diverged in rbm 1/2 of the code net", "at step 1 of 1 of pass", "at rate 10"];
    for word in words.into_iter().chain(["w.checkpoint keeps the last good pass"]) {
        assert!(run.stderr.contains(word), "{}", run.stderr);
    }
    assert!(place.path("w.checkpoint").exists() && !place.path("w").exists());
}
