//! Parameters with the memory of their optimiser, updated in one pass over the numbers.
//!
//! A step is bound by memory, so on the CPU each update is one fused loop on all cores; composed of
//! tensor operations it takes half of the training's time. Every number is updated by itself, so the
//! result does not depend on the number of threads.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor};

use crate::model::ops::{floats, floats_mut};

/// A matrix and what its optimiser remembers about it.
#[derive(Debug, Clone)]
pub(super) struct Parameter {
    /// Shape (slots, rows, columns); slot 0 is the matrix.
    state: Tensor,
}

/// Ascent with momentum, for the Boltzmann machines.
#[derive(Debug, Clone, Copy)]
pub(super) struct Momentum {
    pub(super) rate: f32,
    pub(super) momentum: f32,
    pub(super) decay: f32,
}

/// Descent by Adam (Kingma and Ba, ICLR 2015), for the fine-tuning.
#[derive(Debug, Clone, Copy)]
pub(super) struct Adam {
    rate: f32,
    correction: f32,
}

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

impl Momentum {
    /// Slots of state: the matrix and its velocity.
    pub(super) const SLOTS: usize = 2;
}

impl Adam {
    /// Slots of state: the matrix and the running means of its gradient and of the gradient's square.
    pub(super) const SLOTS: usize = 3;

    /// The settings of step `step`, counted from 1. The two corrections for the means' start at zero
    /// are folded into the rate and into the square mean.
    pub(super) fn at(step: usize, rate: f32) -> Self {
        let step = i32::try_from(step).unwrap_or(i32::MAX);
        Self { rate: rate / (1.0 - BETA1.powi(step)), correction: (1.0 - BETA2.powi(step)).recip() }
    }
}

impl Parameter {
    /// The matrix `value` with an empty memory.
    pub(super) fn new(value: &Tensor, slots: usize) -> Result<Self> {
        let mut state = vec![value.clone()];
        state.resize(slots, value.zeros_like()?);
        Ok(Self { state: Tensor::stack(&state, 0)? })
    }

    /// A parameter as [`Parameter::state`] gave it.
    pub(super) fn from_state(state: Tensor) -> Self {
        Self { state }
    }

    /// The matrix and the memory, for a checkpoint.
    pub(super) fn state(&self) -> &Tensor {
        &self.state
    }

    /// The matrix, a view that later steps write through.
    pub(super) fn value(&self) -> Result<Tensor> {
        self.state.get(0)
    }

    /// Steps up along `gradient`.
    pub(super) fn ascend(&mut self, gradient: &Tensor, step: Momentum) -> Result<()> {
        if self.state.device().is_cpu() {
            return self.state.inplace_op2(&gradient.contiguous()?, &step);
        }
        let (value, velocity) = (self.state.get(0)?, self.state.get(1)?);
        let pull = (gradient - (&value * f64::from(step.decay))?)?;
        let velocity = ((velocity * f64::from(step.momentum))? + (pull * f64::from(step.rate))?)?;
        self.state = Tensor::stack(&[(value + &velocity)?, velocity], 0)?;
        Ok(())
    }

    /// Steps down along `gradient`.
    pub(super) fn descend(&mut self, gradient: &Tensor, step: Adam) -> Result<()> {
        if self.state.device().is_cpu() {
            return self.state.inplace_op2(&gradient.contiguous()?, &step);
        }
        let blend = |old: Tensor, new: &Tensor, beta: f32| {
            (old * f64::from(beta))? + (new * f64::from(1.0 - beta))?
        };
        let mean = blend(self.state.get(1)?, gradient, BETA1)?;
        let square = blend(self.state.get(2)?, &gradient.sqr()?, BETA2)?;
        let spread = ((&square * f64::from(step.correction))?.sqrt()? + f64::from(EPSILON))?;
        let value = (self.state.get(0)? - ((&mean / spread)? * f64::from(step.rate))?)?;
        self.state = Tensor::stack(&[value, mean, square], 0)?;
        Ok(())
    }
}

impl InplaceOp2 for Momentum {
    fn name(&self) -> &'static str {
        "momentum"
    }

    fn cpu_fwd(
        &self,
        state: &mut CpuStorage,
        state_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let gradient = floats(gradient, gradient_layout)?;
        let (value, velocity) = floats_mut(state, state_layout)?.split_at_mut(gradient.len());
        in_parallel([value, velocity], gradient, |[value, velocity], gradient| {
            for ((w, v), g) in value.iter_mut().zip(velocity).zip(gradient) {
                *v = self.momentum * *v + self.rate * (g - self.decay * *w);
                *w += *v;
            }
        });
        Ok(())
    }
}

impl InplaceOp2 for Adam {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        state: &mut CpuStorage,
        state_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<()> {
        let gradient = floats(gradient, gradient_layout)?;
        let (value, means) = floats_mut(state, state_layout)?.split_at_mut(gradient.len());
        let (mean, square) = means.split_at_mut(gradient.len());
        in_parallel([value, mean, square], gradient, |[value, mean, square], gradient| {
            for (((w, m), s), g) in value.iter_mut().zip(mean).zip(square).zip(gradient) {
                *m = BETA1 * *m + (1.0 - BETA1) * g;
                *s = BETA2 * *s + (1.0 - BETA2) * g * g;
                *w -= self.rate * *m / ((*s * self.correction).sqrt() + EPSILON);
            }
        });
        Ok(())
    }
}

/// Runs `update` over equal parts of the slots and the gradient, one a core where they are long.
fn in_parallel<const N: usize>(
    slots: [&mut [f32]; N],
    gradient: &[f32],
    update: impl Fn([&mut [f32]; N], &[f32]) + Sync,
) {
    const SHORT: usize = 1 << 16;
    if gradient.len() <= SHORT {
        return update(slots, gradient);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let part = gradient.len().div_ceil(cores).max(SHORT);
    let mut slots = slots.map(|slot| slot.chunks_mut(part));
    let update = &update;
    std::thread::scope(|scope| {
        for gradient in gradient.chunks(part) {
            let slots = slots.each_mut().map(|slot| slot.next().unwrap_or_default());
            scope.spawn(move || update(slots, gradient));
        }
    });
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{Adam, Momentum, Parameter};

    fn vector(values: &[f32]) -> Tensor {
        Tensor::from_slice(values, (1, values.len()), &Device::Cpu).unwrap()
    }

    fn value(parameter: &Parameter) -> Vec<f32> {
        parameter.value().unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn momentum_keeps_a_share_of_the_last_step() {
        let mut parameter = Parameter::new(&vector(&[1.0, -2.0]), Momentum::SLOTS).unwrap();
        let step = Momentum { rate: 0.5, momentum: 0.5, decay: 0.0 };
        parameter.ascend(&vector(&[2.0, 0.0]), step).unwrap();
        assert_eq!(value(&parameter), [2.0, -2.0]);
        parameter.ascend(&vector(&[0.0, 0.0]), step).unwrap();
        assert_eq!(value(&parameter), [2.5, -2.0]);
    }

    #[test]
    fn adam_first_step_is_the_rate_against_the_sign() {
        let mut parameter = Parameter::new(&vector(&[1.0, 1.0, 1.0]), Adam::SLOTS).unwrap();
        parameter.descend(&vector(&[3.0, -0.01, 0.0]), Adam::at(1, 0.1)).unwrap();
        let expected = [0.9, 1.1, 1.0];
        assert!(value(&parameter).iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5));
    }

    #[test]
    fn long_parameters_are_updated_in_every_element() {
        let count = 300_001;
        let zeros = Tensor::zeros((1, count), candle_core::DType::F32, &Device::Cpu).unwrap();
        let mut parameter = Parameter::new(&zeros, Adam::SLOTS).unwrap();
        parameter.descend(&zeros.ones_like().unwrap(), Adam::at(1, 0.1)).unwrap();
        assert!(value(&parameter).iter().all(|w| (w + 0.1).abs() < 1e-6));
    }
}
