//! Nested dropout (Rippel, Gelbart and Adams, "Learning ordered representations with nested dropout", ICML 2014):
//! in the fine-tuning the decoder sees the first bits of each code alone, how many is drawn anew for each picture in
//! each step. So the first bits become a code of their own, and what says most of a picture comes first.

use candle_core::{Device, Result, Tensor};

use super::config::NetConfig;
use crate::model::random::Random;

impl NetConfig {
    /// Factors for the bits of a batch, shape (rows, bits): 1 where a bit is kept and 0 where it is dropped. Each of
    /// the prefixes is as likely as the whole code. Without prefixes nothing is dropped, and no number drawn.
    pub(super) fn kept(
        &self,
        rows: usize,
        random: &mut Random,
        device: &Device,
    ) -> Result<Option<Tensor>> {
        if self.prefixes.is_empty() {
            return Ok(None);
        }
        let bits = self.layers.last().copied().unwrap_or(0);
        let mut factors = Vec::with_capacity(rows * bits);
        for _ in 0..rows {
            let drawn = random.below(self.prefixes.len() + 1);
            let kept = self.prefixes.get(drawn).map_or(bits, |&length| length.min(bits));
            factors.resize(factors.len() + kept, 1.0_f32);
            factors.resize(factors.len() + bits - kept, 0.0);
        }
        Tensor::from_vec(factors, (rows, bits), device).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::{NetConfig, Random};

    fn config(prefixes: &[usize]) -> NetConfig {
        NetConfig {
            layers: vec![40, 32],
            rbm_epochs: 0,
            tune_epochs: 0,
            prefixes: prefixes.to_vec(),
        }
    }

    #[test]
    fn every_length_is_kept_as_often() {
        let kept = config(&[8, 20]).kept(3000, &mut Random::new(1, 2), &Device::Cpu).unwrap();
        let rows: Vec<Vec<f32>> = kept.unwrap().to_vec2().unwrap();
        for length in [8, 20, 32] {
            let expected: Vec<f32> =
                (0..32).map(|bit| if bit < length { 1.0 } else { 0.0 }).collect();
            let count = rows.iter().filter(|row| **row == expected).count();
            assert!((900..=1100).contains(&count), "{length}: {count}");
        }
    }

    /// Trainings without prefixes draw the numbers that they drew before there were any.
    #[test]
    fn whole_codes_draw_nothing() {
        let mut random = Random::new(1, 2);
        assert!(config(&[]).kept(5, &mut random, &Device::Cpu).unwrap().is_none());
        assert_eq!(random.units(4), Random::new(1, 2).units(4));
    }
}
