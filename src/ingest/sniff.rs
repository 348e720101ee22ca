//! What the bytes of an image say before a decoder runs: which format they are in, how a JPEG is
//! coded, whether the checksums of a PNG hold. `decode` calls it; nothing here allocates, and no
//! byte pattern makes it read outside the slice or loop.

use flate2::Crc;
use image::ImageFormat;

/// What the first bytes name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// A format that is decoded.
    Supported(ImageFormat),
    /// An image format that is recognised, but not decoded.
    Foreign(&'static str),
    /// Nothing that is known.
    Unknown,
}

/// Formats that people keep beside photographs and that hashdb does not decode.
const FOREIGN: [(&[u8], &str); 12] = [
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "Photoshop PSD"),
    (b"BPG\xfb", "BPG"),
    (b"\0\0\x01\0", "ICO"),
    (b"\0\0\x02\0", "CUR"),
    (b"DDS ", "DDS"),
    (b"qoif", "QOI"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
];

/// Names the format by content; the file name plays no part.
pub(super) fn kind(bytes: &[u8]) -> Kind {
    if let Ok(format) = image::guess_format(bytes)
        && matches!(
            format,
            ImageFormat::Jpeg
                | ImageFormat::Png
                | ImageFormat::WebP
                | ImageFormat::Gif
                | ImageFormat::Bmp
                | ImageFormat::Tiff
        )
    {
        return Kind::Supported(format);
    }
    if bytes.starts_with(b"II+\0") || bytes.starts_with(b"MM\0+") {
        return Kind::Supported(ImageFormat::Tiff); // BigTIFF
    }
    if let Some((_, name)) = FOREIGN.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Kind::Foreign(name);
    }
    match bytes.get(4..12) {
        Some(b"ftypavif" | b"ftypavis") => Kind::Foreign("AVIF"),
        Some(b"ftypheic" | b"ftypheix" | b"ftyphevc" | b"ftypmif1" | b"ftypmsf1") => {
            Kind::Foreign("HEIC")
        }
        _ if is_netpbm(bytes) => Kind::Foreign("Netpbm"),
        _ => Kind::Unknown,
    }
}

/// `P1` to `P7` followed by white space: text may well begin with a P and a digit.
fn is_netpbm(bytes: &[u8]) -> bool {
    matches!(bytes, [b'P', b'1'..=b'7', white, ..] if white.is_ascii_whitespace())
}

/// How many DCT coefficients a JPEG decoder must hold at once, 0 if it can work row by row.
///
/// A progressive image, and one whose first scan lacks a component, is only complete after its
/// last scan, so all coefficients stay in memory; decoders do not count them against their limit.
pub(super) fn jpeg_held_coefficients(bytes: &[u8]) -> u64 {
    let mut frame: Option<Frame> = None;
    let segments = JpegSegments { rest: bytes.get(2..).unwrap_or_default() };
    for (marker, body) in segments {
        match marker {
            0xc0..=0xc2 if frame.is_none() => frame = Frame::parse(marker == 0xc2, body),
            0xda => {
                let Some(frame) = frame else { return 0 };
                let scanned = body.first().copied().unwrap_or_default();
                let whole = frame.progressive || scanned < frame.components;
                return if whole { frame.coefficients } else { 0 };
            }
            _ => {}
        }
    }
    0
}

/// What a start-of-frame segment says (ITU T.81, B.2.2).
struct Frame {
    progressive: bool,
    components: u8,
    coefficients: u64,
}

impl Frame {
    fn parse(progressive: bool, body: &[u8]) -> Option<Self> {
        let [_, h1, h0, w1, w0, components, table @ ..] = body else {
            return None;
        };
        let area =
            u64::from(u16::from_be_bytes([*h1, *h0])) * u64::from(u16::from_be_bytes([*w1, *w0]));
        let sampling = || {
            table.chunks_exact(3).take(usize::from(*components)).map(|entry| {
                let (across, down) = (u64::from(entry[1] >> 4), u64::from(entry[1] & 15));
                (across.max(1), down.max(1))
            })
        };
        let across = sampling().map(|(across, _)| across).max()?;
        let down = sampling().map(|(_, down)| down).max()?;
        let samples: u64 = sampling().map(|(across, down)| across * down).sum();
        let coefficients = area * samples / (across * down);
        Some(Self { progressive, components: *components, coefficients })
    }
}

/// The marker segments of a JPEG up to its first scan.
struct JpegSegments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for JpegSegments<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.rest.iter().position(|&byte| byte == 0xff)?;
        let fill = self.rest[start..].iter().position(|&byte| byte != 0xff)?;
        let marker = self.rest[start + fill];
        let after = &self.rest[start + fill + 1..];
        if matches!(marker, 0x00 | 0x01 | 0xd0..=0xd8) {
            self.rest = after; // stands alone
            return Some((marker, &[]));
        }
        let length = usize::from(u16::from_be_bytes([*after.first()?, *after.get(1)?]));
        let body = after.get(2..length)?;
        self.rest = &after[length..];
        Some((marker, body))
    }
}

/// Whether every critical chunk of a PNG carries the checksum of its bytes.
///
/// A decoder stops once it has its last row, before the checksum of the chunk that held it. A chunk
/// that is cut off is not judged here: the decoder knows whether it needed the missing bytes.
pub(super) fn png_checksums_hold(bytes: &[u8]) -> bool {
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
    fn formats_are_named_by_their_first_bytes() {
        assert_eq!(kind(b"\xff\xd8\xff\xe0"), Kind::Supported(ImageFormat::Jpeg));
        assert_eq!(kind(b"RIFF\x10\0\0\0WEBPVP8 "), Kind::Supported(ImageFormat::WebP));
        assert_eq!(kind(b"II+\0"), Kind::Supported(ImageFormat::Tiff));
        assert_eq!(kind(b"\0\0\0\x18ftypheic"), Kind::Foreign("HEIC"));
        assert_eq!(kind(b"P6\n1 1\n255\n"), Kind::Foreign("Netpbm"));
        assert_eq!(kind(b"P2P networks"), Kind::Unknown);
        assert_eq!(kind(b""), Kind::Unknown);
    }

    #[test]
    fn only_progressive_and_split_scans_hold_their_coefficients() {
        // 16 x 8 pixels, 4:2:0: one and a half samples a pixel.
        let image = |frame: u8, scanned: u8| {
            let mut bytes = vec![0xff, 0xd8, 0xff, frame, 0, 17, 8, 0, 8, 0, 16, 3];
            bytes.extend([1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1, 0xff, 0xda, 0, 3, scanned]);
            jpeg_held_coefficients(&bytes)
        };
        assert_eq!(image(0xc0, 3), 0);
        assert_eq!(image(0xc0, 1), 192);
        assert_eq!(image(0xc2, 3), 192);
        assert_eq!(jpeg_held_coefficients(&[0xff, 0xd8, 0xff, 0xc2, 0, 0]), 0);
    }

    #[test]
    fn a_png_chunk_with_another_checksum_is_noticed() {
        let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\x01IDATx".to_vec();
        png.extend(checksum(b"IDATx").to_be_bytes());
        assert!(png_checksums_hold(&png));
        *png.last_mut().unwrap() ^= 1;
        assert!(!png_checksums_hold(&png));
        png.pop();
        assert!(png_checksums_hold(&png));
    }
}
