//! Records, and how they lie in the column families (storage-format.md, section 4).

use crate::bytes::{Reader, Writer};
use crate::code::{Address, Code};
use crate::error::{Corruption, Result};
use crate::index::MAX_PATCHES;
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
    /// The patch addresses, in the order in which they were put; mostly none
    /// ([`WriteBatch::put_with_patches`](crate::WriteBatch::put_with_patches)).
    pub patches: Vec<Address>,
    pub(crate) has_value: bool,
}

impl Record {
    /// The patch addresses as numbers.
    pub(crate) fn patch_values(&self) -> impl ExactSizeIterator<Item = u32> {
        self.patches.iter().map(|patch| patch.value())
    }
}

const HAS_VALUE: u8 = 1;
const HAS_PATCHES: u8 = 2;

/// Where a record lies: the key of the family `records`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) address: u32,
    pub(crate) id: u64,
}

impl Location {
    const BYTES: usize = 12;

    /// An array, here and below: a load makes tens of millions.
    pub(crate) fn encode(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..4].copy_from_slice(&self.address.to_be_bytes());
        out[4..].copy_from_slice(&self.id.to_be_bytes());
        out
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
pub(crate) fn encode_id(id: u64) -> [u8; 8] {
    id.to_be_bytes()
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
    pub(crate) fn encode(self) -> [u8; Location::BYTES + 1] {
        let mut out = [u8::from(self.has_value); Location::BYTES + 1];
        out[..Location::BYTES].copy_from_slice(&self.location.encode());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let mut input = Reader::new(bytes);
        let location = Location::read(&mut input)?;
        let flags = input.u8()?;
        if flags & !HAS_VALUE != 0 {
            return Err(Corruption::OutOfRange { field: "record flags", value: u64::from(flags) });
        }
        let has_value = flags == HAS_VALUE;
        input.end("key entry length")?;
        Ok(Self { location, has_value })
    }
}

/// The value of the family `records`, appended to `out`.
pub(crate) fn write_record(
    out: &mut Vec<u8>,
    code: &[u8],
    key: &[u8],
    has_value: bool,
    patches: impl ExactSizeIterator<Item = u32>,
) {
    let flags = if patches.len() == 0 { 0 } else { HAS_PATCHES };
    out.push(flags | u8::from(has_value));
    out.extend_from_slice(code);
    if patches.len() > 0 {
        // At most 256: whoever put them was told so.
        out.push(u8::try_from(patches.len() - 1).unwrap_or(u8::MAX));
        out.extend(patches.take(MAX_PATCHES).flat_map(u32::to_be_bytes));
    }
    out.extend_from_slice(key);
}

/// The value of the family `records`.
pub(crate) fn encode_record(
    code: &Code,
    key: &[u8],
    has_value: bool,
    patches: impl ExactSizeIterator<Item = u32>,
) -> Vec<u8> {
    let mut out = Vec::new();
    write_record(&mut out, code.as_bytes(), key, has_value, patches);
    out
}

/// Reads an entry of the family `records`.
pub(crate) fn decode_record(
    schema: &Schema,
    location: Location,
    value: &[u8],
) -> Result<Record, Corruption> {
    let mut input = Reader::new(value);
    let flags = input.u8()?;
    if flags & !(HAS_VALUE | HAS_PATCHES) != 0 {
        return Err(Corruption::OutOfRange { field: "record flags", value: u64::from(flags) });
    }
    let code = input.bytes(usize::from(schema.code_bits / 8))?;
    let mut patches = Vec::new();
    if flags & HAS_PATCHES != 0 {
        let count = usize::from(input.u8()?) + 1;
        patches.reserve_exact(count);
        for patch in decode_patches(schema, input.bytes(4 * count)?) {
            patches.push(patch?);
        }
    }
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
        patches,
        has_value: flags & HAS_VALUE != 0,
    })
}

/// Patch addresses, each a `u32` BE.
fn decode_patches(
    schema: &Schema,
    bytes: &[u8],
) -> impl Iterator<Item = Result<Address, Corruption>> {
    let bits = schema.address_bits;
    bytes.as_chunks().0.iter().map(move |patch| {
        let value = u32::from_be_bytes(*patch);
        let field = "patch address";
        Address::new(value, bits)
            .map_err(|_| Corruption::OutOfRange { field, value: u64::from(value) })
    })
}

/// An entry of the family `pending`: what the memtable needs of a record that is in no segment.
pub(crate) fn encode_pending(
    address: Address,
    code: &Code,
    patches: impl Iterator<Item = u32>,
) -> Vec<u8> {
    let mut out = Writer::new();
    out.u32_be(address.value());
    out.bytes(code.as_bytes());
    patches.for_each(|patch| out.u32_be(patch));
    out.finish()
}

/// An entry of the family `pending`, read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pending<'a> {
    pub(crate) address: u32,
    pub(crate) code: &'a [u8],
    pub(crate) patches: Vec<u32>,
}

/// Reads an entry of the family `pending`.
pub(crate) fn decode_pending<'a>(
    schema: &Schema,
    value: &'a [u8],
) -> Result<Pending<'a>, Corruption> {
    let mut input = Reader::new(value);
    let address = input.u32_be()?;
    if u64::from(address) >> schema.address_bits != 0 {
        return Err(Corruption::OutOfRange { field: "address", value: u64::from(address) });
    }
    let code = input.bytes(usize::from(schema.code_bits / 8))?;
    let rest = input.rest();
    if !rest.len().is_multiple_of(4) || rest.len() > 4 * MAX_PATCHES {
        let value = rest.len() as u64;
        return Err(Corruption::OutOfRange { field: "pending entry length", value });
    }
    let patches = decode_patches(schema, rest).map(|patch| patch.map(Address::value));
    Ok(Pending { address, code, patches: patches.collect::<Result<_, _>>()? })
}
