//! Keys, paths and figures as text for people.

use serde::Serialize;

/// A key for a table: control characters are escaped, bytes that are no UTF-8 replaced.
pub(crate) fn key(bytes: &[u8]) -> String {
    one_line(&String::from_utf8_lossy(bytes))
}

/// The text with its control characters escaped, so that no file name can break a line or command
/// the terminal.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Two lower-case digits for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A key in JSON: as text, and in hexadecimal too where the text is not all of it.
#[derive(Debug, Serialize)]
pub(crate) struct JsonKey {
    key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_hex: Option<String>,
}

impl JsonKey {
    /// Shows a key.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self {
            key: String::from_utf8_lossy(bytes).into_owned(),
            key_hex: std::str::from_utf8(bytes).is_err().then(|| hex(bytes)),
        }
    }
}

/// A number with its thousands set apart: 1,234,567.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of bytes in the largest unit that keeps it above one: 1.5 MiB.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if number < 1024 {
        return format!("{number} B");
    }
    let (mut tenths, mut unit) = (u128::from(number) * 10 / 1024, 0);
    while tenths >= 10 * 1024 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A duration for people: `7s`, `3m 20s`, `2h 05m`.
pub(crate) fn seconds(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, count, key, seconds};

    #[test]
    fn figures_read_naturally() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1023, 1536, 5 << 20].map(bytes), ["0 B", "1023 B", "1.5 KiB", "5.0 MiB"]);
        assert_eq!([7, 200, 7500].map(seconds), ["7s", "3m 20s", "2h 05m"]);
    }

    #[test]
    fn keys_cannot_command_the_terminal() {
        assert_eq!(key(b"a\x1b[2J\nb\xff"), "a\\u{1b}[2J\\nb\u{fffd}");
    }
}
