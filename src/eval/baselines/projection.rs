//! Numbers of a picture along a few directions, and a bit for the sign of each.

use crate::eval::EvalError;
use crate::linear::Matrix;

/// Rows that are multiplied at once.
const BLOCK: usize = 1024;

/// Directions in the space of rows that are centred by a mean.
#[derive(Debug, Clone)]
pub struct Projection {
    /// Subtracted from every row.
    mean: Vec<f32>,
    /// A direction a row.
    directions: Matrix<f32>,
}

impl Projection {
    /// Directions of as many numbers as the mean.
    pub(super) fn new(mean: Vec<f32>, directions: Matrix<f32>) -> Self {
        Self { mean, directions }
    }

    /// The mean row.
    #[must_use]
    pub fn mean(&self) -> &[f32] {
        &self.mean
    }

    /// The directions, each as long as the mean.
    pub fn directions(&self) -> impl Iterator<Item = &[f32]> {
        self.directions.rows()
    }

    /// How many numbers a row is given.
    #[must_use]
    pub fn outputs(&self) -> usize {
        self.directions.height()
    }

    /// The first so many directions, at most all.
    pub(super) fn first(&self, outputs: usize) -> Self {
        let mut directions = self.directions.clone();
        directions.numbers.truncate(outputs * directions.width);
        Self::new(self.mean.clone(), directions)
    }

    /// The directions turned: row i of the turn says how much of each the new direction i has.
    pub(super) fn turned(&self, turn: &Matrix<f64>) -> Result<Self, EvalError> {
        Ok(Self::new(self.mean.clone(), turn.single().times(&self.directions)?))
    }

    /// The numbers of rows of bytes, [`Projection::outputs`] for each.
    ///
    /// # Errors
    /// [`EvalError::Compute`] if a product fails, for example for lack of memory.
    pub fn apply(&self, rows: &[u8]) -> Result<Vec<f32>, EvalError> {
        let width = self.mean.len().max(1);
        let mut numbers = Vec::with_capacity(rows.len() / width * self.outputs());
        let directions = self.directions.tensor_transposed()?;
        for block in rows.chunks(BLOCK * width) {
            numbers.extend(centred(block, &self.mean).times_tensor(&directions)?.numbers);
        }
        Ok(numbers)
    }

    /// The code of each row: bit i is on where number i is above zero. Packed as
    /// [`code_statistics`](crate::eval::code_statistics) takes it.
    ///
    /// # Errors
    /// Those of [`Projection::apply`].
    pub fn codes(&self, rows: &[u8]) -> Result<Vec<u8>, EvalError> {
        let numbers = self.apply(rows)?;
        let codes = numbers.chunks(self.outputs().max(1));
        Ok(codes.flat_map(|numbers| packed(numbers.iter().map(|&number| number > 0.0))).collect())
    }
}

/// Rows less their mean.
pub(super) fn centred(rows: &[u8], mean: &[f32]) -> Matrix<f32> {
    let rows = rows.chunks_exact(mean.len().max(1));
    let centred =
        rows.flat_map(|row| row.iter().zip(mean).map(|(&byte, mean)| f32::from(byte) - mean));
    Matrix::new(mean.len(), centred.collect())
}

/// The mean of rows of bytes, of which there is at least one.
#[expect(clippy::cast_precision_loss, reason = "sums of bytes are exact in an f64")]
#[expect(clippy::cast_possible_truncation, reason = "a mean of bytes needs no more than f32")]
pub(super) fn mean(rows: &[u8], width: usize) -> Vec<f32> {
    let mut sums = vec![0_u64; width];
    for row in rows.chunks_exact(width.max(1)) {
        sums.iter_mut().zip(row).for_each(|(sum, &byte)| *sum += u64::from(byte));
    }
    let count = (rows.len() / width.max(1)).max(1) as f64;
    sums.iter().map(|&sum| (sum as f64 / count) as f32).collect()
}

/// Bits packed into bytes, the lowest first.
pub(super) fn packed(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (at, bit) in bits.enumerate() {
        if at % 8 == 0 {
            bytes.push(0);
        }
        if let Some(byte) = bytes.last_mut() {
            *byte |= u8::from(bit) << (at % 8);
        }
    }
    bytes
}
