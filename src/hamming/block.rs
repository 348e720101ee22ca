//! Codes turned by a quarter: one word of sixteen codes side by side, so that a vector holds one
//! lane a code and no sum crosses lanes.
//!
//! Codes lie row by row in files. Turning them costs about as much as comparing them with a few
//! queries, which a batch pays once for all of its queries.

/// Codes of a block.
pub(super) const LANES: usize = 16;

/// Blocks of a group: turned together, so that a block's bytes have settled in the cache when they
/// are loaded as vectors.
const BLOCKS: usize = 4;

/// Sixteen codes of `WORDS` words.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Block<const WORDS: usize> {
    /// For each word of a code, that word of all sixteen.
    pub(super) words: [[[u64; 8]; 2]; WORDS],
}

/// Calls `visit(first, count, block)` for every block of `rows`: it holds `count` rows from row
/// `first` on, and whatever behind them.
#[inline]
pub(super) fn for_each_block<const WORDS: usize>(
    rows: &[u8],
    mut visit: impl FnMut(usize, usize, &Block<WORDS>),
) {
    let mut group = [Block { words: [[[0; 8]; 2]; WORDS] }; BLOCKS];
    let group_rows = BLOCKS * LANES;
    for (index, rows) in rows.chunks(group_rows * WORDS * 8).enumerate() {
        let codes = rows.chunks(LANES * WORDS * 8);
        for (block, codes) in group.iter_mut().zip(codes.clone()) {
            block.turn(codes);
        }
        for (position, (block, codes)) in group.iter().zip(codes).enumerate() {
            visit(index * group_rows + position * LANES, codes.len() / (WORDS * 8), block);
        }
    }
}

impl<const WORDS: usize> Block<WORDS> {
    /// Takes up to sixteen codes.
    #[inline]
    fn turn(&mut self, codes: &[u8]) {
        for (lane, code) in codes.chunks_exact(WORDS * 8).take(LANES).enumerate() {
            for (words, bytes) in self.words.iter_mut().zip(code.as_chunks().0) {
                words.as_flattened_mut()[lane] = u64::from_le_bytes(*bytes);
            }
        }
    }
}

/// A bit for each of the first `count` lanes.
#[inline]
pub(super) fn first_lanes(count: usize) -> u32 {
    u32::MAX.unbounded_shr(u32::try_from(32_usize.saturating_sub(count)).unwrap_or(32))
}
