//! Distorted copies of a picture: another crop, another light. What a picture shows stays what it is, so
//! features that change with them say little.
//!
//! The ranges are those that contrastive learning takes for small pictures, milder: crops of 40 to 100 % of the
//! area, brightness, contrast and saturation by a factor of 0.6 to 1.4, a cast of colour, one in ten grey.

use crate::model::Pixels;
use crate::model::random::Random;

/// Least share of the area that a crop keeps.
const LEAST_AREA: f32 = 0.4;
/// Largest ratio of width and height.
const MOST_ASPECT: f32 = 4.0 / 3.0;
/// Light and colours change by a factor within 1 less and 1 more this.
const JITTER: f32 = 0.4;
/// Standard deviation of the cast of each channel, in units of a byte.
const CAST: f32 = 4.8;
/// Share of copies without colour.
const GREY: f32 = 0.1;
/// How much each channel counts as light (ITU-R BT.601).
const LIGHT: [f32; 3] = [0.299, 0.587, 0.114];

/// A distorted copy of a picture of [`Pixels::BYTES`].
pub(super) fn distorted(image: &[u8], random: &mut Random) -> Vec<u8> {
    let mut pixels = cropped(image, random);
    let mut factor = || 1.0 - JITTER + 2.0 * JITTER * random.unit();
    let (brightness, contrast, saturation) = (factor(), factor(), factor());
    let saturation = if random.unit() < GREY { 0.0 } else { saturation };
    let cast = random.normals(3, CAST);
    #[expect(clippy::cast_precision_loss, reason = "a picture has 3072 numbers")]
    let mean = brightness * pixels.iter().sum::<f32>() / pixels.len().max(1) as f32;
    for pixel in pixels.chunks_exact_mut(3) {
        for number in &mut *pixel {
            *number = mean + contrast * (brightness * *number - mean);
        }
        let light: f32 = pixel.iter().zip(LIGHT).map(|(number, share)| number * share).sum();
        for (number, cast) in pixel.iter_mut().zip(&cast) {
            *number = light + saturation * (*number - light) + cast;
        }
    }
    #[expect(clippy::cast_possible_truncation, reason = "brought into the range of a byte")]
    #[expect(clippy::cast_sign_loss, reason = "the same")]
    let byte = |number: f32| number.round().clamp(0.0, 255.0) as u8;
    pixels.into_iter().map(byte).collect()
}

/// A random part of the picture, brought to its size by linear interpolation.
#[expect(clippy::cast_precision_loss, reason = "sides and places are below 32")]
fn cropped(image: &[u8], random: &mut Random) -> Vec<f32> {
    let side = Pixels::SIDE as f32;
    let area = LEAST_AREA + (1.0 - LEAST_AREA) * random.unit();
    let aspect = ((2.0 * random.unit() - 1.0) * MOST_ASPECT.ln()).exp();
    let length = |share: f32| (share.sqrt() * side).min(side);
    let (width, height) = (length(area * aspect), length(area / aspect));
    let (left, top) = (random.unit() * (side - width), random.unit() * (side - height));
    let rows = (0..Pixels::SIDE).map(|at| place(top + (at as f32 + 0.5) * height / side));
    let columns = (0..Pixels::SIDE).map(|at| place(left + (at as f32 + 0.5) * width / side));
    let columns: Vec<_> = columns.collect();
    let mut pixels = Vec::with_capacity(Pixels::BYTES);
    for (row, down) in rows {
        for &(column, right) in &columns {
            for channel in 0..3 {
                let at = |row: usize, column: usize| {
                    f32::from(image[(row * Pixels::SIDE + column) * 3 + channel])
                };
                let between = |row| {
                    let (one, other) = (at(row, column), at(row, column + 1));
                    one + right * (other - one)
                };
                let (above, below) = (between(row), between(row + 1));
                pixels.push(above + down * (below - above));
            }
        }
    }
    pixels
}

/// The pixel before a place and how far the place is behind its centre, up to 1; there is always a next pixel.
fn place(at: f32) -> (usize, f32) {
    let centred = (at - 0.5).clamp(0.0, (Pixels::SIDE - 1) as f32);
    #[expect(clippy::cast_possible_truncation, reason = "below 32")]
    #[expect(clippy::cast_sign_loss, reason = "not negative")]
    let before = (centred as usize).min(Pixels::SIDE - 2);
    (before, centred - before as f32)
}
