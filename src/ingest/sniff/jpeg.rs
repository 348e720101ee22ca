//! How a JPEG is coded (ITU T.81): what its decoder must hold until the last scan.

/// Bytes of a DCT coefficient, as decoders hold it.
const COEFFICIENT_BYTES: u64 = 2;

/// How many DCT coefficients a JPEG decoder must hold at once, 0 if it can work row by row.
///
/// A progressive image, and one whose first scan lacks a component, is only complete after its
/// last scan, so all coefficients stay in memory; decoders do not count them against their limit.
pub(in crate::ingest) fn held_coefficients(bytes: &[u8]) -> u64 {
    let mut frame: Option<Frame> = None;
    let segments = Segments { rest: bytes.get(2..).unwrap_or_default() };
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

/// The most memory that decoding one of the JPEG streams within other bytes takes, in bytes: its
/// samples, and its coefficients as if none could be handed on early.
///
/// Every frame header is found, since its bytes cannot occur in the entropy-coded data of a stream.
pub(super) fn embedded_bytes(bytes: &[u8]) -> u64 {
    let frames = bytes.windows(3).enumerate().filter_map(|(at, window)| {
        let [0xff, marker @ 0xc0..=0xc2, 0] = window else { return None };
        let length = usize::from(*bytes.get(at + 3)?);
        let body = bytes.get(at + 4..at + 2 + length)?;
        let components = usize::from(*body.get(5)?);
        let is_header = body[0] == 8 && length == 8 + 3 * components;
        is_header.then(|| Frame::parse(*marker == 0xc2, body)).flatten()
    });
    let needs = frames.map(|frame| {
        frame.area * u64::from(frame.components) + frame.coefficients * COEFFICIENT_BYTES
    });
    needs.max().unwrap_or(0)
}

/// What a start-of-frame segment says (B.2.2).
struct Frame {
    progressive: bool,
    components: u8,
    area: u64,
    coefficients: u64,
}

impl Frame {
    fn parse(progressive: bool, body: &[u8]) -> Option<Self> {
        let [_, h1, h0, w1, w0, components, table @ ..] = body else {
            return None;
        };
        let height = u64::from(u16::from_be_bytes([*h1, *h0]));
        let width = u64::from(u16::from_be_bytes([*w1, *w0]));
        let sampling = || {
            table.chunks_exact(3).take(usize::from(*components)).map(|entry| {
                let (across, down) = (u64::from(entry[1] >> 4), u64::from(entry[1] & 15));
                (across.max(1), down.max(1))
            })
        };
        let across = sampling().map(|(across, _)| across).max()?;
        let down = sampling().map(|(_, down)| down).max()?;
        let samples: u64 = sampling().map(|(across, down)| across * down).sum();
        // Whole units of 8 x 8 samples of each component: thin images are mostly padding.
        let units = width.div_ceil(8 * across) * height.div_ceil(8 * down);
        let coefficients = units * 64 * samples;
        Some(Self { progressive, components: *components, area: width * height, coefficients })
    }
}

/// The marker segments of a JPEG up to its first scan.
struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Segments<'a> {
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

#[cfg(test)]
mod tests {
    use super::*;

    /// 16 x 8 pixels, 4:2:0: six units of 64 samples make a block of 16 x 16.
    fn image(frame: u8, scanned: u8) -> Vec<u8> {
        let mut bytes = vec![0xff, 0xd8, 0xff, frame, 0, 17, 8, 0, 8, 0, 16, 3];
        bytes.extend([1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1, 0xff, 0xda, 0, 3, scanned]);
        bytes
    }

    #[test]
    fn only_progressive_and_split_scans_hold_their_coefficients() {
        assert_eq!(held_coefficients(&image(0xc0, 3)), 0);
        assert_eq!(held_coefficients(&image(0xc0, 1)), 384);
        assert_eq!(held_coefficients(&image(0xc2, 3)), 384);
        assert_eq!(held_coefficients(&[0xff, 0xd8, 0xff, 0xc2, 0, 0]), 0);
    }

    #[test]
    fn streams_within_other_bytes_are_found() {
        let inside = [b"II*\0 and so on", &image(0xc0, 3)[..], b"rest"].concat();
        assert_eq!(embedded_bytes(&inside), 16 * 8 * 3 + 2 * 384);
        assert_eq!(embedded_bytes(&image(0xc0, 3)[..9]), 0);
        assert_eq!(embedded_bytes(&[0xff, 0xc0, 0].repeat(100)), 0);
    }
}
