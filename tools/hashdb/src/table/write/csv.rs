//! Comma-separated values, in the columns that are read again: what is UTF-8 stands in `key` and `value`,
//! the rest in `key_base64` and `value_base64`. Patch addresses stand in `patches`, with spaces between them, and bits of
//! addresses that their digits do not tell in `address_bits`.

use std::io;

use anyhow::Result;
use csv::{Writer, WriterBuilder};

use super::{Rows, Shape, Sink, Target, failed};
use crate::table::{
    ADDRESS, ADDRESS_BITS_COLUMN, CODE, KEY, KEY_BASE64, PATCHES, VALUE, VALUE_BASE64,
    text as of_table,
};
use crate::text;

/// A file under way.
pub(super) struct CsvFile {
    writer: Writer<Target>,
    name: String,
    shape: Shape,
}

impl CsvFile {
    pub(super) fn create(target: Target, shape: Shape) -> Result<Self> {
        let name = target.name();
        let writer = WriterBuilder::new().buffer_capacity(1 << 16).from_writer(target);
        let mut file = Self { writer, name, shape };
        let header = [KEY, KEY_BASE64, CODE, ADDRESS, VALUE, VALUE_BASE64];
        file.record(header.map(str::as_bytes), PATCHES, ADDRESS_BITS_COLUMN)?;
        Ok(file)
    }

    /// Writes a line, with the last two fields only where the table has them.
    fn record(&mut self, fields: [&[u8]; 6], patches: &str, address_bits: &str) -> Result<()> {
        let patches = Some(patches).filter(|_| self.shape.has_patches);
        let address_bits = of_table::bits_beside(self.shape.address_bits).map(|_| address_bits);
        let optional = patches.into_iter().chain(address_bits).map(str::as_bytes);
        let fields = fields.into_iter().chain(optional);
        self.writer.write_record(fields).map_err(|error| failed(&self.name, of_disk(error)))
    }
}

impl Sink for CsvFile {
    fn write(&mut self, rows: &Rows) -> Result<()> {
        for row in rows.iter() {
            let (key, key_base64) = split(row.key);
            let (value, value_base64) = split(row.value);
            let code = text::hex(row.code);
            let of_address = |address| of_table::of_address(address, self.shape.address_bits);
            let address = of_address(row.address.unwrap_or(0));
            let patches = row.patches().map(of_address).collect::<Vec<_>>().join(" ");
            let fields = [
                key,
                key_base64.as_bytes(),
                code.as_bytes(),
                address.as_bytes(),
                value,
                value_base64.as_bytes(),
            ];
            self.record(fields, &patches, &self.shape.address_bits.to_string())?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        let Self { writer, name, .. } = *self;
        let target = writer.into_inner();
        target.map_err(|error| failed(&name, error.into_error()))?.finish()
    }
}

/// The error of the file itself, whose kind tells a reader that went away.
fn of_disk(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// What fills the two columns of a key or a value.
fn split(bytes: &[u8]) -> (&[u8], String) {
    let (plain, base64) = of_table::or_base64(bytes, |byte| 1 + usize::from(byte == b'"'));
    (plain.unwrap_or_default().as_bytes(), base64.unwrap_or_default())
}
