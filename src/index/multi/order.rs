//! The order in which the bits of a code fall into words and halves.

use crate::error::Corruption;

/// The width of a word.
pub(super) const WORD_WIDTH: u8 = 32;
pub(super) const WORD_BITS: usize = WORD_WIDTH as usize;

/// The width of half a word: what selects a bucket.
pub(super) const HALF_WIDTH: u8 = WORD_WIDTH / 2;
pub(super) const HALF_BITS: usize = HALF_WIDTH as usize;

/// A permutation of the bits of a code.
///
/// Place `p` belongs to word `p / 32`; the first 16 places of a word are its first half; the first
/// place of a half is its most significant bit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BitOrder {
    /// The bit of the code at each place.
    bits: Vec<u16>,
    /// The place of each bit of the code.
    places: Vec<u16>,
}

impl BitOrder {
    /// Takes the bit of each place, if each bit has one.
    pub(super) fn new(bits: Vec<u16>) -> Result<Self, Corruption> {
        let mut places = vec![u16::MAX; bits.len()];
        for (place, bit) in (0..).zip(&bits) {
            match places.get_mut(usize::from(*bit)) {
                Some(slot) if *slot == u16::MAX => *slot = place,
                _ => return Err(Corruption::OutOfRange { field: "order", value: (*bit).into() }),
            }
        }
        Ok(Self { bits, places })
    }

    /// Every bit at its own place, for codes of `code_bits` bits.
    pub(super) fn identity(code_bits: u16) -> Self {
        let bits: Vec<_> = (0..code_bits).collect();
        Self { places: bits.clone(), bits }
    }

    /// The stored form: little-endian `u16`.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        self.bits.iter().flat_map(|bit| bit.to_le_bytes()).collect()
    }

    /// How many words a code has.
    pub(super) fn words(&self) -> usize {
        self.bits.len() / WORD_BITS
    }

    /// The bit of the code at each place.
    pub(super) fn bits(&self) -> &[u16] {
        &self.bits
    }

    /// Word `word` of a code.
    pub(super) fn word(&self, code: &[u8], word: usize) -> u32 {
        let bits = &self.bits[word * WORD_BITS..][..WORD_BITS];
        bits.iter().fold(0, |value, bit| value << 1 | u32::from(bit_of(code, *bit)))
    }

    /// Counts in how many bits of each word two codes differ. `counts` are 0 before.
    pub(super) fn count_differences(&self, a: &[u8], b: &[u8], counts: &mut [u8]) {
        for (at, (a, b)) in a.as_chunks().0.iter().zip(b.as_chunks().0).enumerate() {
            let mut difference = u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b);
            while difference != 0 {
                let bit = at * 64 + difference.leading_zeros() as usize;
                difference &= !(1 << 63 >> difference.leading_zeros());
                counts[usize::from(self.places[bit]) / WORD_BITS] += 1;
            }
        }
    }
}

/// Bit `bit` of a code, 0 or 1.
#[inline]
fn bit_of(code: &[u8], bit: u16) -> u8 {
    code[usize::from(bit / 8)] >> (7 - bit % 8) & 1
}

/// The first and the second half of a word.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "halves have 16 bits")]
pub(super) fn halves(word: u32) -> [u16; 2] {
    [(word >> HALF_BITS) as u16, word as u16]
}
