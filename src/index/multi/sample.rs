//! A sample of the codes of a segment, by which the builder judges.

/// Rows of a sample, evenly spaced: enough to tell a bucket that is twice as full as it should be.
const ROWS: usize = 4096;

/// Some codes of a segment.
pub(super) struct Sample<'a> {
    codes: Vec<&'a [u8]>,
}

impl<'a> Sample<'a> {
    /// Takes evenly spaced rows of `codes`.
    pub(super) fn new(codes: &'a [u8], code_bytes: usize) -> Self {
        let rows = codes.len() / code_bytes;
        let count = rows.min(ROWS);
        let row = |index: usize| &codes[index * rows / count * code_bytes..][..code_bytes];
        Self { codes: (0..count).map(row).collect() }
    }

    pub(super) fn codes(&self) -> &[&'a [u8]] {
        &self.codes
    }

    /// The values of each bit of a code as a set of sampled rows.
    pub(super) fn bit_sets(&self) -> Vec<Vec<u64>> {
        let bits = self.codes.first().map_or(0, |code| code.len() * 8);
        let mut sets = vec![vec![0; self.codes.len().div_ceil(64)]; bits];
        for (row, code) in self.codes.iter().enumerate() {
            for (byte, sets) in code.iter().zip(sets.chunks_mut(8)) {
                for (bit, set) in sets.iter_mut().enumerate() {
                    set[row / 64] |= u64::from(byte >> (7 - bit) & 1) << (row % 64);
                }
            }
        }
        sets
    }
}
