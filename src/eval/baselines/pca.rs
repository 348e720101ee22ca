//! Principal components of centred rows, and their signs as a code (PCAH).
//!
//! Pixels vary together, so a few directions hold most of the variance. Each gets one bit here, however
//! much it holds: the weakness that ITQ and spectral hashing mend.

use super::projection::{Projection, centred, mean};
use crate::eval::EvalError;
use crate::linear::{Matrix, leading};

/// Rows whose products are summed in f32, before they are in f64.
const BLOCK: usize = 4096;

/// The directions in which rows vary most.
#[derive(Debug, Clone)]
pub struct Pca {
    projection: Projection,
    variances: Vec<f64>,
}

impl Pca {
    /// Finds the `most` first components of rows of `width` bytes; the variance of the first is the
    /// largest. Of the two directions of a component it is the one whose largest number is positive; a
    /// component without variance has zeros.
    ///
    /// # Errors
    /// [`EvalError::TooFew`] for less than two rows, [`EvalError::Bits`] for more components than
    /// numbers in a row, [`EvalError::Unsolved`] if the eigenvectors are not found,
    /// [`EvalError::Compute`] if a product fails.
    pub fn of(rows: &[u8], width: usize, most: usize) -> Result<Self, EvalError> {
        let found = rows.len().checked_div(width).unwrap_or(0);
        if found < 2 {
            return Err(EvalError::TooFew { found, least: 2 });
        }
        if most > width {
            return Err(EvalError::Bits { bits: most, most: width });
        }
        let mean = mean(rows, width);
        let (variances, mut vectors) = leading(&covariance(rows, &mean)?, most)?;
        for vector in vectors.numbers.chunks_mut(width) {
            let largest =
                vector.iter().fold(0.0_f64, |a, &b| if b.abs() > a.abs() { b } else { a });
            vector.iter_mut().for_each(|number| *number *= largest.signum());
        }
        Ok(Self { projection: Projection::new(mean, vectors.single()), variances })
    }

    /// How many components there are.
    #[must_use]
    pub fn components(&self) -> usize {
        self.variances.len()
    }

    /// The variance along each component, the largest first, in units of a byte squared.
    #[must_use]
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// The first `bits` components: their signs are the code of PCAH.
    ///
    /// # Errors
    /// [`EvalError::Bits`] if there are not so many.
    pub fn first(&self, bits: usize) -> Result<Projection, EvalError> {
        if bits > self.components() {
            return Err(EvalError::Bits { bits, most: self.components() });
        }
        Ok(self.projection.first(bits))
    }
}

/// The covariance of rows, by n - 1 as Matlab and numpy divide.
#[expect(clippy::cast_precision_loss, reason = "a count of rows in memory")]
fn covariance(rows: &[u8], mean: &[f32]) -> Result<Matrix<f64>, EvalError> {
    let width = mean.len();
    let mut sum = Matrix::new(width, vec![0.0; width * width]);
    for block in rows.chunks(BLOCK * width) {
        let block = centred(block, mean);
        let part = block.transposed_times(&block)?;
        sum.numbers.iter_mut().zip(part.numbers).for_each(|(sum, part)| *sum += f64::from(part));
    }
    let scale = 1.0 / ((rows.len() / width).max(2) - 1) as f64;
    sum.numbers.iter_mut().for_each(|sum| *sum *= scale);
    Ok(sum)
}
