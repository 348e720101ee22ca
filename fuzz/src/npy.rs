//! A `.npy` file with a header that lies, or any bytes: an error, or an array whose rows can be read.
//! One that is sound is opened and holds what was written.
//!
//! The reader belongs to the command, whose crate is a program and cannot be linked; the module needs
//! nothing else of that crate, so it is compiled here once more.

#[expect(dead_code, reason = "the command uses what is not used here")]
#[path = "../../tools/hashdb/src/npy/mod.rs"]
mod reader;

use reader::{Kind, Npy};

use super::input::Input;
use super::memory;

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
}

/// A file and, if it is sound, what must be read from it.
struct Built {
    file: Vec<u8>,
    sound: Option<(Kind, usize, usize)>,
}

/// Writes the file and reads it.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let mode = input.u8();
    let built = if mode & 1 == 1 {
        Built { file: input.rest().to_vec(), sound: None }
    } else {
        build(&mut input, mode)
    };
    FOLDER.with(|folder| {
        let path = folder.path().join("a.npy");
        std::fs::write(&path, &built.file).unwrap();
        let kinds = [Kind::Codes, Kind::Addresses, Kind::Distances];
        let npy = memory::limited(built.file.len(), || Npy::open(&path, &kinds));
        match (npy, built.sound) {
            (Ok(npy), sound) => {
                let found = (npy.kind(), npy.rows(), npy.columns());
                assert!(sound.is_none_or(|sound| sound == found), "{found:?}");
                memory::limited(built.file.len(), || read(&npy, &built.file));
            }
            (Err(error), sound) => {
                assert!(!error.to_string().is_empty() && sound.is_none(), "{sound:?}: {error}");
            }
        }
    });
}

/// Reads some rows at three places, and everything where that is offered.
fn read(npy: &Npy, file: &[u8]) {
    let (rows, mut buffer) = (npy.rows(), Vec::new());
    for start in [0, rows / 2, rows.saturating_sub(3)] {
        npy.read(start..rows.min(start.saturating_add(64)), &mut buffer).unwrap();
        assert!(buffer.is_empty() || file.windows(buffer.len()).any(|part| part == buffer));
    }
    match npy.kind() {
        Kind::Addresses => assert_eq!(npy.read_u32(0..rows).unwrap().len(), rows),
        Kind::Distances => {
            assert_eq!(npy.read_i32().unwrap().len(), rows * npy.columns());
        }
        Kind::Codes | Kind::Bytes => {}
    }
}

fn build(input: &mut Input<'_>, mode: u8) -> Built {
    let (kind, descr) = input.choose(&[
        (Some(Kind::Codes), "|u1"),
        (Some(Kind::Addresses), "<u4"),
        (Some(Kind::Distances), "<i4"),
        (None, "<f4"),
        (None, ">u4"),
        (None, ""),
    ]);
    let order = input.choose(&["False", "True", "0"]);
    let dimensions = usize::from(input.u8() % 4);
    let small = mode & 2 == 0;
    let shape: Vec<u64> = (0..dimensions)
        .map(|_| if small { u64::from(input.u8() % 64) } else { input.u64() >> (input.u8() % 64) })
        .collect();
    let lengths: String = shape.iter().map(|length| format!("{length}, ")).collect();
    let mut text =
        format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({lengths}), }}\n");
    if mode & 4 == 4 {
        // Stray bytes anywhere in the dictionary.
        let place = input.place(text.len());
        let stray = String::from_utf8_lossy(input.bytes(8)).into_owned();
        if text.is_char_boundary(place) {
            text.insert_str(place, &stray);
        }
    }
    let version = if mode & 8 == 8 { input.u8() } else { 1 + input.u8() % 3 };
    let length = if mode & 16 == 16 { input.u32() as usize } else { text.len() };
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    match version {
        1 => file.extend(&length.to_le_bytes()[..2]),
        _ => file.extend(&length.to_le_bytes()[..4]),
    }
    file.extend(text.as_bytes());
    let element = if descr == "|u1" { 1 } else { 4 };
    let elements = shape.iter().try_fold(1, |all: u64, length| all.checked_mul(*length));
    let bytes = elements.map_or(u64::MAX, |elements| elements.saturating_mul(element));
    let lie = if mode & 32 == 32 { u64::from(input.u8()) } else { 0 };
    let bytes = usize::try_from(bytes.min(20_000) + lie).unwrap();
    let start = input.u8();
    file.extend((0..bytes).map(|index| index.to_le_bytes()[0].wrapping_add(start)));
    let wanted = match kind {
        Some(Kind::Addresses) => 1,
        _ => 2,
    };
    // One dimension has one order only.
    let ordered = order == "False" || order == "True" && dimensions == 1;
    let sound = mode & !3 == 0 && small && ordered && dimensions == wanted;
    let length =
        |index: usize| shape.get(index).map_or(1, |length| usize::try_from(*length).unwrap());
    let sound = kind.filter(|_| sound).map(|kind| (kind, length(0), length(1)));
    Built { file, sound }
}
