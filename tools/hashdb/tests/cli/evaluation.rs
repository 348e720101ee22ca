//! Scores of codes by labels: small shards whose answers are known, and what is refused.

use std::io::Cursor;

use image::{ImageFormat, Rgb, RgbImage};
use serde_json::{Value, json};

use crate::{Place, objects};

/// A picture of a class: stripes across or along, in a shade of its own.
fn picture(class: &str, number: u8) -> Vec<u8> {
    let image = RgbImage::from_fn(32, 32, |x, y| {
        let along = if class == "cat" { x } else { y };
        let light = if (along / 4).is_multiple_of(2) { 200 } else { 30 };
        let shade = number.wrapping_mul(29) % 40;
        let [x, y] = [x, y].map(|at| u8::try_from(at).unwrap());
        // Something that differs between pictures of a class.
        let grain = x.wrapping_mul(number).wrapping_add(y.wrapping_mul(number / 2 + 3)) % 16;
        Rgb([light + shade, light / 2 + shade + grain, 90 + grain])
    });
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Shards of the protocol `cifar10-5k`: 40 pictures to be found, and 10 that ask.
fn shards() -> Place {
    let place = Place::empty();
    for (split, count) in [("train", 20_u8), ("test", 5)] {
        let mut shard = tar::Builder::new(Vec::new());
        for number in 0..count {
            for class in ["cat", "dog"] {
                // Queries are no items.
                let bytes = picture(class, if split == "test" { number + 100 } else { number });
                let mut header = tar::Header::new_ustar();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o644);
                let name = format!("{split}_{class}_{number:04}.png");
                shard.append_data(&mut header, name, &bytes[..]).unwrap();
            }
        }
        let shard = shard.into_inner().unwrap();
        crate::write(&place.path(&format!("cifar10/{split}-00000.tar")), &shard);
    }
    place
}

const SMALL: [&str; 5] = ["eval", "--protocol", "cifar10-5k", "--progress", "none"];

fn rows(place: &Place, arguments: &[&str]) -> Vec<Value> {
    let mut rows = place.json(&[&SMALL[..], arguments].concat());
    for row in &mut rows {
        // Time alone differs from run to run.
        assert!(row.as_object_mut().unwrap().remove("score_seconds").is_some());
    }
    rows
}

fn number(row: &Value, path: &str) -> f64 {
    row.pointer(path).and_then(Value::as_f64).expect(path)
}

#[test]
fn every_method_finds_classes_that_differ_plainly() {
    let place = shards();
    let methods = "l2,l1,lsh,pca-sign,itq,spectral";
    let plot = ["--plot", "curves.png"];
    let rows = rows(&place, &[&["--method", methods, "--bits", "8,16"], &plot[..]].concat());
    let names: Vec<_> = rows.iter().map(|row| row["codes"].as_str().unwrap()).collect();
    let expected = ["pixels, L2", "pixels, L1", "LSH", "LSH", "PCA sign", "PCA sign", "ITQ", "ITQ"];
    assert_eq!(names[..8], expected);
    assert_eq!(names[8..], ["spectral hashing"; 2]);
    for row in &rows {
        assert_eq!((&row["items"], &row["queries"]), (&40.into(), &10.into()));
        assert!(number(row, "/map_1000/mean") > 0.6, "{row}");
        let curve = row["curve"].as_array().unwrap();
        assert_eq!(curve.last().unwrap()["recall"], 1.0);
        assert_eq!(curve.last().unwrap()["precision"], 0.5);
    }
    assert_eq!(number(&rows[0], "/precision/1/mean"), 1.0, "the nearest is of the same class");
    assert_eq!((&rows[0]["bits"], &rows[3]["bits"]), (&Value::Null, &16.into()));
    assert_eq!(number(&rows[3], "/statistics/codes"), 40.0);
    assert!(crate::read(&place.path("curves.png")).starts_with(b"\x89PNG"));
}

#[test]
fn encoders_and_methods_are_scored_together_and_their_neighbours_drawn() {
    let place = shards();
    let both = ["--encoder", "default", "--encoder", "kmeans-itq", "--method", "itq"];
    for (file, head) in [("s.png", &b"\x89PNG"[..]), ("s.jpg", &b"\xff\xd8\xff"[..])] {
        let rows = rows(&place, &[&both[..], &["--bits", "16", "--sheet", file]].concat());
        let names: Vec<_> = rows.iter().map(|row| row["codes"].as_str().unwrap()).collect();
        assert_eq!(names, ["default encoder, first bits", "kmeans-itq, first bits", "ITQ"]);
        let drawn = crate::read(&place.path(file));
        assert!(drawn.starts_with(head));
        let drawn = image::load_from_memory(&drawn).unwrap().into_rgb8();
        // Two classes ask, three rows each.
        assert_eq!(drawn.height(), 24 + 2 * (3 * 38 + 14));
        // A JPEG blurs colours.
        let least = if file == "s.png" { 1000 } else { 0 };
        let green = |pixel: &&Rgb<u8>| pixel.0[1] > 120 && pixel.0[0] < 90 && pixel.0[2] < 90;
        assert!(
            drawn.pixels().filter(green).count() >= least,
            "neighbours of the class are framed"
        );
    }
    let twice = ["--db", "db", "--encoder", "default", "--encoder", "kmeans-itq"];
    place.fails(2, "codes of one encoder", &[&SMALL[..], &twice].concat());
}

#[test]
fn figures_too_good_for_codes_without_labels_are_called_a_leak() {
    let place = shards();
    let ran = place.run(&[&SMALL[..], &["--method", "l2"]].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("cifar10-5k, 1 of 1 test shards: 40 items, 10 queries"),
        "{}",
        ran.stdout
    );
    ran.is_one_sentence_with("leak warning: pixels, L2 has a mAP@1000 of ");
}

#[test]
fn controls_do_what_they_say() {
    let place = shards();
    let honest = &rows(&place, &["--method", "l2"])[0];
    let shuffled = &rows(&place, &["--method", "l2", "--control", "shuffled-labels"])[0];
    assert!(number(honest, "/map_all/mean") > 0.95);
    assert!(number(shuffled, "/map_all/mean") < 0.7, "{shuffled}");
    assert_eq!(shuffled["control"], "shuffled-labels");
    let inside = &rows(&place, &["--method", "lsh", "--control", "queries-inside"])[0];
    assert_eq!(number(inside, "/precision/1/mean"), 1.0, "every query finds itself");
    let random = ["--control", "random-encoder"];
    let [one, same, other] = ["1", "1", "2"]
        .map(|seed| rows(&place, &[&random[..], &["--seed", seed]].concat()).remove(0));
    assert_eq!(one["encoder"], same["encoder"]);
    assert_ne!(one["encoder"], other["encoder"]);
    assert_eq!(one["codes"], "random encoder");
}

#[test]
fn codes_of_a_database_score_as_those_of_its_encoder() {
    let place = shards();
    place.ok(&["create", "db"]);
    place.ok(&["ingest", "db", "cifar10/train-00000.tar", "--progress", "none"]);
    let direct = &rows(&place, &["--bits", "64,256"]);
    let stored = &rows(&place, &["--db", "db", "--bits", "64,256"]);
    for (direct, stored) in direct.iter().zip(stored) {
        for field in ["encoder", "bits", "map_1000", "map_all", "precision", "statistics", "curve"]
        {
            assert_eq!(direct[field], stored[field], "{field}");
        }
    }
    let asked = ["eval", "--db", "db", "--queries", "cifar10/test-00000.tar", "--progress", "none"];
    assert_eq!(place.json(&asked)[0]["map_1000"], direct[1]["map_1000"]);
    let addresses = &rows(&place, &["--address"])[0];
    assert_eq!(addresses["bits"], 28);
    assert_eq!(&rows(&place, &["--db", "db", "--address"])[0]["map_all"], &addresses["map_all"]);

    let train =
        ["train", "cifar10", "--out", "w", "--code-layers", "16,64", "--address-layers", "16,8"];
    let quick = ["--rbm-epochs", "1", "--epochs", "1", "--progress", "none"];
    place.ok(&[&train[..], &quick].concat());
    let other = [&SMALL[..], &["--db", "db", "--encoder", "w"]].concat();
    let ran = place.run(&other);
    assert_eq!(ran.code, Some(1));
    let trained = rows(&place, &["--encoder", "w"])[0]["encoder"].clone();
    for fingerprint in [&trained, &direct[0]["encoder"]] {
        ran.is_one_sentence_with(fingerprint.as_str().unwrap());
    }
}

#[test]
fn a_ball_of_every_address_leaves_the_ranking_as_it_is() {
    let place = shards();
    let [least, some, all, plain] = &rows(&place, &["--ball", "0,6,28"])[..] else {
        panic!("a row for each radius, and one without a ball");
    };
    let names = [least, some, all, plain].map(|row| row["codes"].as_str().unwrap());
    let name = "default encoder";
    assert_eq!(names[..3], [0, 6, 28].map(|radius| format!("{name}, ball of {radius}")));
    assert_eq!(names[3], name);
    for field in ["map_1000", "map_all", "precision", "curve"] {
        assert_eq!(all[field], plain[field], "{field}");
    }
    let candidates = [least, some, all].map(|row| number(row, "/ball/candidates_mean"));
    assert!(candidates.is_sorted() && candidates[0] < candidates[2], "{candidates:?}");
    assert_eq!(candidates[2], 40.0);
    assert_eq!(number(all, "/ball/queries_below_100"), 1.0, "there are 40 items");
    assert_eq!(plain["ball"], Value::Null);
    // What is left out was not found.
    assert!(number(least, "/map_all/mean") < number(all, "/map_all/mean"));
    let table = place.ok(&[&SMALL[..], &["--ball", "28"]].concat());
    assert!(table.contains("within a ball"), "{table}");
    assert_eq!(place.run(&[&SMALL[..], &["--ball", "3", "--address"]].concat()).code, Some(2));
}

#[test]
fn patches_rank_alone_and_joined_with_the_codes() {
    let place = shards();
    let quick = ["--rbm-epochs", "1", "--epochs", "1", "--progress", "none"];
    let shapes = ["--preset", "kh2011-patch", "--places", "4", "--patch-layers", "16,28"];
    let train = ["train", "cifar10/train-00000.tar", "--out", "w"];
    place.ok(&[&train[..], &shapes, &quick].concat());
    let asked = ["--encoder", "w", "--patches", "--patch-radius", "0,2"];
    let found = rows(&place, &asked);
    let names: Vec<_> = found.iter().map(|row| row["codes"].as_str().unwrap()).collect();
    let mut expected = Vec::new();
    for radius in [0, 2] {
        for counting in ["closest", "every"] {
            let name = format!("patches within {radius}, {counting}");
            expected.extend([name.clone(), format!("w, joined with {name}")]);
        }
    }
    expected.push("w".to_owned());
    assert_eq!(names, expected);
    let plain = &rows(&place, &["--encoder", "w"])[0];
    assert_eq!(&found[8], plain, "the codes alone score as they do without patches");
    assert_eq!(found[5]["patches"], json!({ "radius": 2, "counting": "closest", "joined": true }));
    assert_eq!((&found[0]["statistics"]["codes"], &found[0]["bits"]), (&3240.into(), &28.into()));
    let scored = [0, 2, 4, 6].map(|row: usize| number(&found[row], "/ball/candidates_mean"));
    assert!(scored[0] <= scored[2] && scored[0] == scored[1], "{scored:?}");

    // One weight alone leaves the ranking of the one or of the other.
    let by = |weights| rows(&place, &[&asked[..], &["--weights", weights]].concat());
    let (by_patches, by_codes) = (by("1,0"), by("0,1"));
    for field in ["map_1000", "map_all", "precision", "curve"] {
        for row in [0, 2, 4, 6] {
            assert_eq!(by_patches[row + 1][field], found[row][field], "{field}");
            assert_eq!(by_codes[row + 1][field], plain[field], "{field}");
        }
    }
    // The net may be that of another encoder.
    let others = ["--patches", "--patches-of", "w", "--patch-radius", "0,2"];
    let others = rows(&place, &others);
    assert_eq!(others[0]["map_all"], found[0]["map_all"]);
    assert_eq!(others[8]["codes"], "default encoder");
    let of_classes = ["--encoder", "kmeans-itq", "--patches", "--patches-of", "w"];
    assert_eq!(rows(&place, &of_classes)[0]["codes"], "patches within 3, closest");

    let refused = |code, words, arguments: &[&str]| {
        place.fails(code, words, &[&SMALL[..], arguments].concat());
    };
    refused(1, "has no network for patches", &["--patches"]);
    refused(2, "two numbers", &["--encoder", "w", "--patches", "--weights", "1"]);
    refused(2, "not both 0", &["--encoder", "w", "--patches", "--weights", "0,0"]);
    assert_eq!(place.run(&[&SMALL[..], &["--patch-radius", "2"]].concat()).code, Some(2));
    place.ok(&["create", "db", "--encoder", "w"]);
    place.ok(&["ingest", "db", "cifar10/train-00000.tar", "--progress", "none"]);
    refused(1, "has 0 patch addresses, expected 81", &["--db", "db", "--patches"]);
}

#[test]
fn labels_may_stand_in_a_table_that_must_match() {
    let place = shards();
    let shard = |split: &str, count: u8| {
        let names = (0..count).flat_map(|number| {
            ["cat", "dog"].map(|class| (format!("{split}_{class}_{number:04}.png"), class))
        });
        let line = |(name, class)| format!("cifar10/{split}-00000.tar/{name},{class}\n");
        names.map(line).collect::<String>()
    };
    let table = format!("key,label\n{}{}", shard("train", 20), shard("test", 5));
    crate::write(&place.path("labels.csv"), table.as_bytes());
    let by_name = &rows(&place, &["--method", "l2"])[0];
    assert_eq!(&rows(&place, &["--method", "l2", "--labels", "labels.csv"])[0], by_name);

    let refused = |table: &str, words: &str| {
        crate::write(&place.path("labels.csv"), table.as_bytes());
        place.fails(
            1,
            words,
            &[&SMALL[..], &["--method", "l2", "--labels", "labels.csv"]].concat(),
        );
    };
    refused(
        &format!("{table}absent.png,cat\n"),
        "1 of 51 keys in the table of labels belong to no picture",
    );
    let first = shard("train", 20);
    refused(
        &first,
        "10 of 10 pictures have no label, the first is cifar10/test-00000.tar/test_cat_0000.png",
    );
    refused("a,b,c\n", "labels.csv, line 1: 3 columns where key and label were expected");
    refused("a,b\na,c\n", "labels.csv: the table of labels has a twice, as b and as c");
    let folders = [&SMALL[..], &["--method", "l2", "--labels", "folders"]].concat();
    // The shard is the folder of its entries, so nothing can be found.
    place.fails(1, "no query has the label of an item", &folders);
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let place = shards();
    let away = ["--data", "elsewhere"];
    let all = ["eval", "--protocol", "cifar10", "--progress", "none"];
    place.fails(
        1,
        "in elsewhere: 11 are missing, the first is train-00000",
        &[&all[..], &away].concat(),
    );
    place.fails(1, "in cifar10: 9 are missing, the first is train-00001", &all);
    let wide = [&SMALL[..], &["--bits", "257"]].concat();
    place.fails(2, "--bits 257 is no multiple of eight up to 256", &wide);
    let pixels = [&SMALL[..], &["--method", "l1", "--bits", "8"]].concat();
    place.fails(2, "--bits has no meaning for pixels", &pixels);
    let random = [&SMALL[..], &["--method", "itq", "--control", "random-encoder"]].concat();
    place.fails(2, "random-encoder takes the place of an encoder", &random);
    place.fails(2, "--encoder none has no codes", &[&SMALL[..], &["--encoder", "none"]].concat());
    assert_eq!(place.run(&["eval"]).code, Some(2));
    place.ok(&["create", "empty"]);
    place.fails(1, "empty holds no record", &[&SMALL[..], &["--db", "empty"]].concat());
    let broken = [&SMALL[..], &["--encoder", "cifar10/test-00000.tar"]].concat();
    let ran = place.run(&broken);
    assert_eq!((ran.code, objects(&ran.stdout).len()), (Some(1), 0));
}
