//! Records, and how they lie in the column families (storage-format.md, section 4).

use crate::bytes::{Reader, Writer};
use crate::code::{Address, Code};
use crate::error::{Corruption, Result};
use crate::storage::manifest::Schema;

/// One record without its value, which may be large and is read on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The id that the database gave, never reused.
    pub id: u64,
    /// The short code.
    pub address: Address,
    /// The long code.
    pub code: Code,
    /// The user's key.
    pub key: Vec<u8>,
    pub(crate) has_value: bool,
}

const HAS_VALUE: u8 = 1;

/// Where a record lies: the key of the family `records`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) address: u32,
    pub(crate) id: u64,
}

impl Location {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u32_be(self.address);
        out.u64_be(self.id);
        out.finish()
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, Corruption> {
        Ok(Self { address: input.u32_be()?, id: input.u64_be()? })
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let mut input = Reader::new(bytes);
        let location = Self::read(&mut input)?;
        input.end("record key length")?;
        Ok(location)
    }
}

/// The key of the families `values`, `pending` and `tombstones`.
pub(crate) fn encode_id(id: u64) -> Vec<u8> {
    id.to_be_bytes().to_vec()
}

pub(crate) fn decode_id(bytes: &[u8]) -> Result<u64, Corruption> {
    let mut input = Reader::new(bytes);
    let id = input.u64_be()?;
    input.end("id length")?;
    Ok(id)
}

/// An entry of the family `keys`: where the record of a key lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeyEntry {
    pub(crate) location: Location,
    pub(crate) has_value: bool,
}

impl KeyEntry {
    pub(crate) fn encode(self) -> Vec<u8> {
        let mut out = self.location.encode();
        out.push(u8::from(self.has_value));
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let mut input = Reader::new(bytes);
        let location = Location::read(&mut input)?;
        let has_value = decode_flags(input.u8()?)?;
        input.end("key entry length")?;
        Ok(Self { location, has_value })
    }
}

fn decode_flags(flags: u8) -> Result<bool, Corruption> {
    match flags {
        0 => Ok(false),
        HAS_VALUE => Ok(true),
        _ => Err(Corruption::OutOfRange { field: "record flags", value: u64::from(flags) }),
    }
}

/// The value of the family `records`.
pub(crate) fn encode_record(code: &Code, key: &[u8], has_value: bool) -> Vec<u8> {
    let mut out = Writer::new();
    out.u8(u8::from(has_value));
    out.bytes(code.as_bytes());
    out.bytes(key);
    out.finish()
}

/// Reads an entry of the family `records`.
pub(crate) fn decode_record(
    schema: &Schema,
    location: Location,
    value: &[u8],
) -> Result<Record, Corruption> {
    let mut input = Reader::new(value);
    let has_value = decode_flags(input.u8()?)?;
    let code = input.bytes(usize::from(schema.code_bits / 8))?;
    let key = input.rest();
    if key.is_empty() {
        return Err(Corruption::Truncated { missing: 1 });
    }
    let out_of_range = |field, value| move |_error| Corruption::OutOfRange { field, value };
    let value = u64::from(location.address);
    Ok(Record {
        id: location.id,
        address: Address::new(location.address, schema.address_bits)
            .map_err(out_of_range("address", value))?,
        code: Code::from_bytes(code).map_err(out_of_range("code length", code.len() as u64))?,
        key: key.to_vec(),
        has_value,
    })
}

/// An entry of the family `pending`: what the memtable needs of a record that is in no segment.
pub(crate) fn encode_pending(address: Address, code: &Code) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32_be(address.value());
    out.bytes(code.as_bytes());
    out.finish()
}

/// Reads an entry of the family `pending`: address and code.
pub(crate) fn decode_pending<'a>(
    schema: &Schema,
    value: &'a [u8],
) -> Result<(u32, &'a [u8]), Corruption> {
    let mut input = Reader::new(value);
    let address = input.u32_be()?;
    if u64::from(address) >> schema.address_bits != 0 {
        return Err(Corruption::OutOfRange { field: "address", value: u64::from(address) });
    }
    let code = input.bytes(usize::from(schema.code_bits / 8))?;
    input.end("pending entry length")?;
    Ok((address, code))
}
