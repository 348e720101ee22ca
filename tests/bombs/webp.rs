//! WebP bombs: frames larger than their canvas, lengths that lie, Huffman codes without end.

use std::io::Cursor;

use crate::bytes::{Bits, riff_chunk};

fn riff(chunks: &[Vec<u8>]) -> Vec<u8> {
    let body = chunks.concat();
    let length = u32::try_from(body.len() + 4).unwrap();
    [&b"RIFF"[..], &length.to_le_bytes(), b"WEBP", &body].concat()
}

/// The flags and the canvas of an extended file.
fn canvas(flags: u8, side: u32) -> Vec<u8> {
    let [s0, s1, s2, _] = (side - 1).to_le_bytes();
    riff_chunk(b"VP8X", 10, &[flags, 0, 0, 0, s0, s1, s2, s0, s1, s2])
}

/// A lossy key frame of so many pixels a side and nothing but zeros as data.
fn lossy_frame(side: u16, data: usize) -> Vec<u8> {
    let [s0, s1] = side.to_le_bytes();
    // The first partition is said to have 4096 bytes.
    let tag = 0x10_u32 | 4096 << 5;
    let mut frame = tag.to_le_bytes()[..3].to_vec();
    frame.extend([0x9d, 0x01, 0x2a, s0, s1, s0, s1]);
    frame.resize(10 + 4096 + data, 0);
    let length = u32::try_from(frame.len()).unwrap();
    riff_chunk(b"VP8 ", length, &frame)
}

/// A lossy image that is as large as it says.
pub(crate) fn lossy(side: u16) -> Vec<u8> {
    riff(&[lossy_frame(side, 4096)])
}

/// A lossy frame behind a canvas of another size.
pub(crate) fn lossy_beyond_the_canvas(side: u16) -> Vec<u8> {
    riff(&[canvas(0, 16), lossy_frame(side, 4096)])
}

/// The same as the first frame of an animation.
pub(crate) fn animated_beyond_the_canvas(side: u16) -> Vec<u8> {
    let place = [[0; 6].to_vec(), vec![15, 0, 0, 15, 0, 0, 9, 0, 0, 0]].concat();
    let frame = [place, lossy_frame(side, 4096)].concat();
    let length = u32::try_from(frame.len()).unwrap();
    let control = riff_chunk(b"ANIM", 6, &[0; 6]);
    riff(&[canvas(2, 16), control, riff_chunk(b"ANMF", length, &frame)])
}

/// A small picture and EXIF data of a length that is not there.
pub(crate) fn exif_claim(bytes: u32) -> Vec<u8> {
    let picture = small();
    riff(&[canvas(8, 16), picture[12..].to_vec(), riff_chunk(b"EXIF", bytes, b"Exif")])
}

/// A picture of one colour, lossless, by the encoder.
pub(crate) fn lossless(side: u32) -> Vec<u8> {
    let picture = image::RgbaImage::from_pixel(side, side, image::Rgba([1, 2, 3, 200]));
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, image::ImageFormat::WebP).unwrap();
    bytes.into_inner()
}

fn small() -> Vec<u8> {
    lossless(16)
}

/// A picture of 4 x 4 pixels with so many groups of Huffman codes, each with tables of 4 KiB.
pub(crate) fn huffman_groups(count: u32) -> Vec<u8> {
    let mut bits = Bits::new(true);
    bits.put(0x2f, 8);
    bits.put(3, 14);
    bits.put(3, 14);
    bits.put(0, 1 + 3); // no alpha, version 0
    bits.put(0, 1); // no transform
    bits.put(0, 1); // no colour cache
    bits.put(1, 1); // groups of codes, by an image of blocks of 4 x 4
    bits.put(0, 3);
    bits.put(0, 1); // that image: no colour cache, one pixel, the number of the last group
    let [low, high, ..] = (count - 1).to_le_bytes();
    for symbol in [low, high, 0, 0, 0] {
        bits.put(0b101, 3); // a code of one symbol of eight bits
        bits.put(symbol.into(), 8);
    }
    for _ in 0..5 * count {
        deep_code(&mut bits);
    }
    bits.put(0, 32);
    let length = u32::try_from(bits.bytes.len()).unwrap();
    riff(&[riff_chunk(b"VP8L", length, &bits.bytes)])
}

/// A code of eleven symbols of lengths 1 to 10: the shortest that takes a table of 1024 entries.
fn deep_code(bits: &mut Bits) {
    bits.put(0, 1); // not simple
    bits.put(14 - 4, 4); // lengths of the codes of 17, 18, 0 to 5, 16, 6 to 10
    for length in [0, 0, 0, 3, 3, 3, 3, 3, 0, 3, 4, 4, 4, 4] {
        bits.put(length, 3);
    }
    bits.put(1, 1); // so many symbols: 2 + 9, in four bits
    bits.put(1, 3);
    bits.put(9, 4);
    (0..6).for_each(|code| bits.code(code, 3)); // 1 to 6
    [12, 13, 14, 15, 15].into_iter().for_each(|code| bits.code(code, 4)); // 7 to 10, 10
}
