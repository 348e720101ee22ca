//! Hamming distances over borrowed bytes: one function per shape of data, one file per
//! instruction set.
//!
//! Callers hand over a [`Level`] with every block of work, never with a single pair, and bytes as
//! they lie in a file: codes are byte strings, columns of integers are little-endian. No kernel
//! asks for alignment. Every level gives the same answer as [`scalar`], which the tests hold for
//! every width, start and length.
//!
//! Popcount by `pshufb`: W. Mula, N. Kurz, D. Lemire, "Faster Population Counts Using AVX2
//! Instructions", 2018.

/// Calls the kernel that was compiled for a width in bytes.
macro_rules! by_width {
    ($width:expr, $kernel:ident($($argument:expr),*)) => {
        match $width / 8 {
            1 => $kernel::<1>($($argument),*),
            2 => $kernel::<2>($($argument),*),
            3 => $kernel::<3>($($argument),*),
            4 => $kernel::<4>($($argument),*),
            5 => $kernel::<5>($($argument),*),
            6 => $kernel::<6>($($argument),*),
            7 => $kernel::<7>($($argument),*),
            8 => $kernel::<8>($($argument),*),
            9 => $kernel::<9>($($argument),*),
            10 => $kernel::<10>($($argument),*),
            11 => $kernel::<11>($($argument),*),
            12 => $kernel::<12>($($argument),*),
            13 => $kernel::<13>($($argument),*),
            14 => $kernel::<14>($($argument),*),
            15 => $kernel::<15>($($argument),*),
            _ => $kernel::<16>($($argument),*),
        }
    };
}

mod block;
mod level;
mod scalar;

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;

#[cfg(test)]
mod tests;

pub use level::Level;

/// A run of 16-bit values that is compared with one value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Run<'a> {
    /// The values, little-endian.
    pub column: &'a [[u8; 2]],
    /// The value that they are compared with.
    pub query: u16,
    /// The largest distance that is a hit.
    pub radius: u32,
}

/// Takes a row and its distance, answers the limit for later rows. Hits are rare: a kernel is
/// compiled once for each width and not for each caller.
type RowHit<'a> = &'a mut dyn FnMut(usize, u32) -> u32;

/// The same with the query in front, whose limit is answered.
type BatchHit<'a> = &'a mut dyn FnMut(usize, usize, u32) -> u32;

/// A run of 16-bit values, of which those at certain distances from one value are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Band<'a> {
    /// The values, little-endian.
    pub column: &'a [[u8; 2]],
    /// The value that they are compared with.
    pub query: u16,
    /// The smallest distance that is a hit.
    pub least: u32,
    /// The largest distance that is a hit.
    pub most: u32,
    /// The row of the first value.
    pub first_row: u32,
    /// What is added to the distance of a hit: that of the bits that the values lack, at most 16.
    pub beyond: u32,
}

/// A row that lies near enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(C)]
pub struct Hit {
    /// The row.
    pub row: u32,
    /// Bits in which it differs from what was asked for.
    pub distance: u32,
}

/// Calls the kernel of a level; a level of another architecture is the scalar one.
macro_rules! dispatch {
    ($level:expr, $kernel:ident($($argument:expr),*)) => {
        match $level {
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => avx2::$kernel($($argument),*),
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => avx512::$kernel($($argument),*),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Level::Neon => neon::$kernel($($argument),*),
            _ => scalar::$kernel($($argument),*),
        }
    };
}

/// The number of bits in which two byte strings of one length differ.
///
/// For a pair at hand; a scan uses [`rows_within`].
///
/// # Panics
///
/// If the lengths differ.
#[must_use]
pub fn distance(a: &[u8], b: &[u8]) -> u32 {
    assert_eq!(a.len(), b.len(), "codes of one width are compared");
    scalar::distance(a, b)
}

/// Calls `hit(row, distance)` for every row of `rows` within `limit` of `query`, by rising row;
/// `hit` answers the limit for the rows to come, which can only fall.
///
/// `rows` holds codes of `query.len()` bytes each, without gaps. The width is 8 to 128 bytes in
/// steps of 8. Distances never leave the registers unless they are hits: made for runs in which few
/// are. Cost: reads every row once, at the speed of memory where the level allows it.
///
/// # Panics
///
/// If `rows` ends inside a row, or codes cannot have this width.
pub fn rows_within(
    level: Level,
    query: &[u8],
    rows: &[u8],
    limit: u32,
    mut hit: impl FnMut(usize, u32) -> u32,
) {
    check_width(query.len(), rows);
    dispatch!(level, rows_within(query, rows, limit, &mut hit));
}

/// Calls `hit(query, row, distance)` for every row of `rows` within its query's limit of one of
/// `queries`, by rising row for each query; `hit` answers that query's limit for the rows to come,
/// which can only fall. Afterwards `limits` holds the last ones.
///
/// `queries` and `rows` hold codes of `width` bytes each, without gaps; `limits` has one for each
/// query. The width is 8 to 128 bytes in steps of 8.
///
/// Cost: reads every row once and keeps sixteen of them in registers while all queries pass. From
/// about eight queries on this is faster than [`rows_within`] for each of them.
///
/// # Panics
///
/// If the lengths do not agree, or codes cannot have this width.
pub fn batch_within(
    level: Level,
    width: usize,
    queries: &[u8],
    rows: &[u8],
    limits: &mut [u32],
    mut hit: impl FnMut(usize, usize, u32) -> u32,
) {
    check_width(width, rows);
    assert_eq!(queries.len(), width * limits.len(), "one limit for each query");
    dispatch!(level, batch_within(width, queries, rows, limits, &mut hit));
}

/// Writes the distance between `query` and each row of `rows` to `out`: for rows whose distances are
/// all wanted.
///
/// # Panics
///
/// If `rows` does not hold one code of `query.len()` bytes for each element of `out`, or codes cannot
/// have this width.
pub fn distances(level: Level, query: &[u8], rows: &[u8], out: &mut [u32]) {
    check_width(query.len(), rows);
    assert_eq!(rows.len(), query.len() * out.len(), "one distance for each row");
    dispatch!(level, distances(query, rows, out));
}

/// How many [`nearest_eight`] finds.
pub const EIGHT: usize = 8;

/// Rows that are told apart in a key of [`nearest`].
pub const MOST_KEYED: usize = 1 << 16;

/// Writes for each query the least key of all rows: the distance in the upper 16 bits, the row in the lower
/// ones, so that of equals the first wins. Without rows it is `u32::MAX`.
///
/// `queries` and `rows` hold codes of `width` bytes each, without gaps. Cost: about a cycle a pair where
/// the level allows it, whatever the distances are.
///
/// # Panics
///
/// If the lengths do not agree, there are more than [`MOST_KEYED`] rows, or codes cannot have this width.
pub fn nearest(level: Level, width: usize, queries: &[u8], rows: &[u8], keys: &mut [u32]) {
    check_keyed(width, queries, rows, keys.len());
    dispatch!(level, nearest(width, queries, rows, keys));
}

/// Writes for each query the eight least keys of all rows as [`nearest`] makes them, ascending; those that
/// are missing are `u32::MAX`.
///
/// # Panics
///
/// As [`nearest`].
pub fn nearest_eight(
    level: Level,
    width: usize,
    queries: &[u8],
    rows: &[u8],
    keys: &mut [[u32; EIGHT]],
) {
    check_keyed(width, queries, rows, keys.len());
    dispatch!(level, nearest_eight(width, queries, rows, keys));
}

fn check_keyed(width: usize, queries: &[u8], rows: &[u8], keys: usize) {
    check_width(width, rows);
    assert_eq!(queries.len(), width * keys, "one key for each query");
    assert!(rows.len() / width <= MOST_KEYED, "a row fits into its key");
}

/// Writes the distance between `query` and each little-endian `u32` of `column` to `out`.
///
/// # Panics
///
/// If `column` does not hold four bytes for each element of `out`.
pub fn distances_u32(level: Level, query: u32, column: &[u8], out: &mut [u32]) {
    assert_eq!(column.len(), size_of_val(out), "one distance for each value");
    dispatch!(level, distances_u32(query, column, out));
}

/// Calls `hit(position)` for every distance that is at most `limit`, by rising position.
///
/// Made for blocks in which few are.
pub fn at_most(level: Level, distances: &[u32], limit: u32, hit: impl FnMut(usize)) {
    dispatch!(level, at_most(distances, limit, hit));
}

/// Calls `hit(run, position, distance)` for every value within its run's radius, run by run, by
/// rising position.
///
/// Made for many short runs: the level is looked up once for all of them.
pub fn within_u16(level: Level, runs: &[Run<'_>], hit: impl FnMut(usize, usize, u32)) {
    dispatch!(level, within_u16(runs, hit));
}

/// Appends to `hits` the rows of each band that lie within it, band by band, by rising row.
///
/// Made for runs in which many are: where the level can, hits are written without a branch each.
pub fn collect_u16(level: Level, bands: &[Band<'_>], hits: &mut Vec<Hit>) {
    #[cfg(target_arch = "x86_64")]
    if level == Level::Avx512 {
        return avx512::collect_u16(bands, hits);
    }
    for band in bands {
        let run = Run { column: band.column, query: band.query, radius: band.most };
        within_u16(level, &[run], |_, position, distance| {
            if distance >= band.least {
                // Bands are numbered in 32 bits, so no position exceeds them.
                let row = band.first_row.wrapping_add(u32::try_from(position).unwrap_or(u32::MAX));
                hits.push(Hit { row, distance: distance + band.beyond });
            }
        });
    }
}

/// Asks for the cache lines of `bytes`, which are read soon: the first 4 KiB of them.
#[inline]
pub fn prefetch(level: Level, bytes: &[u8]) {
    dispatch!(level, prefetch(&bytes[..bytes.len().min(4096)]));
}

/// Asks for the cache line in which a value begins, which is read soon.
#[inline]
pub fn prefetch_line<T>(level: Level, value: &T) {
    dispatch!(level, prefetch_line(value));
}

fn check_width(width: usize, rows: &[u8]) {
    assert!((8..=128).contains(&width) && width.is_multiple_of(8), "no width of codes");
    assert!(rows.len().is_multiple_of(width), "whole rows");
}
