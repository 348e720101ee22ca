//! A JSON object a line: `key` or `key_base64`, `code` in hexadecimal, and
//! optionally `address` as a number or as text that begins with 0x, `address_bits`, `value` or `value_base64`, and
//! `patches`, a list of addresses. Other members are passed over, and so are empty lines. If the first object has an
//! address, all must have one.

use std::borrow::Cow;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use serde::Deserialize;

use super::{MAX_ROW_BYTES, Rows, Table, Widths};
use crate::table::{ADDRESS_BITS_COLUMN, text};

/// An open file.
pub(super) struct JsonTable {
    path: PathBuf,
    reader: BufReader<Box<dyn Read>>,
    text: Vec<u8>,
    line: u64,
    row: u64,
    passed: u64,
    widths: Widths,
    peeked: bool,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(borrow)]
    address: Option<Address<'a>>,
    #[serde(borrow)]
    value: Option<Cow<'a, str>>,
    #[serde(borrow)]
    value_base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    patches: Option<Vec<Address<'a>>>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "the address is neither a whole number nor text")]
enum Address<'a> {
    Number(u64),
    Text(Cow<'a, str>),
}

/// What the first line may say beside its record. A member of this name that is no number is somebody else's.
#[derive(Deserialize)]
struct Beside {
    address_bits: Option<serde_json::Value>,
}

impl JsonTable {
    /// Reads the line of row `from`.
    pub(super) fn open(path: &Path, input: Box<dyn Read>, from: u64) -> Result<Self> {
        let reader = BufReader::with_capacity(1 << 16, input);
        let (path, text) = (path.to_path_buf(), Vec::new());
        let widths = Widths::default();
        let mut table =
            Self { path, reader, text, line: 0, row: 0, passed: 0, widths, peeked: false };
        while table.passed < from && table.next_line()? {
            table.passed += 1;
        }
        table.row = table.passed;
        table.peeked = table.next_line()?;
        if table.peeked
            // If it is none, reading the row says so.
            && let Ok(Object { address: Some(address), .. }) = object(&table.text)
        {
            table.widths.has_addresses = true;
            let told = address.read().ok().and_then(|(_, bits)| bits);
            table.widths.address_bits = table.address_bits()?.or(told);
        }
        Ok(table)
    }

    /// The bits of addresses that the line says.
    fn address_bits(&self) -> Result<Option<u8>> {
        let beside = serde_json::from_slice::<Beside>(&self.text).ok();
        let bits = beside.and_then(|beside| beside.address_bits?.as_u64());
        let wrong = |what| {
            let (path, line) = (self.path.display(), self.line);
            anyhow!("{path}, line {line}: {ADDRESS_BITS_COLUMN}: {what}")
        };
        bits.map(text::address_bits).transpose().map_err(wrong)
    }

    /// Reads the next line that is not empty; says whether there was one.
    fn next_line(&mut self) -> Result<bool> {
        loop {
            self.text.clear();
            let mut line = self.reader.by_ref().take(MAX_ROW_BYTES as u64 + 1);
            let read = line.read_until(b'\n', &mut self.text);
            let path = self.path.display();
            if read.map_err(|error| anyhow!("cannot read {path}: {error}"))? == 0 {
                return Ok(false);
            }
            self.line += 1;
            if self.text.len() > MAX_ROW_BYTES {
                return Err(anyhow!("{path}, line {}: more than {MAX_ROW_BYTES} bytes", self.line));
            }
            if !self.text.trim_ascii().is_empty() {
                return Ok(true);
            }
        }
    }

    /// Appends the row of the line that was read, or says what is wrong with it.
    fn push(&self, rows: &mut Rows) -> Result<(), String> {
        let object = object(&self.text)?;
        let key = either("key", object.key, object.key_base64)?.ok_or("it has no key")?;
        let value = either("value", object.value, object.value_base64)?;
        let code =
            text::from_hex(object.code.as_bytes()).map_err(|what| format!("code: {what}"))?;
        rows.push_code(&code)?;
        match (object.address, self.widths.has_addresses) {
            (Some(address), true) => rows.addresses.push(address.read()?.0),
            (None, false) => {}
            (Some(_), false) => return Err("it has an address, the first line has none".into()),
            (None, true) => return Err("it has no address, the first line has one".into()),
        }
        let mut patches = Vec::new();
        for patch in object.patches.iter().flatten() {
            let (value, _) = patch.read().map_err(|what| format!("patches: {what}"))?;
            patches.extend(value.to_le_bytes());
        }
        rows.patches.push(&patches);
        rows.keys.push(&key);
        rows.values.push(&value.unwrap_or_default());
        Ok(())
    }
}

/// The text of a line as an object.
fn object(line: &[u8]) -> Result<Object<'_>, String> {
    serde_json::from_slice(line).map_err(|error| {
        // The parser sees one line.
        let text = error.to_string();
        let text = text.split(" at line ").next().unwrap_or_default();
        format!(
            "{} is no record, at column {}: {text}",
            text::quoted(line.trim_ascii()),
            error.column()
        )
    })
}

/// What was given as text or as base64.
fn either(
    name: &str,
    plain: Option<Cow<'_, str>>,
    coded: Option<Cow<'_, str>>,
) -> Result<Option<Vec<u8>>, String> {
    match (plain, coded) {
        (Some(_), Some(_)) => Err(format!("it has both {name} and {name}_base64")),
        (plain, None) => Ok(plain.map(|plain| plain.into_owned().into_bytes())),
        (None, Some(coded)) => {
            let bytes = text::from_base64(coded.as_bytes());
            bytes.map(Some).map_err(|what| format!("{name}_base64: {what}"))
        }
    }
}

impl Address<'_> {
    fn read(&self) -> Result<(u32, Option<u8>), String> {
        let read = match self {
            Self::Number(number) => text::address(number.to_string().as_bytes()),
            Self::Text(text) if !text.starts_with("0x") && !text.starts_with("0X") => {
                Err(format!("{} does not begin with 0x", text::quoted(text.as_bytes())))
            }
            Self::Text(text) => text::address(text.as_bytes()),
        };
        read.map_err(|what| format!("address: {what}"))
    }
}

impl Table for JsonTable {
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
        while rows.room() > 0 && !rows.is_due() && self.peeked {
            rows.push_line(self.line);
            let pushed = self.push(rows);
            pushed
                .map_err(|what| anyhow!("{}, line {}: {what}", self.path.display(), self.line))?;
            self.row += 1;
            self.peeked = self.next_line()?;
        }
        Ok(())
    }
}
