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

/// Buckets that are sorted together.
const PART: usize = 256;

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
    pub fn build(codes: &[u8], code_bytes: usize) -> Result<Self, Corruption> {
        checked_rows(codes, code_bytes)?;
        let code_bits = u16::try_from(code_bytes * 8).unwrap_or(u16::MAX);
        let order = assign::choose(&Sample::new(codes, code_bytes), code_bits);
        Self::ordered(codes, code_bytes, &order)
    }

    /// Builds the columns anew with the bits in the order of a stored column, for comparison.
    ///
    /// # Errors
    ///
    /// As [`MultiIndexColumns::build`], and if the order is no permutation of the bits.
    pub fn rebuild(codes: &[u8], code_bytes: usize, order: &[u8]) -> Result<Self, Corruption> {
        checked_rows(codes, code_bytes)?;
        check_length("order", order, code_bytes * 8, 2)?;
        let order = order.as_chunks().0.iter().map(|bit| u16::from_le_bytes(*bit)).collect();
        Self::ordered(codes, code_bytes, &BitOrder::new(order)?)
    }

    fn ordered(codes: &[u8], code_bytes: usize, order: &BitOrder) -> Result<Self, Corruption> {
        let rows = checked_rows(codes, code_bytes)?;
        let sample = Sample::new(codes, code_bytes);
        let height = rows as usize;

        let mut row_column = vec![[0; 4]; order.words() * 2 * height];
        // Until a word is sorted, its words in row order lie where its sorted rows will.
        let mut words: Vec<_> = row_column.chunks_mut((2 * height).max(1)).collect();
        Permuter::new(order).permute(codes.chunks_exact(code_bytes), &mut words);

        let mut offsets = Vec::with_capacity(order.words() * 2 * OFFSETS);
        let mut partners = vec![[0; 2]; order.words() * 2 * height];
        let mut sorter = Sorter::new(rows);
        let parts = words.into_iter().zip(partners.chunks_mut((2 * height).max(1)));
        for (rows, partners) in parts {
            sorter.sort(rows, partners, &mut offsets);
        }
        if height == 0 {
            offsets.resize(order.words() * 2 * OFFSETS, [0; 4]);
        }
        let selectivity = selectivity::measure(&sample, order, &offsets, rows);
        Ok(Self {
            order: order.to_bytes(),
            offsets: offsets.into_flattened(),
            partners: partners.into_flattened(),
            rows: row_column.into_flattened(),
            selectivity: Selectivity::to_bytes(&selectivity),
        })
    }
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
    fn sort(
        &mut self,
        words: &mut [[u8; 4]],
        partners: &mut [[u8; 2]],
        offsets: &mut Vec<[u8; 4]>,
    ) {
        let height = words.len() / 2;
        let starts = [0, 1].map(|side| {
            let start = offsets.len();
            count(&words[..height], side, offsets);
            start
        });
        for (side, start) in starts.into_iter().enumerate() {
            self.part(&words[..height], side, &offsets[start..][..OFFSETS]);
        }
        let sides = words.chunks_mut(height).zip(partners.chunks_mut(height));
        for (side, (rows, partners)) in sides.enumerate() {
            self.spread(side, &offsets[starts[side]..][..OFFSETS], rows, partners);
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

/// Appends where each bucket of a half begins, and the end of the last.
fn count(words: &[[u8; 4]], side: usize, offsets: &mut Vec<[u8; 4]>) {
    let mut counts = vec![0_u32; BUCKETS];
    for word in words {
        counts[usize::from(halves(u32::from_le_bytes(*word))[side])] += 1;
    }
    let mut end = 0_u32;
    offsets.push(end.to_le_bytes());
    for count in counts {
        end += count;
        offsets.push(end.to_le_bytes());
    }
}
