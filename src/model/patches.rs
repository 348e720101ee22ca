//! Patches of a picture as a retina sees them, sharp in the centre and coarse around it (Krizhevsky and
//! Hinton 2011).
//!
//! Each covers 16 x 16 pixels. Its central 8 x 8 are taken as they are, 64; around them stand the means of
//! 2 x 2 pixels, an 8 x 8 grid of them without its central 4 x 4, 48. So it has 112 pixels, 336 numbers. The
//! windows begin at every second pixel of every second row: nine by nine.

use super::Pixels;

/// Patches of a picture: nine rows of nine, from the top left, row by row.
pub const PATCHES: usize = ACROSS * ACROSS;
/// Numbers in a patch: 112 pixels of three colours.
pub(super) const PATCH_INPUTS: usize = (CENTRE * CENTRE + GRID * GRID - HOLE * HOLE) * COLOURS;
/// Patches in a row.
const ACROSS: usize = 9;
/// Pixels from one window to the next.
const STRIDE: usize = 2;
/// Side of the sharp centre, in pixels.
const CENTRE: usize = 8;
/// Pixels from the window's edge to its centre.
const MARGIN: usize = 4;
/// Side of the coarse grid, in means.
const GRID: usize = 8;
/// Side of what the centre covers of it.
const HOLE: usize = 4;
/// Where that begins.
const HOLE_AT: usize = 2;
const COLOURS: usize = 3;
/// Side of a picture in means; windows begin at even pixels, so all of them use the same ones.
const HALF_SIDE: usize = Pixels::SIDE / 2;

/// A picture ready for cutting.
pub(super) struct Retinas<'a> {
    bytes: &'a [u8],
    /// Sums of 2 x 2 pixels: four times their means, whole numbers.
    sums: Vec<u16>,
}

impl<'a> Retinas<'a> {
    /// Takes the [`Pixels::BYTES`] bytes of a picture.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let row = Pixels::SIDE * COLOURS;
        let mut sums = Vec::with_capacity(HALF_SIDE * HALF_SIDE * COLOURS);
        for rows in bytes.chunks_exact(2 * row) {
            let (upper, lower) = rows.split_at(row);
            let pairs = upper.chunks_exact(2 * COLOURS).zip(lower.chunks_exact(2 * COLOURS));
            for (upper, lower) in pairs {
                let sum = |at: usize| {
                    let four = [upper[at], upper[at + COLOURS], lower[at], lower[at + COLOURS]];
                    four.into_iter().map(u16::from).sum::<u16>()
                };
                sums.extend((0..COLOURS).map(sum));
            }
        }
        Self { bytes, sums }
    }

    /// Appends the patch at `place`, below [`PATCHES`]: the centre row by row, then the surround row by row,
    /// red, green and blue side by side. In quarters of a byte, which are whole numbers.
    pub(super) fn append(&self, place: usize, quarters: &mut Vec<u16>) {
        let (down, right) = (place / ACROSS % ACROSS, place % ACROSS);
        let (top, left) = (down * STRIDE + MARGIN, right * STRIDE + MARGIN);
        for y in top..top + CENTRE {
            let start = (y * Pixels::SIDE + left) * COLOURS;
            let row = &self.bytes[start..start + CENTRE * COLOURS];
            quarters.extend(row.iter().map(|&byte| 4 * u16::from(byte)));
        }
        for y in 0..GRID {
            let start = ((down + y) * HALF_SIDE + right) * COLOURS;
            let row = &self.sums[start..start + GRID * COLOURS];
            if (HOLE_AT..HOLE_AT + HOLE).contains(&y) {
                quarters.extend_from_slice(&row[..HOLE_AT * COLOURS]);
                quarters.extend_from_slice(&row[(HOLE_AT + HOLE) * COLOURS..]);
            } else {
                quarters.extend_from_slice(row);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PATCH_INPUTS, PATCHES, Pixels, Retinas};
    use crate::model::random::Random;

    /// A patch as the paper draws it, number by number and in no hurry.
    fn plain(picture: &[u8], place: usize) -> Vec<f32> {
        let (top, left) = (place / 9 * 2, place % 9 * 2);
        let byte = |y: usize, x: usize, colour: usize| {
            f32::from(picture[((top + y) * 32 + left + x) * 3 + colour])
        };
        let mut numbers = Vec::new();
        for y in 4..12 {
            for x in 4..12 {
                numbers.extend((0..3).map(|colour| byte(y, x, colour)));
            }
        }
        for y in (0..16).step_by(2) {
            for x in (0..16).step_by(2) {
                if (4..12).contains(&y) && (4..12).contains(&x) {
                    continue;
                }
                numbers.extend((0..3).map(|colour| {
                    let upper = byte(y, x, colour) + byte(y, x + 1, colour);
                    (upper + byte(y + 1, x, colour) + byte(y + 1, x + 1, colour)) / 4.0
                }));
            }
        }
        numbers
    }

    #[test]
    fn patches_are_what_the_plain_definition_gives() {
        assert_eq!((PATCHES, PATCH_INPUTS), (81, 336));
        let mut random = Random::new(11, 0);
        for _ in 0..3 {
            let byte = |_| u8::try_from(random.below(256)).unwrap();
            let picture: Vec<u8> = (0..Pixels::BYTES).map(byte).collect();
            let retinas = Retinas::new(&picture);
            for place in 0..PATCHES {
                let mut quarters = Vec::new();
                retinas.append(place, &mut quarters);
                let found: Vec<f32> = quarters.iter().map(|&q| f32::from(q) / 4.0).collect();
                assert_eq!(found, plain(&picture, place), "place {place}");
            }
        }
    }

    #[test]
    fn the_windows_reach_from_corner_to_corner() {
        let mut picture = vec![0; Pixels::BYTES];
        picture[..3].fill(255);
        picture[Pixels::BYTES - 3..].fill(255);
        let retinas = Retinas::new(&picture);
        let lit = |place| {
            let mut quarters = Vec::new();
            retinas.append(place, &mut quarters);
            quarters.iter().any(|&quarter| quarter > 0)
        };
        let places: Vec<usize> = (0..PATCHES).filter(|&place| lit(place)).collect();
        assert_eq!(places, [0, PATCHES - 1]);
    }
}
