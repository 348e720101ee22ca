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
}
