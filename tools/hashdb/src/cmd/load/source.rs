//! The tables that a load reads, one after the other, held against each other and the database.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use hashdb::{Address, MAX_KEY_BYTES, MAX_PATCHES, MAX_VALUE_BYTES};

use super::Args;
use crate::exit::Usage;
use crate::signals::Interrupt;
use crate::table::read::{self, NpyPaths, NpyTable, STDIN, Table};
use crate::table::{Rows, Widths};

/// Bits of an address where neither a table nor the user says otherwise.
const ADDRESS_BITS: u8 = 28;

/// Tables in the order in which they are loaded.
pub(super) struct Source {
    tables: Vec<(PathBuf, Box<dyn Table>)>,
    /// The table that is being read.
    current: usize,
    rows: Rows,
    /// Whether `rows` holds rows that were read ahead.
    is_ahead: bool,
}

impl Source {
    /// Opens all tables and reads the first rows, which tell what the tables do not.
    pub(super) fn open(args: &Args, interrupt: &Interrupt) -> Result<Self> {
        if args.files.iter().filter(|file| file.as_os_str() == STDIN).count() > 1 {
            return Err(Usage("standard input can be read once, not twice".into()).into());
        }
        let mut tables: Vec<(PathBuf, Box<dyn Table>)> = Vec::new();
        if let Some(codes) = &args.codes {
            let [addresses, keys, values] =
                [&args.addresses, &args.keys, &args.values].map(Option::as_deref);
            let paths = NpyPaths::new(codes, addresses, keys, values);
            tables.push((codes.clone(), Box::new(NpyTable::open(&paths, args.from)?)));
        }
        let mut passed = 0;
        for path in &args.files {
            let table = read::open(path, args.format, args.from - passed, interrupt)?;
            passed += table.passed();
            tables.push((path.clone(), table));
        }
        if tables.len() > 1
            && let Some((path, _)) = tables.iter().find(|(_, table)| table.widths().is_numbered)
        {
            let path = path.display();
            let sentence = format!("{path} has no keys, which several tables need");
            return Err(Usage(sentence).into());
        }
        let mut source = Self { tables, current: 0, rows: Rows::default(), is_ahead: false };
        source.check_from(args.from)?;
        source.is_ahead = source.advance()?;
        Ok(source)
    }

    fn all_rows(&self) -> Option<u64> {
        self.tables.iter().map(|(_, table)| table.rows()).sum()
    }

    fn check_from(&self, from: u64) -> Result<()> {
        let passed: u64 = self.tables.iter().map(|(_, table)| table.passed()).sum();
        if passed < from {
            // What was passed over is all there is.
            let sentence = format!("--from {from} is beyond the {passed} rows of the files");
            return Err(Usage(sentence).into());
        }
        Ok(())
    }

    /// The number of rows to load, where it is known.
    pub(super) fn total(&self) -> Option<u64> {
        let passed: u64 = self.tables.iter().map(|(_, table)| table.passed()).sum();
        self.all_rows().map(|rows| rows.saturating_sub(passed))
    }

    /// Bits of a code.
    pub(super) fn code_bits(&self) -> Result<u16> {
        let read = u16::try_from(self.rows.code_bytes() * 8).ok().filter(|&bits| bits > 0);
        self.told(|widths| widths.code_bits).or(read).ok_or_else(|| {
            let path = self.tables.first().map(|(path, _)| path.display().to_string());
            let path = path.unwrap_or_default();
            anyhow!(
                "{path} has no rows, which would tell the width of a new database's codes; give --code-bits"
            )
        })
    }

    /// Bits that suit the addresses, if the tables tell or have none.
    pub(super) fn address_bits(&self) -> Option<u8> {
        let has_any = self.tables.iter().any(|(_, table)| table.widths().has_addresses);
        let told = self.told(|widths| widths.address_bits);
        told.or_else(|| (!has_any).then_some(ADDRESS_BITS)).or_else(|| {
            // Nothing is in the tables.
            (self.rows.len() == 0).then_some(ADDRESS_BITS)
        })
    }

    fn told<T>(&self, tell: impl Fn(Widths) -> Option<T>) -> Option<T> {
        self.tables.iter().find_map(|(_, table)| tell(table.widths()))
    }

    /// Checks the tables against the widths of a database, as far as they tell before they are read.
    pub(super) fn check(&self, code_bits: u16, address_bits: u8) -> Result<()> {
        for (path, table) in &self.tables {
            table.check(code_bits, address_bits)?;
            if let Some(found) = table.widths().code_bits
                && found != code_bits
            {
                let path = path.display();
                bail!(
                    "{path} holds codes of {found} bits, expected {code_bits}, as the database has"
                );
            }
        }
        if self.is_ahead {
            self.check_rows(code_bits, address_bits)?;
        }
        Ok(())
    }

    /// The next rows, checked; none at the end.
    pub(super) fn next(&mut self, code_bits: u16, address_bits: u8) -> Result<Option<&Rows>> {
        if !std::mem::take(&mut self.is_ahead) && !self.advance()? {
            return Ok(None);
        }
        self.check_rows(code_bits, address_bits)?;
        Ok(Some(&self.rows))
    }

    /// Reads the next rows; says whether there are any.
    fn advance(&mut self) -> Result<bool> {
        while let Some((_, table)) = self.tables.get_mut(self.current) {
            table.read(&mut self.rows)?;
            if self.rows.len() > 0 {
                return Ok(true);
            }
            self.current += 1;
        }
        Ok(false)
    }

    /// Checks the rows that were read against the limits and the widths of a database.
    fn check_rows(&self, code_bits: u16, address_bits: u8) -> Result<()> {
        let path = self.tables.get(self.current).map(|(path, _)| path.display().to_string());
        let path = path.unwrap_or_default();
        let found = self.rows.code_bytes() * 8;
        if found != usize::from(code_bits) {
            bail!("{path} holds codes of {found} bits, expected {code_bits}, as the database has");
        }
        for (index, row) in self.rows.iter().enumerate() {
            let wrong = |column: &str, what: String| {
                Err(anyhow!("{path}, {}, column {column}: {what}", self.rows.place(index)))
            };
            match row.key.len() {
                1..=MAX_KEY_BYTES => {}
                0 => return wrong("key", "the key is empty".into()),
                _ => return wrong("key", format!("the key has more than {MAX_KEY_BYTES} bytes")),
            }
            if let Some(address) = row.address
                && Address::new(address, address_bits).is_err()
            {
                let what = format!("it is {address:x}, expected an address of {address_bits} bits");
                return wrong("address", what);
            }
            if row.patches.len() > MAX_PATCHES {
                let what = format!(
                    "there are {} of them, expected {MAX_PATCHES} at most",
                    row.patches.len()
                );
                return wrong("patches", what);
            }
            let mut patches = row.patches();
            if let Some(patch) = patches.find(|patch| Address::new(*patch, address_bits).is_err()) {
                let what = format!("one is {patch:x}, expected addresses of {address_bits} bits");
                return wrong("patches", what);
            }
            if row.value.len() > MAX_VALUE_BYTES {
                let what = format!("the value has more than {MAX_VALUE_BYTES} bytes");
                return wrong("value", what);
            }
        }
        Ok(())
    }
}
