//! Compressed streams, told by their first bytes, and how much memory it may take to read them.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

/// Bytes that a Zstandard frame may look back, as a power of two: 128 MiB, what `zstd` reads without `--long=N`
/// too. A frame that wants more is refused before anything is allocated.
const MAX_WINDOW_LOG: u32 = 27;

/// The content of a stream, of one member after the other, and whether it was compressed.
pub(super) fn unpack<'r>(mut stream: impl BufRead + 'r) -> io::Result<(Box<dyn Read + 'r>, bool)> {
    let start = stream.fill_buf()?;
    if start.is_empty() {
        return Err(io::Error::other("it is empty"));
    }
    if start.starts_with(b"\x1f\x8b") {
        return Ok((Box::new(MultiGzDecoder::new(stream)), true));
    }
    if is_zstd(start) {
        return Ok((Box::new(unpack_zstd(stream)?), true));
    }
    Ok((Box::new(stream), false))
}

/// The content of a Zstandard stream of any number of frames.
pub(super) fn unpack_zstd<'r>(stream: impl BufRead + 'r) -> io::Result<impl Read + 'r> {
    let mut decoder = zstd::Decoder::with_buffer(stream)?;
    decoder.window_log_max(MAX_WINDOW_LOG)?;
    Ok(decoder)
}

/// Whether a frame begins so, or one of those that readers pass over, which parallel compressors write first.
fn is_zstd(start: &[u8]) -> bool {
    match start {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => true,
        [first, 0x2a, 0x4d, 0x18, ..] => first & 0xf0 == 0x50,
        _ => false,
    }
}
