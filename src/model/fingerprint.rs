//! The identity of an encoder.

use std::fmt;
use std::str::FromStr;

use super::ModelError;

/// Sixteen bytes of BLAKE3 over all that decides an encoder's codes: architecture, preprocessing,
/// weights and [`Precision`](super::Precision). Written as 32 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 16]);

impl Fingerprint {
    /// The fingerprint of what went into `hasher`.
    pub(crate) fn of(hasher: &blake3::Hasher) -> Self {
        let mut bytes = [0; 16];
        hasher.finalize_xof().fill(&mut bytes);
        Self(bytes)
    }

    /// Restores a fingerprint that was stored as bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes, as they are to be stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Fingerprint {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let refused = || ModelError::FingerprintText { text: text.to_owned() };
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(refused());
        }
        u128::from_str_radix(text, 16).map(|value| Self(value.to_be_bytes())).map_err(|_| refused())
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;

    #[test]
    fn hexadecimal_text_reads_back() {
        let mark = Fingerprint::of(&blake3::Hasher::new());
        assert_eq!(mark.to_string().parse::<Fingerprint>().unwrap(), mark);
        for text in
            ["", "0", "+0000000000000000000000000000000", "g0000000000000000000000000000000"]
        {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }
}
