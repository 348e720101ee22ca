//! Order, cancellation and errors of whole runs.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::source::key_of;
use super::*;
use crate::db::{Options, Readable as _};
use crate::error::Error;

/// 600 images, twelve of them cut short, and a shard among them.
fn mixed() -> tempfile::TempDir {
    let images: Vec<_> = (0..=255).map(png).collect();
    let content = |n: usize| {
        let image = &images[n % 256][..];
        if n % 50 == 3 { &image[..20] } else { image }
    };
    let names: Vec<String> = (0..600).map(|n| format!("{}/{n:04}.png", n % 7)).collect();
    let mut files: Vec<(&str, &[u8])> =
        names.iter().enumerate().map(|(n, name)| (name.as_str(), content(n))).collect();
    files.push(("3/notes.txt", b"no image"));
    let shard = shards::tar(&[("a.png", &images[1]), ("b.png", b"rubbish"), ("c.json", b"{}")]);
    files.push(("5/shard.tar", &shard));
    folder(&files)
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let folder = mixed();
    let paths = [folder.path().to_path_buf()];
    let run = |threads| {
        outcome(folder.path(), &paths, &IngestOptions::default().threads(threads).batch(37))
    };
    let one = run(1);
    assert_eq!(one.items.len(), 600 - 12 + 1);
    assert_eq!(one.rejects.len(), 12 + 1);
    assert!(one.keys().is_sorted(), "files come sorted by name");
    assert!(one.keys().contains(&"5/shard.tar/a.png"));
    assert_eq!(run(2), one);
    assert_eq!(run(5), one);
}

#[test]
fn a_file_named_itself_is_tried_whatever_its_name() {
    let folder = folder(&[("picture.txt", &png(1)), ("other.txt", b"text")]);
    let path = |name| folder.path().join(name);
    let options = IngestOptions::default();
    let named = outcome(folder.path(), &[path("picture.txt"), path("other.txt")], &options);
    assert_eq!(named.keys(), ["picture.txt"]);
    assert_eq!(named.rejects, [("other.txt".to_owned(), "unknown-format")]);
    let walked = outcome(folder.path(), &[folder.path().to_path_buf()], &options);
    assert_eq!(walked, Outcome::default());
}

#[test]
fn a_path_that_does_not_exist_stops_everything_before_it_starts() {
    let folder = folder(&[("a.png", &png(1))]);
    let paths = [folder.path().join("a.png"), folder.path().join("missing")];
    let mut sink = |_: Vec<(Label, Vec<u8>)>, _: &Passed| panic!("nothing may be written");
    let error = pipeline::run(&paths, &IngestOptions::default(), &(), &Ok, &mut sink, &mut ());
    assert!(matches!(error, Err(IngestError::Path { path, .. }) if path == paths[1]));
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_loops_are_rejected() {
    use std::os::unix::fs::symlink;
    let folder = folder(&[("a/1.png", &png(1)), ("outside.png", &png(2))]);
    symlink(".", folder.path().join("a/loop")).unwrap();
    symlink("../outside.png", folder.path().join("a/2.png")).unwrap();
    symlink("nowhere.png", folder.path().join("a/3.png")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("a/4.png")).unwrap();
    let found = outcome(folder.path(), &[folder.path().join("a")], &IngestOptions::default());
    assert_eq!(found.keys(), ["a/1.png", "a/2.png"]);
    let rejects = [("a/3.png", "unreadable"), ("a/4.png", "not-regular"), ("a/loop", "link-loop")];
    assert_eq!(found.rejects, rejects.map(|(key, kind)| (key.to_owned(), kind)));
}

#[test]
fn an_error_of_the_sink_ends_the_run() {
    let folder = mixed();
    let batches = AtomicU64::new(0);
    let mut sink =
        |_: Vec<(Label, Vec<u8>)>, _: &Passed| match batches.fetch_add(1, Ordering::Relaxed) {
            1 => Err(Error::Poisoned.into()),
            _ => Ok(()),
        };
    let options = IngestOptions::default().batch(8);
    let paths = [folder.path().to_path_buf()];
    let error = pipeline::run(&paths, &options, &(), &Ok, &mut sink, &mut ());
    assert!(matches!(error, Err(IngestError::Database(Error::Poisoned))));
    assert_eq!(batches.into_inner(), 2);
}

#[test]
fn an_error_of_the_encoder_or_of_the_observer_ends_the_run() {
    struct Full;
    impl Observer for Full {
        fn reject(&mut self, _: Reject) -> Result<(), IngestError> {
            Err(Error::ReadOnly.into())
        }
    }
    let folder = mixed();
    let paths = [folder.path().to_path_buf()];
    let options = IngestOptions::default().batch(8);
    let broken = |_: Vec<Vec<u8>>| Err::<Vec<u8>, _>(IngestError::Encoder("no device".into()));
    let error =
        pipeline::run(&paths, &options, &(), &broken, &mut |_, _| Ok(()), &mut ()).unwrap_err();
    assert_eq!(error.to_string(), "the encoder failed: no device");
    let short = |_: Vec<Vec<u8>>| Ok(vec![0_u8]);
    let error =
        pipeline::run(&paths, &options, &(), &short, &mut |_, _| Ok(()), &mut ()).unwrap_err();
    assert_eq!(error.to_string(), "the encoder failed: 1 results for 8 images");
    let error = pipeline::run(&paths, &options, &(), &Ok, &mut |_, _| Ok(()), &mut Full);
    assert!(matches!(error, Err(IngestError::Database(Error::ReadOnly))));
}

#[test]
fn a_cancelled_run_has_written_a_prefix() {
    let folder = mixed();
    let paths = [folder.path().to_path_buf()];
    let all = outcome(folder.path(), &paths, &IngestOptions::default());
    let cancel = AtomicBool::new(false);
    let mut keys = Vec::new();
    let mut sink = |items: Vec<(Label, Vec<u8>)>, _: &Passed| {
        keys.extend(items.into_iter().map(|(label, _)| label.key));
        cancel.store(true, Ordering::Relaxed);
        // The queues are short, so most images are still unread when the flag is seen.
        std::thread::sleep(std::time::Duration::from_millis(50));
        Ok(())
    };
    let options = IngestOptions::default().threads(2).batch(4).cancel(&cancel);
    let report = pipeline::run(&paths, &options, &(), &Ok, &mut sink, &mut ()).unwrap();
    assert!(report.cancelled);
    assert_eq!(report.done, keys.len() as u64);
    assert!(keys.len() < all.items.len(), "{} images were written", keys.len());
    let expected = &all.keys()[..keys.len()];
    assert!(keys.iter().zip(expected).all(|(key, end)| key.ends_with(end.as_bytes())));
}

#[test]
fn progress_ends_with_all_bytes_and_all_images() {
    #[derive(Default)]
    struct Last(Progress);
    impl Observer for Last {
        fn progress(&mut self, progress: &Progress) {
            self.0 = progress.clone();
        }
    }
    let folder = mixed();
    let mut last = Last::default();
    let paths = [folder.path().to_path_buf()];
    let (pixels, report) = collect_pixels(&paths, &IngestOptions::default(), &mut last).unwrap();
    assert_eq!(pixels.len(), 589 * PIXEL_BYTES);
    assert_eq!((last.0.done, last.0.rejected, last.0.skipped, last.0.found), (589, 13, 2, 602));
    assert_eq!((last.0.decoded, last.0.encoded, last.0.written), (602, 602, 602));
    assert_eq!(last.0.fraction(), Some(1.0));
    assert_eq!((report.done, report.skipped, report.cancelled), (589, 2, false));
    assert_eq!(
        report.rejected.into_iter().collect::<Vec<_>>(),
        [("damaged", 12), ("unknown-format", 1)]
    );
}

#[test]
fn images_become_records_under_their_paths() {
    let folder = mixed();
    let db =
        Database::create(folder.path().join("db"), Options::new().code_bits(64).address_bits(8))
            .unwrap();
    // The red of a picture is its shade.
    let encode = |pictures: Vec<Vec<u8>>| {
        let encode_one = |picture: &Vec<u8>| {
            let address = Address::new(picture[0].into(), 8)?;
            Ok((address, Code::from_bytes(&[picture[0]; 8])?))
        };
        pictures.iter().map(encode_one).collect::<Result<_, IngestError>>()
    };
    let paths = [folder.path().join("3"), folder.path().join("5")];
    let report = ingest_with(&db, &paths, &IngestOptions::default(), &encode, &mut ()).unwrap();
    assert_eq!((report.done, report.rejected_count()), (168, 5));
    let key = |name| key_of(&folder.path().join(name));
    let record = db.get(&key("5/shard.tar/a.png")).unwrap().unwrap();
    assert_eq!(record.address.value(), 1);
    let record = db.get(&key("3/0010.png")).unwrap().unwrap();
    assert_eq!(record.code.as_bytes(), [10; 8]);
    assert!(db.get(&key("3/0003.png")).unwrap().is_none(), "it was cut short");
}

#[test]
fn keys_lead_back_to_the_images_of_files_and_shards() {
    let folder = mixed();
    let key = |name| key_of(&folder.path().join(name));
    let keys = ["3/0010.png", "5/shard.tar/a.png", "5/shard.tar/none.png", "gone.png"].map(key);
    let mut found = Vec::new();
    reread(&keys.clone().into(), &mut |key, bytes| found.push((key.to_vec(), bytes)));
    assert_eq!(found, [(keys[0].clone(), png(10)), (keys[1].clone(), png(1))]);
}

#[test]
fn batches_that_are_on_their_way_together_are_written_in_order() {
    let folder = mixed();
    let paths = [folder.path().to_path_buf()];
    let options = IngestOptions::default().batch(8);
    let all = outcome(folder.path(), &paths, &options);
    let (on_the_way, most) = (AtomicU64::new(0), AtomicU64::new(0));
    let submit = |pictures: Vec<Vec<u8>>| {
        let now = on_the_way.fetch_add(1, Ordering::SeqCst) + 1;
        most.fetch_max(now, Ordering::SeqCst);
        Ok(Pending::later(|| {
            // As long as a device takes, so that the stage before it gets ahead.
            std::thread::sleep(std::time::Duration::from_millis(2));
            on_the_way.fetch_sub(1, Ordering::SeqCst);
            Ok(pictures)
        }))
    };
    let mut items = Vec::new();
    let mut sink = |batch: Vec<(Label, Vec<u8>)>, _: &Passed| {
        items.extend(batch.into_iter().map(|(label, pixels)| (label.key, pixels)));
        Ok(())
    };
    let report =
        pipeline::run_in_flight(&paths, &options, &(), &submit, &mut sink, &mut ()).unwrap();
    assert_eq!(report.done, items.len() as u64);
    assert_eq!(items.len(), all.items.len());
    for ((key, pixels), (expected, expected_pixels)) in items.iter().zip(&all.items) {
        assert!(key.ends_with(expected.as_bytes()));
        assert_eq!(pixels, expected_pixels);
    }
    let most = most.into_inner();
    assert!((2..=4).contains(&most), "{most} batches were on their way at once");
}

#[test]
fn a_batch_that_fails_on_its_way_ends_the_run_with_what_was_before_it() {
    let folder = mixed();
    let paths = [folder.path().to_path_buf()];
    let options = IngestOptions::default().batch(8);
    let count = AtomicU64::new(0);
    let submit = |pictures: Vec<Vec<u8>>| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        Ok(Pending::later(move || match number {
            2 => Err(IngestError::Encoder("the device was lost".into())),
            _ => Ok(pictures),
        }))
    };
    let mut written = 0;
    let mut sink = |batch: Vec<(Label, Vec<u8>)>, _: &Passed| {
        written += batch.len();
        Ok(())
    };
    let error = pipeline::run_in_flight(&paths, &options, &(), &submit, &mut sink, &mut ());
    assert_eq!(error.unwrap_err().to_string(), "the encoder failed: the device was lost");
    assert!(written <= 16, "{written} images were written");
}
