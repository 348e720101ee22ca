//! Iterative quantization (Gong and Lazebnik, CVPR 2011): principal components, turned so that their signs
//! lose least.
//! The turning is `linear`'s.

use super::pca::Pca;
use super::projection::Projection;
use crate::eval::EvalError;
use crate::linear::{Draws, Matrix, random_rotation, turn_to_signs};

/// Turns that the paper takes.
pub const ITERATIONS: usize = 50;

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
    components.turned(&turn_to_signs(&numbers, start, iterations)?)
}
