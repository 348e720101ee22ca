//! Eigenvectors of one symmetric matrix measured by another: directions in which the first is large and the
//! second small, as in linear discriminant analysis.
//!
//! With the Cholesky factor L of the second (Golub and Van Loan, Matrix Computations, 4.2) they are the
//! eigenvectors of L^-1 A L^-T, brought back by L^-T (8.7.2).

use super::LinearError;
use super::matrix::{Matrix, dot, leading};

/// The `most` largest eigenvalues of `matrix` against `measure`, falling, and their vectors v as rows:
/// v' matrix v is the eigenvalue, v' measure v is 1. The first matrix is symmetric without negative
/// eigenvalues, the second symmetric and positive.
///
/// # Errors
/// [`LinearError::Unsolved`] if `measure` is not positive or no eigenvectors are found.
pub(crate) fn leading_against(
    matrix: &Matrix<f64>,
    measure: &Matrix<f64>,
    most: usize,
) -> Result<(Vec<f64>, Matrix<f64>), LinearError> {
    let lower = cholesky(measure)?;
    let half = solve_lower(&lower, matrix).transposed();
    let whole = solve_lower(&lower, &half);
    let (values, mut vectors) = leading(&whole, most)?;
    let upper = lower.transposed();
    let size = matrix.width;
    for vector in vectors.numbers.chunks_mut(size) {
        // L' v = u, from the last number up.
        for at in (0..size).rev() {
            let row = &upper.numbers[at * size..(at + 1) * size];
            let rest = dot(&row[at + 1..], &vector[at + 1..]);
            vector[at] = (vector[at] - rest) / row[at];
        }
    }
    Ok((values, vectors))
}

/// L of the matrix L L', with zeros above the diagonal.
fn cholesky(matrix: &Matrix<f64>) -> Result<Matrix<f64>, LinearError> {
    let size = matrix.width;
    let mut lower = Matrix::new(size, vec![0.0; size * size]);
    for at in 0..size {
        let (before, rest) = lower.numbers.split_at_mut(at * size);
        let row = &mut rest[..size];
        for (column, other) in before.chunks_exact(size).enumerate() {
            let known = dot(&row[..column], &other[..column]);
            row[column] = (matrix.numbers[at * size + column] - known) / other[column];
        }
        let left = matrix.numbers[at * size + at] - dot(&row[..at], &row[..at]);
        if left.is_nan() || left <= 0.0 {
            return Err(LinearError::Unsolved { decomposition: "Cholesky decomposition" });
        }
        row[at] = left.sqrt();
    }
    Ok(lower)
}

/// X of L X = B, a row at a time.
fn solve_lower(lower: &Matrix<f64>, right: &Matrix<f64>) -> Matrix<f64> {
    let (size, width) = (lower.width, right.width);
    let mut solved = right.clone();
    for at in 0..size {
        let factors = &lower.numbers[at * size..=at * size + at];
        let (before, rest) = solved.numbers.split_at_mut(at * width);
        let row = &mut rest[..width];
        for (factor, other) in factors.iter().zip(before.chunks_exact(width)) {
            row.iter_mut().zip(other).for_each(|(number, other)| *number -= factor * other);
        }
        let scale = factors[at].recip();
        row.iter_mut().for_each(|number| *number *= scale);
    }
    solved
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::Draws;

    /// A = diag(2, 3) against B = diag(1, 4): by hand 2 along the first axis, 3/4 along the second, whose
    /// vector is half as long.
    #[test]
    fn diagonal_matrices_are_as_by_hand() {
        let matrix = Matrix::new(2, vec![2.0, 0.0, 0.0, 3.0]);
        let measure = Matrix::new(2, vec![1.0, 0.0, 0.0, 4.0]);
        let (values, vectors) = leading_against(&matrix, &measure, 2).unwrap();
        assert!((values[0] - 2.0).abs() < 1e-12 && (values[1] - 0.75).abs() < 1e-12);
        for (found, expected) in vectors.numbers.iter().zip([1.0, 0.0, 0.0, 0.5]) {
            assert!((found.abs() - expected).abs() < 1e-12, "{vectors:?}");
        }
    }

    #[test]
    fn vectors_satisfy_both_equations() {
        let (size, most) = (90, 12);
        let mut draws = Draws::new(5);
        let square = |draws: &mut Draws| {
            let rows = Matrix::normal(2 * size, size, draws);
            rows.transposed_times(&rows).unwrap()
        };
        let (matrix, measure) = (square(&mut draws), square(&mut draws));
        let (values, vectors) = leading_against(&matrix, &measure, most).unwrap();
        let by = |matrix: &Matrix<f64>| {
            vectors.times(matrix).unwrap().times_transposed(&vectors).unwrap().numbers
        };
        for (at, (one, other)) in by(&matrix).into_iter().zip(by(&measure)).enumerate() {
            let same = f64::from(u8::from(at % (most + 1) == 0));
            assert!((other - same).abs() < 1e-8, "{at}: {other}");
            assert!((one - same * values[at / most]).abs() < 1e-4, "{at}: {one}");
        }
        assert!(values.windows(2).all(|pair| pair[0] >= pair[1]));
    }

    #[test]
    fn a_measure_that_is_not_positive_is_refused() {
        let matrix = Matrix::new(2, vec![1.0, 0.0, 0.0, 1.0]);
        for measure in [vec![1.0, 2.0, 2.0, 1.0], vec![0.0; 4], vec![f64::NAN; 4]] {
            assert!(leading_against(&matrix, &Matrix::new(2, measure), 1).is_err());
        }
    }
}
