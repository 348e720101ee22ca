//! The cost model: what a way of searching a segment takes, in nanoseconds of one core.
//!
//! The constants were measured on one machine (docs/results.md names it and the benches that show
//! them). Another machine scales all of them alike, and plans are only compared with each other.

use crate::code::ball_size;

/// Nanoseconds.
pub(crate) type Cost = f64;

/// Comparing eight bytes of a code in a scan.
const SCANNED_WORD: Cost = 0.2;
/// The same where many queries share the reading of a block.
const SCANNED_WORD_IN_BATCH: Cost = 0.055;
/// Comparing an address in a scan.
const SCANNED_ADDRESS: Cost = 0.1;
/// Looking up a bucket of a pair table: a cache line of its own.
const BALL_PROBE: Cost = 10.0;
/// Comparing a row of such a bucket.
const BALL_ROW: Cost = 0.4;
/// Fetching and comparing the code of a row on its own, without its words.
const FETCHED_ROW: Cost = 7.0;

/// A scan of all codes.
pub(crate) fn scan(rows: usize, code_bytes: usize) -> Cost {
    rows as Cost * words(code_bytes) * SCANNED_WORD
}

/// A query's share of a scan that many queries make together.
#[expect(dead_code, reason = "the batch plan follows")]
pub(crate) fn scan_in_batch(rows: usize, code_bytes: usize) -> Cost {
    rows as Cost * words(code_bytes) * SCANNED_WORD_IN_BATCH
}

/// A scan of all addresses.
pub(crate) fn address_scan(rows: usize) -> Cost {
    rows as Cost * SCANNED_ADDRESS
}

/// A look-up in a pair table over halves of `half_bits`, whose buckets hold so many rows.
pub(crate) fn ball(half_bits: u8, radius: u32, rows: u64) -> Cost {
    let probes = 2 * ball_size(half_bits, radius / 2);
    probes as Cost * BALL_PROBE + rows as Cost * BALL_ROW
}

/// Fetching rows that lie apart.
pub(crate) fn fetch(rows: usize, code_bytes: usize) -> Cost {
    rows as Cost * (FETCHED_ROW + words(code_bytes) * SCANNED_WORD)
}

fn words(code_bytes: usize) -> Cost {
    (code_bytes / 8) as Cost
}
