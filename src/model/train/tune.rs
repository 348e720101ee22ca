//! Fine-tuning: the stacked machines unrolled into an autoencoder, and backpropagation through it.
//!
//! The loss is the squared error of the reconstruction. The code layer is logistic, rounded to 0 or 1
//! on the way forward; the way back ignores the rounding, as in the paper.

use candle_core::{DType, Result, Tensor};

use super::optimizer::{Adam, Parameter};
use super::rbm::Machine;
use crate::model::network::Layer;
use crate::model::ops::{logistic, through_logistic};

/// An encoder and its mirror image, the decoder. All units are logistic but the last, which are
/// linear.
#[derive(Debug, Clone)]
pub(super) struct Unrolled {
    /// Weight and bias of each layer, from the pixels to the reconstructed pixels.
    pub(super) layers: Vec<(Parameter, Parameter)>,
}

/// What one batch asks for.
struct Gradients {
    /// Mean squared error of a pixel.
    loss: f32,
    /// By weight and bias of each layer, the last layer first.
    layers: Vec<(Tensor, Tensor)>,
}

impl Unrolled {
    /// The autoencoder that the machines are, up and down again.
    pub(super) fn new(machines: &[Machine]) -> Result<Self> {
        let up = machines.iter().map(Machine::up);
        let down = machines.iter().rev().map(Machine::down);
        let parameters = |layer: Result<Layer>| {
            let Layer { weight, bias } = layer?;
            Ok((
                Parameter::new(&weight, Adam::SLOTS)?,
                Parameter::new(&bias, Adam::SLOTS)?,
            ))
        };
        Ok(Self {
            layers: up.chain(down).map(parameters).collect::<Result<_>>()?,
        })
    }

    /// The layers from the pixels to the code.
    pub(super) fn encoder(&self) -> Result<Vec<Layer>> {
        self.layers[..self.layers.len() / 2]
            .iter()
            .map(layer)
            .collect()
    }

    /// One step on the batch `data`, shape (rows, inputs). Gives the mean squared error of a pixel
    /// before it.
    pub(super) fn learn(&mut self, data: &Tensor, step: Adam) -> Result<f32> {
        let gradients = self.gradients(data, true)?;
        for ((weight, bias), (by_weight, by_bias)) in
            self.layers.iter_mut().rev().zip(&gradients.layers)
        {
            weight.descend(by_weight, step)?;
            bias.descend(by_bias, step)?;
        }
        Ok(gradients.loss)
    }

    /// The gradients of half the squared error, summed over pixels and averaged over rows.
    fn gradients(&self, data: &Tensor, rounded: bool) -> Result<Gradients> {
        let layers: Vec<Layer> = self.layers.iter().map(layer).collect::<Result<_>>()?;
        // Outputs of each layer: `smooth` for the slopes, `passed` as the next layer saw them.
        let mut smooth = Vec::with_capacity(layers.len());
        let mut passed = vec![data.clone()];
        let code = layers.len() / 2 - 1;
        for (number, layer) in layers.iter().enumerate() {
            let sums = layer.sums(&passed[number])?;
            let output = if number + 1 < layers.len() {
                logistic(sums)?
            } else {
                sums
            };
            let rounds = rounded && number == code;
            passed.push(if rounds {
                output.gt(0.5)?.to_dtype(DType::F32)?
            } else {
                output.clone()
            });
            smooth.push(output);
        }

        let error = (&passed[layers.len()] - data)?;
        let loss = error.sqr()?.mean_all()?.to_scalar()?;
        let rows = f64::from(u32::try_from(data.dim(0)?).unwrap_or(u32::MAX));
        let mut slope = (error / rows)?;
        let mut gradients = Vec::with_capacity(layers.len());
        for (number, layer) in layers.iter().enumerate().rev() {
            gradients.push((slope.t()?.matmul(&passed[number])?, slope.sum_keepdim(0)?));
            if number > 0 {
                slope = through_logistic(slope.matmul(&layer.weight)?, &smooth[number - 1])?;
            }
        }
        Ok(Gradients {
            loss,
            layers: gradients,
        })
    }
}

fn layer((weight, bias): &(Parameter, Parameter)) -> Result<Layer> {
    Ok(Layer {
        weight: weight.value()?,
        bias: bias.value()?,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::super::rbm::Visible;
    use super::{Adam, Machine, Parameter, Unrolled};
    use crate::model::random::Random;

    /// A net of 6, 5, 4, 5 and 6 units with lively weights, and 7 rows for it.
    fn example() -> (Unrolled, Tensor) {
        let mut random = Random::new(5, 0);
        let cpu = Device::Cpu;
        let lower = Machine::new(Visible::Linear, (5, 6), 0.7, &mut random, &cpu).unwrap();
        let upper = Machine::new(Visible::Binary, (4, 5), 0.7, &mut random, &cpu).unwrap();
        let data = Tensor::from_vec(random.normals(7 * 6, 1.0), (7, 6), &cpu).unwrap();
        (Unrolled::new(&[lower, upper]).unwrap(), data)
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        const NUDGE: f32 = 1e-2;
        let (net, data) = example();
        let gradients = net.gradients(&data, false).unwrap().layers;
        for (number, (by_weight, _)) in gradients.iter().rev().enumerate() {
            let (rows, columns) = by_weight.dims2().unwrap();
            for (row, column) in [(0, 0), (rows - 1, columns - 1), (rows / 2, columns / 3)] {
                let found: f32 = by_weight
                    .get(row)
                    .unwrap()
                    .get(column)
                    .unwrap()
                    .to_scalar()
                    .unwrap();
                let nudged = |by: f32| {
                    let mut net = net.clone();
                    let weight = net.layers[number].0.value().unwrap();
                    let mut values: Vec<f32> = weight.flatten_all().unwrap().to_vec1().unwrap();
                    values[row * columns + column] += by;
                    let weight = Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap();
                    net.layers[number].0 = Parameter::new(&weight, Adam::SLOTS).unwrap();
                    // The loss is a mean over 6 pixels, the gradient that of half their sum.
                    net.gradients(&data, false).unwrap().loss * 3.0
                };
                let expected = (nudged(NUDGE) - nudged(-NUDGE)) / (2.0 * NUDGE);
                assert!(
                    (found - expected).abs() < 2e-3,
                    "layer {number}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn fine_tuning_reduces_the_loss_through_rounded_codes() {
        let (mut net, data) = example();
        let losses: Vec<f32> = (1..=300)
            .map(|step| net.learn(&data, Adam::at(step, 0.02)).unwrap())
            .collect();
        assert!(
            losses[299] < losses[0] * 0.5,
            "{} {}",
            losses[0],
            losses[299]
        );
    }
}
