//! Iterative quantization (Gong and Lazebnik, CVPR 2011): principal components, turned so that their signs
//! lose least.
//!
//! By turns the codes are the signs of the turned components, and the rotation is the one that brings the
//! components closest to the codes (orthogonal Procrustes), as in the authors' program. It takes U W' from
//! an SVD; here it is found directly, as the orthogonal factor of the same matrix.

use super::matrix::{Matrix, nearest_rotation, random_rotation};
use super::pca::Pca;
use super::projection::Projection;
use crate::eval::EvalError;
use crate::eval::random::Draws;

/// Turns that the paper takes.
pub const ITERATIONS: usize = 50;

/// Rows that are multiplied at once.
const BLOCK: usize = 4096;

/// Learns a rotation of the first `bits` components from the rows; the seed draws the rotation at the
/// beginning.
///
/// # Errors
/// [`EvalError::Bits`] if there are not so many components, [`EvalError::Unsolved`] if no rotation is
/// found, as where rows do not vary, [`EvalError::Compute`] if a product fails.
pub fn itq(
    pca: &Pca,
    rows: &[u8],
    bits: usize,
    iterations: usize,
    seed: u64,
) -> Result<Projection, EvalError> {
    let components = pca.first(bits)?;
    let numbers = Matrix::new(bits, components.apply(rows)?);
    let start = random_rotation(bits, &mut Draws::new(seed));
    components.turned(&rotate(&numbers, start, iterations)?)
}

/// Improves a turn of rows of numbers: row i of it is the new direction i.
pub(super) fn rotate(
    numbers: &Matrix<f32>,
    start: Matrix<f64>,
    iterations: usize,
) -> Result<Matrix<f64>, EvalError> {
    let bits = numbers.width;
    let mut turn = start;
    for _ in 0..iterations {
        // The product of codes and components: B'V of the paper.
        let mut product = Matrix::new(bits, vec![0.0; bits * bits]);
        let directions = turn.single();
        for block in numbers.numbers.chunks(BLOCK * bits) {
            let block = Matrix::new(bits, block.to_vec());
            let mut codes = block.times_transposed(&directions)?;
            for number in &mut codes.numbers {
                *number = if *number >= 0.0 { 1.0 } else { -1.0 };
            }
            let part = codes.transposed_times(&block)?;
            let sums = product.numbers.iter_mut().zip(part.numbers);
            sums.for_each(|(sum, part)| *sum += f64::from(part));
        }
        // The paper's R is W U' for B'V = U S W'; its columns are the directions, so the rows here are U W'.
        turn = nearest_rotation(&product)?;
    }
    Ok(turn)
}
