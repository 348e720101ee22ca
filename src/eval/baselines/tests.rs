//! The baselines against what numpy computes for the same sixty rows: tests/eval/baselines.json, which
//! tests/eval/baselines.py writes and explains.

use serde::Deserialize;

use super::projection::{Projection, packed};
use super::{ITERATIONS, Pca, SpectralHash, itq, lsh};
use crate::eval::{EvalError, code_statistics};
use crate::linear::{Matrix, turn_to_signs};

const WIDTH: usize = 8;

#[derive(Deserialize)]
struct Numpy {
    rows: Vec<Vec<u8>>,
    mean: Vec<f64>,
    variances: Vec<f64>,
    components: Vec<Vec<f64>>,
    pca_codes: Vec<String>,
    itq_rotation: Vec<Vec<f64>>,
    itq_codes: Vec<String>,
    spectral_3: Vec<String>,
    spectral_12: Vec<String>,
}

fn numpy() -> Numpy {
    serde_json::from_str(include_str!("../../../tests/eval/baselines.json")).unwrap()
}

/// Codes as the file has them: a digit a bit.
fn packed_text(codes: &[String]) -> Vec<u8> {
    codes.iter().flat_map(|code| packed(code.chars().map(|digit| digit == '1'))).collect()
}

fn assert_close(found: f64, expected: f64, tolerance: f64) {
    assert!((found - expected).abs() <= tolerance * expected.abs().max(1.0), "{found} {expected}");
}

#[test]
fn principal_components_are_those_of_numpy() {
    let numpy = numpy();
    let rows = numpy.rows.concat();
    let pca = Pca::of(&rows, WIDTH, 5).unwrap();
    for (&found, expected) in pca.variances().iter().zip(&numpy.variances) {
        assert_close(found, *expected, 1e-6);
    }
    let first = pca.first(5).unwrap();
    for (&found, expected) in first.mean().iter().zip(&numpy.mean) {
        assert_close(f64::from(found), *expected, 1e-6);
    }
    for (found, expected) in first.directions().zip(&numpy.components) {
        for (&found, &expected) in found.iter().zip(expected) {
            assert_close(f64::from(found), expected, 1e-5);
        }
    }
    assert_eq!(first.codes(&rows).unwrap(), packed_text(&numpy.pca_codes));
    assert_eq!(pca.first(3).unwrap().outputs(), 3);
}

#[test]
fn the_learned_rotation_is_that_of_numpy() {
    let numpy = numpy();
    let rows = numpy.rows.concat();
    let components = Pca::of(&rows, WIDTH, 5).unwrap().first(5).unwrap();
    let numbers = components.apply(&rows).unwrap();
    let numbers = Matrix::new(5, numbers);
    let unturned = (0..25).map(|at| f64::from(u8::from(at % 6 == 0))).collect();
    let turn = turn_to_signs(&numbers, Matrix::new(5, unturned), ITERATIONS).unwrap();
    // Columns there, rows here.
    for (found, expected) in turn.transposed().numbers.iter().zip(numpy.itq_rotation.concat()) {
        assert_close(*found, expected, 1e-4);
    }
    let turned = components.turned(&turn).unwrap();
    assert_eq!(turned.codes(&rows).unwrap(), packed_text(&numpy.itq_codes));
}

#[test]
fn spectral_codes_are_those_of_the_authors_program() {
    let numpy = numpy();
    let rows = numpy.rows.concat();
    let pca = Pca::of(&rows, WIDTH, 5).unwrap();
    for (bits, expected) in [(3, &numpy.spectral_3), (12, &numpy.spectral_12)] {
        let hash = SpectralHash::of(&pca, &rows, bits).unwrap();
        assert_eq!(hash.bits(), bits);
        let (found, expected) = (hash.codes(&rows).unwrap(), packed_text(expected));
        assert_eq!(found, expected, "{bits} bits");
    }
}

/// What ITQ lessens: the distance of the turned components to their signs.
#[test]
fn a_rotation_from_a_seed_loses_less_than_none() {
    let rows = numpy().rows.concat();
    let pca = Pca::of(&rows, WIDTH, 5).unwrap();
    let loss = |projection: &Projection| {
        let apart = |number: f32| (number.abs() - 40.0).powi(2);
        projection.apply(&rows).unwrap().into_iter().map(apart).sum::<f32>()
    };
    let learned = itq(&pca, &rows, 5, ITERATIONS, 3).unwrap();
    assert!(loss(&learned) < loss(&pca.first(5).unwrap()));
    let again = itq(&pca, &rows, 5, ITERATIONS, 3).unwrap();
    assert_eq!(
        learned.codes(&rows).unwrap(),
        again.codes(&rows).unwrap(),
        "one seed, one rotation"
    );
}

#[test]
fn random_hyperplanes_are_signs_of_plain_sums() {
    let rows = numpy().rows.concat();
    let projection = lsh(&rows, WIDTH, 20, 9).unwrap();
    let codes = projection.codes(&rows).unwrap();
    assert_eq!(codes.len(), 60 * 3);
    for (row, code) in rows.chunks(WIDTH).zip(codes.chunks(3)) {
        for bit in 0..20 {
            let centred =
                row.iter().zip(projection.mean()).map(|(&byte, mean)| f32::from(byte) - mean);
            let direction = projection.directions().nth(bit).unwrap();
            let sum: f32 = centred.zip(direction).map(|(a, b)| a * b).sum();
            assert_eq!(code[bit / 8] >> (bit % 8) & 1 == 1, sum > 0.0);
        }
    }
    assert_ne!(codes, lsh(&rows, WIDTH, 20, 10).unwrap().codes(&rows).unwrap());
    // Centred rows lie on both sides of every plane.
    assert!(code_statistics(&codes, 20).entropy_least > 0.3);
}

/// The blocks in which products are formed must not show: more rows than one block has.
#[test]
fn many_rows_are_as_good_as_few() {
    let rows = numpy().rows.concat();
    let many = rows.repeat(40);
    let (few, all) = (Pca::of(&rows, WIDTH, 5).unwrap(), Pca::of(&many, WIDTH, 5).unwrap());
    for (few, all) in few.variances().iter().zip(all.variances()) {
        // By n - 1: 59/60 and 2399/2400.
        assert_close(*all, few * 59.0 / 60.0 * 2400.0 / 2399.0, 1e-5);
    }
    let first = few.first(5).unwrap();
    assert_eq!(first.codes(&many).unwrap(), first.codes(&rows).unwrap().repeat(40));
    let turned = |pca: &Pca, rows: &[u8]| {
        itq(pca, rows, 5, 10, 2).unwrap().codes(&numpy().rows.concat()).unwrap()
    };
    assert_eq!(turned(&few, &rows), turned(&all, &many));
}

/// Pictures that vary in fewer directions than there are bits made ITQ fail: its matrix has singular values of
/// zero then, and several rotations are nearest. Any of them will do.
#[test]
fn more_bits_than_directions_are_turned_too() {
    let rows: Vec<u8> =
        (0..40_u8).flat_map(|at| [at, 2 * at, 90, at / 2 * 3, 7, 8, 9, 10]).collect();
    let pca = Pca::of(&rows, WIDTH, 8).unwrap();
    assert!(pca.variances()[4] < 1e-9);
    let codes = itq(&pca, &rows, 8, ITERATIONS, 1).unwrap().codes(&rows).unwrap();
    assert!(code_statistics(&codes, 8).distinct > 1);
}

#[test]
fn what_cannot_be_learned_is_refused() {
    let rows = numpy().rows.concat();
    assert_eq!(Pca::of(&rows[..8], 8, 1).unwrap_err(), EvalError::TooFew { found: 1, least: 2 });
    assert_eq!(Pca::of(&rows, 8, 9).unwrap_err(), EvalError::Bits { bits: 9, most: 8 });
    assert_eq!(lsh(&[], 8, 16, 1).unwrap_err(), EvalError::TooFew { found: 0, least: 1 });
    let pca = Pca::of(&rows, 8, 4).unwrap();
    assert!(matches!(itq(&pca, &rows, 5, 1, 1), Err(EvalError::Bits { bits: 5, most: 4 })));
    // Rows that are all the same vary in no direction, and that is no failure.
    let same = Pca::of(&[9; 80], 8, 4).unwrap();
    assert!(same.variances().iter().all(|variance| variance.abs() < 1e-9));
    assert_eq!(SpectralHash::of(&same, &[9; 80], 6).unwrap().codes(&[9; 80]).unwrap().len(), 10);
}
