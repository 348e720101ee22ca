//! Bombs of GIF, BMP and TIFF.

use std::io::Cursor;

use crate::bytes::{Bits, zeros};

/// A GIF of a logical screen and frames of another size, with hardly any data.
pub(crate) fn gif(screen: u16, frame: u16, frames: usize) -> Vec<u8> {
    let [s0, s1] = screen.to_le_bytes();
    let [f0, f1] = frame.to_le_bytes();
    let mut bytes =
        [b"GIF89a", &[s0, s1, s0, s1, 0x80, 0, 0][..], &[0, 0, 0, 255, 255, 255]].concat();
    // Clear, one black pixel, end: what follows is missing.
    let image = [b',', 0, 0, 0, 0, f0, f1, f0, f1, 0, 2, 2, 0x44, 0x01, 0];
    (0..frames).for_each(|_| bytes.extend(image));
    bytes.push(b';');
    bytes
}

/// A GIF all of whose pixels are there, by the encoder.
pub(crate) fn whole_gif(side: u32) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = image::RgbaImage::from_pixel(side, side, image::Rgba([7, 7, 7, 255]));
    picture.write_to(&mut bytes, image::ImageFormat::Gif).unwrap();
    bytes.into_inner()
}

/// A BMP header: sides, bits a pixel, compression; a palette of 256; then data.
pub(crate) fn bmp(width: u32, height: u32, bits: u8, compression: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"BM\0\0\0\0\0\0\0\0\x36\x04\0\0\x28\0\0\0".to_vec();
    bytes.extend([width.to_le_bytes(), height.to_le_bytes()].concat());
    bytes.extend([1, 0, bits, 0, compression, 0, 0, 0]);
    bytes.extend([0; 20]);
    bytes.resize(54 + 1024, 0);
    bytes.extend(data);
    bytes
}

/// Runs of 255 pixels and jumps, to the end and beyond.
pub(crate) fn run_lengths(count: usize) -> Vec<u8> {
    [255, 7, 0, 2, 200, 1].repeat(count)
}

/// An entry of a TIFF directory: tag, type, count, value.
type Field = (u16, u16, u32, u32);

/// A TIFF of these fields, in order of their tags, followed by its data at [`DATA_AT`].
fn tiff(fields: &[Field], data: &[u8]) -> Vec<u8> {
    directory(fields, 0, data)
}

/// The same with the place of the next directory.
fn directory(fields: &[Field], next: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"II*\0\x08\0\0\0".to_vec();
    bytes.extend(u16::try_from(fields.len()).unwrap().to_le_bytes());
    for (tag, kind, count, value) in fields {
        bytes.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        bytes.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    bytes.extend(next.to_le_bytes());
    bytes.resize(DATA_AT as usize, 0);
    bytes.extend(data);
    bytes
}

/// Where the data of a TIFF begins.
const DATA_AT: u32 = 512;
const SHORT: u16 = 3;
const LONG: u16 = 4;

/// The fields of a grey image in one strip.
fn strip(side: u32, compression: u32, data: &[u8]) -> Vec<Field> {
    vec![
        (256, LONG, 1, side),
        (257, LONG, 1, side),
        (258, SHORT, 1, 8),
        (259, SHORT, 1, compression),
        (262, SHORT, 1, 1),
        (273, LONG, 1, DATA_AT),
        (277, SHORT, 1, 1),
        (278, LONG, 1, side),
        (279, LONG, 1, u32::try_from(data.len()).unwrap()),
    ]
}

/// A strip that unfolds to all its pixels, and to more.
pub(crate) fn deflated(side: u32) -> Vec<u8> {
    let pixels = usize::try_from(u64::from(side) * u64::from(side)).unwrap();
    let data = zeros(pixels * 2);
    tiff(&strip(side, 8, &data), &data)
}

/// Zeros by LZW, each code one longer than the one before.
pub(crate) fn lzw(side: u32) -> Vec<u8> {
    let mut bits = Bits::new(false);
    let mut left = i64::from(side) * i64::from(side);
    while left > 0 {
        bits.put(256, 9);
        bits.put(0, 9);
        left -= 1;
        for code in 258..4094 {
            let width = match code - 1 {
                ..511 => 9,
                511..1023 => 10,
                1023..2047 => 11,
                _ => 12,
            };
            bits.put(code, width);
            left -= i64::from(code) - 256;
        }
        // A clear code of twelve bits begins the next round.
        bits.put(256, 12);
    }
    let data = bits.bytes;
    tiff(&strip(side, 5, &data), &data)
}

/// Zeros by `PackBits`.
pub(crate) fn pack_bits(side: u32) -> Vec<u8> {
    let pixels = usize::try_from(u64::from(side) * u64::from(side)).unwrap();
    let data = [0x81, 0].repeat(pixels / 128 + 1);
    tiff(&strip(side, 32_773, &data), &data)
}

/// An image whose strip is said to be there and is not.
pub(crate) fn missing_strip(side: u32) -> Vec<u8> {
    let mut fields = strip(side, 1, &[]);
    fields[8].3 = side * side;
    tiff(&fields, &[0; 100])
}

/// A sound image whose directory is its own successor.
pub(crate) fn circle() -> Vec<u8> {
    directory(&strip(16, 1, &[0; 256]), 8, &[0; 256])
}

/// A small image whose strip is a JPEG of another size.
pub(crate) fn jpeg_inside(jpeg: &[u8]) -> Vec<u8> {
    let mut fields = strip(16, 7, jpeg);
    fields[4].3 = 1;
    tiff(&fields, jpeg)
}

/// A small image in tiles of so many pixels a row, with a sample more than its colours need.
pub(crate) fn wide_tiles(width: u32) -> Vec<u8> {
    let data = zeros(1 << 20);
    let length = u32::try_from(data.len()).unwrap();
    let fields = [
        (256, LONG, 1, 16),
        (257, LONG, 1, 16),
        (258, SHORT, 1, 8),
        (259, SHORT, 1, 8),
        (262, SHORT, 1, 2),
        (277, SHORT, 1, 5),
        (322, LONG, 1, width),
        (323, LONG, 1, 16),
        (324, LONG, 1, DATA_AT),
        (325, LONG, 1, length),
        (338, SHORT, 2, 0),
    ];
    tiff(&fields, &data)
}

/// An image of very many small tiles, all of them the same bytes.
pub(crate) fn many_tiles(side: u32) -> Vec<u8> {
    let count = (side / 16) * (side / 16);
    let fields = [
        (256, LONG, 1, side),
        (257, LONG, 1, side),
        (258, SHORT, 1, 8),
        (259, SHORT, 1, 1),
        (262, SHORT, 1, 1),
        (277, SHORT, 1, 1),
        (322, LONG, 1, 16),
        (323, LONG, 1, 16),
        (324, LONG, count, DATA_AT),
        (325, LONG, count, DATA_AT + 4 * count),
    ];
    let lists = [
        DATA_AT.to_le_bytes().repeat(count as usize),
        256_u32.to_le_bytes().repeat(count as usize),
    ];
    tiff(&fields, &lists.concat())
}

/// A list of strips of a length that is not there.
pub(crate) fn endless_list(count: u32) -> Vec<u8> {
    let mut fields = strip(1024, 1, &[]);
    (fields[5].2, fields[8].2, fields[7].3) = (count, count, 1);
    tiff(&fields, &[0; 100])
}
