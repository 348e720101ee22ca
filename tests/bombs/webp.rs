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

/// A lossy picture of 4 x 4 pixels.
const LOSSY: &[u8] =
    b"\x30\x01\0\x9d\x01\x2a\x04\0\x04\0\x0f\xc0\xfe\x25\xa4\0\x03\x70\0\xfe\xe5\xdd\0\0";

/// A picture of 4 x 4 pixels with so many groups of Huffman codes, each with tables of 4 KiB.
pub(crate) fn huffman_groups(count: u32) -> Vec<u8> {
    let bits = lossless_head();
    let stream = groups(bits, count, false);
    riff(&[vp8l(&stream)])
}

/// The same as the first frame of an animation.
pub(crate) fn huffman_groups_in_a_frame(count: u32) -> Vec<u8> {
    let place = [[0; 6].to_vec(), vec![3, 0, 0, 3, 0, 0, 9, 0, 0, 0]].concat();
    let frame = [place, vp8l(&groups(lossless_head(), count, true))].concat();
    let length = u32::try_from(frame.len()).unwrap();
    let control = riff_chunk(b"ANIM", 6, &[0; 6]);
    riff(&[canvas(2, 4), control, riff_chunk(b"ANMF", length, &frame)])
}

/// The same as the transparency of a lossy picture.
pub(crate) fn huffman_groups_of_alpha(count: u32) -> Vec<u8> {
    let mut bits = Bits::new(true);
    bits.put(1, 8); // compressed, nothing else
    let alpha = groups(bits, count, true).bytes;
    let length = u32::try_from(alpha.len()).unwrap();
    let lossy = u32::try_from(LOSSY.len()).unwrap();
    let chunks = [riff_chunk(b"ALPH", length, &alpha), riff_chunk(b"VP8 ", lossy, LOSSY)];
    riff(&[canvas(0x10, 4), chunks.concat()])
}

fn vp8l(stream: &Bits) -> Vec<u8> {
    let length = u32::try_from(stream.bytes.len()).unwrap();
    riff_chunk(b"VP8L", length, &stream.bytes)
}

fn lossless_head() -> Bits {
    let mut bits = Bits::new(true);
    bits.put(0x2f, 8);
    bits.put(3, 14);
    bits.put(3, 14);
    bits.put(0, 1 + 3); // no alpha, version 0
    bits
}

/// A code of one symbol of eight bits.
fn one_symbol(bits: &mut Bits, symbol: u32) {
    bits.put(0b101, 3);
    bits.put(symbol, 8);
}

/// An image of one pixel.
fn one_pixel(bits: &mut Bits, green: u32, red: u32) {
    bits.put(0, 1); // no colour cache
    [green, red, 0, 0, 0].into_iter().for_each(|symbol| one_symbol(bits, symbol));
}

/// An image of two pixels, the second out of its cache of two colours.
fn cached_pixel(bits: &mut Bits) {
    bits.put(1, 1);
    bits.put(1, 4);
    bits.put(0, 1 + 4); // a code by four lengths, of 17, 18, 0 and 1: a bit for 1, a bit for 18
    for length in [0, 1, 0, 1] {
        bits.put(length, 3);
    }
    bits.put(1, 1); // 2 + 3 of them follow, a number of two bits
    bits.put(0, 3);
    bits.put(3, 2);
    bits.code(0, 1); // symbol 0 has a bit, so has 280, and 279 between have none
    for zeros in [138, 130, 11] {
        bits.code(1, 1);
        bits.put(zeros - 11, 7);
    }
    bits.code(0, 1);
    (0..4).for_each(|_| one_symbol(bits, 0));
    bits.code(0, 1);
    bits.code(1, 1);
}

/// A stream of 4 x 4 pixels, with transforms before its groups of codes if asked for.
fn groups(mut bits: Bits, count: u32, transforms: bool) -> Bits {
    if transforms {
        bits.put(0b0011, 4); // predictor, blocks of 4 x 4
        bits.put(0, 2);
        one_pixel(&mut bits, 1, 0);
        bits.put(0b101, 3); // green was subtracted
        bits.put(0b111, 3); // a palette of two colours
        bits.put(1, 8);
        cached_pixel(&mut bits);
    }
    bits.put(0, 1); // no more transforms
    bits.put(0, 1); // no colour cache
    bits.put(1, 1); // groups of codes, by an image of blocks of 4 x 4
    bits.put(0, 3);
    let [low, high, ..] = (count - 1).to_le_bytes();
    one_pixel(&mut bits, low.into(), high.into()); // the number of the last group
    for _ in 0..5 * count {
        deep_code(&mut bits);
    }
    (0..2).for_each(|_| bits.put(0, 32)); // sixteen pixels at a bit a colour
    bits
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
