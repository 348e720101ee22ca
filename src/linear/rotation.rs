//! Turns of numbers after which their signs lose least (iterative quantization, Gong and Lazebnik, CVPR
//! 2011).
//!
//! By turns the codes are the signs of the turned numbers, and the turn is the one that brings the numbers
//! closest to the codes (orthogonal Procrustes), as in the authors' program. It takes U W' from an SVD; here
//! it is found directly, as the orthogonal factor of the same matrix. There may be more bits than numbers:
//! the directions are then a tight frame, which is what U W' is for a tall matrix.

use super::LinearError;
use super::matrix::{Matrix, nearest_frame};

/// Rows that are multiplied at once.
const BLOCK: usize = 4096;

/// Improves a turn of rows of numbers: row i of it is direction i, whose sign is bit i.
pub(crate) fn turn_to_signs(
    numbers: &Matrix<f32>,
    start: Matrix<f64>,
    iterations: usize,
) -> Result<Matrix<f64>, LinearError> {
    let (bits, width) = (start.height(), numbers.width);
    let mut turn = start;
    for _ in 0..iterations {
        // The product of codes and numbers: B'V of the paper.
        let mut product = Matrix::new(width, vec![0.0; bits * width]);
        let directions = turn.single();
        for block in numbers.numbers.chunks(BLOCK * width) {
            let block = Matrix::new(width, block.to_vec());
            let mut codes = block.times_transposed(&directions)?;
            for number in &mut codes.numbers {
                *number = if *number >= 0.0 { 1.0 } else { -1.0 };
            }
            let part = codes.transposed_times(&block)?;
            let sums = product.numbers.iter_mut().zip(part.numbers);
            sums.for_each(|(sum, part)| *sum += f64::from(part));
        }
        // The paper's R is W U' for B'V = U S W'; its columns are the directions, so the rows here are U W'.
        turn = nearest_frame(&product)?;
    }
    Ok(turn)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linear::matrix::dot;
    use crate::linear::{Draws, random_rotation};

    /// What the turn lessens: the distance of the codes, brought back, to the numbers.
    fn lost(numbers: &Matrix<f32>, turn: &Matrix<f64>) -> f64 {
        let kept = |row: &[f32]| {
            let row: Vec<f64> = row.iter().map(|&number| f64::from(number)).collect();
            turn.rows().map(|direction| dot(direction, &row).abs()).sum::<f64>()
        };
        -numbers.rows().map(kept).sum::<f64>()
    }

    #[test]
    fn more_bits_than_numbers_are_a_tight_frame_that_loses_less() {
        let mut draws = Draws::new(3);
        let numbers: Vec<f32> = Matrix::normal(500, 3, &mut draws).single().numbers;
        let numbers = Matrix::new(3, numbers);
        let start = random_rotation(8, &mut draws);
        let start = Matrix::new(3, start.rows().flat_map(|row| row[..3].to_vec()).collect());
        let turn = turn_to_signs(&numbers, start.clone(), 20).unwrap();
        assert_eq!((turn.height(), turn.width), (8, 3));
        let square = turn.transposed_times(&turn).unwrap();
        for (at, number) in square.numbers.iter().enumerate() {
            assert!((number - f64::from(u8::from(at % 4 == 0))).abs() < 1e-8, "{at}: {number}");
        }
        assert!(lost(&numbers, &turn) < lost(&numbers, &start));
    }
}
