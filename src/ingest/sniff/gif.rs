//! How large the first frame of a GIF is: its decoder gives a frame that differs from the logical
//! screen a buffer of its own, however small the screen is.

/// The area of the first frame in pixels; 0 if there is none.
pub(in crate::ingest) fn frame_area(bytes: &[u8]) -> u64 {
    area(bytes).unwrap_or(0)
}

fn area(bytes: &[u8]) -> Option<u64> {
    let flags = *bytes.get(10)?;
    let mut rest = bytes.get(13 + palette_bytes(flags)..)?;
    loop {
        match rest.first()? {
            b'!' => rest = past_blocks(rest.get(2..)?)?,
            b',' => {
                let side =
                    |at: usize| Some(u16::from_le_bytes([*rest.get(at)?, *rest.get(at + 1)?]));
                return Some(u64::from(side(5)?) * u64::from(side(7)?));
            }
            0 => rest = &rest[1..], // stray terminators are passed over by decoders, too
            _ => return None,
        }
    }
}

fn palette_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// What follows the blocks of an extension.
fn past_blocks(mut rest: &[u8]) -> Option<&[u8]> {
    loop {
        let (&length, after) = rest.split_first()?;
        rest = after.get(usize::from(length)..)?;
        if length == 0 {
            return Some(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_frame_is_found_behind_palettes_and_extensions() {
        let screen = |flags: u8| [b"GIF89a\x01\0\x01\0", &[flags, 0, 0][..]].concat();
        let frame = b",\0\0\0\0\x00\x20\x00\x10\0";
        let comment = b"!\xfe\x02hi\x01!\0";
        assert_eq!(frame_area(&[&screen(0)[..], frame].concat()), 0x2000 * 0x1000);
        let palette = [9; 3 * 16];
        let whole = [&screen(0x83)[..], &palette, comment, b"\0", frame].concat();
        assert_eq!(frame_area(&whole), 0x2000 * 0x1000);
        for length in 0..whole.len() - 1 {
            assert_eq!(frame_area(&whole[..length]), 0);
        }
    }
}
