//! What the first directory of a TIFF claims: its decoder makes room for a row of tiles, for lists of
//! strips and for JPEG streams before it sees how little of them there is.

use super::jpeg;

/// What the first directory claims.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::ingest) struct Claims {
    /// The longest list that is read before any pixel, in values.
    pub(in crate::ingest) values: u64,
    /// Bytes of a row of tiles, at eight bytes a sample.
    pub(in crate::ingest) tile_row_bytes: u64,
    /// What the largest JPEG stream inside takes, in bytes.
    pub(in crate::ingest) jpeg_bytes: u64,
}

const SAMPLES_PER_PIXEL: u16 = 277;
const TILE_WIDTH: u16 = 322;
/// The fields whose values the decoder reads when it is opened, however many there are said to be: sides,
/// bits, compression, photometry, orientation, strips, samples, planes, predictor, tiles, extra samples,
/// sample formats, JPEG tables, subsampling.
const READ_AT_ONCE: [u16; 20] = [
    256, 257, 258, 259, 262, 273, 274, 277, 278, 279, 284, 317, 322, 323, 324, 325, 338, 339, 347,
    530,
];

/// Reads the first directory.
pub(in crate::ingest) fn claims(bytes: &[u8]) -> Claims {
    let mut claims = Claims { jpeg_bytes: jpeg::embedded_bytes(bytes), ..Claims::default() };
    let (mut samples, mut tile_width) = (1, 0);
    for field in Directory::open(bytes).into_iter().flatten() {
        match field.tag {
            TILE_WIDTH => tile_width = tile_width.max(field.value),
            SAMPLES_PER_PIXEL => samples = samples.max(field.value),
            _ => {}
        }
        if READ_AT_ONCE.contains(&field.tag) {
            claims.values = claims.values.max(field.count);
        }
    }
    claims.tile_row_bytes = tile_width.saturating_mul(samples).saturating_mul(8);
    claims
}

/// An entry of a directory.
struct Field {
    tag: u16,
    count: u64,
    /// The largest number that its value can be read as.
    value: u64,
}

/// The entries of the first directory that are there.
struct Directory<'a> {
    bytes: &'a [u8],
    rest: &'a [u8],
    left: u64,
    is_little: bool,
    is_big_tiff: bool,
}

impl<'a> Directory<'a> {
    fn open(bytes: &'a [u8]) -> Option<Self> {
        let is_little = bytes.starts_with(b"II");
        let is_big_tiff = number(bytes.get(2..4)?, is_little) == 43;
        let offset = if is_big_tiff { bytes.get(8..16)? } else { bytes.get(4..8)? };
        let at = usize::try_from(number(offset, is_little)).ok()?;
        let (left, rest) = bytes.get(at..)?.split_at_checked(if is_big_tiff { 8 } else { 2 })?;
        Some(Self { bytes, rest, left: number(left, is_little), is_little, is_big_tiff })
    }
}

impl Iterator for Directory<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        self.left = self.left.checked_sub(1)?;
        let (entry, rest) = self.rest.split_at_checked(if self.is_big_tiff { 20 } else { 12 })?;
        self.rest = rest;
        let number = |bytes: &[u8]| number(bytes, self.is_little);
        let (head, value) = entry.split_at(if self.is_big_tiff { 12 } else { 8 });
        let inline = match number(&head[2..4]) {
            1 | 6 => number(&value[..1]),
            3 | 8 => number(&value[..2]),
            4 | 9 | 13 => number(&value[..4]),
            // A number of eight bytes that does not fit here lies elsewhere.
            _ if !self.is_big_tiff => {
                let at = usize::try_from(number(value)).ok();
                let far = at.and_then(|at| self.bytes.get(at..)?.get(..8));
                far.map_or(0, number)
            }
            _ => number(value),
        };
        let tag = u16::try_from(number(&head[..2])).unwrap_or(0);
        Some(Field { tag, count: number(&head[4..]), value: inline })
    }
}

/// An unsigned number of up to eight bytes.
fn number(bytes: &[u8], is_little: bool) -> u64 {
    let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
    if is_little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory of entries (tag, type, count, value) in one of the four layouts.
    fn directory(is_little: bool, is_big: bool, entries: &[(u64, u64, u64, u64)]) -> Vec<u8> {
        let put = |value: u64, width: usize| {
            let bytes = value.to_le_bytes();
            let mut bytes = bytes[..width].to_vec();
            if !is_little {
                bytes.reverse();
            }
            bytes
        };
        let mut bytes = if is_little { b"II".to_vec() } else { b"MM".to_vec() };
        let wide = if is_big { 8 } else { 4 };
        bytes.extend(put(if is_big { 43 } else { 42 }, 2));
        if is_big {
            bytes.extend(put(8, 4));
        }
        bytes.extend(put(if is_big { 16 } else { 8 }, wide));
        bytes.extend(put(entries.len() as u64, if is_big { 8 } else { 2 }));
        for &(tag, kind, count, value) in entries {
            let value_width = [wide, 2, 4][usize::from(kind == 3) + 2 * usize::from(kind == 4)];
            let mut field = put(value, value_width);
            field.resize(wide, 0);
            bytes.extend([put(tag, 2), put(kind, 2), put(count, wide), field].concat());
        }
        bytes
    }

    #[test]
    fn claims_are_read_in_every_layout() {
        for (is_little, is_big) in [(true, false), (false, false), (true, true), (false, true)] {
            let entries =
                [(322, 4, 1, 1 << 31), (277, 3, 1, 5), (273, 4, 900, 0), (700, 1, 1 << 30, 0)];
            let bytes = directory(is_little, is_big, &entries);
            let expected = Claims { values: 900, tile_row_bytes: 40 << 31, jpeg_bytes: 0 };
            assert_eq!(claims(&bytes), expected);
            for length in 0..bytes.len() {
                let _ = claims(&bytes[..length]);
            }
        }
        assert_eq!(
            claims(&directory(true, true, &[(322, 16, 1, u64::MAX)])).tile_row_bytes,
            u64::MAX
        );
    }

    #[test]
    fn a_number_of_eight_bytes_is_followed() {
        let mut bytes = directory(true, false, &[(322, 16, 1, 22)]);
        bytes.extend((1_u64 << 33).to_le_bytes());
        assert_eq!(claims(&bytes).tile_row_bytes, 1 << 36);
    }
}
