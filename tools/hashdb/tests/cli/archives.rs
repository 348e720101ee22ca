//! Archives that nobody may trust: names are data, and nothing appears outside the database's folder.

use std::collections::BTreeMap;
use std::io::{Cursor, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use image::{ImageFormat, Rgb, RgbImage};

use crate::{Place, Ran, objects};

pub(crate) fn picture(shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let image = RgbImage::from_pixel(32, 32, Rgb([shade, 2, 3]));
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// An entry: kind, name, target of a link, bytes. Names of up to 100 bytes.
fn entry(kind: u8, name: &[u8], link: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut header = [0; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..108].copy_from_slice(b"0000777\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", bytes.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    let magic = if matches!(kind, b'L' | b'K' | b'S') { b"ustar  \0" } else { b"ustar\x0000" };
    header[257..265].copy_from_slice(magic);
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut block = [&header[..], bytes].concat();
    block.resize(block.len().next_multiple_of(512), 0);
    block
}

pub(crate) fn file(name: &[u8], bytes: &[u8]) -> Vec<u8> {
    entry(b'0', name, b"", bytes)
}

/// A record of an extended header, whose length counts its own digits.
fn extended(name: &str, value: &[u8]) -> Vec<u8> {
    let body = [b" ", name.as_bytes(), b"=", value, b"\n"].concat();
    let length = (body.len()..).find(|n| n.to_string().len() + body.len() == *n).unwrap();
    entry(b'x', b"pax", b"", &[length.to_string().as_bytes(), &body].concat())
}

/// Everything that an archive may do to a program that unpacks it, aimed at the folder.
fn hostile(folder: &Path) -> Vec<u8> {
    let absolute = |name: &str| folder.join(name).as_os_str().as_bytes().to_vec();
    let long =
        |name: &[u8]| [entry(b'L', b"././@LongLink", b"", name), file(b"short", &picture(9))];
    let mut inner = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    inner.write_all(&file(b"../outside/inner.png", &picture(8))).unwrap();
    let inner = inner.finish().unwrap();
    let entries = [
        file(b"../outside/canary.png", &picture(1)),
        file(b"../outside/new.png", &picture(1)),
        file(b"a/../../../outside/new.png", &picture(1)),
        file(&absolute("outside/canary.png"), &picture(2)),
        file(&absolute("outside/absolute.png"), &picture(2)),
        file(b"db/SUPERBLOCK.png", &picture(2)),
        entry(b'5', b"../made/", b"", b""),
        entry(b'2', b"link.png", &absolute("outside"), b""),
        file(b"link.png/through.png", &picture(3)),
        entry(b'2', b"link.png", b"../outside/canary.png", b""),
        file(b"link.png", &picture(3)),
        entry(b'1', b"hard.png", &absolute("outside/canary.png"), b""),
        file(b"hard.png", &picture(3)),
        entry(b'3', b"device.png", b"", b""),
        entry(b'4', b"block.png", b"", b""),
        entry(b'6', b"pipe.png", b"", b""),
        entry(b'7', b"contiguous.png", b"", &picture(3)),
        long(b"../outside/long.png").concat(),
        [extended("path", b"../outside/pax.png"), file(b"short.png", &picture(4))].concat(),
        [extended("path", &absolute("outside/pax.png")), file(b"short.png", &picture(4))].concat(),
        [extended("linkpath", b"../outside"), entry(b'2', b"pax.png", b"x", b"")].concat(),
        file(b"\xff\xfe\n\x1b[2J.png", &picture(5)),
        file(b"twice.png", &picture(6)),
        file(b"twice.png", &picture(7)),
        file(b"..png", &picture(6)),
        file(b"inner.tar.gz", &inner),
        file(b"zero\0hidden.png", &picture(6)),
        // A size that is not true costs the rest, so it comes last.
        [extended("size", b"18446744073709551615"), file(b"liar.png", &picture(1))].concat(),
        vec![0; 1024],
    ];
    entries.concat()
}

/// All that is in a folder beside the database, and all that can change about it.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, u64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let meta = path.symlink_metadata().unwrap();
            let is_folder = meta.is_dir();
            let bytes = if meta.is_file() { crate::read(&path) } else { Vec::new() };
            if is_folder && !path.ends_with("db") {
                folders.push(path.clone());
            }
            if !path.ends_with("db") {
                let (time, nanos) = (meta.mtime(), meta.mtime_nsec());
                found.insert(path, (meta.mode(), time, nanos, meta.nlink(), bytes));
            }
        }
    }
    found
}

/// A folder with canaries where the archive aims, the archive, plain and packed, and a database.
fn besieged() -> Place {
    let place = Place::empty();
    let folder = place.folder.path().canonicalize().unwrap();
    crate::write(&place.path("outside/canary.png"), b"alive");
    crate::write(&place.path("archives/beside.txt"), b"alive");
    let archive = hostile(&folder);
    crate::write(&place.path("archives/s.tar"), &archive);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&archive).unwrap();
    crate::write(&place.path("archives/s.tar.gz"), &packed.finish().unwrap());
    place.ok(&["create", "db"]);
    place
}

const INGEST: [&str; 6] = ["ingest", "db", "archives", "--progress", "none", "--json"];

#[test]
fn a_hostile_archive_leaves_everything_outside_the_database_as_it_was() {
    let place = besieged();
    let before = tree(place.folder.path());
    let ran = place.run(&INGEST);
    assert_eq!(ran.code, Some(4), "{}", ran.stderr);
    assert_eq!(tree(place.folder.path()), before);

    // Two archives of 17 pictures each, among them one name twice; names are keys as they are.
    let report = &objects(&ran.stdout)[0];
    assert_eq!(report["done"], 34, "{report}");
    let keys: Vec<String> = place
        .json(&["scan", "db"])
        .iter()
        .filter_map(|record| record["key"].as_str().map(str::to_owned))
        .collect();
    for name in ["../outside/canary.png", "../outside/long.png", "../outside/pax.png", "..png"] {
        let key = format!("archives/s.tar/{name}");
        assert!(keys.contains(&key), "{key} is missing in {keys:?}");
    }
}

#[test]
fn nothing_outside_the_database_is_opened_for_writing_or_made() {
    let place = besieged();
    let trace = tempfile::NamedTempFile::new().unwrap();
    let mut strace = std::process::Command::new("strace");
    strace.current_dir(place.folder.path()).args(["-f", "-y", "-s", "4096", "-e"]);
    strace.arg("trace=%file,ftruncate,fchmod,fchown").arg("-o").arg(trace.path());
    let probe = strace.arg(env!("CARGO_BIN_EXE_hashdb")).args(INGEST).output();
    let Some(output) = probe.ok().filter(|output| output.status.code() == Some(4)) else {
        eprintln!("SKIPPED: strace is not there or may not trace; the tree alone was compared");
        return;
    };
    assert_eq!(objects(&String::from_utf8_lossy(&output.stdout))[0]["done"], 34);
    let folder = place.folder.path().canonicalize().unwrap();
    let trace = String::from_utf8_lossy(&crate::read(trace.path())).into_owned();
    let touched = changes(&trace, &folder);
    let inside = touched.iter().filter(|path| path.starts_with(folder.join("db"))).count();
    assert!(inside > 10, "the trace must show what the database writes: {trace}");
    let outside: Vec<_> = touched
        .iter()
        // Threads give themselves names below /proc.
        .filter(|path| !["/dev", "/proc/self"].iter().any(|there| path.starts_with(there)))
        .filter(|path| !path.starts_with(folder.join("db")))
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

/// The paths that a trace shows as made, removed, renamed, changed or opened for writing.
fn changes(trace: &str, folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in trace.lines() {
        let call = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        let Some((name, arguments)) = call.split_once('(') else { continue };
        let reads = ["stat", "access", "readlink", "execve", "getcwd", "chdir", "xattr", "statfs"];
        let opens = name.starts_with("open");
        let writes = ["O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE"];
        if reads.iter().any(|read| name.contains(read) && !name.starts_with("set"))
            || (opens && !writes.iter().any(|flag| arguments.contains(flag)))
        {
            continue;
        }
        let mut pieces = arguments.split('"');
        let mut before = pieces.next().unwrap_or_default();
        let mut named = false;
        while let (Some(path), after) = (pieces.next(), pieces.next()) {
            // The folder that a relative path begins in is shown as `fd</folder>`.
            let base = before.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>'));
            let base = base.map_or(folder, |(base, _)| Path::new(base));
            found.push(plain(&base.join(path)));
            before = after.unwrap_or_default();
            named = true;
        }
        if let (false, Some((_, rest))) = (named, before.split_once('<')) {
            found.push(plain(Path::new(rest.split_once('>').map_or(rest, |(path, _)| path))));
        }
    }
    found
}

/// A path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    path.components().fold(PathBuf::new(), |mut plain, part| {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            part => plain.push(part),
        }
        plain
    })
}

#[test]
fn a_trace_is_understood() {
    let trace = concat!(
        "12 openat(AT_FDCWD</w>, \"a/../b\", O_RDWR|O_CREAT, 0644) = 3</w/b>\n",
        "12 openat(AT_FDCWD</w>, \"read\", O_RDONLY|O_CLOEXEC) = 3</w/read>\n",
        "12 renameat2(4</d>, \"x\", 4</d>, \"/y\", 0) = 0\n",
        "13 mkdir(\"m\", 0755) = 0\n13 ftruncate(7</t>, 0) = 0\n13 statx(AT_FDCWD, \"s\") = 0\n",
    );
    let expected = ["/w/b", "/d/x", "/y", "/f/m", "/t"].map(PathBuf::from);
    assert_eq!(changes(trace, Path::new("/f")), expected);
}

#[test]
fn the_time_of_a_picture_is_an_option() {
    let place = besieged();
    for seconds in ["0", "1000"] {
        let ran = place.run(&[&INGEST[..], &["--again", "--item-timeout", seconds]].concat());
        assert_eq!(ran.code, Some(4), "{}", ran.stderr);
        assert_eq!(objects(&ran.stdout)[0]["done"], 34);
    }
    let Ran { code, stderr, .. } = place.run(&[&INGEST[..], &["--item-timeout", "soon"]].concat());
    assert_eq!(code, Some(2));
    assert!(stderr.contains("item-timeout"), "{stderr}");
}
