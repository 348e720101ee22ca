//! What is stored with records: facts about images, the same whoever stopped the run and however many threads it had.
#![expect(clippy::disallowed_methods, reason = "tests make their own files")]

use std::fs;
use std::path::Path;

use super::samples::into;
use super::shards::tar;
use super::*;
use crate::db::{Options, Readable as _};

/// A picture of two halves, and its size.
fn picture(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, _| {
        image::Rgb(if x < width / 2 { [250, 10, 10] } else { [10, 10, 250] })
    })
}

fn encoded(picture: &image::RgbImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A JPEG that is to be turned by 90 degrees before it is shown.
fn turned(width: u32, height: u32) -> Vec<u8> {
    let plain = encoded(&picture(width, height), image::ImageFormat::Jpeg);
    let exif =
        b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
    [&plain[..2], exif, &plain[2..]].concat()
}

fn database(path: &Path) -> Database {
    let options = Options::new().code_bits(64).address_bits(8).background(false);
    let there = Database::exists(path);
    if there { Database::open(path, options) } else { Database::create(path, options) }.unwrap()
}

/// Files, a broken one, and a shard of samples with a broken image.
fn sources() -> tempfile::TempDir {
    let png = |width, height| encoded(&picture(width, height), image::ImageFormat::Png);
    let entries = [
        ("1.png", png(40, 30)),
        ("1.json", br#"{"n": 1}"#.to_vec()),
        ("2.jpg", turned(200, 80)),
        ("3.png", png(30, 30)[..50].to_vec()),
        ("3.txt", b"broken".to_vec()),
        ("4.png", png(64, 64)),
        ("5.png", png(65, 2)),
        ("5.txt", b"flat".to_vec()),
    ];
    let entries: Vec<_> = entries.iter().map(|(name, bytes)| (*name, bytes.as_slice())).collect();
    folder(&[
        ("a/turned.jpg", &turned(300, 100)),
        ("broken.jpg", b"\xff\xd8 no picture"),
        ("s.tar", &tar(&entries)),
        ("small.png", &png(20, 10)),
    ])
}

fn facts_of(db: &Database, key: &[u8]) -> Option<ImageFacts> {
    let record = db.get(key).unwrap()?;
    ImageFacts::decode(&db.value(&record).unwrap())
}

fn size_of(jpeg: &[u8]) -> (u32, u32) {
    let picture = decode_rgb(jpeg).unwrap();
    (picture.width, picture.height)
}

#[test]
fn facts_are_those_of_the_image_as_it_is_shown() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    let siblings = Siblings::all();
    let options = IngestOptions::default().siblings(&siblings).store(Store::all());
    let (done, encoded, records) = into(&db, folder.path(), &options, u64::MAX);
    // Neither the broken file nor the broken entry left anything.
    assert!(done && encoded == 6 && records.len() == 6);
    let key = |name: &str| folder.path().join(name).into_os_string().into_encoded_bytes();

    let bytes = fs::read(folder.path().join("a/turned.jpg")).unwrap();
    let facts = facts_of(&db, &key("a/turned.jpg")).unwrap();
    assert_eq!((facts.path, facts.entry), (Some(key("a/turned.jpg")), None));
    assert_eq!(facts.size, Some(bytes.len() as u64));
    assert_eq!(facts.hash, Some(*blake3::hash(&bytes).as_bytes()));
    assert_eq!((facts.width, facts.height), (Some(100), Some(300)));
    let small = decode_rgb(&facts.thumbnail.unwrap()).unwrap();
    assert_eq!((small.width, small.height), (21, 64));
    // Turned by 90 degrees clockwise, the left half is above: red, then blue.
    let (top, bottom) = (&small.pixels[..3], &small.pixels[small.pixels.len() - 3..]);
    assert!(top[0] > 200 && top[2] < 60 && bottom[0] < 60 && bottom[2] > 200, "{top:?} {bottom:?}");

    let facts = facts_of(&db, &key("s.tar/2.jpg")).unwrap();
    assert_eq!((facts.path, facts.entry), (Some(key("s.tar")), Some(b"2.jpg".to_vec())));
    assert_eq!((facts.width, facts.height), (Some(80), Some(200)));
    assert_eq!(facts.hash, Some(*blake3::hash(&turned(200, 80)).as_bytes()));
    assert_eq!(facts.size, Some(turned(200, 80).len() as u64));
    // What is small keeps its size, and what is thin keeps a pixel.
    for (name, size) in
        [("small.png", (20, 10)), ("s.tar/4.png", (64, 64)), ("s.tar/5.png", (64, 2))]
    {
        let facts = facts_of(&db, &key(name)).unwrap();
        assert_eq!(size_of(&facts.thumbnail.unwrap()), size, "{name}");
    }
    let value: serde_json::Value = serde_json::from_slice(&records[&key("s.tar/1.png")]).unwrap();
    assert_eq!((&value["json"]["n"], &value["image"]["width"]), (&1.into(), &40.into()));
    assert_eq!(value["image"].as_object().unwrap().len(), 7);

    let few = database(&home.path().join("few"));
    let store = Store::only([Fact::Height, Fact::Thumbnail]).thumbnail_side(16);
    into(&few, folder.path(), &IngestOptions::default().store(store), u64::MAX);
    let facts = facts_of(&few, &key("a/turned.jpg")).unwrap();
    assert_eq!(size_of(facts.thumbnail.as_ref().unwrap()), (5, 16));
    let expected = (Some(300), None, None, None, None);
    assert_eq!((facts.height, facts.width, facts.size, facts.hash, facts.path), expected);
}

#[test]
fn a_run_that_was_stopped_anywhere_stores_what_one_that_was_not_does() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let siblings = Siblings::all();
    let options = IngestOptions::default().siblings(&siblings).store(Store::all()).batch(2);
    let whole = database(&home.path().join("whole"));
    assert!(into(&whole, folder.path(), &options.threads(1), u64::MAX).0);
    let digest = |db: &Database| db.digest(1, &mut |_| ()).unwrap();
    let bare = database(&home.path().join("bare"));
    into(&bare, folder.path(), &IngestOptions::default(), u64::MAX);
    assert_ne!(digest(&bare), digest(&whole), "the digest covers what is stored");
    for threads in [1, 4] {
        for most in 1..6 {
            let db = database(&home.path().join(format!("{threads}-{most}")));
            let options = options.threads(threads);
            assert!(!into(&db, folder.path(), &options, most).0);
            assert!(into(&db, folder.path(), &options, u64::MAX).0);
            assert_eq!(digest(&db), digest(&whole), "{threads} threads, stopped after {most}");
        }
    }
}

/// The encoder and the report of a run over a folder.
fn run(db: &Database, path: &Path, options: &IngestOptions<'_>) -> Report {
    let encode = |pictures: Vec<Vec<u8>>| {
        let one = |picture: &Vec<u8>| {
            Ok((Address::new(picture[0].into(), 8)?, Code::from_bytes(&[picture[0]; 8])?))
        };
        pictures.iter().map(one).collect::<Result<_, IngestError>>()
    };
    ingest_with(db, &[path.to_path_buf()], options, &encode, &mut ()).unwrap()
}

#[test]
fn records_that_are_passed_over_keep_what_they_hold_and_are_counted() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    let sized = IngestOptions::default().store(Store::only([Fact::Size]));
    let report = run(&db, folder.path(), &sized);
    assert_eq!((report.done, report.stored_otherwise), (6, 0));
    let key = |name: &str| folder.path().join(name).into_os_string().into_encoded_bytes();
    let wide = IngestOptions::default().store(Store::only([Fact::Width]));
    // Two files and a shard; the broken file holds nothing.
    for options in [wide, wide.redo(Redo { changed: true, ..Redo::default() })] {
        let report = run(&db, folder.path(), &options);
        assert_eq!((report.done, report.done_before, report.stored_otherwise), (0, 4, 3));
    }
    assert_eq!(run(&db, folder.path(), &sized).stored_otherwise, 0);
    let (size, width) = (
        |name: &str| facts_of(&db, &key(name)).unwrap().size,
        |name: &str| facts_of(&db, &key(name)).unwrap().width,
    );
    assert!(size("small.png").is_some() && width("small.png").is_none());

    // What was only touched keeps its record, and its note says which choice that is of.
    let small = folder.path().join("small.png");
    let file = fs::File::options().write(true).open(&small).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let report = run(&db, folder.path(), &wide.redo(Redo { changed: true, ..Redo::default() }));
    assert_eq!((report.done, report.stored_otherwise), (0, 3));
    assert!(size("small.png").is_some() && width("small.png").is_none());
    assert_eq!(run(&db, folder.path(), &wide).stored_otherwise, 3);

    let report = run(&db, folder.path(), &wide.redo(Redo { all: true, ..Redo::default() }));
    assert_eq!((report.done, report.stored_otherwise), (6, 0));
    assert_eq!(width("s.tar/1.png"), Some(40));
    assert_eq!(run(&db, folder.path(), &wide).stored_otherwise, 0);
}

#[test]
fn a_shard_is_never_half_of_another_choice() {
    let shades: Vec<_> = (0..20).map(|shade| (format!("{shade}.png"), png(shade))).collect();
    let entries: Vec<_> =
        shades.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let folder = folder(&[("s.tar", &tar(&entries))]);
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    let plain = IngestOptions::default().threads(1).batch(2);
    assert!(!into(&db, folder.path(), &plain, 9).0);
    let stored = plain.store(Store::only([Fact::Hash]));
    let (done, second, records) = into(&db, folder.path(), &stored, u64::MAX);
    assert!(done && second == 20, "{second}");
    assert!(records.values().all(|value| ImageFacts::decode(value).unwrap().hash.is_some()));
}

#[test]
fn a_value_that_has_no_room_for_facts_is_a_reject() {
    let picture = png(1);
    let shard =
        tar(&[("1.png", &picture), ("1.image", b"taken"), ("2.png", &picture), ("2.json", b"[1]")]);
    let folder = folder(&[("s.tar", &shard)]);
    let siblings = Siblings::all();
    let options = IngestOptions::default().siblings(&siblings).store(Store::only([Fact::Size]));
    let outcome = outcome(folder.path(), &[folder.path().join("s.tar")], &options);
    assert_eq!(outcome.keys(), ["s.tar/2.png"]);
    assert_eq!(outcome.rejects, [("s.tar/1.png".to_owned(), "value-taken")]);
}
