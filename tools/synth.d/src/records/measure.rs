//! What drawn codes are like: distances within and between clusters, and the dimension of a cluster.

use std::f64::consts::PI;

use super::mixture::{Mixture, Shape};
use crate::random::Random;

/// Pairs of codes that are compared for each figure.
const PAIRS: usize = 20_000;
/// Codes of a cluster that are compared with each other: enough clusters for a mean.
const MEMBERS: usize = 16;
const SAMPLE: u64 = 9;

/// Figures of a sample, and what the shape lets expect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    /// Mean bits between two codes of one cluster.
    pub(crate) within: f64,
    pub(crate) within_expected: f64,
    /// Mean bits between codes of two clusters.
    pub(crate) between: f64,
    /// Estimate of the number of coordinates.
    pub(crate) dimension: f64,
}

/// Draws codes of its own and measures them.
pub(crate) fn measure(mixture: &Mixture, shape: Shape, seed: u64) -> Figures {
    let mut random = Random::new(seed, SAMPLE, 0);
    let mut members: Vec<Vec<Vec<u8>>> = vec![Vec::new(); shape.clusters];
    let (mut within, mut between) = (Vec::new(), Vec::new());
    let mut last: Option<(usize, Vec<u8>)> = None;
    let mut draws = 0;
    while within.len() < PAIRS && draws < 100 * PAIRS {
        draws += 1;
        let mut code = Vec::new();
        let cluster = mixture.draw(&mut random, &mut code);
        if let Some((other, previous)) = &last
            && *other != cluster
        {
            between.push(distance(&code, previous));
        }
        let others = &mut members[cluster];
        within.extend(others.iter().map(|other| distance(&code, other)));
        if others.len() < MEMBERS {
            others.push(code.clone());
        }
        last = Some((cluster, code));
    }
    Figures {
        within: mean(&within),
        within_expected: expected(shape),
        between: mean(&between),
        dimension: dimension(&within, shape),
    }
}

/// The bits in which two members of a cluster are expected to differ.
fn expected(shape: Shape) -> f64 {
    let apart = (1.0 - shape.spread).acos() / PI;
    let noisy = 2.0 * shape.noise * (1.0 - shape.noise);
    shape.code_bits as f64 * (apart + noisy * (1.0 - 2.0 * apart))
}

/// How many coordinates the distances within clusters tell of.
///
/// The squared distance of two points of d independent normal coordinates has a mean of 2d and a
/// variance of 8d, so that d is twice the squared mean over the variance. It shows in the bits as 1 -
/// cos(pi D / n), up to a factor, once the noise is taken off. That only n hyperplanes are
/// sampled adds a variance of its own, which is subtracted.
fn dimension(within: &[f64], shape: Shape) -> f64 {
    let bits = shape.code_bits as f64;
    let noisy = 2.0 * shape.noise * (1.0 - shape.noise);
    let share = |distance: f64| (distance / bits - noisy) / (1.0 - 2.0 * noisy);
    let squares: Vec<_> = within.iter().map(|&found| 1.0 - (PI * share(found)).cos()).collect();
    let square = mean(&squares);
    let variance = mean(&squares.iter().map(|found| (found - square).powi(2)).collect::<Vec<_>>());
    let middle = mean(within);
    let slope = PI / bits / (1.0 - 2.0 * noisy) * (PI * share(middle)).sin();
    let of_sampling = slope.powi(2) * middle * (1.0 - middle / bits);
    2.0 * square.powi(2) / (variance - of_sampling).max(f64::MIN_POSITIVE)
}

fn mean(numbers: &[f64]) -> f64 {
    numbers.iter().sum::<f64>() / numbers.len().max(1) as f64
}

fn distance(a: &[u8], b: &[u8]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from((a ^ b).count_ones())).sum()
}

#[cfg(test)]
mod tests {
    use super::{Figures, measure};
    use crate::records::mixture::{Mixture, Shape};

    fn figures(dimension: usize, spread: f64, noise: f64) -> Figures {
        let shape = Shape { code_bits: 256, clusters: 400, dimension, spread, noise };
        measure(&Mixture::new(shape, 5), shape, 5)
    }

    #[test]
    fn distances_are_those_that_the_shape_promises() {
        for (spread, noise) in [(0.1, 0.0), (0.1, 0.03125), (0.4, 0.03125), (0.4, 0.0)] {
            let found = figures(16, spread, noise);
            let wrong = found.within / found.within_expected - 1.0;
            assert!(wrong.abs() < 0.05, "spread {spread}, noise {noise}: {found:?}");
            assert!((found.between - 128.0).abs() < 2.0, "{found:?}");
        }
    }

    #[test]
    fn clusters_have_the_dimension_that_was_asked_for() {
        for noise in [0.0, 0.03125] {
            let found =
                [1, 2, 4, 8, 16, 32].map(|dimension| figures(dimension, 0.3, noise).dimension);
            assert!(found.is_sorted(), "{found:?}");
            for (found, dimension) in found[2..].iter().zip([4.0, 8.0, 16.0, 32.0]) {
                assert!((0.6..1.6).contains(&(found / dimension)), "{dimension}: {found:.1}");
            }
        }
    }
}
