//! Directions to bits: iterative quantization of the numbers of all pictures, part by part.
//!
//! A code's first 16, 32, 64, 128, 256 and 512 bits are each a code that was made for its length: what is added to
//! reach the next length is turned by itself, from as many directions as that length has use for. So a code that is
//! cut loses what a shorter code loses, and hardly more. An address is one part.

use super::Projection;
use super::config::KmeansConfig;
use super::halves;
use super::train::wrong;
use crate::linear::{Draws, Matrix, random_rotation, turn_to_signs};
use crate::model::ModelError;

/// Lengths at which a part of a code ends.
const ENDS: [usize; 6] = [16, 32, 64, 128, 256, 512];

/// Pictures in one product.
const BLOCK: usize = 4096;

/// What bits are made from.
pub(super) struct Source<'a> {
    /// The numbers of all pictures along the directions.
    pub(super) numbers: &'a Matrix<f32>,
    /// Directions of features, the most telling first.
    pub(super) directions: &'a Matrix<f64>,
    /// The mean of the features.
    pub(super) mean: &'a [f32],
    pub(super) config: &'a KmeansConfig,
}

/// Some bits out of the first directions.
struct Part {
    bits: usize,
    directions: usize,
}

impl Source<'_> {
    /// A code of so many bits, and their mean entropy.
    pub(super) fn code(&self, bits: usize) -> Result<(Projection, f32), ModelError> {
        let mut parts = Vec::new();
        let mut start = 0;
        for end in ENDS.into_iter().filter(|&end| end < bits).chain([bits]) {
            parts.push(self.part(end - start, end));
            start = end;
        }
        self.project(&parts, 0)
    }

    /// An address of so many bits, and their mean entropy.
    pub(super) fn address(&self, bits: usize) -> Result<(Projection, f32), ModelError> {
        self.project(&[self.part(bits, bits)], 1)
    }

    /// Bits that bring a code to `end`.
    fn part(&self, bits: usize, end: usize) -> Part {
        let directions = self.config.directions_for(end, self.directions.height()).min(bits);
        Part { bits, directions }
    }

    fn project(&self, parts: &[Part], stream: u64) -> Result<(Projection, f32), ModelError> {
        let draws = &mut Draws::new(self.config.seed.wrapping_mul(2).wrapping_add(stream));
        let width = self.directions.width;
        let (mut weights, mut on) = (Vec::new(), Vec::new());
        for &Part { bits, directions } in parts {
            let first = |row: &[f32]| row[..directions].to_vec();
            let numbers =
                Matrix::new(directions, self.numbers.rows().flat_map(first).collect::<Vec<_>>());
            let start = random_rotation(bits, draws);
            let start = start.rows().flat_map(|row| row[..directions].to_vec()).collect();
            let start = Matrix::new(directions, start);
            let turn = turn_to_signs(&numbers, start, self.config.turns).map_err(wrong)?;
            on.extend(shares_on(&numbers, &turn)?);
            let used = self.directions.numbers[..directions * width].to_vec();
            let mut sums = turn.times(&Matrix::new(width, used)).map_err(wrong)?;
            for row in sums.numbers.chunks_exact_mut(width) {
                // Signs do not depend on the scale; f16 does.
                let largest = row.iter().fold(0.0_f64, |most, number| most.max(number.abs()));
                let scale = if largest > 0.0 { largest.recip() } else { 0.0 };
                row.iter_mut().for_each(|number| *number *= scale);
            }
            weights.extend(halves(sums.single().numbers));
        }
        let product = |row: &[f32]| {
            let pairs = row.iter().zip(self.mean);
            pairs.map(|(&weight, &mean)| f64::from(weight) * f64::from(mean)).sum::<f64>()
        };
        #[expect(clippy::cast_possible_truncation, reason = "an offset needs no more than f32")]
        let offsets = weights.chunks_exact(width).map(|row| product(row) as f32).collect();
        Ok((Projection { weights, offsets }, mean_entropy(&on)))
    }
}

/// The share of pictures for which each bit is on.
#[expect(clippy::cast_precision_loss, reason = "a count of pictures in memory")]
fn shares_on(numbers: &Matrix<f32>, turn: &Matrix<f64>) -> Result<Vec<f64>, ModelError> {
    let mut on = vec![0_u64; turn.height()];
    let directions = turn.single();
    for block in numbers.numbers.chunks(BLOCK * numbers.width) {
        let block = Matrix::new(numbers.width, block.to_vec());
        for row in block.times_transposed(&directions).map_err(wrong)?.rows() {
            on.iter_mut().zip(row).for_each(|(on, &number)| *on += u64::from(number > 0.0));
        }
    }
    let count = numbers.height().max(1) as f64;
    Ok(on.into_iter().map(|on| on as f64 / count).collect())
}

/// The mean entropy of bits that are on for these shares, in bits.
#[expect(clippy::cast_precision_loss, reason = "a count of bits")]
#[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
fn mean_entropy(shares: &[f64]) -> f32 {
    let part = |share: f64| if share > 0.0 { -share * share.log2() } else { 0.0 };
    let sum: f64 = shares.iter().map(|&share| part(share) + part(1.0 - share)).sum();
    (sum / shares.len().max(1) as f64) as f32
}
