//! The section INFO: what a segment holds (storage-format.md, section 3.1).

use crate::bytes::{Reader, Writer};
use crate::error::Corruption;

/// The section INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Info {
    pub(super) row_count: u64,
    pub(super) code_bits: u16,
    pub(super) address_bits: u8,
    pub(super) min_id: u64,
    pub(super) max_id: u64,
}

impl Info {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.u64(self.row_count);
        out.u16(self.code_bits);
        out.u8(self.address_bits);
        out.bytes(&[0; 5]);
        out.u64(self.min_id);
        out.u64(self.max_id);
        out.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Corruption> {
        let mut input = Reader::new(bytes);
        let (row_count, code_bits, address_bits) = (input.u64()?, input.u16()?, input.u8()?);
        if input.bytes(5)? != [0; 5] {
            return Err(Corruption::OutOfRange { field: "reserved", value: 1 });
        }
        let (min_id, max_id) = (input.u64()?, input.u64()?);
        input.end("info length")?;
        Ok(Self { row_count, code_bits, address_bits, min_id, max_id })
    }
}
