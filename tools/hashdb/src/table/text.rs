//! Codes, addresses and bytes as text, both ways. An error says what was expected and found.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::text;

/// Characters of a field that an error shows.
const SHOWN: usize = 24;
/// Text of so many bytes is written as text, however many escapes it needs.
const ALWAYS_PLAIN: usize = 1 << 20;

/// The bytes of a text in hexadecimal digits, of either case.
pub(super) fn from_hex(digits: &[u8]) -> Result<Vec<u8>, String> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8; 2]| Some(digit(pair[0])? << 4 | digit(pair[1])?);
    let (pairs, rest) = digits.as_chunks();
    let bytes = if rest.is_empty() { pairs.iter().map(pair).collect() } else { None };
    bytes.ok_or_else(|| format!("{} is no pairs of hexadecimal digits", quoted(digits)))
}

/// An address: a number, or hexadecimal digits behind `0x`; and the bits that the digits have room for.
pub(super) fn address(text: &[u8]) -> Result<(u32, Option<u8>), String> {
    let wrong =
        || format!("{} is no number below 2^32, nor 0x and hexadecimal digits", quoted(text));
    let utf8 = std::str::from_utf8(text).map_err(|_| wrong())?;
    let Some(digits) = utf8.strip_prefix("0x").or_else(|| utf8.strip_prefix("0X")) else {
        let plain = utf8.bytes().all(|byte| byte.is_ascii_digit());
        return utf8.parse().ok().filter(|_| plain).map(|number| (number, None)).ok_or_else(wrong);
    };
    let bits = u8::try_from(4 * digits.len().min(8)).ok();
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| plain).ok_or_else(wrong)?;
    Ok((number, bits.map(|bits| bits.max(8))))
}

/// An address as it is written: whole hexadecimal digits, as many as its bits need.
pub(super) fn of_address(address: u32, bits: u8) -> String {
    format!("0x{address:0width$x}", width = usize::from(bits.div_ceil(4)))
}

/// The bits of addresses where [`of_address`] does not tell them; empty where it does.
pub(super) fn bits_beside(bits: u8) -> Option<u8> {
    Some(bits).filter(|bits| !bits.is_multiple_of(4))
}

/// Bits of addresses as a column of their own names them.
pub(super) fn address_bits(bits: u64) -> Result<u8, String> {
    let valid = u8::try_from(bits).ok().filter(|bits| (8..=32).contains(bits));
    valid.ok_or_else(|| format!("it is {bits}, expected 8 to 32"))
}

pub(super) fn from_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| format!("{} is no base64: {error}", quoted(text)))
}

pub(super) fn to_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes as text where they are text, and in base64 where they are not. Long ones of which most would be escapes stand
/// in base64 too, so that no row becomes longer than readers take it. `escaped` says how long a byte becomes.
pub(super) fn or_base64(
    bytes: &[u8],
    escaped: impl Fn(u8) -> usize,
) -> (Option<&str>, Option<String>) {
    let is_short = || {
        let length = || bytes.iter().map(|&byte| escaped(byte)).sum::<usize>();
        bytes.len() <= ALWAYS_PLAIN || length() <= bytes.len().div_ceil(3) * 4
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if is_short() => (Some(text), None),
        _ => (None, Some(to_base64(bytes))),
    }
}

/// The beginning of a field, in quotes.
pub(super) fn quoted(field: &[u8]) -> String {
    let shown = text::key(&field[..field.len().min(SHOWN)]);
    let more = if field.len() > SHOWN { "..." } else { "" };
    format!("'{shown}{more}'")
}

#[cfg(test)]
mod tests {
    use super::{address, address_bits, bits_beside, from_base64, from_hex, of_address, to_base64};

    #[test]
    fn text_and_bytes_agree() {
        assert_eq!(from_hex(b"00fFa1"), Ok(vec![0, 0xff, 0xa1]));
        assert_eq!(address(b"4294967295"), Ok((u32::MAX, None)));
        assert_eq!(address(b"0x00abcde"), Ok((0xabcde, Some(28))));
        assert_eq!(address(b"0x1"), Ok((1, Some(8))));
        assert_eq!(address(of_address(0xabc, 28).as_bytes()), Ok((0xabc, Some(28))));
        assert_eq!((bits_beside(28), bits_beside(29)), (None, Some(29)));
        assert_eq!(address_bits(29), Ok(29));
        assert!(address_bits(33).is_err() && address_bits(256 + 16).is_err());
        assert_eq!(from_base64(to_base64(b"\0\xff").as_bytes()), Ok(vec![0, 0xff]));
    }

    #[test]
    fn what_is_neither_is_an_error() {
        for wrong in [&b"0"[..], b"0g", b"+f", "\u{e9}".as_bytes(), b" 00"] {
            assert!(from_hex(wrong).is_err(), "{wrong:?}");
        }
        for wrong in [&b""[..], b"0x", b"-1", b"+1", b"0x+1", b"4294967296", b"0x100000000", b"1.0"]
        {
            assert!(address(wrong).is_err(), "{wrong:?}");
        }
        for wrong in [&b"A"[..], b"AA", b"A===", b"_w=="] {
            assert!(from_base64(wrong).is_err(), "{wrong:?}");
        }
    }
}
