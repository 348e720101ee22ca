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
    /// What is added to the distance of a hit: that of the bits that the values lack.
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
/// For a pair at hand; a scan uses [`distances`].
///
/// # Panics
///
/// If the lengths differ.
#[must_use]
pub fn distance(a: &[u8], b: &[u8]) -> u32 {
    assert_eq!(a.len(), b.len(), "codes of one width are compared");
    scalar::distance(a, b)
}

/// Writes the distance between `query` and each row of `rows` to `out`.
///
/// `rows` holds `out.len()` codes of `query.len()` bytes each, without gaps. The width is 8 to 128
/// bytes in steps of 8.
///
/// # Panics
///
/// If the lengths do not agree, or codes cannot have this width.
pub fn distances(level: Level, query: &[u8], rows: &[u8], out: &mut [u32]) {
    let width = query.len();
    assert!((8..=128).contains(&width) && width.is_multiple_of(8), "no width of codes");
    assert_eq!(rows.len(), width * out.len(), "one distance for each row");
    dispatch!(level, distances(query, rows, out));
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
