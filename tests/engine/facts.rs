//! Single facts that a user relies on: limits, errors, counts.

use hashdb::{
    Address, BulkOptions, Code, Database, EncoderModel, Error, MAX_KEY_BYTES, MAX_VALUE_BYTES,
    Options, Readable as _, WriteBatch, WriteOptions, Written,
};

use crate::{filled, key, small};

fn address(value: u32) -> Address {
    Address::new(value, 8).unwrap()
}

fn code(byte: u8) -> Code {
    Code::from_bytes(&[byte; 8]).unwrap()
}

#[test]
fn a_handle_can_be_shared_between_threads() {
    fn shareable<T: Send + Sync + Clone + 'static>() {}
    shareable::<Database>();
    shareable::<hashdb::Snapshot>();
}

#[test]
fn widths_out_of_range_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    for (code_bits, address_bits) in [(0, 28), (63, 28), (65, 28), (1088, 28), (256, 7), (256, 33)]
    {
        let options = Options::new().code_bits(code_bits).address_bits(address_bits);
        let error = Database::create(directory.path().join("db"), options).unwrap_err();
        assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
        assert!(!Database::exists(directory.path().join("db")));
    }
}

#[test]
fn every_allowed_width_works() {
    let directory = tempfile::tempdir().unwrap();
    for (code_bits, address_bits) in [(64, 8), (128, 32), (192, 9), (512, 28), (1024, 31)] {
        let options =
            Options::new().code_bits(code_bits).address_bits(address_bits).background(false);
        let path = directory.path().join(format!("{code_bits}-{address_bits}"));
        let db = filled(&path, options, 300, 100);
        let record = db.get(&key(250)).unwrap().unwrap();
        assert_eq!(db.knn(&record.code, 1).unwrap()[0].distance, 0);
        assert!(db.ball(record.address, 0).unwrap().iter().any(|n| n.id == record.id));
        assert!(db.verify().unwrap().is_clean());
    }
}

#[test]
fn a_batch_with_one_bad_change_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let bad: [(&[u8], Address, Code, usize); 5] = [
        (b"", address(1), code(1), 0),
        (&[b'x'; MAX_KEY_BYTES + 1], address(1), code(1), 0),
        (b"k", Address::new(1, 9).unwrap(), code(1), 0),
        (b"k", address(1), Code::from_bytes(&[0; 16]).unwrap(), 0),
        (b"k", address(1), code(1), MAX_VALUE_BYTES + 1),
    ];
    for (key, address_, code_, value) in bad {
        let mut batch = WriteBatch::new();
        batch.put(b"good", address(1), code(1), b"");
        batch.put(key, address_, code_, &vec![0; value]);
        let error = db.write(batch, WriteOptions::default()).unwrap_err();
        assert!(!error.to_string().is_empty());
        assert!(db.is_empty() && db.get(b"good").unwrap().is_none());
    }
    let longest = [b'x'; MAX_KEY_BYTES];
    db.put(&longest, address(1), code(1), &vec![1; 5 << 20]).unwrap();
    let record = db.get(&longest).unwrap().unwrap();
    assert_eq!(db.value(&record).unwrap(), vec![1; 5 << 20]);
}

#[test]
fn a_write_counts_what_it_did() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put(b"a", address(1), code(1), b"1");
    batch.put(b"b", address(2), code(2), b"");
    batch.put(b"a", address(3), code(3), b"2");
    batch.delete(b"b");
    batch.delete(b"absent");
    let written = db.write(batch, WriteOptions::default()).unwrap();
    assert_eq!(written, Written { inserted: 2, replaced: 1, deleted: 1 });
    assert_eq!(db.len(), 1);
    let record = db.get(b"a").unwrap().unwrap();
    assert_eq!((record.address, record.id), (address(3), 2));
    assert_eq!(db.value(&record).unwrap(), b"2");
    assert!(!db.delete(b"b").unwrap());
    assert!(db.delete(b"a").unwrap());
    assert!(db.verify().unwrap().is_clean());
}

#[test]
fn paths_that_are_no_database_are_named() {
    let directory = tempfile::tempdir().unwrap();
    for path in [directory.path().to_path_buf(), directory.path().join("absent")] {
        let error = Database::open(&path, small()).unwrap_err();
        assert!(matches!(error, Error::NotADatabase { .. }), "{error}");
        assert!(error.to_string().contains(path.to_str().unwrap()));
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0, "nothing was created");
    std::fs::create_dir(directory.path().join("something")).unwrap();
    let error = Database::create(directory.path(), small()).unwrap_err();
    assert!(matches!(error, Error::AlreadyExists { .. }), "{error}");
}

#[test]
fn a_second_writer_is_told_who_has_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, small()).unwrap();
    let error = Database::open(&path, small()).unwrap_err();
    assert!(matches!(error, Error::Locked { owner: Some(pid), .. } if pid == std::process::id()));
    let snapshot = db.snapshot();
    drop(db);
    // A snapshot still reads the files, so the directory stays locked.
    assert!(matches!(Database::open(&path, small()), Err(Error::Locked { .. })));
    drop(snapshot);
    Database::open(&path, small()).unwrap();
}

#[test]
fn the_encoder_is_kept_with_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let model = EncoderModel { fingerprint: "abc123".into(), weights: vec![1, 2, 3] };
    drop(Database::create(&path, small().encoder(model)).unwrap());
    let db = Database::open(&path, small()).unwrap();
    assert_eq!(db.encoder(), Some("abc123"));
    assert_eq!(db.read_model().unwrap(), [1, 2, 3]);
    let bad = EncoderModel { fingerprint: "../x".into(), weights: Vec::new() };
    assert!(Database::create(directory.path().join("bad"), small().encoder(bad)).is_err());
}

#[test]
fn compaction_drops_deleted_rows_and_old_files() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = filled(&path, small(), 200, 50);
    assert_eq!(db.stats().segments.len(), 4);
    for number in 0..100 {
        assert!(db.delete(&key(number)).unwrap());
    }
    assert_eq!(db.stats().deleted_rows, 100);
    db.compact().unwrap();
    let stats = db.stats();
    assert_eq!((stats.segments.len(), stats.segments[0].rows, stats.deleted_rows), (1, 100, 0));
    assert_eq!(std::fs::read_dir(path.join("segments")).unwrap().count(), 1);
    for number in 100..200 {
        db.delete(&key(number)).unwrap();
    }
    db.compact().unwrap();
    assert_eq!(db.stats().segments.len(), 0);
    assert!(db.is_empty() && db.verify().unwrap().is_clean());
    drop(db);
    assert!(Database::open(&path, small()).unwrap().is_empty());
}

#[test]
fn compaction_gives_the_space_of_large_values_back() {
    let directory = tempfile::tempdir().unwrap();
    let db = Database::create(directory.path().join("db"), small()).unwrap();
    let mut random = crate::Random(1);
    for number in 0..40 {
        let value: Vec<u8> = (0..1 << 17).map(|_| random.next().to_le_bytes()[0]).collect();
        db.put(&key(number), address(1), code(1), &value).unwrap();
    }
    db.compact().unwrap();
    let before = db.stats().record_bytes;
    assert!(before > 5 << 20, "{before} bytes");
    for number in 0..36 {
        db.delete(&key(number)).unwrap();
    }
    db.compact().unwrap();
    let after = db.stats().record_bytes;
    assert!(after < before / 4, "{before} bytes before, {after} after nine tenths were deleted");
}

#[test]
fn notes_change_with_the_records_of_their_batch_and_survive() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("db");
    let db = Database::create(&path, small()).unwrap();
    let mut batch = WriteBatch::new();
    batch.put_note(b"a/1", b"one");
    batch.put_note(b"a/2", b"");
    batch.put_note(b"b", b"gone");
    batch.delete_note(b"b");
    batch.put_note(b"a/1", b"uno");
    batch.put(b"k", address(1), code(1), b"");
    assert_eq!(batch.len(), 6);
    db.write(batch, WriteOptions::default()).unwrap();
    let before = db.snapshot();
    let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
    loader.put_note(b"a/3", b"loaded").unwrap();
    loader.put(b"l", address(2), &code(2), b"").unwrap();
    loader.finish().unwrap();
    let mut loader = db.bulk_loader(BulkOptions::new()).unwrap();
    loader.put_note(b"z", &[b'z'; hashdb::MAX_NOTE_BYTES]).unwrap();
    loader.finish().unwrap();
    // What breaks a limit takes its batch with it.
    for (name, text) in
        [(&b""[..], 0), (&[b'n'; MAX_KEY_BYTES + 65], 0), (b"n", hashdb::MAX_NOTE_BYTES + 1)]
    {
        let mut batch = WriteBatch::new();
        batch.put(b"never", address(1), code(1), b"");
        batch.put_note(name, &vec![0; text]);
        assert!(db.write(batch, WriteOptions::default()).is_err());
    }
    drop(before);
    drop(db);
    let db = Database::open(&path, small()).unwrap();
    let read = |prefix: &[u8]| {
        let mut found = Vec::new();
        db.for_each_note(prefix, |name, text| {
            found.push((String::from_utf8_lossy(name).into_owned(), text.len()));
            Ok(std::ops::ControlFlow::Continue(()))
        })
        .unwrap();
        found
    };
    let three = [("a/1".to_owned(), 3), ("a/2".to_owned(), 0), ("a/3".to_owned(), 6)];
    assert_eq!(read(b"a/"), three);
    assert_eq!(read(b"").len(), 4);
    assert_eq!(db.note(b"a/1").unwrap().unwrap(), b"uno");
    assert_eq!((db.note(b"b").unwrap(), db.len()), (None, 2));
    assert!(db.verify().unwrap().is_clean());
}

#[test]
fn the_background_merges_no_segment_beyond_its_limit() {
    let directory = tempfile::tempdir().unwrap();
    let options = small().background(true).memtable_records(50).segment_records(900);
    let db = filled(&directory.path().join("db"), options, 6000, 50);
    let start = std::time::Instant::now();
    // Four classes of segments, of 50, 200 and 800 records; the larger ones stay as they are.
    while db.stats().segments.len() > 15 {
        assert!(start.elapsed().as_secs() < 60, "{:?}", db.stats());
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let largest = db.stats().segments.iter().map(|segment| segment.rows).max().unwrap();
    assert!((200..=900).contains(&largest), "{largest}");
    db.compact().unwrap();
    assert_eq!(db.stats().segments.len(), 1, "whoever asks for one gets it");
}

#[test]
fn the_background_seals_and_keeps_the_number_of_segments_logarithmic() {
    let directory = tempfile::tempdir().unwrap();
    let options = small().background(true).memtable_records(50);
    let db = Database::create(directory.path().join("db"), options).unwrap();
    for number in 0..2000_u32 {
        let mut batch = WriteBatch::new();
        let code = Code::from_bytes(&u64::from(number).to_le_bytes()).unwrap();
        batch.put(&key(u64::from(number)), address(number % 256), code, b"");
        db.write(batch, WriteOptions { sync: false }).unwrap();
    }
    let stats = db.stats();
    assert!(stats.memtable_rows <= 200, "{stats:?}");
    assert!(!stats.segments.is_empty() && stats.segments.len() < 16, "{stats:?}");
    assert_eq!(db.knn(&code(0), 3000).unwrap().len(), 2000);
    assert!(db.verify().unwrap().is_clean());
}
