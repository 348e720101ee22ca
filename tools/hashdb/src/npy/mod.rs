//! Arrays in numpy's `.npy` files, format versions 1 to 3, little-endian and in C order: packed
//! codes (uint8, a row a code), addresses (uint32) and distances (int32, a row a query).
//!
//! A file is checked when it is opened, whole header and length, and its rows are read where they
//! are wanted, so that ten million of them take no memory.

mod header;

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use header::Header;

/// The bytes that every `.npy` file begins with.
const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Magic and version.
const PREAMBLE_BYTES: usize = 8;

/// What is wrong with an array.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NpyError {
    /// The operating system refused.
    #[error("cannot read {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    /// The file is of another kind, or damaged.
    #[error("{} is no .npy array: {what}", path.display())]
    Format { path: PathBuf, what: String },
    /// A newer version of the format.
    #[error("{} has .npy version {found}, expected 1 to 3", path.display())]
    Version { path: PathBuf, found: u8 },
    /// An array of other elements or dimensions.
    #[error("{} holds {found}, expected {expected}", path.display())]
    Kind { path: PathBuf, expected: String, found: String },
    /// Rows were lost, or something was added.
    #[error("{} has {found} bytes, expected {expected} for {shape}", path.display())]
    Length { path: PathBuf, expected: u64, found: u64, shape: String },
}

/// What an array may hold here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Rows of packed codes: 2-d uint8.
    Codes,
    /// One address a row: 1-d uint32.
    Addresses,
    /// The distances of the nearest, a row a query: 2-d int32.
    Distances,
    /// Bytes one after the other: 1-d uint8.
    Bytes,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Codes, Self::Addresses, Self::Distances, Self::Bytes];

    fn matches(self, header: &Header) -> bool {
        let descr = header.descr.as_str();
        // The order of bytes is nothing to a single one; numpy writes `|u1`.
        let is_bytes = matches!(descr, "|u1" | "<u1" | ">u1");
        match self {
            Self::Codes => is_bytes && header.shape.len() == 2,
            Self::Bytes => is_bytes && header.shape.len() == 1,
            Self::Addresses => descr == "<u4" && header.shape.len() == 1,
            Self::Distances => descr == "<i4" && header.shape.len() == 2,
        }
    }

    /// Bytes of one element.
    pub(crate) fn element_bytes(self) -> usize {
        match self {
            Self::Codes | Self::Bytes => 1,
            Self::Addresses | Self::Distances => 4,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Codes => "a 2-d array of uint8 (|u1) in C order",
            Self::Addresses => "a 1-d array of uint32 (<u4)",
            Self::Distances => "a 2-d array of int32 (<i4) in C order",
            Self::Bytes => "a 1-d array of uint8 (|u1)",
        }
    }
}

/// An open array.
#[derive(Debug)]
pub(crate) struct Npy {
    path: PathBuf,
    file: File,
    kind: Kind,
    rows: usize,
    columns: usize,
    data_offset: usize,
}

impl Npy {
    /// Opens an array that must be of one of `kinds`.
    pub(crate) fn open(path: &Path, kinds: &[Kind]) -> Result<Self, NpyError> {
        let failed = |source| NpyError::Io { path: path.to_path_buf(), source };
        #[expect(clippy::disallowed_methods, reason = "the error names the path")]
        let file = File::open(path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?.len();
        let (header, data_offset) = read_header(path, &file, found)?;
        let kind = Kind::ALL.into_iter().find(|kind| kind.matches(&header));
        let kind = kind.filter(|kind| kinds.contains(kind) && in_c_order(&header));
        let kind = kind.ok_or_else(|| {
            let names: Vec<_> = kinds.iter().map(|kind| kind.name()).collect();
            let (path, expected) = (path.to_path_buf(), names.join(" or "));
            NpyError::Kind { path, expected, found: describe(&header) }
        })?;
        // A row must be countable too where there is none of them, so the rows are counted last.
        let lengths = header.shape.iter().rev().copied();
        let bytes = [kind.element_bytes()]
            .into_iter()
            .chain(lengths)
            .try_fold(1_usize, usize::checked_mul)
            .and_then(|bytes| bytes.checked_add(data_offset));
        let expected = bytes.map_or(u64::MAX, |bytes| bytes as u64);
        if found != expected {
            let (path, shape) = (path.to_path_buf(), describe(&header));
            return Err(NpyError::Length { path, expected, found, shape });
        }
        let (rows, columns) = match header.shape[..] {
            [rows, columns] => (rows, columns),
            [rows] => (rows, 1),
            _ => (0, 0),
        };
        Ok(Self { path: path.to_path_buf(), file, kind, rows, columns, data_offset })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds.
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Elements of a row.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// Reads the bytes of some rows into `buffer`, in place of what it holds.
    ///
    /// # Panics
    ///
    /// If the rows reach beyond the array.
    pub(crate) fn read(&self, rows: Range<usize>, buffer: &mut Vec<u8>) -> Result<(), NpyError> {
        buffer.clear();
        self.append(rows, buffer)
    }

    /// Reads the bytes of some rows behind what `buffer` holds.
    ///
    /// # Panics
    ///
    /// If the rows reach beyond the array.
    pub(crate) fn append(&self, rows: Range<usize>, buffer: &mut Vec<u8>) -> Result<(), NpyError> {
        assert!(rows.end <= self.rows, "row {} of {}", rows.end, self.rows);
        let row_bytes = self.columns * self.kind.element_bytes();
        let before = buffer.len();
        buffer.resize(before + rows.len() * row_bytes, 0);
        let offset = self.data_offset + rows.start * row_bytes;
        let read = self.file.read_exact_at(&mut buffer[before..], offset as u64);
        read.map_err(|source| NpyError::Io { path: self.path.clone(), source })
    }

    /// Reads some addresses.
    pub(crate) fn read_u32(&self, rows: Range<usize>) -> Result<Vec<u32>, NpyError> {
        let mut bytes = Vec::new();
        self.read(rows, &mut bytes)?;
        Ok(bytes.as_chunks().0.iter().map(|&word| u32::from_le_bytes(word)).collect())
    }

    /// Reads all distances, row by row.
    pub(crate) fn read_i32(&self) -> Result<Vec<i32>, NpyError> {
        let mut bytes = Vec::new();
        self.read(0..self.rows, &mut bytes)?;
        Ok(bytes.as_chunks().0.iter().map(|&word| i32::from_le_bytes(word)).collect())
    }
}

/// Reads the header and says where the elements begin.
fn read_header(path: &Path, file: &File, file_bytes: u64) -> Result<(Header, usize), NpyError> {
    let wrong = |what: String| NpyError::Format { path: path.to_path_buf(), what };
    let most = PREAMBLE_BYTES + 4 + header::MAX_BYTES;
    let mut start = vec![0; usize::try_from(file_bytes).unwrap_or(most).min(most)];
    let read = file.read_exact_at(&mut start, 0);
    read.map_err(|source| NpyError::Io { path: path.to_path_buf(), source })?;
    let Some((&[ref magic @ .., version, _minor], rest)) =
        start.split_first_chunk::<PREAMBLE_BYTES>()
    else {
        return Err(wrong(format!("it has {file_bytes} bytes")));
    };
    if magic != MAGIC {
        return Err(wrong("it does not begin with \\x93NUMPY".into()));
    }
    let length = match version {
        1 => rest.first_chunk().map(|&length| (2, u16::from_le_bytes(length).into())),
        2 | 3 => rest.first_chunk().map(|&length| (4, u32::from_le_bytes(length))),
        found => return Err(NpyError::Version { path: path.to_path_buf(), found }),
    };
    let cut = || wrong("its header is cut short".into());
    let (prefix, length) = length.ok_or_else(cut)?;
    let length = length as usize;
    if length > header::MAX_BYTES {
        return Err(wrong(format!("its header has {length} bytes")));
    }
    let bytes = rest.get(prefix..prefix + length).ok_or_else(cut)?;
    let text = std::str::from_utf8(bytes).map_err(|_| wrong("its header is no text".into()))?;
    let header = Header::parse(text).map_err(wrong)?;
    Ok((header, PREAMBLE_BYTES + prefix + length))
}

/// Whether rows lie one after the other; one dimension has only one order.
fn in_c_order(header: &Header) -> bool {
    !header.fortran_order || header.shape.len() == 1
}

/// An array as a user of numpy would name it.
fn describe(header: &Header) -> String {
    let Header { descr, shape, .. } = header;
    let order = if in_c_order(header) { "" } else { " in Fortran order" };
    let shape = match shape[..] {
        [length] => format!("({length},)"),
        _ => {
            let lengths: Vec<_> = shape.iter().map(ToString::to_string).collect();
            format!("({})", lengths.join(", "))
        }
    };
    format!("an array of {descr} with shape {shape}{order}")
}

#[cfg(test)]
mod tests {
    use super::{Kind, Npy, NpyError};

    /// A file of no rows may claim rows of any length without being longer for it. The length of the
    /// file was computed rows first, so that nothing times anything passed, and the length of one
    /// row overflowed when the first (empty) range was read: found by the fuzz target `npy`.
    #[test]
    fn no_rows_of_endless_length_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        let header = "{'descr': '<i4', 'fortran_order': False, 'shape': (0, 4611686018427387904)}";
        let length = u16::try_from(header.len()).unwrap().to_le_bytes();
        let file = [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes()].concat();
        #[expect(clippy::disallowed_methods, reason = "a test makes its file itself")]
        std::fs::write(&path, file).unwrap();
        let refused = Npy::open(&path, &[Kind::Distances]);
        assert!(matches!(refused, Err(NpyError::Length { .. })), "{refused:?}");
    }
}
