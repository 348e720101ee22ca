//! What the bytes of an image say before a decoder runs: which format they are in, and, a file a format,
//! what its decoder will hold in memory without counting it against a limit. `decode` calls it;
//! nothing here allocates more than some KiB, and no byte pattern makes it read outside the slice or loop.

mod gif;
mod jpeg;
mod png;
mod tiff;
mod vp8l;
mod webp;

use image::ImageFormat;

pub(super) use gif::frame_area as gif_frame_area;
pub(super) use jpeg::held_coefficients as jpeg_held_coefficients;
pub(super) use png::checksums_hold as png_checksums_hold;
pub(super) use tiff::{Claims as TiffClaims, claims as tiff_claims};
pub(super) use webp::{Claims as WebpClaims, claims as webp_claims};

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
}
