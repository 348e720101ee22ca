//! Locality-sensitive hashing by random hyperplanes (Charikar, STOC 2002): the signs of normal projections
//! of centred rows. It learns nothing but the mean.

use super::projection::{Projection, mean};
use crate::eval::EvalError;
use crate::linear::{Draws, Matrix};

/// So many random directions for rows of `width` bytes, centred by the mean of `rows`.
///
/// # Errors
/// [`EvalError::TooFew`] if there is no row.
pub fn lsh(rows: &[u8], width: usize, bits: usize, seed: u64) -> Result<Projection, EvalError> {
    let found = rows.len().checked_div(width).unwrap_or(0);
    if found == 0 {
        return Err(EvalError::TooFew { found, least: 1 });
    }
    let directions = Matrix::normal(bits, width, &mut Draws::new(seed)).single();
    Ok(Projection::new(mean(rows, width), directions))
}
