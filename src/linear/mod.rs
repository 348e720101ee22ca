//! Linear algebra for what learns by decompositions: the k-means encoder in `model`, the baselines in `eval`.
//!
//! `matrix` has rows of numbers, their products, which are candle's on the CPU, and two decompositions upon
//! them; `pencil` has eigenvectors of one matrix measured by another; `rotation` turns numbers so that their
//! signs lose least; `random` draws numbers that a seed fixes. It knows no picture and no code.

mod matrix;
mod pencil;
mod random;
mod rotation;

pub(crate) use matrix::{Matrix, leading, random_rotation};
pub(crate) use pencil::leading_against;
pub(crate) use random::Draws;
pub(crate) use rotation::turn_to_signs;

/// What stops a computation with matrices.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum LinearError {
    /// A product failed, for example for lack of memory.
    #[error("a product of matrices failed: {cause}")]
    Compute {
        /// What was said about it.
        cause: String,
    },
    /// A decomposition did not come to an end.
    #[error("the {decomposition} did not converge")]
    Unsolved {
        /// Which one.
        decomposition: &'static str,
    },
}
