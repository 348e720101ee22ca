//! The centre of some codes in Hamming space: the bit that most of them have, unit by unit. It is
//! the code with the least sum of distances to them.

use crate::code::Code;

/// For every byte, its units as eight counters of a byte each, unit 0 in the lowest.
const SPREAD: [u64; 256] = spread();

/// So many codes fit into counters of a byte.
const PENDING: u32 = 255;

const fn spread() -> [u64; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < table.len() {
        let mut unit = 0;
        while unit < 8 {
            table[byte] |= ((byte as u64 >> (7 - unit)) & 1) << (8 * unit);
            unit += 1;
        }
        byte += 1;
    }
    table
}

/// Counts the ones of each unit over some codes.
#[derive(Debug)]
pub(super) struct Majority {
    /// Eight counters of a byte for each byte of a code.
    pending: [u64; Code::MAX_BYTES],
    pending_codes: u32,
    /// The count of each unit, without what is pending.
    ones: [u32; Code::MAX_BYTES * 8],
    codes: u32,
    code_bytes: usize,
}

impl Majority {
    /// Has counted nothing.
    pub(super) fn new(code_bytes: usize) -> Self {
        Self {
            pending: [0; Code::MAX_BYTES],
            pending_codes: 0,
            ones: [0; Code::MAX_BYTES * 8],
            codes: 0,
            code_bytes,
        }
    }

    /// Counts a code.
    #[inline]
    pub(super) fn add(&mut self, code: &[u8]) {
        for (counters, byte) in self.pending.iter_mut().zip(code) {
            *counters += SPREAD[usize::from(*byte)];
        }
        self.codes += 1;
        self.pending_codes += 1;
        if self.pending_codes == PENDING {
            self.flush();
        }
    }

    /// Writes the majority to `centre`, whose own units decide where the codes are divided, and
    /// starts again. Nothing is written where nothing was counted.
    pub(super) fn take(&mut self, centre: &mut [u8]) {
        self.flush();
        let doubled = self.ones[..self.code_bytes * 8].as_chunks_mut::<8>().0;
        for (byte, ones) in centre.iter_mut().zip(doubled) {
            for (unit, ones) in ones.iter_mut().enumerate() {
                let mask = 0x80 >> unit;
                match (*ones * 2).cmp(&self.codes) {
                    std::cmp::Ordering::Less => *byte &= !mask,
                    std::cmp::Ordering::Equal => {}
                    std::cmp::Ordering::Greater => *byte |= mask,
                }
                *ones = 0;
            }
        }
        self.codes = 0;
    }

    fn flush(&mut self) {
        let ones = self.ones.as_chunks_mut::<8>().0;
        for (counters, ones) in self.pending[..self.code_bytes].iter_mut().zip(ones) {
            for (count, one) in counters.to_le_bytes().into_iter().zip(ones) {
                *one += u32::from(count);
            }
            *counters = 0;
        }
        self.pending_codes = 0;
    }
}
