//! Whether the checksums of a PNG hold, which its decoder does not always look at.

use flate2::Crc;

/// Whether every critical chunk of a PNG carries the checksum of its bytes.
///
/// A decoder stops once it has its last row, before the checksum of the chunk that held it. A chunk
/// that is cut off is not judged here: the decoder knows whether it needed the missing bytes.
pub(in crate::ingest) fn checksums_hold(bytes: &[u8]) -> bool {
    let mut rest = bytes.get(8..).unwrap_or_default();
    while let Some((length, _)) = rest.split_first_chunk::<4>() {
        let Ok(length) = usize::try_from(u32::from_be_bytes(*length)) else {
            return true;
        };
        let Some(end) = length.checked_add(8) else {
            return true;
        };
        let Some(stored) = rest.get(end..).and_then(|tail| tail.first_chunk::<4>()) else {
            return true;
        };
        let is_critical = rest[4].is_ascii_uppercase();
        if is_critical && checksum(&rest[4..end]) != u32::from_be_bytes(*stored) {
            return false;
        }
        if rest[4..8] == *b"IEND" {
            return true;
        }
        rest = &rest[end + 4..];
    }
    true
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_png_chunk_with_another_checksum_is_noticed() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x01IDATx".to_vec();
        png.extend(checksum(b"IDATx").to_be_bytes());
        assert!(checksums_hold(&png));
        *png.last_mut().unwrap() ^= 1;
        assert!(!checksums_hold(&png));
        png.pop();
        assert!(checksums_hold(&png));
    }
}
