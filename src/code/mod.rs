//! What a code, an address and a ball of addresses are.
//!
//! Every floor above calls here. Bit `i` of a code or an address belongs to unit `i` of the
//! encoder; unit 0 is the most significant bit of byte 0, as `numpy.packbits` lays it out, so that
//! hexadecimal text reads in the order of the units. The order of codes is the order of their
//! bytes.

mod address;
mod ball;
mod text;

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use address::Address;
pub use ball::{BallMasks, ball_size};

use crate::error::{Error, Result};
use crate::hamming;

/// A long binary code: 64 to 1024 bits in steps of 64.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code {
    bytes: Box<[u8]>,
}

impl Code {
    /// The narrowest code, in bytes.
    pub(crate) const MIN_BYTES: usize = 8;
    /// The widest code, in bytes.
    pub(crate) const MAX_BYTES: usize = 128;

    /// Whether codes can have this many bytes: 8 to 128 in steps of 8.
    pub(crate) const fn is_width(bytes: usize) -> bool {
        bytes >= Self::MIN_BYTES && bytes <= Self::MAX_BYTES && bytes.is_multiple_of(8)
    }

    /// Makes a code of its bytes; unit 0 is the most significant bit of the first.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] unless there are 8 to 128 bytes in steps of 8.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        if Self::is_width(bytes.len()) {
            Ok(Self { bytes: bytes.into() })
        } else {
            let found = bytes.len();
            Err(Error::invalid(
                "code",
                format!("must have 8 to 128 bytes in steps of 8, not {found}"),
            ))
        }
    }

    /// Makes it the code of other bytes, in the memory that it has if they are as many: for loops over many codes.
    ///
    /// # Errors
    ///
    /// As [`Code::from_bytes`]; it stays what it was.
    pub fn set_bytes(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.len() == self.bytes.len() {
            self.bytes.copy_from_slice(bytes);
        } else {
            *self = Self::from_bytes(bytes)?;
        }
        Ok(())
    }

    /// The width in bits, 64 to 1024.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "at most 1024")]
    pub fn bits(&self) -> u16 {
        (self.bytes.len() * 8) as u16
    }

    /// The bytes, unit 0 in the most significant bit of the first.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The number of units in which two codes differ.
    ///
    /// # Panics
    ///
    /// If the codes differ in width.
    #[must_use]
    pub fn distance(&self, other: &Self) -> u32 {
        hamming::distance(&self.bytes, &other.bytes)
    }
}

impl AsRef<[u8]> for Code {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Code {
    /// Two hexadecimal digits a byte, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&text::to_hex(&self.bytes))
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Code({self})")
    }
}

impl FromStr for Code {
    type Err = Error;

    /// Reads what [`fmt::Display`] writes; upper case is taken too.
    fn from_str(hex: &str) -> Result<Self> {
        let digits = hex.chars().count();
        if !(digits.is_multiple_of(16) && Self::is_width(digits / 2)) {
            return Err(Error::invalid(
                "code",
                format!("must be 16 to 256 hexadecimal digits in steps of 16, not {digits}"),
            ));
        }
        let nibbles = text::nibbles("code", hex)?;
        Self::from_bytes(&nibbles.as_chunks().0.iter().map(|[a, b]| a << 4 | b).collect::<Vec<_>>())
    }
}
