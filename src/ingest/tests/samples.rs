//! Samples: entries that share a name, and the values that they become.
#![expect(clippy::disallowed_methods, reason = "tests make their own files")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shards::tar;
use super::*;
use crate::db::{Options, Readable as _};

/// Keys with their values, and keys with the kinds of their rejects.
type Ran = (Vec<(String, String)>, Vec<(String, &'static str)>);

/// What becomes of one shard, whose path is left out of the keys.
fn run(bytes: &[u8], siblings: &Siblings) -> Ran {
    let folder = folder(&[("s.tar", bytes)]);
    let path = folder.path().join("s.tar");
    let show = |key: &[u8]| {
        let start = path.as_os_str().len();
        String::from_utf8_lossy(&key[start..]).into_owned()
    };
    let mut records = Vec::new();
    let mut sink = |items: Vec<(Label, Vec<u8>)>, _: &Passed| {
        for (label, _) in items {
            records.push((show(&label.key), String::from_utf8(label.value).unwrap()));
        }
        Ok(())
    };
    let options = IngestOptions::default().siblings(siblings).batch(3);
    let mut rejects = Rejects::default();
    pipeline::run(std::slice::from_ref(&path), &options, &(), &Ok, &mut sink, &mut rejects)
        .unwrap();
    (records, rejects.0.iter().map(|reject| (show(&reject.key), reject.kind)).collect())
}

fn records(found: &[(&str, &str)]) -> Vec<(String, String)> {
    found.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn siblings_on_both_sides_of_an_image_become_its_value() {
    let bytes = tar(&[
        ("a/1.cls", b"7"),
        ("a/1.png", &png(1)),
        ("a/1.json", b"{\"x\": 1}"),
        ("b/1.png", &png(2)),
        ("b/2.png", &png(3)),
        ("b/2.seg.png", &png(4)),
        ("b/2.txt", b"two"),
        ("note", b"no sample"),
        ("lonely.txt", b"no image"),
        (".png", &png(5)),
        ("b/2.npy", b"of a sample of its own"),
    ]);
    let (found, rejects) = run(&bytes, &Siblings::all());
    let expected = [
        ("/a/1.png", r#"{"cls":"7","json":{"x": 1}}"#),
        ("/b/1.png", ""),
        ("/b/2.png", r#"{"txt":"two"}"#),
        ("/b/2.seg.png", r#"{"txt":"two"}"#),
        ("/.png", ""),
    ];
    assert_eq!((found, rejects), (records(&expected), Vec::new()));
    let (found, _) = run(&bytes, &Siblings::only(["TXT"]));
    let values: Vec<_> = found.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["", "", r#"{"txt":"two"}"#, r#"{"txt":"two"}"#, ""]);
}

#[test]
fn a_name_that_comes_again_begins_a_new_sample() {
    let bytes = tar(&[
        ("a.txt", b"first"),
        ("a.png", &png(1)),
        ("a.png", &png(2)),
        ("a.txt", b"second"),
        ("a.TXT", b"third"),
    ]);
    let (found, rejects) = run(&bytes, &Siblings::all());
    let expected = [("/a.png", r#"{"txt":"first"}"#), ("/a.png", r#"{"txt":"second"}"#)];
    assert_eq!((found, rejects), (records(&expected), Vec::new()));
}

/// A link without an ending, which is in no sample, was marked as passed while a sample around it was open: a run
/// that ended there would have gone on without the siblings before it.
#[test]
fn nothing_is_marked_as_passed_within_a_sample() {
    let mut builder = ::tar::Builder::new(Vec::new());
    let file = |bytes: &[u8]| {
        let mut header = ::tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header
    };
    builder.append_data(&mut file(b"1"), "a.txt", &b"1"[..]).unwrap();
    let mut link = file(b"");
    link.set_entry_type(::tar::EntryType::Symlink);
    builder.append_link(&mut link, "link", "a.txt").unwrap();
    let picture = png(1);
    builder.append_data(&mut file(&picture), "a.png", &picture[..]).unwrap();
    builder.append_data(&mut file(b"2"), "a.txt", &b"2"[..]).unwrap();
    let (found, rejects) = run(&builder.into_inner().unwrap(), &Siblings::all());
    assert_eq!(found, records(&[("/a.png", r#"{"txt":"2"}"#)]));
    assert_eq!(rejects, [("/link".to_owned(), "not-regular")]);
}

#[test]
fn a_broken_image_costs_its_record_and_not_those_of_its_sample() {
    let bytes = tar(&[("a.jpg", b"rubbish"), ("a.png", &png(1)), ("a.json", b"[1]")]);
    let (found, rejects) = run(&bytes, &Siblings::all());
    assert_eq!(found, records(&[("/a.png", r#"{"json":[1]}"#)]));
    assert_eq!(rejects, [("/a.jpg".to_owned(), "unknown-format")]);
}

#[test]
fn a_value_that_is_too_large_is_a_reject() {
    let large = vec![b'x'; MAX_SIBLING_BYTES - 2000];
    let bytes = tar(&[
        ("a.png", &png(1)),
        ("a.bin", &large),
        ("b.1", &large),
        ("b.2", &large),
        ("b.png", &png(1)),
        ("b.jpg", &png(1)),
        ("c.png", &png(2)),
    ]);
    let (found, rejects) = run(&bytes, &Siblings::all());
    let keys: Vec<_> = found.iter().map(|(key, value)| (key.as_str(), value.len())).collect();
    assert_eq!(keys, [("/a.png", large.len() + 10), ("/c.png", 0)]);
    assert_eq!(rejects, ["/b.png", "/b.jpg"].map(|key| (key.to_owned(), "value-too-large")));
    let (found, rejects) = run(&bytes, &Siblings::only(["txt"]));
    assert_eq!((found.len(), rejects.len()), (4, 0), "fewer endings help");
}

/// Names that have a date in them are one sample each year. All its images are held back for their siblings, so
/// it must end somewhere, and say so.
#[test]
fn images_of_an_endless_sample_are_rejected_and_take_no_memory() {
    let noise = vec![7; 3 << 20];
    let names: Vec<_> = (0..40).map(|day| format!("2024.{day}.png")).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), noise.as_slice())).collect();
    let (found, rejects) = run(&tar(&entries), &Siblings::all());
    assert_eq!((found.len(), rejects.len()), (0, 40));
    assert!(rejects.iter().all(|(_, kind)| *kind == "sample-too-large"), "{rejects:?}");
    let (found, rejects) = run(&tar(&[("a.png", &png(1)), ("a.1.png", &png(2))]), &Siblings::all());
    assert_eq!((found.len(), rejects.len()), (2, 0));
    // Endings are remembered, too.
    let names: Vec<_> = (0..70_000).map(|n| format!("2024.{n}")).collect();
    let mut entries: Vec<_> = names.iter().map(|name| (name.as_str(), &b""[..])).collect();
    let picture = png(3);
    entries.push(("2024.png", &picture));
    entries.push(("2025.png", &picture));
    let (found, rejects) = run(&tar(&entries), &Siblings::only(["json"]));
    assert_eq!(found, records(&[("/2025.png", "")]));
    assert_eq!(rejects, [("/2024.png".to_owned(), "value-too-large")]);
}

/// Ten samples of two images and two siblings in another order each, one of the images broken.
fn sampled() -> Vec<u8> {
    let mut broken = png(106);
    broken[20..].fill(0);
    sampled_with(&broken)
}

fn sampled_with(image: &[u8]) -> Vec<u8> {
    let mut entries = Vec::new();
    for number in 0..10_u8 {
        let mut sample = vec![
            (format!("{number}.png"), png(number)),
            (format!("{number}.b.png"), png(100 + number)),
            (format!("{number}.json"), format!("{{\"n\": {number}}}").into_bytes()),
            (format!("{number}.txt"), vec![b'a'; 5]),
        ];
        if number == 6 {
            sample[1].1 = image.to_vec();
        }
        sample.rotate_left(usize::from(number % 4));
        entries.extend(sample);
    }
    let entries: Vec<_> =
        entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    tar(&entries)
}

/// Runs into a database until `most` pictures were encoded, and returns its records.
pub(super) fn into(
    db: &Database,
    path: &std::path::Path,
    options: &IngestOptions<'_>,
    most: u64,
) -> (bool, u64, BTreeMap<Vec<u8>, Vec<u8>>) {
    let encoded = AtomicU64::new(0);
    let encode = |pictures: Vec<Vec<u8>>| {
        if encoded.fetch_add(pictures.len() as u64, Ordering::Relaxed) + 1 > most {
            return Err(IngestError::Encoder("it was switched off".into()));
        }
        let one = |picture: &Vec<u8>| {
            Ok((Address::new(picture[0].into(), 8)?, Code::from_bytes(&[picture[0]; 8])?))
        };
        pictures.iter().map(one).collect::<Result<_, IngestError>>()
    };
    let report = ingest_with(db, &[path.to_path_buf()], options, &encode, &mut ());
    let records = db.iter().map(|record| record.unwrap());
    let records = records.map(|record| (record.key.clone(), db.value(&record).unwrap())).collect();
    (report.is_ok(), encoded.into_inner(), records)
}

#[test]
fn a_run_that_stopped_within_a_sample_reads_all_of_it_again() {
    let folder = folder(&[("s.tar", &sampled())]);
    let path = folder.path().join("s.tar");
    let home = tempfile::tempdir().unwrap();
    let open = |name: &str| {
        let path = home.path().join(name);
        let options = Options::new().code_bits(64).address_bits(8).background(false);
        let there = Database::exists(&path);
        if there { Database::open(&path, options) } else { Database::create(&path, options) }
            .unwrap()
    };
    let siblings = Siblings::all();
    for batch in [1, 2, 3] {
        let options = IngestOptions::default().threads(2).batch(batch).siblings(&siblings);
        let (done, _, whole) = into(&open(&format!("whole-{batch}")), &path, &options, u64::MAX);
        assert!(done);
        assert_eq!(whole.len(), 19);
        for most in 1..19 {
            let db = open(&format!("{batch}-{most}"));
            let (done, first, _) = into(&db, &path, &options, most);
            assert!(!done);
            let (done, second, records) = into(&db, &path, &options, u64::MAX);
            assert!(done && records == whole, "batch {batch}, stopped after {most}");
            // At most the other image of the sample in flight is encoded again.
            let stored = first.saturating_sub(batch as u64);
            assert!(second <= 19 - stored + 1, "{first} and {second}");
        }
    }
}

/// A shard that was read in part without siblings would have been read on with them: half of its records had
/// values and half had none, and no run would ever have told.
#[test]
fn another_choice_of_siblings_begins_a_shard_anew() {
    let folder = folder(&[("s.tar", &sampled())]);
    let path = folder.path().join("s.tar");
    let home = tempfile::tempdir().unwrap();
    let options = Options::new().code_bits(64).address_bits(8).background(false);
    let db = Database::create(home.path().join("db"), options).unwrap();
    let plain = IngestOptions::default().threads(1).batch(2);
    let siblings = Siblings::all();
    let valued = plain.siblings(&siblings);
    assert!(!into(&db, &path, &plain, 9).0);
    let (done, second, records) = into(&db, &path, &valued, u64::MAX);
    assert!(done && second == 19);
    assert!(records.values().all(|value| !value.is_empty()));
    // What is done stays as it is until it is asked for.
    let (_, third, records) = into(&db, &path, &plain, u64::MAX);
    assert!(third == 0 && records.values().all(|value| !value.is_empty()));
    let changed = plain.redo(Redo { changed: true, ..Redo::default() });
    let (_, fourth, records) = into(&db, &path, &changed, u64::MAX);
    assert!(fourth == 0 && records.values().all(|value| !value.is_empty()), "it did not change");
    let all = plain.redo(Redo { all: true, ..Redo::default() });
    let (_, fifth, records) = into(&db, &path, &all, u64::MAX);
    assert!(fifth == 19 && records.values().all(Vec::is_empty));
    let (_, sixth, _) = into(&db, &path, &changed, u64::MAX);
    assert_eq!(sixth, 0);
}

/// Whatever comes again and again takes the place of what was there, and nothing grows.
#[test]
fn many_entries_of_one_key_leave_the_last() {
    let pictures: Vec<_> = (0..=255).map(png).collect();
    let entries: Vec<_> = (0..1500).map(|n| ("x.png", pictures[n % 256].as_slice())).collect();
    let folder = folder(&[("s.tar", &tar(&entries))]);
    let home = tempfile::tempdir().unwrap();
    let options = Options::new().code_bits(64).address_bits(8).background(false);
    let siblings = Siblings::all();
    for (name, ingest) in [
        ("plain", IngestOptions::default()),
        ("siblings", IngestOptions::default().siblings(&siblings)),
    ] {
        let db = Database::create(home.path().join(name), options.clone()).unwrap();
        let path = folder.path().join("s.tar");
        let (done, encoded, records) = into(&db, &path, &ingest, u64::MAX);
        assert!(done);
        assert_eq!((encoded, records.len()), (1500, 1));
        let key = source::key_of(&path.join("x.png"));
        assert_eq!(db.get(&key).unwrap().unwrap().address.value(), 1499 % 256);
    }
}

#[test]
fn rejected_images_are_tried_again_with_their_siblings() {
    let folder = folder(&[("s.tar", &sampled())]);
    let path = folder.path().join("s.tar");
    let home = tempfile::tempdir().unwrap();
    let options = Options::new().code_bits(64).address_bits(8).background(false);
    let db = Database::create(home.path().join("db"), options).unwrap();
    let siblings = Siblings::all();
    let ingest = IngestOptions::default().siblings(&siblings);
    into(&db, &path, &ingest, u64::MAX);
    let rejects = noted_rejects(&db, std::slice::from_ref(&path)).unwrap();
    assert_eq!(rejects.len(), 1);
    // The entry is mended at its place, and nothing else is another: its size and its time are as they were.
    let mended = sampled_with(&png(106));
    let before = path.metadata().unwrap();
    assert_eq!(before.len(), mended.len() as u64);
    std::fs::write(&path, mended).unwrap();
    let file = std::fs::File::options().write(true).open(&path).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let again = ingest.redo(Redo { rejects: true, ..Redo::default() });
    let (_, encoded, records) = into(&db, &path, &again, u64::MAX);
    assert_eq!((encoded, records.len()), (1, 20));
    let key = [path.as_os_str().as_encoded_bytes(), b"/6.b.png"].concat();
    assert_eq!(records[&key], br#"{"json":{"n": 6},"txt":"aaaaa"}"#);
}
