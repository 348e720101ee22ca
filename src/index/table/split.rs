//! How an address falls into two halves, and the masks of each half.

use crate::code::BallMasks;

/// The widths of the halves.
#[derive(Debug, Clone, Copy)]
pub(in crate::index) struct Split {
    pub(in crate::index) high_bits: u8,
    pub(in crate::index) low_bits: u8,
}

impl Split {
    /// The high half takes the odd bit. `address_bits` is at most 32.
    pub(in crate::index) fn new(address_bits: u8) -> Self {
        Self { high_bits: address_bits.div_ceil(2), low_bits: address_bits / 2 }
    }

    /// The high and the low half of an address; bits beyond the width are dropped.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "halves have at most 16 bits")]
    pub(in crate::index) fn halves(self, address: u32) -> (u16, u16) {
        let high = address >> self.low_bits & ((1 << self.high_bits) - 1);
        let low = address & ((1 << self.low_bits) - 1);
        (high as u16, low as u16)
    }

    /// The address of two halves.
    #[inline]
    pub(in crate::index) fn address(self, high: u16, low: u16) -> u32 {
        u32::from(high) << self.low_bits | u32::from(low)
    }
}

/// All masks of both halves of an address: what every look-up in a database probes with.
///
/// Made once for a database; takes four bytes a mask, at most 512 KiB in all.
#[derive(Debug, Clone)]
pub struct HalfBalls {
    pub(super) high: BallMasks,
    pub(super) low: BallMasks,
}

impl HalfBalls {
    /// The masks for addresses of `address_bits` bits, 8 to 32.
    #[must_use]
    pub fn new(address_bits: u8) -> Self {
        let split = Split::new(address_bits.min(32));
        let all = |bits: u8| BallMasks::new(bits, bits.into());
        Self { high: all(split.high_bits), low: all(split.low_bits) }
    }
}
