//! Spectral hashing (Weiss, Torralba and Fergus, NIPS 2008): bits are the signs of the smoothest waves along
//! principal components, several on a component that varies much.
//!
//! As in the authors' Matlab: components are taken as uniform between their least and their largest number
//! among the rows (the percentiles of the paper's text are overwritten there).

use super::pca::Pca;
use super::projection::{Projection, packed};
use crate::eval::EvalError;

/// One bit: a wave along one component.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Wave {
    component: usize,
    /// Radians for each unit of the component.
    frequency: f64,
}

/// A learned spectral hash.
#[derive(Debug, Clone)]
pub struct SpectralHash {
    components: Projection,
    /// Where waves begin on each component: its least number.
    least: Vec<f64>,
    waves: Vec<Wave>,
}

impl SpectralHash {
    /// Chooses the `bits` smoothest waves over the rows, along at most as many components.
    ///
    /// # Errors
    /// [`EvalError::TooFew`] if there is no row, [`EvalError::Compute`] if a product fails.
    pub fn of(pca: &Pca, rows: &[u8], bits: usize) -> Result<Self, EvalError> {
        let components = pca.first(bits.min(pca.components()))?;
        let numbers = components.apply(rows)?;
        let count = components.outputs();
        if numbers.is_empty() {
            return Err(EvalError::TooFew { found: 0, least: 1 });
        }
        let mut least = vec![f64::INFINITY; count];
        let mut most = vec![f64::NEG_INFINITY; count];
        for row in numbers.chunks_exact(count) {
            for ((least, most), &number) in least.iter_mut().zip(&mut most).zip(row) {
                *least = least.min(f64::from(number));
                *most = most.max(f64::from(number));
            }
        }
        // As the program has it, so that no range is zero.
        least.iter_mut().for_each(|least| *least -= f64::EPSILON);
        let ranges = most.iter().zip(&least).map(|(most, least)| most + f64::EPSILON - least);
        let waves = smoothest(&ranges.collect::<Vec<_>>(), bits);
        Ok(Self { components, least, waves })
    }

    /// Bits of a code.
    #[must_use]
    pub fn bits(&self) -> usize {
        self.waves.len()
    }

    /// The code of each row of bytes, packed as [`Projection::codes`] packs it.
    ///
    /// # Errors
    /// [`EvalError::Compute`] if a product fails.
    pub fn codes(&self, rows: &[u8]) -> Result<Vec<u8>, EvalError> {
        let numbers = self.components.apply(rows)?;
        let rows = numbers.chunks(self.components.outputs().max(1));
        Ok(rows.flat_map(|row| packed(self.of_row(row))).collect())
    }

    fn of_row<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = bool> + 'a {
        self.waves.iter().map(|&Wave { component, frequency }| {
            let along = f64::from(row[component]) - self.least[component];
            (frequency * along + std::f64::consts::FRAC_PI_2).sin() > 0.0
        })
    }
}

/// The waves of least frequency on components of these ranges, the smoothest first; among equals the one
/// on the earlier component.
fn smoothest(ranges: &[f64], bits: usize) -> Vec<Wave> {
    let longest = ranges.iter().copied().fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
    let waves_of = |range: f64| ((bits + 1) as f64 * range / longest).ceil() - 1.0;
    let mut waves: Vec<Wave> = Vec::new();
    for (component, &range) in ranges.iter().enumerate() {
        let mut mode = 1.0;
        while mode <= waves_of(range) {
            waves.push(Wave { component, frequency: mode * std::f64::consts::PI / range });
            mode += 1.0;
        }
    }
    waves.sort_by(|one, other| one.frequency.total_cmp(&other.frequency));
    waves.truncate(bits);
    waves
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ranges 8 and 4, three bits: modes 1, 2, 3 on the first (pi/8 apart) and 1 on the second (pi/4), by
    /// hand from the authors' formula; the wave of mode 2 and that of the second component are equal.
    #[test]
    fn waves_are_chosen_by_their_frequency_alone() {
        let unit = std::f64::consts::PI / 8.0;
        let waves = smoothest(&[8.0, 4.0], 3);
        let expected = [(0, 1.0), (0, 2.0), (1, 2.0)];
        assert_eq!(waves.len(), 3);
        for (wave, (component, times)) in waves.iter().zip(expected) {
            assert_eq!(wave.component, component);
            assert!((wave.frequency - times * unit).abs() < 1e-12);
        }
    }

    /// A component that varies little gets no bit, and a single one gives as many bits as are wanted.
    #[test]
    fn a_single_component_gives_every_bit() {
        let waves = smoothest(&[10.0, 0.5], 4);
        assert_eq!(waves.iter().map(|wave| wave.component).collect::<Vec<_>>(), [0; 4]);
    }
}
