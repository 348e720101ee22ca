//! Little-endian integers into and out of byte strings, with ends that are checked.

use crate::error::Corruption;

/// Reads fields from the front of a byte string.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Takes the next `count` bytes.
    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Corruption> {
        let Some((taken, rest)) = self.rest.split_at_checked(count) else {
            return Err(Corruption::Truncated { missing: (count - self.rest.len()) as u64 });
        };
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Corruption> {
        let mut out = [0; N];
        out.copy_from_slice(self.bytes(N)?);
        Ok(out)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Corruption> {
        self.array().map(u8::from_le_bytes)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Corruption> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Corruption> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Corruption> {
        self.array().map(u64::from_le_bytes)
    }

    /// An integer of a RocksDB key, where byte order is key order.
    pub(crate) fn u32_be(&mut self) -> Result<u32, Corruption> {
        self.array().map(u32::from_be_bytes)
    }

    /// An integer of a RocksDB key, where byte order is key order.
    pub(crate) fn u64_be(&mut self) -> Result<u64, Corruption> {
        self.array().map(u64::from_be_bytes)
    }

    /// What is left.
    pub(crate) fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// Fails if anything is left.
    pub(crate) fn end(self, field: &'static str) -> Result<(), Corruption> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(Corruption::OutOfRange { field, value: left as u64 }),
        }
    }
}

/// Writes fields to the end of a byte string.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    pub(crate) fn u32_be(&mut self, value: u32) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn u64_be(&mut self, value: u64) {
        self.bytes(&value.to_be_bytes());
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }
}
