//! The cost model: what a way of searching a segment takes, in nanoseconds of one core.
//!
//! The constants were measured on one machine (docs/results.md names it and the benches that show
//! them). Another machine scales all of them alike, and plans are only compared with each other.

use crate::code::ball_size;
use crate::index::MultiCost;

/// Nanoseconds.
pub(crate) type Cost = f64;

/// Comparing eight bytes of a code in a scan.
const SCANNED_WORD: Cost = 0.14;
/// The same where many queries share the reading of a block.
const SCANNED_WORD_IN_BATCH: Cost = 0.06;
/// Comparing an address in a scan.
const SCANNED_ADDRESS: Cost = 0.1;
/// Looking up a bucket of a pair table: a cache line of its own.
const BALL_PROBE: Cost = 10.0;
/// Comparing a row of such a bucket.
const BALL_ROW: Cost = 0.4;
/// Fetching and comparing the code of a row on its own, without its words.
const FETCHED_ROW: Cost = 7.0;
/// Comparing a centroid, by its words, and looking at its list.
const CENTROID: Cost = 2.0;
/// Beginning to read a list that the triangle inequality leaves.
const LIST: Cost = 35.0;
/// Comparing eight bytes of a code in a ring.
const LISTED_WORD: Cost = 0.5;
/// Looking up a bucket of the multi-index: its offsets and its postings.
const MULTI_PROBE: Cost = 80.0;
/// Comparing a posting of such a bucket.
const POSTING: Cost = 0.1;
/// Fetching the code of a candidate from anywhere in the segment, without its words.
const CANDIDATE: Cost = 25.0;
/// Fetching the rest of a code whose prefix passed.
const PASSED: Cost = 25.0;
/// For each of the k nearest, what a bound of their distances is worth: it fetches a few times k ids.
const BOUNDED: Cost = 1_500.0;
/// Passing an id of a segment over, to see whether a filter selects it.
const PASSED_ID: Cost = 1.5;
/// A step of the binary search for a row, whose cache line may be far.
const SEARCH_STEP: Cost = 15.0;
/// Looking up the value of a record and asking a predicate of it.
const LOOKED_UP_VALUE: Cost = 2_500.0;
/// The same for the next value of a scan.
const SCANNED_VALUE: Cost = 130.0;
/// Reading a byte of a value.
const VALUE_BYTE: Cost = 1.0;
/// Beginning a scan of values.
const VALUE_SEEK: Cost = 50_000.0;
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

/// How many rows can be fetched at such a cost.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounding is harmless")]
pub(crate) fn fetches(cost: Cost, code_bytes: usize) -> usize {
    (cost / fetch(1, code_bytes)) as usize
}

/// Finding a bound for the `k` nearest, many times over: a bound is worth a small part of a scan.
pub(crate) fn bound(k: usize) -> Cost {
    k as Cost * BOUNDED
}

/// Comparing a query with the centroids of so many lists.
pub(crate) fn probe(lists: usize, code_bytes: usize) -> Cost {
    lists as Cost * (CENTROID + words(code_bytes) * SCANNED_WORD)
}

/// The rings of so many lists, which hold so many rows.
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
    rows as Cost * (2.0 * SCANNED_WORD + passed * PASSED)
}

/// Looking through all ids of a segment.
pub(crate) fn id_scan(rows: usize) -> Cost {
    rows as Cost * PASSED_ID
}

/// Searching for so many rows of a segment by address and id.
pub(crate) fn row_searches(wanted: usize, rows: usize) -> Cost {
    wanted as Cost * Cost::from(rows.max(1).ilog2() + 1) * SEARCH_STEP
}

/// Asking a predicate of one record, whose value has so many bytes.
pub(crate) fn value_look_up(bytes: usize) -> Cost {
    LOOKED_UP_VALUE + bytes as Cost * VALUE_BYTE
}

/// Asking a predicate of so many values in order, of so many bytes together.
pub(crate) fn value_scan(values: u64, bytes: u64) -> Cost {
    VALUE_SEEK + values as Cost * SCANNED_VALUE + bytes as Cost * VALUE_BYTE
}

fn words(code_bytes: usize) -> Cost {
    (code_bytes / 8) as Cost
}
