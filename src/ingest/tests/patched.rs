//! Patch addresses of pictures: stored with their records, the same whoever stopped the run, and never of two numbers.
#![expect(clippy::disallowed_methods, reason = "tests make their own files")]

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use super::shards::tar;
use super::*;
use crate::db::{Options, Readable as _};

fn database(path: &Path) -> Database {
    let options = Options::new().code_bits(64).address_bits(8).background(false);
    let there = Database::exists(path);
    if there { Database::open(path, options) } else { Database::create(path, options) }.unwrap()
}

/// Ten files, and a shard of thirty pictures.
fn sources() -> tempfile::TempDir {
    let entries: Vec<_> = (0..30).map(|shade| (format!("{shade}.png"), png(shade))).collect();
    let entries: Vec<_> =
        entries.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    let folder = folder(&[("s.tar", &tar(&entries))]);
    for shade in 100..110 {
        std::fs::write(folder.path().join(format!("{shade}.png")), png(shade)).unwrap();
    }
    folder
}

/// The patches of a picture of one shade.
fn patches(shade: u8, count: usize) -> Vec<Address> {
    let patch = |patch: usize| Address::new(u32::from(shade) ^ u32::try_from(patch).unwrap(), 8);
    (0..count).map(|number| patch(number).unwrap()).collect()
}

/// A run whose encoder gives `count` patches a picture and fails after `most` pictures.
fn run(
    db: &Database,
    folder: &Path,
    options: &IngestOptions<'_>,
    count: usize,
    most: u64,
) -> Result<Report, IngestError> {
    let encoded = AtomicU64::new(0);
    let encode = |pictures: Vec<Vec<u8>>| {
        let new = pictures.len() as u64;
        if encoded.fetch_add(new, Ordering::Relaxed) + new > most {
            return Err(IngestError::Encoder("it was switched off".into()));
        }
        let one = |picture: &Vec<u8>| {
            let (shade, code) = (picture[0], Code::from_bytes(&[picture[0]; 8])?);
            let address = Address::new(shade.into(), 8)?;
            Ok(Encoding { address, code, patches: patches(shade, count) })
        };
        pictures.iter().map(one).collect::<Result<Vec<_>, IngestError>>()
    };
    ingest_with(db, &[folder.to_path_buf()], options, &encode, &mut ())
}

/// How many records have how many patches, all of which are those of their picture.
fn counted(db: &Database) -> Vec<(usize, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for record in db.iter().map(Result::unwrap) {
        let shade = u8::try_from(record.address.value()).unwrap();
        assert_eq!(record.patches, patches(shade, record.patches.len()));
        *counts.entry(record.patches.len()).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn a_run_with_patches_that_was_stopped_anywhere_is_gone_on_with() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let options = IngestOptions::default().batch(4).patches(9);
    let whole = database(&home.path().join("whole"));
    assert_eq!(noted_patches(&whole).unwrap(), None);
    run(&whole, folder.path(), &options.threads(1), 9, u64::MAX).unwrap();
    assert_eq!((counted(&whole), noted_patches(&whole).unwrap()), (vec![(9, 40)], Some(9)));
    let digest = |db: &Database| db.digest(1, &mut |_| ()).unwrap();
    for most in (0..40).step_by(7) {
        let db = database(&home.path().join(format!("stopped-{most}")));
        run(&db, folder.path(), &options.threads(3), 9, most).unwrap_err();
        assert_eq!(noted_patches(&db).unwrap().is_some(), db.len() > 0, "noted with the first");
        run(&db, folder.path(), &options.threads(3), 9, u64::MAX).unwrap();
        assert_eq!(digest(&db), digest(&whole), "stopped after {most}");
    }
}

#[test]
fn a_shard_never_has_patches_in_half_of_its_records() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let plain = IngestOptions::default().threads(1).batch(2);
    for (name, first, second) in [("more", 0, 9), ("fewer", 9, 0)] {
        let db = database(&home.path().join(name));
        run(&db, folder.path(), &plain.patches(first), first, 25).unwrap_err();
        assert!(db.len() > 12, "the shard was begun: {}", db.len());
        let report = run(&db, folder.path(), &plain.patches(second), second, u64::MAX).unwrap();
        // The files were done and keep what they hold; the shard is read from its start.
        assert_eq!((report.done, report.stored_otherwise), (30, 10), "{name}");
        let expected: &[_] = if first == 0 { &[(0, 10), (9, 30)] } else { &[(0, 30), (9, 10)] };
        assert_eq!(counted(&db), expected, "{name}");
        let all = plain.redo(Redo { all: true, ..Redo::default() });
        run(&db, folder.path(), &all.patches(second), second, u64::MAX).unwrap();
        assert_eq!(counted(&db), [(second, 40)], "{name}: replaced with their records");
    }
}

#[test]
fn another_number_of_patches_is_refused() {
    let folder = sources();
    let home = tempfile::tempdir().unwrap();
    let db = database(&home.path().join("db"));
    let says = |options: &IngestOptions<'_>, given| {
        let error = run(&db, folder.path(), options, given, u64::MAX).unwrap_err();
        assert!(matches!(error, IngestError::Patches { .. }), "{error}");
        error.to_string()
    };
    let (nine, none) = (IngestOptions::default().patches(9), IngestOptions::default());
    let expected = "the encoder gives 8 patch addresses for a picture, expected 9";
    assert_eq!(says(&nine, 8), expected);
    assert_eq!(says(&none, 9), "the encoder gives 9 patch addresses for a picture, expected 0");
    assert_eq!((db.len(), noted_patches(&db).unwrap()), (0, None));
    run(&db, folder.path(), &nine, 9, u64::MAX).unwrap();
    assert_eq!(says(&IngestOptions::default().patches(8), 8), expected);
    let all = none.redo(Redo { all: true, ..Redo::default() });
    run(&db, folder.path(), &all, 0, u64::MAX).unwrap();
    assert_eq!(counted(&db), [(0, 40)]);
    assert_eq!(noted_patches(&db).unwrap(), Some(9), "what comes next has to be like what was");
}
