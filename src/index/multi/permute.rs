//! Permutes many codes: what each nibble of a code contributes to each word is looked up.

use super::order::{BitOrder, WORD_BITS};

/// Words that are looked up together: a table entry is half a cache line.
const LANES: usize = 8;

/// Eight words of one code.
type Group = [u32; LANES];

/// Tables for every nibble of a code: 32 KiB for 256 bits.
pub(super) struct Permuter {
    code_bytes: usize,
    /// For every group of words and every nibble of the code: the words by the nibble's value.
    groups: Vec<Vec<[Group; 16]>>,
}

impl Permuter {
    pub(super) fn new(order: &BitOrder) -> Self {
        let code_bytes = order.bits().len() / 8;
        let mut groups =
            vec![vec![[[0; LANES]; 16]; code_bytes * 2]; order.words().div_ceil(LANES)];
        for (place, bit) in order.bits().iter().enumerate() {
            let (word, bit) = (place / WORD_BITS, usize::from(*bit));
            let nibble = &mut groups[word / LANES][bit / 4];
            for (value, entry) in nibble.iter_mut().enumerate() {
                if value >> (3 - bit % 4) & 1 == 1 {
                    entry[word % LANES] |= 1 << (WORD_BITS - 1 - place % WORD_BITS);
                }
            }
        }
        Self { code_bytes, groups }
    }

    /// Writes word `w` of code `row` to `columns[w][row]`; without codes there need be no columns.
    pub(super) fn permute<'a>(
        &self,
        codes: impl Iterator<Item = &'a [u8]>,
        columns: &mut [&mut [[u8; 4]]],
    ) {
        for (row, code) in codes.enumerate() {
            for (tables, columns) in self.groups.iter().zip(columns.chunks_mut(LANES)) {
                let words = self.group(tables, code);
                for (column, word) in columns.iter_mut().zip(words) {
                    column[row] = word.to_le_bytes();
                }
            }
        }
    }

    #[inline]
    fn group(&self, tables: &[[Group; 16]], code: &[u8]) -> Group {
        let mut words = [0; LANES];
        for (byte, tables) in code[..self.code_bytes].iter().zip(tables.as_chunks::<2>().0) {
            let high = &tables[0][usize::from(byte >> 4)];
            let low = &tables[1][usize::from(byte & 15)];
            for (word, (high, low)) in words.iter_mut().zip(high.iter().zip(low)) {
                *word ^= high ^ low;
            }
        }
        words
    }
}
