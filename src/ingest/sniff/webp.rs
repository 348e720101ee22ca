//! What a `WebP` file claims inside: its decoder decodes a lossy frame before it compares its size with
//! that of the canvas, makes room for EXIF data before it reads it, and builds the tables of a lossless
//! stream, however many, before its first pixel.

use super::vp8l;

/// What the chunks of a file claim.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::ingest) struct Claims {
    /// The area of the largest lossy frame that may be decoded, padded to its blocks, in pixels.
    pub(in crate::ingest) frame_area: u64,
    /// The length of the longest EXIF chunk, in bytes.
    pub(in crate::ingest) exif_bytes: u64,
    /// The most that the Huffman codes of one frame take, in bytes.
    pub(in crate::ingest) table_bytes: u64,
}

/// The streams that the decoder may choose: the first of each kind.
#[derive(Default)]
struct Streams {
    /// Width and height of the canvas, or of the frame of an animation.
    size: (u32, u32),
    image: Option<u64>,
    alpha: Option<u64>,
}

impl Streams {
    fn see(&mut self, chunk: &Chunk<'_>) {
        match &chunk.name {
            b"VP8X" => self.size = size(chunk.body.get(4..)),
            b"VP8L" => _ = self.image.get_or_insert_with(|| vp8l::image_tables(chunk.body)),
            b"ALPH" => {
                let (width, height) = self.size;
                self.alpha.get_or_insert_with(|| vp8l::alpha_tables(chunk.body, width, height));
            }
            _ => {}
        }
    }

    /// The tables of one frame: those of both streams do not live at the same time.
    fn most(&self) -> u64 {
        self.image.max(self.alpha).unwrap_or(0)
    }
}

/// Two sides of 24 bits, each one less than it is.
fn size(bytes: Option<&[u8]>) -> (u32, u32) {
    match bytes {
        Some([w0, w1, w2, h0, h1, h2, ..]) => {
            let side = |bytes: [u8; 3]| {
                let [low, middle, high] = bytes;
                u32::from_le_bytes([low, middle, high, 0]) + 1
            };
            (side([*w0, *w1, *w2]), side([*h0, *h1, *h2]))
        }
        _ => (0, 0),
    }
}

impl Claims {
    fn see(&mut self, chunk: &Chunk<'_>) {
        if &chunk.name == b"EXIF" {
            self.exif_bytes = self.exif_bytes.max(chunk.length);
        } else if let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..] = chunk.body {
            let side = |low: u8, high: u8| {
                u64::from(u16::from_le_bytes([low, high]) & 0x3fff).next_multiple_of(16)
            };
            self.frame_area = self.frame_area.max(side(*w0, *w1) * side(*h0, *h1));
        }
    }
}

/// Goes through the chunks of a file, and those at the head of the first frame of an animation.
pub(in crate::ingest) fn claims(bytes: &[u8]) -> Claims {
    let mut claims = Claims::default();
    let (mut frames, mut streams) = (0, Streams::default());
    for chunk in chunks(bytes.get(12..).unwrap_or_default()) {
        claims.see(&chunk);
        streams.see(&chunk);
        if &chunk.name == b"ANMF" {
            frames += 1;
            if frames == 1 {
                // Whatever their names are: the decoder takes the second one without looking.
                let inside = chunk.body.get(16..).unwrap_or_default();
                let size = size(chunk.body.get(6..));
                let mut streams = Streams { size, ..Streams::default() };
                chunks(inside).take(2).for_each(|chunk| {
                    claims.see(&chunk);
                    streams.see(&chunk);
                });
                claims.table_bytes = claims.table_bytes.max(streams.most());
            }
        }
    }
    claims.table_bytes = claims.table_bytes.max(streams.most());
    claims
}

/// A chunk: what it claims, and what there is of it and behind it.
struct Chunk<'a> {
    name: [u8; 4],
    length: u64,
    body: &'a [u8],
}

fn chunks(mut rest: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let (name, after) = rest.split_first_chunk::<4>()?;
        let (length, body) = after.split_first_chunk::<4>()?;
        let length = u32::from_le_bytes(*length);
        let padded = usize::try_from(u64::from(length).next_multiple_of(2)).ok()?;
        rest = body.get(padded..).unwrap_or_default();
        Some(Chunk { name: *name, length: length.into(), body })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk(name: &[u8; 4], claimed: u32, body: &[u8]) -> Vec<u8> {
        [&name[..], &claimed.to_le_bytes(), body].concat()
    }

    const LOSSY: &[u8] = b"\0\0\0\x9d\x01\x2a\x21\0\xff\x3f";

    #[test]
    fn lossy_frames_and_metadata_are_found_at_both_levels() {
        let area = 48 * 16_384;
        let plain = [b"RIFF....WEBP", &chunk(b"VP8 ", 10, LOSSY)[..]].concat();
        assert_eq!(claims(&plain), Claims { frame_area: area, ..Claims::default() });
        let inside = [&[0; 16], &chunk(b"ALPH", 3, b"\0bc\0")[..], &chunk(b"any.", 10, LOSSY)];
        let frame = inside.concat();
        let length = u32::try_from(frame.len()).unwrap();
        let animated = [
            b"RIFF....WEBP",
            &chunk(b"VP8X", 10, &[0; 10])[..],
            &chunk(b"ANMF", length, &frame),
            &chunk(b"EXIF", u32::MAX, b"short"),
        ];
        let expected = Claims { frame_area: area, exif_bytes: u32::MAX.into(), table_bytes: 0 };
        assert_eq!(claims(&animated.concat()), expected);
        assert_eq!(claims(b"RIFF"), Claims::default());
    }
}
