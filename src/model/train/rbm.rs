//! Restricted Boltzmann machines trained by one step of contrastive divergence (Hinton 2002), the
//! pretraining of each layer.

use candle_core::{DType, Device, Result, Tensor};

use super::optimizer::{Momentum, Parameter};
use crate::model::network::Layer;
use crate::model::ops::logistic;
use crate::model::random::Random;

/// What the visible units of a machine are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Visible {
    /// Linear with Gaussian noise of unit variance: normalised pixels.
    Linear,
    /// Binary: the probabilities of the machine below.
    Binary,
}

/// A machine between two layers.
#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// What the visible units are.
    pub(super) kind: Visible,
    /// Shape (hidden, visible).
    pub(super) weight: Parameter,
    /// Shape (1, hidden).
    pub(super) hidden: Parameter,
    /// Shape (1, visible).
    pub(super) visible: Parameter,
}

impl Machine {
    /// A machine with small random weights.
    pub(super) fn new(
        kind: Visible,
        (hidden, visible): (usize, usize),
        deviation: f32,
        random: &mut Random,
        device: &Device,
    ) -> Result<Self> {
        let weight = random.normals(hidden * visible, deviation);
        let weight = Tensor::from_vec(weight, (hidden, visible), device)?;
        let zeros = |units| Tensor::zeros((1, units), DType::F32, device);
        Ok(Self {
            kind,
            weight: Parameter::new(&weight, Momentum::SLOTS)?,
            hidden: Parameter::new(&zeros(hidden)?, Momentum::SLOTS)?,
            visible: Parameter::new(&zeros(visible)?, Momentum::SLOTS)?,
        })
    }

    /// The machine without the memory of its optimiser, for one that is not trained any more.
    pub(super) fn at_rest(&self) -> Result<Self> {
        let rest = |parameter: &Parameter| Parameter::new(&parameter.value()?, Momentum::SLOTS);
        let (weight, hidden) = (rest(&self.weight)?, rest(&self.hidden)?);
        Ok(Self { kind: self.kind, weight, hidden, visible: rest(&self.visible)? })
    }

    /// The way up, as a layer of an encoder.
    pub(super) fn up(&self) -> Result<Layer> {
        Ok(Layer { weight: self.weight.value()?, bias: self.hidden.value()? })
    }

    /// The way down, as a layer of a decoder.
    pub(super) fn down(&self) -> Result<Layer> {
        Ok(Layer { weight: self.weight.value()?.t()?.contiguous()?, bias: self.visible.value()? })
    }

    /// The probabilities of the hidden units, given the visible ones.
    pub(super) fn hidden_given(&self, visible: &Tensor) -> Result<Tensor> {
        logistic(self.up()?.sums(visible)?)
    }

    /// The mean of the visible units, given the hidden ones.
    fn visible_given(&self, hidden: &Tensor) -> Result<Tensor> {
        let sums = hidden.matmul(&self.weight.value()?)?.broadcast_add(&self.visible.value()?)?;
        match self.kind {
            Visible::Linear => Ok(sums),
            Visible::Binary => logistic(sums),
        }
    }

    /// One step on the batch `data`, shape (rows, visible). Gives the mean squared error of the
    /// reconstruction.
    ///
    /// The hidden units that drive the reconstruction are sampled; all other quantities are
    /// probabilities or means, which are the same in expectation and less noisy.
    pub(super) fn learn(
        &mut self,
        data: &Tensor,
        step: Momentum,
        random: &mut Random,
    ) -> Result<f32> {
        let before = self.hidden_given(data)?;
        let noise = random.units(before.elem_count());
        let noise = Tensor::from_vec(noise, before.shape(), before.device())?;
        let sampled = noise.lt(&before)?.to_dtype(DType::F32)?;
        let reconstruction = self.visible_given(&sampled)?;
        let after = self.hidden_given(&reconstruction)?;

        let rows = f64::from(u32::try_from(data.dim(0)?).unwrap_or(u32::MAX));
        let up = Tensor::cat(&[&before, &after.neg()?], 0)?;
        let down = Tensor::cat(&[data, &reconstruction], 0)?;
        let correlation = (up.t()?.matmul(&down)? / rows)?;
        let error = (data - &reconstruction)?;
        let no_decay = Momentum { decay: 0.0, ..step };
        self.weight.ascend(&correlation, step)?;
        self.hidden.ascend(&up.sum_keepdim(0)?.affine(rows.recip(), 0.0)?, no_decay)?;
        self.visible.ascend(&error.mean_keepdim(0)?, no_decay)?;
        error.sqr()?.mean_all()?.to_scalar()
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Machine, Momentum, Random, Visible};

    /// Loss of the first and of the last of 200 steps on 64 rows made from four random patterns.
    fn losses(kind: Visible, rate: f32) -> (f32, f32) {
        let mut random = Random::new(3, 0);
        let patterns: Vec<f32> = match kind {
            Visible::Linear => random.normals(4 * 20, 1.0),
            Visible::Binary => random.units(4 * 20).iter().map(|u| u.round()).collect(),
        };
        let rows: Vec<f32> = patterns.iter().copied().cycle().take(64 * 20).collect();
        let data = Tensor::from_vec(rows, (64, 20), &Device::Cpu).unwrap();
        let mut machine = Machine::new(kind, (16, 20), 0.01, &mut random, &Device::Cpu).unwrap();
        let step = Momentum { rate, momentum: 0.9, decay: 0.0 };
        let losses: Vec<f32> =
            (0..200).map(|_| machine.learn(&data, step, &mut random).unwrap()).collect();
        (losses[0], losses[199])
    }

    #[test]
    fn linear_machine_learns_to_reconstruct() {
        let (first, last) = losses(Visible::Linear, 0.01);
        assert!(last < first * 0.5, "{first} {last}");
    }

    #[test]
    fn binary_machine_learns_to_reconstruct() {
        let (first, last) = losses(Visible::Binary, 0.1);
        assert!(last < first * 0.5, "{first} {last}");
    }

    /// Loops over numbers as the rules stand in the paper, in f64: positive phase sampled with the
    /// generator's numbers, mean reconstruction, probabilities after. Weights, velocities and biases are of one
    /// machine.
    struct Plain {
        kind: Visible,
        weight: Vec<Vec<f64>>,
        hidden: Vec<f64>,
        visible: Vec<f64>,
        speed: (Vec<Vec<f64>>, Vec<f64>, Vec<f64>),
    }

    impl Plain {
        fn up(&self, row: &[f64]) -> Vec<f64> {
            let sum =
                |weights: &Vec<f64>| -> f64 { weights.iter().zip(row).map(|(w, v)| w * v).sum() };
            let sums = self.weight.iter().zip(&self.hidden).map(|(w, b)| sum(w) + b);
            sums.map(|sum| 1.0 / (1.0 + (-sum).exp())).collect()
        }

        fn down(&self, row: &[f64]) -> Vec<f64> {
            let unit = |v: usize| {
                let sum: f64 = self.weight.iter().zip(row).map(|(w, h)| w[v] * h).sum();
                let sum = sum + self.visible[v];
                if self.kind == Visible::Linear { sum } else { 1.0 / (1.0 + (-sum).exp()) }
            };
            (0..self.visible.len()).map(unit).collect()
        }

        #[expect(clippy::needless_range_loop, reason = "as the sums are written on paper")]
        fn learn(&mut self, data: &[Vec<f64>], step: Momentum, noise: &[f32]) -> f64 {
            let (hidden, visible) = (self.hidden.len(), self.visible.len());
            let mut by_weight = vec![vec![0.0; visible]; hidden];
            let (mut by_hidden, mut by_visible) = (vec![0.0; hidden], vec![0.0; visible]);
            let mut loss = 0.0;
            let count = data.len() as f64;
            for (row, noise) in data.iter().zip(noise.chunks(hidden)) {
                let before = self.up(row);
                let on =
                    before.iter().zip(noise).map(|(p, &n)| f64::from(u8::from(f64::from(n) < *p)));
                let again = self.down(&on.collect::<Vec<_>>());
                let after = self.up(&again);
                for h in 0..hidden {
                    by_hidden[h] += (before[h] - after[h]) / count;
                    for v in 0..visible {
                        by_weight[h][v] += (before[h] * row[v] - after[h] * again[v]) / count;
                    }
                }
                for v in 0..visible {
                    by_visible[v] += (row[v] - again[v]) / count;
                    loss += (row[v] - again[v]).powi(2) / count / visible as f64;
                }
            }
            let [rate, momentum, decay] = [step.rate, step.momentum, step.decay].map(f64::from);
            let move_by = |value: &mut f64, speed: &mut f64, gradient: f64, decay: f64| {
                *speed = momentum * *speed + rate * (gradient - decay * *value);
                *value += *speed;
            };
            for h in 0..hidden {
                move_by(&mut self.hidden[h], &mut self.speed.1[h], by_hidden[h], 0.0);
                for v in 0..visible {
                    let speed = &mut self.speed.0[h][v];
                    move_by(&mut self.weight[h][v], speed, by_weight[h][v], decay);
                }
            }
            for v in 0..visible {
                move_by(&mut self.visible[v], &mut self.speed.2[v], by_visible[v], 0.0);
            }
            loss
        }
    }

    fn rows(tensor: &Tensor) -> Vec<Vec<f64>> {
        let rows: Vec<Vec<f32>> = tensor.to_vec2().unwrap();
        rows.into_iter().map(|row| row.into_iter().map(f64::from).collect()).collect()
    }

    #[test]
    fn steps_of_contrastive_divergence_are_those_of_plain_loops() {
        let (hidden, visible, count) = (5, 7, 9);
        for kind in [Visible::Linear, Visible::Binary] {
            let mut random = Random::new(9, 4);
            let data = match kind {
                Visible::Linear => random.normals(count * visible, 1.0),
                Visible::Binary => random.units(count * visible),
            };
            let data = Tensor::from_vec(data, (count, visible), &Device::Cpu).unwrap();
            let shape = (hidden, visible);
            let mut machine = Machine::new(kind, shape, 0.5, &mut random, &Device::Cpu).unwrap();
            let mut plain = Plain {
                kind,
                weight: rows(&machine.weight.value().unwrap()),
                hidden: vec![0.0; hidden],
                visible: vec![0.0; visible],
                speed: (vec![vec![0.0; visible]; hidden], vec![0.0; hidden], vec![0.0; visible]),
            };
            let step = Momentum { rate: 0.3, momentum: 0.9, decay: 0.01 };
            for number in 0..3 {
                let noise = Random::new(9, 10 + number).units(count * hidden);
                let expected = plain.learn(&rows(&data), step, &noise);
                let found = machine.learn(&data, step, &mut Random::new(9, 10 + number)).unwrap();
                assert!((f64::from(found) - expected).abs() < 1e-4, "{found} {expected}");
            }
            let close = |found: &Tensor, expected: &[Vec<f64>]| {
                let found = rows(found).concat();
                assert_eq!(found.len(), expected.concat().len());
                for (found, expected) in found.iter().zip(expected.concat()) {
                    assert!((found - expected).abs() < 1e-4, "{kind:?}: {found} {expected}");
                }
            };
            close(&machine.weight.value().unwrap(), &plain.weight);
            close(&machine.hidden.value().unwrap(), &[plain.hidden]);
            close(&machine.visible.value().unwrap(), &[plain.visible]);
        }
    }

    /// One hidden and one visible unit, weight 1, no noise below the probability: by hand the probability of
    /// 2 is 0.8808, the reconstruction 1, the probability of that 0.7311. So the weight moves by
    /// 0.1 (0.8808 * 2 - 0.7311 * 1) = 0.1031, the hidden bias by 0.0150, the visible one by 0.1.
    #[test]
    fn a_step_is_what_one_finds_by_hand() {
        let mut random = Random::new(1, 0);
        assert!(Random::new(1, 2).unit() < 0.88, "the hidden unit must be on");
        let mut machine =
            Machine::new(Visible::Linear, (1, 1), 0.0, &mut random, &Device::Cpu).unwrap();
        let one = Tensor::new(&[[1.0_f32]], &Device::Cpu).unwrap();
        machine.weight = super::Parameter::new(&one, Momentum::SLOTS).unwrap();
        let data = Tensor::new(&[[2.0_f32]], &Device::Cpu).unwrap();
        let step = Momentum { rate: 0.1, momentum: 0.9, decay: 0.0 };
        let loss = machine.learn(&data, step, &mut Random::new(1, 2)).unwrap();
        let value = |parameter: &super::Parameter| rows(&parameter.value().unwrap())[0][0];
        let found =
            [value(&machine.weight), value(&machine.hidden), value(&machine.visible), loss.into()];
        for (found, expected) in found.into_iter().zip([1.1031, 0.0150, 0.1, 1.0]) {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
    }
}
