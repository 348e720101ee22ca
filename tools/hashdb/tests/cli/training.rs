//! Training an encoder and using it.

use std::process::Stdio;
use std::time::Duration;

use image::{ImageFormat, Rgb, RgbImage};

use crate::Place;

/// Settings that train in a moment.
const SMALL: [&str; 10] = [
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
