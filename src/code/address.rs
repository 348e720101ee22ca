//! The short code under which a record is filed.

use std::fmt;

use super::text;
use crate::error::{Error, Result};

/// An address: 8 to 32 units, held in the low bits of a `u32`.
///
/// Unit 0 is the most significant of the bits in use. Addresses of one database have one width;
/// they sort by value.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    value: u32,
    bits: u8,
}

impl Address {
    /// The fewest bits of an address.
    pub(crate) const MIN_BITS: u8 = 8;
    /// The most bits of an address.
    pub(crate) const MAX_BITS: u8 = 32;

    /// Whether addresses can have this many bits.
    pub(crate) const fn is_width(bits: u8) -> bool {
        bits >= Self::MIN_BITS && bits <= Self::MAX_BITS
    }

    /// The largest address of `bits` bits.
    pub(crate) const fn max_value(bits: u8) -> u32 {
        match u32::MAX.checked_shr(32 - bits as u32) {
            Some(value) => value,
            None => 0,
        }
    }

    /// Makes an address of its value, whose low `bits` bits hold the units.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] unless `bits` is 8 to 32 and the value is below two to the power
    /// of `bits`.
    pub fn new(value: u32, bits: u8) -> Result<Self> {
        if !Self::is_width(bits) {
            return Err(Error::invalid("address", format!("must have 8 to 32 bits, not {bits}")));
        }
        if value > Self::max_value(bits) {
            return Err(Error::invalid(
                "address",
                format!("must fit {bits} bits, {value:#x} does not"),
            ));
        }
        Ok(Self { value, bits })
    }

    /// Reads what [`fmt::Display`] writes for an address of `bits` bits; upper case is taken too.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the text does not hold as many hexadecimal digits as the width
    /// takes, four bits each, or its value does not fit.
    pub fn from_hex(hex: &str, bits: u8) -> Result<Self> {
        let (digits, found) = (usize::from(bits.div_ceil(4)), hex.chars().count());
        if Self::is_width(bits) && found != digits {
            return Err(Error::invalid(
                "address",
                format!("of {bits} bits must be {digits} hexadecimal digits, not {found}"),
            ));
        }
        let nibbles = text::nibbles("address", hex)?;
        Self::new(nibbles.iter().fold(0, |value, nibble| value << 4 | u32::from(*nibble)), bits)
    }

    /// The units as a number, unit 0 the most significant.
    #[must_use]
    pub fn value(self) -> u32 {
        self.value
    }

    /// The width in bits, 8 to 32.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.bits
    }

    /// The number of units in which two addresses of one width differ.
    #[must_use]
    pub fn distance(self, other: Self) -> u32 {
        (self.value ^ other.value).count_ones()
    }
}

impl fmt::Display for Address {
    /// One lower-case hexadecimal digit for every four bits, the first for the odd ones.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = usize::from(self.bits.div_ceil(4));
        f.pad(&format!("{:0digits$x}", self.value))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self}, {} bits)", self.bits)
    }
}
