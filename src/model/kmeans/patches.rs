//! Patches of a picture: squares of 6 x 6 pixels, each brought to mean 0 and to about unit contrast.

use crate::model::Pixels;

/// Width and height of a patch in pixels.
pub(super) const SIDE: usize = 6;
/// Numbers in a patch: rows from the top, pixels from the left, red, green and blue of a pixel side by side.
pub(super) const INPUTS: usize = SIDE * SIDE * 3;
/// Places of a patch along a side of the picture.
pub(super) const PLACES: usize = Pixels::SIDE - SIDE + 1;

/// Added to the variance of a patch, in units of a byte squared, so that flat ones stay flat (Coates, Ng and Lee,
/// AISTATS 2011).
const SOFTENING: f32 = 10.0;

/// Appends the patch whose top left pixel is at a row and a column, both below [`PLACES`].
pub(super) fn append(image: &[u8], row: usize, column: usize, patches: &mut Vec<f32>) {
    let start = patches.len();
    let width = Pixels::SIDE * 3;
    for line in image.chunks_exact(width).skip(row).take(SIDE) {
        patches.extend(line.iter().skip(column * 3).take(SIDE * 3).map(|&byte| f32::from(byte)));
    }
    normalize(&mut patches[start..]);
}

/// All patches of a picture, row by row.
pub(super) fn all(image: &[u8]) -> Vec<f32> {
    let mut patches = Vec::with_capacity(PLACES * PLACES * INPUTS);
    for row in 0..PLACES {
        (0..PLACES).for_each(|column| append(image, row, column, &mut patches));
    }
    patches
}

/// Subtracts the mean and divides by the softened deviation.
fn normalize(patch: &mut [f32]) {
    #[expect(clippy::cast_precision_loss, reason = "a patch has 108 numbers")]
    let share = (patch.len().max(1) as f32).recip();
    let mean = patch.iter().sum::<f32>() * share;
    patch.iter_mut().for_each(|number| *number -= mean);
    let variance = patch.iter().map(|number| number * number).sum::<f32>() * share;
    let scale = (variance + SOFTENING).sqrt().recip();
    patch.iter_mut().for_each(|number| *number *= scale);
}

/// The patch as a mirror shows it: left and right change places.
pub(super) fn mirrored(patch: &[f32]) -> impl Iterator<Item = f32> + '_ {
    (0..patch.len()).map(|at| patch[mirror(at)])
}

/// Where a number of a patch stands in the mirror.
pub(super) fn mirror(at: usize) -> usize {
    let (row, column, channel) = (at / (SIDE * 3), at / 3 % SIDE, at % 3);
    (row * SIDE + SIDE - 1 - column) * 3 + channel
}
