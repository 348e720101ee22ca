//! PNG bombs: pixels, interlaced passes, profiles, texts, frames.

use crate::bytes::{png_chunk, zeros};

/// A file of a header (side, bit depth, colour type, interlaced) and further chunks.
fn png(side: u32, depth: u8, color: u8, interlaced: u8, chunks: &[Vec<u8>]) -> Vec<u8> {
    let side = side.to_be_bytes();
    let header = [&side[..], &side, &[depth, color, 0, 0, interlaced]].concat();
    let head = [b"\x89PNG\r\n\x1a\n".to_vec(), png_chunk(b"IHDR", &header)].concat();
    [head, chunks.concat(), png_chunk(b"IEND", b"")].concat()
}

fn pixels(bytes: usize) -> Vec<u8> {
    png_chunk(b"IDAT", &zeros(bytes))
}

/// One bit a pixel, in a file that is small whatever its side.
pub(crate) fn one_bit(side: u32) -> Vec<u8> {
    png(side, 1, 0, 0, &[pixels(1 << 20)])
}

/// Grey pixels, all there.
pub(crate) fn grey(side: u32) -> Vec<u8> {
    let side_bytes = usize::try_from(side).unwrap();
    png(side, 8, 0, 0, &[pixels(side_bytes * (side_bytes + 1))])
}

/// Colours with transparency in seven passes.
pub(crate) fn interlaced(side: u32) -> Vec<u8> {
    let passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4)];
    let passes = passes.into_iter().chain([(0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]);
    let bytes = passes.map(|(x, y, across, down): (u32, u32, u32, u32)| {
        let (width, height) = ((side - x).div_ceil(across), (side - y).div_ceil(down));
        usize::try_from(height * (1 + 4 * width)).unwrap()
    });
    png(side, 8, 6, 1, &[pixels(bytes.sum())])
}

/// A small picture with a profile that unfolds to so many bytes.
pub(crate) fn profile(bytes: usize) -> Vec<u8> {
    let profile = [&b"name\0\0"[..], &zeros(bytes)].concat();
    png(32, 8, 0, 0, &[png_chunk(b"iCCP", &profile), pixels(32 * 33)])
}

/// A small picture with compressed texts.
pub(crate) fn texts(count: usize, bytes: usize) -> Vec<u8> {
    let text = [&b"key\0\0"[..], &zeros(bytes)].concat();
    let mut chunks = vec![png_chunk(b"zTXt", &text); count];
    chunks.push(pixels(32 * 33));
    png(32, 8, 0, 0, &chunks)
}

/// A small picture behind one long text.
pub(crate) fn long_text(bytes: usize) -> Vec<u8> {
    let text = [&b"key\0"[..], &vec![b'x'; bytes]].concat();
    png(32, 8, 0, 0, &[png_chunk(b"tEXt", &text), pixels(32 * 33)])
}

/// An animation that claims two thousand million frames.
pub(crate) fn animated() -> Vec<u8> {
    let control = [(1_u32 << 31) - 1, 0].map(u32::to_be_bytes).concat();
    let frame = [[0_u32, 32, 32, 0, 0].map(u32::to_be_bytes).concat(), vec![0, 1, 0, 1, 0, 0]];
    let chunks =
        [png_chunk(b"acTL", &control), png_chunk(b"fcTL", &frame.concat()), pixels(32 * 33)];
    png(32, 8, 0, 0, &chunks)
}
