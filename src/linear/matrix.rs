//! Rows of numbers: products by candle, and upon them what decomposes.
//!
//! Vectors are the rows of a matrix throughout. `leading` finds eigenvectors by subspace iteration with a
//! Rayleigh-Ritz step (Golub and Van Loan, Matrix Computations, 8.2), the small problem in it by one-sided
//! Jacobi rotations (8.6.3); `nearest_frame` is the orthogonal factor of the polar decomposition by the
//! iteration of Newton and Schulz (8.3 of Higham, Functions of Matrices). Both check what they found.

use candle_core::{Device, Error, Tensor, WithDType};

use super::{Draws, LinearError};

/// Rounds of the search for eigenvectors, and pairs of multiplications in each.
const ROUNDS: usize = 60;
const POWERS: usize = 3;
/// Largest error of an eigenvector, as a share of its eigenvalue.
const RESIDUAL: f64 = 1e-5;
/// Sweeps of Jacobi rotations; ten are many.
const SWEEPS: usize = 60;
/// Columns whose cosine is smaller count as orthogonal.
const COSINE: f64 = 1e-13;
/// Steps of the polar iteration: enough for singular values that differ by a factor of 10^20.
const STEPS: usize = 150;
/// What is added of another rotation, beside the largest singular value, so that none is zero.
const NUDGE: f64 = 1e-14;
/// Largest departure from an orthogonal matrix, summed over all squares.
const ORTHOGONAL: f64 = 1e-18;

/// Numbers in rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Matrix<T> {
    pub(crate) width: usize,
    pub(crate) numbers: Vec<T>,
}

impl<T: WithDType + Default> Matrix<T> {
    /// Rows of `width` numbers each, at least one.
    pub(crate) fn new(width: usize, numbers: Vec<T>) -> Self {
        Self { width: width.max(1), numbers }
    }

    pub(crate) fn height(&self) -> usize {
        self.numbers.len() / self.width
    }

    pub(crate) fn rows(&self) -> std::slice::ChunksExact<'_, T> {
        self.numbers.chunks_exact(self.width)
    }

    pub(crate) fn transposed(&self) -> Self {
        let column = |at: usize| self.numbers[at..].iter().step_by(self.width).copied();
        Self::new(self.height(), (0..self.width).flat_map(column).collect())
    }

    /// The product with a matrix that has as many rows as this one has columns.
    pub(crate) fn times(&self, other: &Self) -> Result<Self, LinearError> {
        self.times_tensor(&other.tensor()?)
    }

    /// The product with the transpose of a matrix as wide as this one.
    pub(crate) fn times_transposed(&self, other: &Self) -> Result<Self, LinearError> {
        self.times_tensor(&other.tensor_transposed()?)
    }

    /// The product of the transpose of this matrix and one that has as many rows.
    pub(crate) fn transposed_times(&self, other: &Self) -> Result<Self, LinearError> {
        let transposed = self.tensor()?.t().map_err(failed)?;
        let product = transposed.matmul(&other.tensor()?).map_err(failed)?;
        Self::of_tensor(&product)
    }

    /// For a matrix that is multiplied more than once: candle's copy of it.
    pub(crate) fn tensor(&self) -> Result<Tensor, LinearError> {
        Tensor::from_slice(&self.numbers, (self.height(), self.width), &Device::Cpu).map_err(failed)
    }

    /// The same of its transpose.
    pub(crate) fn tensor_transposed(&self) -> Result<Tensor, LinearError> {
        self.tensor()?.t().map_err(failed)
    }

    pub(crate) fn times_tensor(&self, other: &Tensor) -> Result<Self, LinearError> {
        Self::of_tensor(&self.tensor()?.matmul(other).map_err(failed)?)
    }

    fn of_tensor(tensor: &Tensor) -> Result<Self, LinearError> {
        let width = tensor.dims().last().copied().unwrap_or(1);
        let numbers = tensor.flatten_all().and_then(|all| all.to_vec1()).map_err(failed)?;
        Ok(Self::new(width, numbers))
    }
}

impl Matrix<f64> {
    #[expect(clippy::cast_possible_truncation, reason = "directions need no more than f32")]
    pub(crate) fn single(&self) -> Matrix<f32> {
        Matrix::new(self.width, self.numbers.iter().map(|&number| number as f32).collect())
    }

    /// Normal numbers of mean 0 and variance 1.
    pub(crate) fn normal(height: usize, width: usize, draws: &mut Draws) -> Self {
        Self::new(width, (0..height * width).map(|_| draws.normal()).collect())
    }

    /// Makes the rows orthogonal and of length 1, each from those before it (modified Gram-Schmidt, twice).
    /// A row that depends on them becomes zero.
    pub(crate) fn orthonormalize(&mut self) {
        let width = self.width;
        for row in 0..self.height() {
            let (before, rest) = self.numbers.split_at_mut(row * width);
            let row = &mut rest[..width];
            let length = dot(row, row).sqrt();
            for _ in 0..2 {
                for other in before.chunks_exact(width) {
                    let along = dot(row, other);
                    row.iter_mut().zip(other).for_each(|(number, other)| *number -= along * other);
                }
            }
            let left = dot(row, row).sqrt();
            let scale = if left > 1e-12 * length { left.recip() } else { 0.0 };
            row.iter_mut().for_each(|number| *number *= scale);
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
fn failed(error: Error) -> LinearError {
    let cause = error.to_string().lines().next().unwrap_or("it gave no reason").to_owned();
    LinearError::Compute { cause }
}

/// A sum of products, in eight parts: a single sum would be one long chain of additions.
pub(crate) fn dot(one: &[f64], other: &[f64]) -> f64 {
    let (ones, others) = (one.chunks_exact(8), other.chunks_exact(8));
    let rest = ones.remainder().iter().zip(others.remainder()).map(|(a, b)| a * b).sum::<f64>();
    let mut parts = [0.0; 8];
    for (ones, others) in ones.zip(others) {
        for ((part, one), other) in parts.iter_mut().zip(ones).zip(others) {
            *part += one * other;
        }
    }
    rest + parts.iter().sum::<f64>()
}

/// A rotation or reflection drawn uniformly (Gram-Schmidt of normal vectors, as in Mezzadri, 2007).
pub(crate) fn random_rotation(size: usize, draws: &mut Draws) -> Matrix<f64> {
    let mut rotation = Matrix::normal(size, size, draws);
    rotation.orthonormalize();
    rotation
}

/// The `most` largest eigenvalues of a symmetric matrix without negative ones, falling, and their
/// eigenvectors as rows, zeros for an eigenvalue of zero.
pub(crate) fn leading(
    matrix: &Matrix<f64>,
    most: usize,
) -> Result<(Vec<f64>, Matrix<f64>), LinearError> {
    let size = matrix.width;
    // Some more vectors than are wanted: the last of them come slowly.
    let tried = (most + (most / 4).max(16)).min(size);
    if tried == size {
        let (mut values, mut vectors) = jacobi(matrix)?;
        values.truncate(most);
        vectors.numbers.truncate(most * size);
        return Ok((values, vectors));
    }
    let tensor = matrix.tensor()?;
    let mut vectors = Matrix::normal(tried, size, &mut Draws::new(1));
    vectors.orthonormalize();
    for _ in 0..ROUNDS {
        for _ in 0..POWERS {
            // Two at once: what is lost of the small eigenvalues then comes back in the next ones.
            vectors = vectors.times_tensor(&tensor)?.times_tensor(&tensor)?;
            vectors.orthonormalize();
        }
        let moved = vectors.times_tensor(&tensor)?;
        let (values, turn) = jacobi(&moved.times_transposed(&vectors)?)?;
        let (turned, moved) = (turn.times(&vectors)?, turn.times(&moved)?);
        let pairs = turned.rows().zip(moved.rows()).zip(&values).take(most);
        // A matrix of low rank has eigenvalues of zero, and what rounding makes of them.
        let nothing = 1e-12 * values.first().copied().unwrap_or(0.0);
        let found = pairs.into_iter().all(|((vector, moved), &value)| {
            let apart = vector.iter().zip(moved).map(|(v, m)| (m - value * v).powi(2)).sum::<f64>();
            apart.sqrt() <= RESIDUAL * value + nothing
        });
        if found {
            let numbers = turned.numbers[..most * size].to_vec();
            return Ok((values[..most].to_vec(), Matrix::new(size, numbers)));
        }
        vectors = turned;
    }
    Err(LinearError::Unsolved { decomposition: "search for eigenvectors" })
}

/// All eigenvalues of a symmetric matrix without negative ones, falling, and their eigenvectors as rows.
///
/// Rows are turned in pairs until all are orthogonal: they are then eigenvectors, each as long as its
/// eigenvalue.
fn jacobi(matrix: &Matrix<f64>) -> Result<(Vec<f64>, Matrix<f64>), LinearError> {
    let size = matrix.width;
    let mut rows: Vec<Vec<f64>> = matrix.rows().map(<[f64]>::to_vec).collect();
    let largest = rows.iter().map(|row| dot(row, row)).fold(0.0, f64::max);
    let mut turned = true;
    for _ in 0..SWEEPS {
        turned = false;
        for first in 0..size {
            let (before, after) = rows.split_at_mut(first + 1);
            let one = &mut before[first];
            for other in after {
                turned |= turn_pair(one, other, largest);
            }
        }
        if !turned {
            break;
        }
    }
    if turned {
        return Err(LinearError::Unsolved { decomposition: "sweep of Jacobi rotations" });
    }
    let mut pairs: Vec<(f64, Vec<f64>)> =
        rows.into_iter().map(|row| (dot(&row, &row).sqrt(), row)).collect();
    pairs.sort_by(|one, other| other.0.total_cmp(&one.0));
    let (values, rows): (Vec<f64>, Vec<Vec<f64>>) = pairs.into_iter().unzip();
    // What is left of an eigenvalue of zero is rounding.
    let nothing = largest.sqrt() * 1e-13;
    let unit = |(row, &value): (Vec<f64>, &f64)| {
        let scale = if value > nothing { value.recip() } else { 0.0 };
        row.into_iter().map(move |number| number * scale).collect::<Vec<_>>()
    };
    let numbers = rows.into_iter().zip(&values).flat_map(unit).collect();
    Ok((values, Matrix::new(size, numbers)))
}

/// Turns two rows so that they are orthogonal; says whether they were not.
fn turn_pair(one: &mut [f64], other: &mut [f64], largest: f64) -> bool {
    let (a, b, both) = (dot(one, one), dot(other, other), dot(one, other));
    if both.abs() <= COSINE * (a * b).sqrt() || both.abs() <= 1e-28 * largest {
        return false;
    }
    let slope = (b - a) / (2.0 * both);
    let tangent = slope.signum() / (slope.abs() + slope.hypot(1.0));
    let cosine = tangent.hypot(1.0).recip();
    let sine = cosine * tangent;
    for (one, other) in one.iter_mut().zip(other) {
        (*one, *other) = (cosine * *one - sine * *other, sine * *one + cosine * *other);
    }
    true
}

/// The matrix with orthogonal columns of length 1 that is nearest to a matrix at least as high as wide: U W'
/// where the matrix is U S W'; of a square one the nearest rotation or reflection. Where singular values are
/// zero several are nearest, and it is one of them.
pub(crate) fn nearest_frame(matrix: &Matrix<f64>) -> Result<Matrix<f64>, LinearError> {
    let unsolved = LinearError::Unsolved { decomposition: "search for the nearest rotation" };
    // The largest singular value is at most the root of the largest column sum times the largest row sum.
    let most = |matrix: &Matrix<f64>| {
        matrix.rows().map(|row| row.iter().map(|n| n.abs()).sum::<f64>()).fold(0.0, f64::max)
    };
    let bound = (most(matrix) * most(&matrix.transposed())).sqrt();
    if bound.is_nan() || bound <= 0.0 {
        return Err(unsolved);
    }
    let nudge = random_rotation(matrix.height(), &mut Draws::new(1));
    let nudge = nudge.rows().flat_map(|row| &row[..matrix.width]);
    let pairs = matrix.numbers.iter().zip(nudge);
    let scaled = pairs.map(|(number, nudge)| number / bound + NUDGE * nudge);
    let mut found = Matrix::new(matrix.width, scaled.collect());
    for _ in 0..STEPS {
        let mut step = found.transposed_times(&found)?;
        let mut apart = 0.0;
        for (at, number) in step.numbers.iter_mut().enumerate() {
            let diagonal = f64::from(u8::from(at % (matrix.width + 1) == 0));
            apart += (*number - diagonal).powi(2);
            *number = 1.5 * diagonal - 0.5 * *number;
        }
        if apart <= ORTHOGONAL {
            return Ok(found);
        }
        found = found.times(&step)?;
    }
    Err(unsolved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity_error(square: &Matrix<f64>) -> f64 {
        let expected = |at: usize| f64::from(u8::from(at.is_multiple_of(square.width + 1)));
        let apart = square.numbers.iter().enumerate().map(|(at, n)| (n - expected(at)).abs());
        apart.fold(0.0, f64::max)
    }

    /// A matrix with known eigenvalues 1, 1/2, 1/3 and so on, so large that it takes the iteration.
    #[test]
    fn leading_eigenvectors_of_a_large_matrix_are_found() {
        let size = 120;
        let basis = random_rotation(size, &mut Draws::new(2));
        let mut scaled = basis.clone();
        for (row, numbers) in scaled.numbers.chunks_mut(size).enumerate() {
            numbers.iter_mut().for_each(|number| *number /= row as f64 + 1.0);
        }
        let matrix = basis.transposed_times(&scaled).unwrap();
        let (values, vectors) = leading(&matrix, 20).unwrap();
        for (at, value) in values.iter().enumerate() {
            assert!((value - 1.0 / (at as f64 + 1.0)).abs() < 1e-9, "{at}: {value}");
        }
        for (found, expected) in vectors.rows().zip(basis.rows()) {
            assert!((dot(found, expected).abs() - 1.0).abs() < 1e-6);
        }
        // The direct way must agree with the iteration.
        let (all, every) = leading(&matrix, size).unwrap();
        assert!((all[19] - values[19]).abs() < 1e-9 && (all[119] - 1.0 / 120.0).abs() < 1e-12);
        assert!(identity_error(&every.times_transposed(&every).unwrap()) < 1e-10);
    }

    /// Eigenvalues that are equal or zero: any basis of the plane is right, and none of the null space.
    #[test]
    fn equal_and_missing_eigenvalues_do_no_harm() {
        let matrix = Matrix::new(3, vec![2.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0]);
        let (values, vectors) = leading(&matrix, 3).unwrap();
        assert!(
            (values[0] - 2.0).abs() < 1e-12
                && (values[1] - 2.0).abs() < 1e-12
                && values[2].abs() < 1e-12
        );
        assert_eq!(vectors.numbers[6..], [0.0; 3]);
        let (values, vectors) = leading(&Matrix::new(4, vec![0.0; 16]), 2).unwrap();
        assert_eq!((values, vectors.numbers), (vec![0.0; 2], vec![0.0; 8]));
    }

    /// Fewer pictures than directions: the rest has no variance, and the search must not wait for it.
    #[test]
    fn a_matrix_of_low_rank_takes_no_longer() {
        let size = 100;
        let mut draws = Draws::new(4);
        let rows = Matrix::normal(10, size, &mut draws);
        let matrix = rows.transposed_times(&rows).unwrap();
        let (values, vectors) = leading(&matrix, 30).unwrap();
        assert!(values[9] > 1.0 && values[10] < 1e-9, "{values:?}");
        let found = Matrix::new(size, vectors.numbers[..10 * size].to_vec());
        assert!(identity_error(&found.times_transposed(&found).unwrap()) < 1e-9);
    }

    /// Turned by 30 degrees after a stretch of 1000 and 0.001: by hand, the turn is what is left.
    #[test]
    fn the_nearest_frame_forgets_a_stretch() {
        let (sine, cosine) = 30_f64.to_radians().sin_cos();
        let stretched =
            Matrix::new(2, vec![1000.0 * cosine, -0.001 * sine, 1000.0 * sine, 0.001 * cosine]);
        let found = nearest_frame(&stretched).unwrap();
        for (found, expected) in found.numbers.iter().zip([cosine, -sine, sine, cosine]) {
            assert!((found - expected).abs() < 1e-7);
        }
        let flat = Matrix::new(2, vec![1.0, 1.0, 1.0, 1.0]);
        let found = nearest_frame(&flat).unwrap();
        assert!(identity_error(&found.times_transposed(&found).unwrap()) < 1e-9);
        for row in found.rows() {
            assert!((row[0] + row[1] - 1.0).abs() < 1e-9, "what is not flat is kept: {row:?}");
        }
        assert!(nearest_frame(&Matrix::new(2, vec![0.0; 4])).is_err());
    }

    #[test]
    fn random_rotations_are_orthogonal_and_turn_both_ways() {
        let mut draws = Draws::new(1);
        let mut sum = 0.0;
        for _ in 0..200 {
            let rotation = random_rotation(4, &mut draws);
            assert!(identity_error(&rotation.times_transposed(&rotation).unwrap()) < 1e-12);
            sum += rotation.numbers[0];
        }
        assert!((sum / 200.0_f64).abs() < 0.15, "{sum}");
    }

    #[test]
    fn products_are_those_by_hand() {
        let one = Matrix::new(3, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let square = one.times_transposed(&one).unwrap();
        assert_eq!(square, Matrix::new(2, vec![14.0, 32.0, 32.0, 77.0]));
        assert_eq!(one.transposed(), Matrix::new(2, vec![1.0, 4.0, 2.0, 5.0, 3.0, 6.0]));
        assert_eq!(one.times(&one.transposed()).unwrap(), square);
        assert_eq!(one.transposed().transposed_times(&one.transposed()).unwrap(), square);
    }
}
