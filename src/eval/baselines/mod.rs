//! Codes without a network, each method as its paper or its authors' program has it, and rankings of the
//! pixels themselves.
//!
//! `projection` is what all of them are made of: numbers of a picture along a few directions, and their
//! signs. `lsh` draws the directions, `pca` learns them, `itq` turns them, `spectral` takes more than one
//! bit from each. `raw` ranks pixels by L2 and L1, without any code.
//!
//! Pictures are rows of bytes, one after the other. No method sees a label, and none sees a query before it
//! has learned. Products of matrices are candle's, on the CPU; a library of
//! decompositions would cost more time to build than the two that are needed have lines.

mod itq;
mod lsh;
mod pca;
mod projection;
mod raw;
mod spectral;

pub use itq::{ITERATIONS, itq};
pub use lsh::lsh;
pub use pca::Pca;
pub use projection::Projection;
pub use raw::{LabelledRows, Metric};
pub use spectral::SpectralHash;

#[cfg(test)]
mod tests;
