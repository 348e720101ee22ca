//! Hexadecimal text. Called by the types of this floor; one rule for all of them: digits only, no
//! prefix, no spaces, upper or lower case.

use crate::error::{Error, Result};

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Two lower-case digits for each byte.
pub(super) fn to_hex(bytes: &[u8]) -> String {
    let nibbles = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from(DIGITS[usize::from(nibble)])).collect()
}

/// The value of each digit; `argument` is named where a character is none.
pub(super) fn nibbles(argument: &'static str, hex: &str) -> Result<Vec<u8>> {
    let nibble = |(position, character): (usize, char)| {
        let value = character.to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        value.ok_or_else(|| {
            let rule = "must hold hexadecimal digits only";
            Error::invalid(argument, format!("{rule}, not {character:?} at position {position}"))
        })
    };
    hex.chars().enumerate().map(nibble).collect()
}
