//! Arrays of numpy, one a column: codes, and beside them addresses, keys and values.
//!
//! Keys are lines of text, or, like values of any length, an array of all their bytes beside an array of
//! their lengths (`keys.npy` and `keys.lengths.npy`), as patch addresses are (`patches.npy`); values of one length are
//! the rows of an array. Without keys a record is named by the number of its row.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use hashdb::{Address, MAX_KEY_BYTES, MAX_PATCHES, MAX_VALUE_BYTES};
use serde::Deserialize;

use super::flat::Flat;
use super::lines::Lines;
use super::{Rows, Table, Widths};
use crate::files;
use crate::npy::{Kind, Npy};
use crate::vectors;

/// Rows that are checked or read at once.
pub(super) const STEP_ROWS: usize = 1 << 11;
/// Bytes of values that are read at once, about.
pub(super) const STEP_BYTES: usize = 4 << 20;
/// The file of a folder that tells what the arrays do not.
pub(crate) const FACTS: &str = "hashdb.json";
/// What the name of an array of lengths ends with.
pub(crate) const LENGTHS: &str = "lengths.npy";

/// The files of a table.
#[derive(Debug)]
pub(crate) struct NpyPaths {
    pub(crate) codes: PathBuf,
    pub(crate) addresses: Option<PathBuf>,
    pub(crate) keys: Option<PathBuf>,
    pub(crate) values: Option<PathBuf>,
    patches: Option<PathBuf>,
    facts: Option<PathBuf>,
}

/// What a dump writes beside the arrays.
#[derive(Debug, Deserialize)]
struct Facts {
    address_bits: u8,
}

/// An open table.
pub(crate) struct NpyTable {
    codes: Npy,
    addresses: Option<Addresses>,
    keys: Keys,
    values: Values,
    patches: Option<Flat>,
    address_bits: Option<u8>,
    row: usize,
    passed: u64,
}

/// A file of addresses and the largest of them, if there is any.
struct Addresses {
    npy: Npy,
    largest: Option<u32>,
}

enum Keys {
    Numbers,
    Lines(Lines),
    Strings(Flat),
}

enum Values {
    None,
    /// All of one length.
    Rows(Npy),
    Strings(Flat),
}

impl NpyPaths {
    /// Files that the user names one by one.
    pub(crate) fn new(
        codes: &Path,
        addresses: Option<&Path>,
        keys: Option<&Path>,
        values: Option<&Path>,
    ) -> Self {
        let own = |path: Option<&Path>| path.map(Path::to_path_buf);
        let (addresses, keys, values) = (own(addresses), own(keys), own(values));
        Self { codes: codes.to_path_buf(), addresses, keys, values, patches: None, facts: None }
    }

    /// A file of codes, or those files of a folder that are there.
    pub(crate) fn of_table(path: &Path) -> Self {
        if !path.is_dir() {
            return Self::new(path, None, None, None);
        }
        let there = |name: &str| Some(path.join(name)).filter(|path| path.exists());
        Self {
            codes: path.join("codes.npy"),
            addresses: there("addresses.npy"),
            keys: there("keys.npy").or_else(|| there("keys.txt")),
            values: there("values.npy"),
            patches: there("patches.npy"),
            facts: there(FACTS),
        }
    }
}

impl NpyTable {
    /// Opens the files, which must hold as many rows as each other, and checks them from row `from` on.
    pub(crate) fn open(paths: &NpyPaths, from: u64) -> Result<Self> {
        let codes = Npy::open(&paths.codes, &[Kind::Codes])?;
        vectors::check_width(&codes)?;
        let rows = codes.rows();
        let row = usize::try_from(from).unwrap_or(usize::MAX).min(rows);
        let addresses = paths.addresses.as_deref().map(|path| Addresses::open(path, rows, row));
        let keys = match paths.keys.as_deref() {
            None => Keys::Numbers,
            Some(path) if path.extension().is_some_and(|kind| kind == "npy") => {
                Keys::Strings(Flat::open(path, Kind::Bytes, (rows, row), "keys", MAX_KEY_BYTES)?)
            }
            Some(path) => Keys::Lines(Lines::open(path, rows, row)?),
        };
        let values = paths.values.as_deref().map(|path| Values::open(path, rows, row));
        let patches = paths.patches.as_deref().map(|path| {
            Flat::open(path, Kind::Addresses, (rows, row), "patch addresses", MAX_PATCHES)
        });
        let address_bits = paths.facts.as_deref().map(facts).transpose()?;
        Ok(Self {
            codes,
            addresses: addresses.transpose()?,
            keys,
            values: values.transpose()?.unwrap_or(Values::None),
            patches: patches.transpose()?,
            address_bits,
            row,
            passed: row as u64,
        })
    }

    /// Fills a batch with a few rows.
    fn step(&mut self, rows: &mut Rows) -> Result<()> {
        let step = STEP_ROWS.min(self.codes.rows() - self.row);
        let step = match &self.values {
            Values::Rows(npy) => step.min(STEP_BYTES / npy.columns().max(1)).max(1),
            Values::None | Values::Strings(_) => step,
        };
        let mut range = self.row..self.row + step;
        // Long values make the step shorter.
        match &mut self.values {
            Values::None => range.clone().for_each(|_| rows.values.push(b"")),
            Values::Rows(npy) => {
                let append = |bytes: &mut Vec<u8>| npy.append(range.clone(), bytes);
                rows.values.push_all(step, npy.columns(), append)?;
            }
            Values::Strings(flat) => range.end = flat.read(range.end, &mut rows.values)?,
        }
        let (path, row) = (self.codes.path(), range.start);
        let expected = rows.expect_codes(self.codes.columns());
        expected.map_err(|what| anyhow!("{}, row {row}: {what}", path.display()))?;
        self.codes.append(range.clone(), &mut rows.codes)?;
        if let Some(addresses) = &self.addresses {
            rows.addresses.extend(addresses.npy.read_u32(range.clone())?);
        }
        match &mut self.keys {
            Keys::Numbers => {
                range.clone().for_each(|row| rows.keys.push(row.to_string().as_bytes()));
            }
            Keys::Lines(lines) => {
                let mut key = Vec::new();
                for _ in range.clone() {
                    lines.expect(&mut key)?;
                    rows.keys.push(&key);
                }
            }
            Keys::Strings(flat) => while flat.read(range.end, &mut rows.keys)? < range.end {},
        }
        if let Some(flat) = &mut self.patches {
            while flat.read(range.end, &mut rows.patches)? < range.end {}
        }
        self.row = range.end;
        Ok(())
    }
}

/// Reads what the arrays do not tell.
fn facts(path: &Path) -> Result<u8> {
    let bytes = files::read(path, 1 << 16)?;
    let facts: Result<Facts, _> = serde_json::from_slice(&bytes);
    let wrong =
        |what: &str| anyhow!("{}: {what}, expected address_bits of 8 to 32", path.display());
    let bits = facts.map_err(|error| wrong(&error.to_string()))?.address_bits;
    if (8..=32).contains(&bits) { Ok(bits) } else { Err(wrong(&format!("address_bits {bits}"))) }
}

impl Table for NpyTable {
    fn widths(&self) -> Widths {
        let largest = self.addresses.as_ref().and_then(|addresses| addresses.largest);
        let needed = largest.map(|largest| {
            let bits = (32 - largest.leading_zeros()).next_multiple_of(4);
            u8::try_from(bits).unwrap_or(32).max(8)
        });
        Widths {
            code_bits: vectors::check_width(&self.codes).ok(),
            address_bits: self.address_bits.or(needed),
            has_addresses: self.addresses.is_some(),
            is_numbered: matches!(self.keys, Keys::Numbers),
        }
    }

    fn rows(&self) -> Option<u64> {
        Some(self.codes.rows() as u64)
    }

    fn check(&self, code_bits: u16, address_bits: u8) -> Result<()> {
        vectors::check_codes(&self.codes, code_bits)?;
        let Some(Addresses { npy, largest: Some(largest) }) = &self.addresses else {
            return Ok(());
        };
        if Address::new(*largest, address_bits).is_err() {
            let path = npy.path().display();
            bail!("{path} holds address {largest:x}, expected addresses of {address_bits} bits");
        }
        Ok(())
    }

    fn passed(&self) -> u64 {
        self.passed
    }

    fn read(&mut self, rows: &mut Rows) -> Result<()> {
        rows.clear(self.row as u64);
        // One step is a batch: what it read is still in the processor's cache when it is used.
        if self.row < self.codes.rows() { self.step(rows) } else { Ok(()) }
    }
}

impl Addresses {
    fn open(path: &Path, rows: usize, from: usize) -> Result<Self> {
        let npy = Npy::open(path, &[Kind::Addresses])?;
        if npy.rows() != rows {
            let (path, found) = (path.display(), npy.rows());
            return Err(anyhow!("{path} holds {found} addresses, expected {rows}, one a code"));
        }
        let mut largest = None;
        for start in (from..rows).step_by(STEP_ROWS) {
            let addresses = npy.read_u32(start..rows.min(start + STEP_ROWS))?;
            largest = largest.max(addresses.into_iter().max());
        }
        Ok(Self { npy, largest })
    }
}

impl Values {
    fn open(path: &Path, rows: usize, from: usize) -> Result<Self> {
        let npy = Npy::open(path, &[Kind::Codes, Kind::Bytes])?;
        if npy.kind() == Kind::Bytes {
            let flat = Flat::open(path, Kind::Bytes, (rows, from), "values", MAX_VALUE_BYTES)?;
            return Ok(Self::Strings(flat));
        }
        let (path, found, width) = (path.display(), npy.rows(), npy.columns());
        if found != rows {
            bail!("{path} holds {found} values, expected {rows}, one a code");
        }
        if width > MAX_VALUE_BYTES {
            bail!("{path} holds values of {width} bytes, expected {MAX_VALUE_BYTES} at most");
        }
        Ok(Self::Rows(npy))
    }
}
