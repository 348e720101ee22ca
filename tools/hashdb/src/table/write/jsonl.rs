//! A JSON object a line, with the members that are read again: `key` or `key_base64`, `code`, `address`, where its
//! digits do not tell its bits `address_bits`, and if there is a value `value` or `value_base64`, if there are patch
//! addresses `patches`, a list.

use std::io::Write as _;

use anyhow::Result;
use serde::Serialize;

use super::{Rows, Shape, Sink, Target, failed};
use crate::table::text as of_table;
use crate::text;

/// A file under way.
pub(super) struct JsonFile {
    target: Target,
    name: String,
    address_bits: u8,
}

#[derive(Serialize)]
struct Object<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_base64: Option<String>,
    code: String,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address_bits: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    patches: Vec<String>,
}

impl JsonFile {
    pub(super) fn create(target: Target, shape: Shape) -> Self {
        let name = target.name();
        Self { target, name, address_bits: shape.address_bits }
    }
}

impl Sink for JsonFile {
    fn write(&mut self, rows: &Rows) -> Result<()> {
        for row in rows.iter() {
            let (key, key_base64) = split(row.key);
            let (value, value_base64) = split(row.value);
            let patches = row.patches().map(|patch| of_table::of_address(patch, self.address_bits));
            let object = Object {
                key,
                key_base64,
                code: text::hex(row.code),
                address: of_table::of_address(row.address.unwrap_or(0), self.address_bits),
                address_bits: of_table::bits_beside(self.address_bits),
                value: value.filter(|value| !value.is_empty()),
                value_base64,
                patches: patches.collect(),
            };
            let written = serde_json::to_writer(&mut self.target, &object)
                .map_err(Into::into)
                .and_then(|()| self.target.write_all(b"\n"));
            written.map_err(|error| failed(&self.name, error))?;
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<()> {
        self.target.finish()
    }
}

/// What becomes a member as text, or in base64.
fn split(bytes: &[u8]) -> (Option<&str>, Option<String>) {
    of_table::or_base64(bytes, |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 8 | 12 => 2,
        0..32 => "\\u0000".len(),
        _ => 1,
    })
}
