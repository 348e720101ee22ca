//! A scan that reads half of each code, or less: the first 128 bits lie in a column of their own,
//! and only rows whose prefix is near enough are compared as a whole.
//!
//! Differing bits of a prefix are differing bits of the code, so whatever lies within a limit has
//! a prefix within that limit: no answer is lost. With codes of 256 bits the filter halves a scan
//! while fewer than one row in two thousand passes, still gains a third at one in three hundred,
//! and loses from one in a hundred on (`cargo bench --bench index -- within`). Uniform codes pass
//! that at a limit of 50. A sample of the column tells in advance.

use super::columns::check_length;
use super::flat::Gathered;
use super::{Collect, Counters, Rows};
use crate::code::Code;
use crate::error::Corruption;
use crate::hamming::{self, Level};

/// Bytes of a prefix.
const PREFIX: usize = 16;

/// Rows that a sample looks at.
const SAMPLE: usize = 1024;

/// The prefixes of a column of codes, in row order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefixColumn {
    /// 16 bytes for each row.
    pub bytes: Vec<u8>,
}

impl PrefixColumn {
    /// Cuts the prefixes out of codes of `code_bytes` each; `None` for codes of 128 bits or less,
    /// which are no longer than a prefix.
    ///
    /// Cost: reads every code once.
    #[must_use]
    pub fn build(codes: &[u8], code_bytes: usize) -> Option<Self> {
        if code_bytes <= PREFIX {
            return None;
        }
        let rows = codes.chunks_exact(code_bytes);
        Some(Self { bytes: rows.flat_map(|code| &code[..PREFIX]).copied().collect() })
    }
}

/// A borrowed column of prefixes.
#[derive(Debug, Clone, Copy)]
pub struct Prefixes<'a> {
    column: &'a [[u8; PREFIX]],
}

impl<'a> Prefixes<'a> {
    /// Whether prefixes of `rows` codes are worth their place: there are none of codes that are no
    /// longer, and few codes are compared sooner than a pass rate is sampled.
    #[must_use]
    pub fn worthwhile(rows: u32, code_bytes: usize) -> bool {
        code_bytes > PREFIX && rows as usize >= 16 * SAMPLE
    }

    /// Takes the column that [`PrefixColumn::build`] made of `rows` codes.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if the column has another height, or codes of this width have no prefixes.
    pub fn open(column: &'a [u8], rows: usize, code_bytes: usize) -> Result<Self, Corruption> {
        if code_bytes <= PREFIX || !Code::is_width(code_bytes) {
            return Err(Corruption::OutOfRange { field: "code bytes", value: code_bytes as u64 });
        }
        check_length("prefixes", column, rows, PREFIX)?;
        Ok(Self { column: column.as_chunks().0 })
    }

    /// The share of rows, 0 to 1, whose prefix lies within `limit` of the query's, judged by about
    /// a thousand rows from all over the column.
    ///
    /// Cost: a cache miss for each of those, many of them under way at once.
    ///
    /// # Panics
    ///
    /// If the query is shorter than a prefix.
    #[must_use]
    pub fn pass_rate(&self, level: Level, query: &[u8], limit: u32) -> f64 {
        let count = self.column.len().min(SAMPLE);
        if count == 0 {
            return 0.0;
        }
        let mut sample = [[0; PREFIX]; SAMPLE];
        for (index, prefix) in sample[..count].iter_mut().enumerate() {
            *prefix = self.column[index * self.column.len() / count];
        }
        let (sample, mut passed) = (sample[..count].as_flattened(), 0_u32);
        hamming::rows_within(level, &query[..PREFIX], sample, limit, |_, _| {
            passed += 1;
            limit
        });
        f64::from(passed) / count as f64
    }

    /// Offers to `into` every live row, by the distance of its code to `query`: what
    /// [`scan`](super::scan) offers. `rows` are those that the prefixes were cut from; rows whose
    /// prefix passes are counted as candidates.
    ///
    /// Cost: reads every prefix once, and for each row that passes its code, which is a cache miss.
    ///
    /// # Panics
    ///
    /// If the query has another width than the codes, or there are not as many rows as prefixes.
    pub fn scan(
        &self,
        rows: &Rows<'_>,
        level: Level,
        query: &[u8],
        into: &mut impl Collect,
        live: impl Fn(u64) -> bool,
        counters: &mut Counters,
    ) {
        assert_eq!(rows.len(), self.column.len(), "a prefix for each row");
        let mut gathered = Gathered::new(rows, level, query);
        if into.is_void() {
            return;
        }
        let column = self.column.as_flattened();
        hamming::rows_within(level, &query[..PREFIX], column, into.limit(), |row, _| {
            counters.candidates += 1;
            if gathered.push(row) {
                gathered.offer(into, &live, counters);
            }
            into.limit()
        });
        gathered.offer(into, &live, counters);
    }
}
