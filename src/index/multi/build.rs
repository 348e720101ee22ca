//! Makes the columns of a multi-index from the codes of a segment.
//!
//! Every half is sorted by two counting sorts of 8 bits: the first writes to 256 places that move
//! on, the second stays within a part that fits the L2 cache.

use super::assign;
use super::order::{BitOrder, halves};
use super::permute::Permuter;
use super::sample::Sample;
use super::selectivity::{self, Selectivity};
use super::{BUCKETS, OFFSETS};
use crate::code::Code;
use crate::error::Corruption;
use crate::index::columns::check_length;
use crate::index::workers::{self, Alone, Workers};

/// Buckets that are sorted together.
const PART: usize = 256;

/// Codes that are permuted by one job.
const PERMUTED: usize = 1 << 14;

/// Words that are sorted at once, at most: each takes 16 bytes a row.
pub const MOST_SORTERS: usize = 4;

/// The columns of a multi-index as they are stored. All integers are little-endian.
///
/// A code of `b` bits has `w = b / 32` words of 32 bits and `h = 2 w` halves of 16 bits. Half
/// `2 i` is the first, the more significant one of word `i`, half `2 i + 1` the second.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MultiIndexColumns {
    /// `u16 [b]`: the bit of the code at each place, a permutation. Place 0 is the most significant
    /// bit of half 0.
    pub order: Vec<u8>,
    /// `u32 [h][65,537]`: for each half the first posting of each bucket, and the number of rows.
    pub offsets: Vec<u8>,
    /// `u16 [h][rows]`: for each posting the value of the other half of its word. The postings of a
    /// half are sorted by the half's value, then by row.
    pub partners: Vec<u8>,
    /// `u32 [h][rows]`: for each posting its row.
    pub rows: Vec<u8>,
    /// `(u32, u32) [w][9]`: for each word and each share of a radius, from 0 to 8, what a look-up
    /// reads on average: postings, in parts per 2^32 of all of the word, and candidates, in parts
    /// per 2^32 of the rows. Measured on sampled rows; it decides plans, not answers.
    pub selectivity: Vec<u8>,
}

impl MultiIndexColumns {
    /// Builds the columns for codes of `code_bytes` bytes, row by row.
    ///
    /// Cost: a counting sort for every 16 bits, about 0.2 us a code of 256 bits. The columns take 3
    /// bytes for each byte of the codes and 256 KiB for every 16 bits of their width; 16 bytes a
    /// row are needed beside them.
    ///
    /// # Errors
    ///
    /// [`Corruption`] if codes cannot have this width, end inside a row, or are more than
    /// `u32::MAX`.
    #[cfg(any(test, feature = "__internals"))]
    pub fn build(codes: &[u8], code_bytes: usize) -> Result<Self, Corruption> {
        // Who is alone is not stopped.
        Self::build_by(&Alone, codes, code_bytes).map(Option::unwrap_or_default)
    }

    /// The same columns, made by `workers`: up to [`MOST_SORTERS`] at once, 16 bytes a row for each. None if they
    /// were stopped.
    ///
    /// # Errors
    ///
    /// As [`MultiIndexColumns::build`].
    pub fn build_by(
        workers: &dyn Workers,
        codes: &[u8],
        code_bytes: usize,
    ) -> Result<Option<Self>, Corruption> {
        let rows = checked_rows(codes, code_bytes)?;
        let code_bits = u16::try_from(code_bytes * 8).unwrap_or(u16::MAX);
        let order = assign::choose(&Sample::new(codes, code_bytes), code_bits);
        Ok(Self::ordered(workers, codes, (code_bytes, rows), &order))
    }

    /// Builds the columns anew with the bits in the order of a stored column, for comparison.
    ///
    /// # Errors
    ///
    /// As [`MultiIndexColumns::build`], and if the order is no permutation of the bits.
    pub fn rebuild(codes: &[u8], code_bytes: usize, order: &[u8]) -> Result<Self, Corruption> {
        let rows = checked_rows(codes, code_bytes)?;
        check_length("order", order, code_bytes * 8, 2)?;
        let order = order.as_chunks().0.iter().map(|bit| u16::from_le_bytes(*bit)).collect();
        let order = BitOrder::new(order)?;
        Ok(Self::ordered(&Alone, codes, (code_bytes, rows), &order).unwrap_or_default())
    }

    fn ordered(
        workers: &dyn Workers,
        codes: &[u8],
        (code_bytes, rows): (usize, u32),
        order: &BitOrder,
    ) -> Option<Self> {
        let sample = Sample::new(codes, code_bytes);
        let height = rows as usize;

        let mut row_column = vec![[0; 4]; order.words() * 2 * height];
        permute(workers, order, codes, &mut row_column, height)?;

        let mut offsets = vec![[0; 4]; order.words() * 2 * OFFSETS];
        let mut partners = vec![[0; 2]; order.words() * 2 * height];
        if height > 0 {
            let words = row_column.chunks_mut(2 * height).zip(partners.chunks_mut(2 * height));
            let mut words: Vec<_> = words.zip(offsets.chunks_mut(2 * OFFSETS)).collect();
            // A sorter's room is used for word after word.
            let share = words.len().div_ceil(MOST_SORTERS);
            workers::each(workers, words.chunks_mut(share), |_, words| {
                let mut sorter = Sorter::new(rows);
                for ((rows, partners), offsets) in words {
                    // The longest of all jobs.
                    if !workers.stopped() {
                        sorter.sort(rows, partners, offsets);
                    }
                }
            })?;
        }
        let selectivity = selectivity::measure(workers, &sample, order, &offsets, rows)?;
        Some(Self {
            order: order.to_bytes(),
            offsets: offsets.into_flattened(),
            partners: partners.into_flattened(),
            rows: row_column.into_flattened(),
            selectivity: Selectivity::to_bytes(&selectivity),
        })
    }
}

/// Until a word is sorted, its words in row order lie where its sorted rows will.
fn permute(
    workers: &dyn Workers,
    order: &BitOrder,
    codes: &[u8],
    row_column: &mut [[u8; 4]],
    height: usize,
) -> Option<()> {
    if height == 0 {
        return Some(());
    }
    let permuter = Permuter::new(order);
    let code_bytes = codes.len() / height;
    let mut words: Vec<_> =
        row_column.chunks_mut(2 * height).map(|word| word[..height].chunks_mut(PERMUTED)).collect();
    let parts = codes.chunks(PERMUTED * code_bytes).map(|codes| {
        let columns: Vec<_> = words.iter_mut().filter_map(Iterator::next).collect();
        (codes, columns)
    });
    workers::each(workers, parts, |_, (codes, mut columns)| {
        permuter.permute(codes.chunks_exact(code_bytes), &mut columns);
    })
}

/// The number of rows, if the codes are what an index can be built from.
fn checked_rows(codes: &[u8], code_bytes: usize) -> Result<u32, Corruption> {
    if !Code::is_width(code_bytes) {
        return Err(Corruption::OutOfRange { field: "code bytes", value: code_bytes as u64 });
    }
    let rows = codes.len() / code_bytes;
    check_length("codes", codes, rows, code_bytes)?;
    u32::try_from(rows).map_err(|_| Corruption::OutOfRange { field: "rows", value: rows as u64 })
}

/// A posting while it is sorted.
#[derive(Clone, Copy, Default)]
struct Posting {
    half: u16,
    partner: u16,
    row: u32,
}

/// Sorts the rows of a segment by the halves of a word.
struct Sorter {
    /// The postings of both halves, sorted by the upper byte of their half.
    postings: [Vec<Posting>; 2],
    /// Where the next posting of each bucket goes.
    next: Vec<u32>,
}

impl Sorter {
    fn new(rows: u32) -> Self {
        let postings = || vec![Posting::default(); rows as usize];
        Self { postings: [postings(), postings()], next: vec![0; BUCKETS] }
    }

    /// Sorts one word. `words` holds the word of each row before, the rows of both halves after.
    fn sort(&mut self, words: &mut [[u8; 4]], partners: &mut [[u8; 2]], offsets: &mut [[u8; 4]]) {
        let height = words.len() / 2;
        for (side, offsets) in offsets.chunks_mut(OFFSETS).enumerate() {
            count(&words[..height], side, offsets);
            self.part(&words[..height], side, offsets);
        }
        let sides = words.chunks_mut(height).zip(partners.chunks_mut(height));
        for ((side, (rows, partners)), offsets) in sides.enumerate().zip(offsets.chunks(OFFSETS)) {
            self.spread(side, offsets, rows, partners);
        }
    }

    /// Sorts the postings of a half by the upper byte.
    fn part(&mut self, words: &[[u8; 4]], side: usize, offsets: &[[u8; 4]]) {
        let mut next: [u32; BUCKETS / PART] =
            std::array::from_fn(|part| u32::from_le_bytes(offsets[part * PART]));
        for (row, word) in (0..).zip(words) {
            let halves = halves(u32::from_le_bytes(*word));
            let posting = Posting { half: halves[side], partner: halves[side ^ 1], row };
            let next = &mut next[usize::from(posting.half) / PART];
            self.postings[side][*next as usize] = posting;
            *next += 1;
        }
    }

    /// Writes the postings of a half to their places.
    fn spread(
        &mut self,
        side: usize,
        offsets: &[[u8; 4]],
        rows: &mut [[u8; 4]],
        partners: &mut [[u8; 2]],
    ) {
        for (next, offset) in self.next.iter_mut().zip(offsets) {
            *next = u32::from_le_bytes(*offset);
        }
        for posting in &self.postings[side] {
            let next = &mut self.next[usize::from(posting.half)];
            rows[*next as usize] = posting.row.to_le_bytes();
            partners[*next as usize] = posting.partner.to_le_bytes();
            *next += 1;
        }
    }
}

/// Writes where each bucket of a half begins, and the end of the last.
fn count(words: &[[u8; 4]], side: usize, offsets: &mut [[u8; 4]]) {
    let mut counts = vec![0_u32; BUCKETS];
    for word in words {
        counts[usize::from(halves(u32::from_le_bytes(*word))[side])] += 1;
    }
    let (mut end, mut counts) = (0_u32, counts.into_iter());
    for offset in offsets {
        *offset = end.to_le_bytes();
        end += counts.next().unwrap_or(0);
    }
}
