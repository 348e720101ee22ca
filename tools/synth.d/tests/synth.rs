//! The tool as it is used: the same arguments give the same files, whatever the threads.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "a test may fail without naming the path")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn synth(folder: &Path, arguments: &[&str]) -> Output {
    let [what, options @ ..] = arguments else { unreachable!("a command") };
    Command::new(env!("CARGO_BIN_EXE_hashdb-synth"))
        .arg(what)
        .arg(folder)
        .args(options)
        .output()
        .unwrap()
}

/// The files that a run makes, by name.
fn made(arguments: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let ran = synth(&folder.path().join("new"), arguments);
    assert!(ran.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&ran.stderr));
    let files = fs::read_dir(folder.path().join("new")).unwrap().map(|entry| {
        let path = entry.unwrap().path();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read(&path).unwrap())
    });
    files.collect()
}

const RECORDS: [&str; 7] = ["records", "--rows", "40000", "--keys", "--values", "20", "--seed"];

#[test]
fn records_do_not_depend_on_threads() {
    let with = |more: &[&str]| made(&[&RECORDS[..], more].concat());
    let one = with(&["7", "--threads", "1"]);
    let names: Vec<_> = one.keys().map(String::as_str).collect();
    assert_eq!(names, ["addresses.npy", "codes.npy", "keys.txt", "values.npy"]);
    for threads in ["2", "3", "7"] {
        assert!(one == with(&["7", "--threads", threads]), "{threads} threads");
    }
    let other = with(&["8"]);
    assert!(one.iter().all(|(name, file)| other[name] != *file));
    let start = |name: &str| String::from_utf8_lossy(&one[name][..128]).into_owned();
    assert!(
        start("codes.npy").contains("'descr': '|u1', 'fortran_order': False, 'shape': (40000, 32)")
    );
    assert!(start("addresses.npy").contains("'<u4', 'fortran_order': False, 'shape': (40000,)"));
    assert_eq!(one["codes.npy"].len(), 128 + 40_000 * 32);
    assert_eq!(one["values.npy"].len(), 128 + 40_000 * 20);
    let mut keys: Vec<_> = one["keys.txt"].split(|&byte| byte == b'\n').collect();
    assert_eq!(keys.pop(), Some(&b""[..]));
    let in_order = keys.is_sorted();
    keys.sort_unstable();
    keys.dedup();
    assert!(keys.len() == 40_000 && !in_order && keys.iter().all(|key| key.len() == 16));
    let (codes, addresses) = (&one["codes.npy"][128..], &one["addresses.npy"][128..]);
    for (code, address) in codes.chunks_exact(32).zip(addresses.chunks_exact(4)) {
        let first = u32::from_be_bytes(code[..4].try_into().unwrap()) >> 4;
        assert_eq!(first, u32::from_le_bytes(address.try_into().unwrap()));
    }
}

#[test]
fn more_rows_begin_with_the_same_ones() {
    let rows = |count| made(&["records", "--rows", count, "--code-bits", "64"]);
    let (few, many) = (rows("100"), rows("20000"));
    assert_eq!(few["codes.npy"][128..], many["codes.npy"][128..128 + 800]);
}

/// A smaller run into the folder of a larger one left the larger one's shards, and one without values its values.
#[test]
fn files_of_another_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |name: &str, arguments: &[&str]| {
        let ran = synth(folder.path(), arguments);
        let stderr = String::from_utf8(ran.stderr).unwrap();
        assert!(!ran.status.success() && stderr.contains(name), "{arguments:?}: {stderr}");
        assert!(stderr.contains(" of another run; remove it, or name another folder"), "{stderr}");
    };
    let images = |count| ["images", "--count", count, "--size", "8", "--per-shard", "2"];
    assert!(synth(folder.path(), &images("5")).status.success());
    assert!(synth(folder.path(), &images("6")).status.success(), "the same shards");
    refused("shard-000002.tar", &images("4"));
    let records = ["records", "--rows", "10", "--keys", "--values", "5000"];
    assert!(synth(folder.path(), &records).status.success());
    assert_eq!(fs::read(folder.path().join("values.npy")).unwrap().len(), 128 + 50_000);
    refused("values.npy", &records[..4]);
    refused("keys.txt", &[&records[..3], &records[4..]].concat());
}

#[test]
fn pictures_do_not_depend_on_threads_or_shards() {
    let images = |more: &[&str]| {
        made(&[&["images", "--count", "70", "--size", "32", "--json", "--text"], more].concat())
    };
    let shards = images(&["--per-shard", "30", "--threads", "1"]);
    assert_eq!(shards.len(), 3);
    assert!(shards == images(&["--per-shard", "30", "--threads", "5"]));
    let entries = |shards: &BTreeMap<String, Vec<u8>>| {
        let mut found = BTreeMap::new();
        for shard in shards.values() {
            for entry in tar::Archive::new(&shard[..]).entries().unwrap() {
                let mut entry = entry.unwrap();
                let name = entry.path().unwrap().to_str().unwrap().to_owned();
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut entry, &mut bytes).unwrap();
                found.insert(name, bytes);
            }
        }
        found
    };
    let found = entries(&shards);
    assert!(found == entries(&images(&[])), "in one shard or in three");
    assert_eq!(found.len(), 210);
    let mut pictures: Vec<_> = found.iter().filter(|(name, _)| name.ends_with(".jpg")).collect();
    for (name, jpeg) in &pictures {
        let picture = image::load_from_memory(jpeg).unwrap();
        assert_eq!((picture.width(), picture.height()), (32, 32), "{name}");
    }
    pictures.sort_by_key(|(_, jpeg)| *jpeg);
    pictures.dedup_by_key(|(_, jpeg)| *jpeg);
    assert_eq!(pictures.len(), 70, "no picture is another's");
    let json = String::from_utf8_lossy(&found["000000042.json"]).into_owned();
    assert!(
        json.starts_with(r#"{"index":42,"seed":1,"width":32,"height":32,"quality":"#),
        "{json}"
    );
    assert!(found["000000042.txt"].starts_with(b"picture 42: all of "));
}

#[test]
fn pictures_are_of_the_size_that_pictures_have() {
    let shards = made(&["images", "--count", "64"]);
    let bytes = shards["shard-000000.tar"].len() / 64;
    assert!((8_000..40_000).contains(&bytes), "{bytes} bytes on average");
}

#[test]
fn arguments_out_of_range_are_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, words) in [
        (&["records", "--rows", "1", "--code-bits", "100"][..], "--code-bits must be 64 to 1024"),
        (
            &["records", "--rows", "1", "--address-bits", "7"],
            "--address-bits must be 8 to 32, not 7",
        ),
        (&["records", "--rows", "1", "--dimension", "0"], "--dimension must be 1 to 256, not 0"),
        (&["records", "--rows", "1", "--clusters", "0"], "--clusters must be 1 to"),
        (&["records", "--rows", "1", "--noise", "0.6"], "--noise 0 to 0.5"),
        (&["images", "--count", "1", "--size", "4"], "--size must be 8 to 4096, not 4"),
        (&["images", "--count", "1", "--per-shard", "0"], "--per-shard must be 1 or more"),
    ] {
        let ran = synth(&folder.path().join("none"), arguments);
        let stderr = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert_eq!(ran.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(words) && stderr.lines().count() == 1, "{stderr}");
    }
}
