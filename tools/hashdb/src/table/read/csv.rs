//! Comma-separated values. The first line names the columns: `key` or `key_base64` or both, `code` in
//! hexadecimal, and
//! optionally `address`, `address_bits`, `value` and `value_base64`, and `patches`, addresses with spaces between them;
//! others are passed over. Where there are two columns for one thing, a row fills one of them.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use csv::{ByteRecord, ErrorKind, Reader, ReaderBuilder};

use super::csv_text::CsvText;
use super::{Rows, Table, Widths};
use crate::table::{
    ADDRESS, ADDRESS_BITS_COLUMN, CODE, KEY, KEY_BASE64, PATCHES, VALUE, VALUE_BASE64, text,
};

/// An open file.
pub(super) struct CsvTable {
    path: PathBuf,
    reader: Reader<CsvText<Box<dyn Read>>>,
    columns: Columns,
    /// The row that was read ahead, and the line on which it begins.
    next: Option<(ByteRecord, u64)>,
    row: u64,
    passed: u64,
    widths: Widths,
}

/// Where the columns stand.
struct Columns {
    key: Option<usize>,
    key_base64: Option<usize>,
    code: usize,
    address: Option<usize>,
    value: Option<usize>,
    value_base64: Option<usize>,
    patches: Option<usize>,
    address_bits: Option<usize>,
}

impl CsvTable {
    /// Reads the names of the columns and row `from`.
    pub(super) fn open(path: &Path, input: Box<dyn Read>, from: u64) -> Result<Self> {
        let mut reader =
            ReaderBuilder::new().buffer_capacity(1 << 16).from_reader(CsvText::new(input));
        let header = reader.byte_headers().map_err(|error| wrong(path, 1, &error))?.clone();
        reader.get_mut().next_line();
        let columns = Columns::of(path, &header)?;
        let mut table = Self {
            path: path.to_path_buf(),
            reader,
            next: None,
            row: 0,
            passed: 0,
            widths: Widths { has_addresses: columns.address.is_some(), ..Widths::default() },
            columns,
        };
        while table.passed < from && table.pass_over()? {
            table.passed += 1;
        }
        table.row = table.passed;
        table.next = table.read_record()?;
        table.widths.address_bits = table.address_bits()?;
        Ok(table)
    }

    /// The bits of addresses that the row says which was read ahead.
    fn address_bits(&self) -> Result<Option<u8>> {
        let Some((record, line)) = &self.next else { return Ok(None) };
        let field = |column: Option<usize>| column.and_then(|column| record.get(column));
        if let Some(bits) = field(self.columns.address_bits).filter(|bits| !bits.is_empty()) {
            let number = str::from_utf8(bits).ok().and_then(|bits| bits.parse().ok());
            let number = number.ok_or_else(|| format!("{} is no number", text::quoted(bits)));
            let bits = number.and_then(text::address_bits).map(Some);
            let path = self.path.display();
            let wrong = |what| anyhow!("{path}, line {line}, column {ADDRESS_BITS_COLUMN}: {what}");
            return bits.map_err(wrong);
        }
        // If it is none, reading the row says so.
        Ok(field(self.columns.address).and_then(|address| text::address(address).ok()?.1))
    }

    /// Passes over a row, whatever it holds; says whether there was one.
    fn pass_over(&mut self) -> Result<bool> {
        let read = self.reader.read_byte_record(&mut ByteRecord::new());
        let line = self.reader.get_mut().next_line();
        match read {
            Err(error) if matches!(error.kind(), ErrorKind::UnequalLengths { .. }) => Ok(true),
            read => read.map_err(|error| wrong(&self.path, line, &error)),
        }
    }

    fn read_record(&mut self) -> Result<Option<(ByteRecord, u64)>> {
        let mut record = ByteRecord::new();
        let read = self.reader.read_byte_record(&mut record);
        let line = self.reader.get_mut().next_line();
        let read = read.map_err(|error| wrong(&self.path, line, &error))?;
        Ok(read.then_some((record, line)))
    }

    /// Appends a row, or says what is wrong with it.
    fn push(&self, record: &ByteRecord, rows: &mut Rows) -> Result<(), String> {
        let field = |column: Option<usize>| {
            column.and_then(|column| record.get(column)).unwrap_or_default()
        };
        let in_column = |name: &'static str| move |what: String| format!("column {name}: {what}");
        let columns = &self.columns;
        let either = |plain: Option<usize>, coded: Option<usize>, names: [&'static str; 2]| match (
            field(plain),
            field(coded),
        ) {
            (plain, []) => Ok(plain.to_vec()),
            ([], coded) => text::from_base64(coded).map_err(in_column(names[1])),
            _ => Err(format!("columns {} and {} are both filled", names[0], names[1])),
        };
        let key = either(columns.key, columns.key_base64, [KEY, KEY_BASE64])?;
        let value = either(columns.value, columns.value_base64, [VALUE, VALUE_BASE64])?;
        let code = text::from_hex(field(Some(columns.code))).map_err(in_column(CODE))?;
        rows.push_code(&code).map_err(in_column(CODE))?;
        if columns.address.is_some() {
            let address = text::address(field(columns.address)).map_err(in_column(ADDRESS))?;
            rows.addresses.push(address.0);
        }
        let patches = field(columns.patches).split(u8::is_ascii_whitespace);
        let patches = patches.filter(|patch| !patch.is_empty()).map(text::address);
        let patches = patches.map(|patch| patch.map(|(patch, _)| patch.to_le_bytes()));
        let patches: Vec<_> = patches.collect::<Result<_, _>>().map_err(in_column(PATCHES))?;
        rows.patches.push(patches.as_flattened());
        rows.keys.push(&key);
        rows.values.push(&value);
        Ok(())
    }
}

impl Table for CsvTable {
    fn widths(&self) -> Widths {
        self.widths
    }

    fn rows(&self) -> Option<u64> {
        None
    }

    fn passed(&self) -> u64 {
        self.passed
    }

    fn read(&mut self, rows: &mut Rows) -> Result<()> {
        rows.clear(self.row);
        while rows.room() > 0 && !rows.is_due() {
            let Some((record, line)) = self.next.take() else { break };
            rows.push_line(line);
            let pushed = self.push(&record, rows);
            pushed.map_err(|what| anyhow!("{}, line {line}: {what}", self.path.display()))?;
            self.row += 1;
            self.next = self.read_record()?;
        }
        Ok(())
    }
}

impl Columns {
    fn of(path: &Path, header: &ByteRecord) -> Result<Self> {
        let at = |name: &str| {
            let mut found =
                header.iter().enumerate().filter(|(_, found)| *found == name.as_bytes());
            let first = found.next().map(|(column, _)| column);
            if found.next().is_some() {
                bail!("{} has two columns {name}", path.display());
            }
            Ok(first)
        };
        let missing = |name: &str| {
            if header.is_empty() {
                let path = path.display();
                return anyhow!("{path} is empty, expected a first line that names the columns");
            }
            let found: Vec<_> = header.iter().map(text::quoted).collect();
            let (path, found) = (path.display(), found.join(", "));
            anyhow!("{path} has no column {name}; its first line names {found}")
        };
        let (key, key_base64) = (at(KEY)?, at(KEY_BASE64)?);
        if key.or(key_base64).is_none() {
            return Err(missing(KEY));
        }
        Ok(Self {
            key,
            key_base64,
            code: at(CODE)?.ok_or_else(|| missing(CODE))?,
            address: at(ADDRESS)?,
            value: at(VALUE)?,
            value_base64: at(VALUE_BASE64)?,
            patches: at(PATCHES)?,
            address_bits: at(ADDRESS_BITS_COLUMN)?,
        })
    }
}

fn wrong(path: &Path, line: u64, error: &csv::Error) -> anyhow::Error {
    let path = path.display();
    match error.kind() {
        ErrorKind::UnequalLengths { expected_len, len, .. } => {
            anyhow!(
                "{path}, line {line}: {len} fields, expected {expected_len} as in the first line"
            )
        }
        // The text itself is wrong, and says on which line.
        ErrorKind::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            anyhow!("{path}, {error}")
        }
        ErrorKind::Io(error) => anyhow!("cannot read {path}: {error}"),
        _ => anyhow!("{path}: {error}"),
    }
}
