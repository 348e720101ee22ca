//! Stands in until the prefixes are there.
#![expect(missing_docs, clippy::missing_errors_doc, reason = "replaced by the prefixes")]

use super::{Collect, Counters, Rows, scan};
use crate::error::Corruption;
use crate::hamming::Level;

#[derive(Debug, Clone, Copy)]
pub struct Prefixes;
#[derive(Debug)]
pub struct PrefixColumn;

impl PrefixColumn {
    pub fn build(_codes: &[u8], _code_bytes: usize) -> Result<Vec<u8>, Corruption> {
        Ok(Vec::new())
    }
}

impl Prefixes {
    pub fn worthwhile(_rows: u32, _code_bytes: usize) -> bool {
        false
    }
    pub fn open(_column: &[u8], _rows: u32, _code_bytes: usize) -> Result<Self, Corruption> {
        Ok(Self)
    }
    pub fn pass_rate(&self, _level: Level, _query: &[u8], _limit: u32) -> f64 {
        1.0
    }
    pub fn scan(
        &self,
        rows: &Rows<'_>,
        level: Level,
        query: &[u8],
        into: &mut impl Collect,
        live: impl Fn(u64) -> bool,
        counters: &mut Counters,
    ) {
        scan(rows, level, query, into, live, counters);
    }
}
