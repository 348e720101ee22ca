//! The pieces that bombs are made of: chunks, bits, deflated zeros.

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// So many zeros, as a zlib stream.
pub(crate) fn zeros(count: usize) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    let block = vec![0; 1 << 20];
    for start in (0..count).step_by(block.len()) {
        encoder.write_all(&block[..block.len().min(count - start)]).unwrap();
    }
    encoder.finish().unwrap()
}

/// A PNG chunk with its checksum.
pub(crate) fn png_chunk(name: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(name);
    crc.update(body);
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes(), &name[..], body, &crc.sum().to_be_bytes()].concat()
}

/// A RIFF chunk, padded, with the length that it claims.
pub(crate) fn riff_chunk(name: &[u8; 4], claimed: u32, body: &[u8]) -> Vec<u8> {
    let mut chunk = [&name[..], &claimed.to_le_bytes(), body].concat();
    chunk.resize(chunk.len().next_multiple_of(2), 0);
    chunk
}

/// Bits into bytes, the first into the lowest place (WebP) or the highest (TIFF's LZW).
pub(crate) struct Bits {
    pub(crate) bytes: Vec<u8>,
    free: u32,
    lowest_first: bool,
}

impl Bits {
    pub(crate) fn new(lowest_first: bool) -> Self {
        Self { bytes: Vec::new(), free: 0, lowest_first }
    }

    fn push(&mut self, bit: u32) {
        if self.free == 0 {
            self.bytes.push(0);
            self.free = 8;
        }
        let place = if self.lowest_first { 8 - self.free } else { self.free - 1 };
        *self.bytes.last_mut().unwrap() |= u8::try_from(bit & 1).unwrap() << place;
        self.free -= 1;
    }

    /// Appends a number of so many bits.
    pub(crate) fn put(&mut self, value: u32, width: u32) {
        for at in 0..width {
            self.push(value >> if self.lowest_first { at } else { width - 1 - at });
        }
    }

    /// Appends a Huffman code, whose first bit is its highest in every format.
    pub(crate) fn code(&mut self, value: u32, width: u32) {
        for at in (0..width).rev() {
            self.push(value >> at);
        }
    }
}
