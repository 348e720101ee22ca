//! Replays the corpora of the fuzz targets: every file below `fuzz/corpus` goes through the body of
//! its target, the same code that the fuzzer runs.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a target fails by a panic")]
#![expect(clippy::print_stdout, reason = "the harness shows it if a target fails")]
#![expect(clippy::disallowed_methods, reason = "targets make hostile files themselves")]
#![expect(unsafe_code, reason = "the allocator that counts")]
#![expect(unreachable_pub, reason = "the bodies are a crate of their own for the fuzzer")]

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::path::Path;

/// Runs a target over its corpus; a corpus that is not there is a mistake.
fn replay(target: &str, run: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{} is empty", folder.display());
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        // Seen if the target fails: the harness shows the output of a failed test.
        println!("{}", file.display());
        run(&bytes);
    }
}

macro_rules! replay {
    ($($(#[$attribute:meta])* $target:ident,)*) => {$(
        $(#[$attribute])*
        #[test]
        fn $target() {
            replay(stringify!($target), targets::$target::run);
        }
    )*};
}

replay! {
    engine_ops,
    entry_planted,
    hamming_levels,
    manifest,
    #[cfg(feature = "encoder")]
    model,
    npy,
    query_args,
    segment_crafted,
    segment_open,
    #[cfg(feature = "encoder")]
    shard,
    superblock,
}

/// Reading a weight file took more than five times its length: numbers that were exact already were
/// rounded into copies, and hashed from copies of copies. The target holds it to twice the length.
#[cfg(feature = "encoder")]
#[test]
fn a_weight_file_is_read_within_twice_its_length() {
    targets::model::run(&[]);
}

#[test]
fn every_corpus_has_a_target_and_every_target_a_corpus() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let names = |folder: &str| -> Vec<String> {
        let entries = root.join(folder).read_dir().unwrap().map(|entry| entry.unwrap().path());
        let mut names: Vec<_> =
            entries.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(names("fuzz/corpus"), names("fuzz/fuzz_targets"));
    let replayed = include_str!("corpus.rs");
    for name in names("fuzz/fuzz_targets") {
        assert!(replayed.contains(&format!("\n    {name},\n")), "{name} is not replayed");
    }
}
