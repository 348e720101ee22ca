//! The cost model: what a way of searching a segment takes, in nanoseconds of one core.
//!
//! The constants were measured on one machine (docs/results.md names it and the benches that show
//! them). Another machine scales all of them alike, and plans are only compared with each other.

use crate::code::ball_size;
use crate::index::MultiCost;

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
/// Looking at a list: comparing its centroid, finding its ring, beginning to read it.
const LIST: Cost = 4.0;
/// Comparing eight bytes of a code in a list.
const LISTED_WORD: Cost = 0.25;
/// Looking up a bucket of the multi-index: its offsets and its postings.
const MULTI_PROBE: Cost = 40.0;
/// Comparing a posting of such a bucket.
const POSTING: Cost = 0.1;
/// Fetching the code of a candidate from anywhere in the segment, without its words.
const CANDIDATE: Cost = 30.0;
/// A scan that costs less is made without looking for something better.
pub(crate) const WORTH_PLANNING: Cost = 10_000.0;

/// A scan of all codes.
pub(crate) fn scan(rows: usize, code_bytes: usize) -> Cost {
    rows as Cost * words(code_bytes) * SCANNED_WORD
}

/// A query's share of a scan that many queries make together.
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

/// Rings of cluster lists that hold so many rows.
pub(crate) fn rings(lists: usize, rows: u64, code_bytes: usize) -> Cost {
    lists as Cost * LIST + rows as Cost * words(code_bytes) * LISTED_WORD
}

/// A search of the multi-index.
pub(crate) fn multi_index(cost: MultiCost, code_bytes: usize) -> Cost {
    let candidate = CANDIDATE + words(code_bytes) * SCANNED_WORD;
    multi_index_probes(cost) + cost.postings as Cost * POSTING + cost.candidates as Cost * candidate
}

/// The part of it that is known without a query.
pub(crate) fn multi_index_probes(cost: MultiCost) -> Cost {
    cost.probes as Cost * MULTI_PROBE
}

/// A scan of prefixes, of which this share passes.
pub(crate) fn prefix_scan(rows: usize, passed: f64) -> Cost {
    rows as Cost * (2.0 * SCANNED_WORD + passed * CANDIDATE)
}

fn words(code_bytes: usize) -> Cost {
    (code_bytes / 8) as Cost
}
