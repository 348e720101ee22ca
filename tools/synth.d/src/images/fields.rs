//! Fields: numbers from 0 to 1 over the plane, which colours are mixed by. Nothing but sums, products
//! and roots, which are the same on every machine.

use crate::random::Random;

/// Cells of a landscape's side; a power of two.
const CELLS: usize = 32;

/// A field over the unit square.
#[derive(Debug)]
pub(super) enum Field {
    Gradient { across: f32, down: f32, offset: f32 },
    Rings { x: f32, y: f32, count: f32 },
    Stripes { across: f32, down: f32 },
    Checks { across: f32, down: f32 },
    Landscape { heights: Vec<f32>, scale: f32 },
}

impl Field {
    pub(super) fn new(random: &mut Random) -> Self {
        let mut slope = |most: f32| random.between(-most, most);
        let (across, down) = (slope(1.0), slope(1.0));
        match random.below(5) {
            0 => Self::Gradient { across, down, offset: random.unit() },
            1 => {
                Self::Rings { x: random.unit(), y: random.unit(), count: random.between(0.5, 12.0) }
            }
            2 => Self::Stripes { across: 24.0 * across, down: 24.0 * down },
            3 => Self::Checks { across: 12.0 * across, down: 12.0 * down },
            _ => Self::Landscape {
                heights: (0..CELLS * CELLS).map(|_| random.unit()).collect(),
                scale: random.between(2.0, 16.0),
            },
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Gradient { .. } => "gradient",
            Self::Rings { .. } => "rings",
            Self::Stripes { .. } => "stripes",
            Self::Checks { .. } => "checks",
            Self::Landscape { .. } => "landscape",
        }
    }

    /// The field at a place.
    pub(super) fn at(&self, x: f32, y: f32) -> f32 {
        match self {
            Self::Gradient { across, down, offset } => {
                (across * x + down * y + offset).clamp(0.0, 1.0)
            }
            Self::Rings { x: of_x, y: of_y, count } => {
                let (dx, dy) = (x - of_x, y - of_y);
                wave(count * (dx * dx + dy * dy).sqrt())
            }
            Self::Stripes { across, down } => wave(across * x + down * y),
            Self::Checks { across, down } => {
                let hard = |turn: f32| wave(turn) > 0.5;
                f32::from(u8::from(hard(across * x + down * y) ^ hard(down * x - across * y)))
            }
            Self::Landscape { heights, scale } => {
                let coarse = height(heights, scale * x, scale * y);
                0.7 * coarse + 0.3 * height(heights, 3.0 * scale * x, 3.0 * scale * y)
            }
        }
    }
}

/// Up from 0 to 1 and down again, once a turn.
fn wave(turn: f32) -> f32 {
    let within = turn - turn.floor();
    1.0 - (2.0 * within - 1.0).abs()
}

/// Between four heights, smoothly.
fn height(heights: &[f32], x: f32, y: f32) -> f32 {
    let ((column, x), (row, y)) = (cell(x), cell(y));
    let (right, below) = ((column + 1) % CELLS, (row + 1) % CELLS);
    let mix = |from: f32, to: f32, share: f32| from + share * (to - from);
    let line = |row: usize| mix(heights[row * CELLS + column], heights[row * CELLS + right], x);
    mix(line(row), line(below), y)
}

/// The cell that a place lies in, and the smoothed place within it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 48")]
fn cell(place: f32) -> (usize, f32) {
    let start = place.floor();
    let within = place - start;
    (start as usize % CELLS, within * within * (3.0 - 2.0 * within))
}
