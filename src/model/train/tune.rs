//! Fine-tuning: the stacked machines unrolled into an autoencoder, and backpropagation through it.
//!
//! The loss is the squared error of the reconstruction. The code layer is logistic, rounded to 0 or 1
//! on the way forward; the way back ignores the rounding, as in the paper.
//!
//! Under Adam each layer passes on `2 p - 1` of its logistic outputs `p`, from -1 to 1. With the next
//! layer's weights halved and its biases shifted this is the same network, but one whose inputs are
//! centred, so that descent does not first have to learn their means (Le Cun et al., "Efficient
//! backprop", 1998). [`Unrolled::encoder`] gives the plain logistic form back. Plain descent takes the
//! network as the machines are, as the paper does.
//!
//! Bits of a code may be dropped (`nested`): to the decoder they are halves then, neither 0 nor 1.

use candle_core::{DType, Result, Tensor};

use super::optimizer::{Adam, Momentum, Parameter};
use super::rbm::Machine;
use super::recipe::Descent;
use crate::model::network::Layer;
use crate::model::ops::{logistic, through_logistic};

/// An encoder and its mirror image, the decoder. All units are logistic but the last, which are
/// linear.
#[derive(Debug, Clone)]
pub(super) struct Unrolled {
    /// Weight and bias of each layer, from the pixels to the reconstructed pixels.
    pub(super) layers: Vec<(Parameter, Parameter)>,
    /// How it descends, which decides what layers pass on.
    pub(super) descent: Descent,
}

/// The settings of one step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// On the mean over the rows.
    Adam(Adam),
    /// On the sum over the rows; without decay.
    Plain(Momentum),
}

impl Descent {
    /// Slots of state of each parameter.
    pub(super) fn slots(self) -> usize {
        match self {
            Self::Adam => Adam::SLOTS,
            Self::Plain => Momentum::SLOTS,
        }
    }

    /// What a layer passes on of its outputs: their multiple by the first and the second added.
    fn passes(self) -> (f64, f64) {
        match self {
            Self::Adam => (2.0, -1.0),
            Self::Plain => (1.0, 0.0),
        }
    }
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
    pub(super) fn new(machines: &[Machine], descent: Descent) -> Result<Self> {
        let up = machines.iter().map(Machine::up);
        let down = machines.iter().rev().map(Machine::down);
        let mut layers = Vec::with_capacity(2 * machines.len());
        for (number, layer) in up.chain(down).enumerate() {
            let as_is = number == 0 || descent == Descent::Plain;
            let Layer { weight, bias } = if as_is { layer? } else { centred(&layer?)? };
            let weight = Parameter::new(&weight, descent.slots())?;
            layers.push((weight, Parameter::new(&bias, descent.slots())?));
        }
        Ok(Self { layers, descent })
    }

    /// The layers from the pixels to the code, each taking the logistic outputs of the one below.
    pub(super) fn encoder(&self) -> Result<Vec<Layer>> {
        let layers = self.layers[..self.layers.len() / 2].iter().map(layer);
        layers
            .enumerate()
            .map(|(number, layer)| {
                let as_is = number == 0 || self.descent == Descent::Plain;
                if as_is { layer } else { plain(&layer?) }
            })
            .collect()
    }

    /// One step on the batch `data`, shape (rows, inputs), of whose codes those bits are dropped that `kept` has
    /// zeros for. Gives the mean squared error of a pixel before it.
    pub(super) fn learn(
        &mut self,
        data: &Tensor,
        kept: Option<&Tensor>,
        step: Step,
    ) -> Result<f32> {
        let gradients = self.gradients(data, kept, true)?;
        let rows = f64::from(u32::try_from(data.dim(0)?).unwrap_or(u32::MAX));
        for ((weight, bias), (by_weight, by_bias)) in
            self.layers.iter_mut().rev().zip(&gradients.layers)
        {
            match step {
                Step::Adam(step) => {
                    weight.descend(by_weight, step)?;
                    bias.descend(by_bias, step)?;
                }
                Step::Plain(step) => {
                    weight.ascend(&by_weight.affine(-rows, 0.0)?, step)?;
                    bias.ascend(&by_bias.affine(-rows, 0.0)?, step)?;
                }
            }
        }
        Ok(gradients.loss)
    }

    /// The gradients of half the squared error, summed over pixels and averaged over rows.
    fn gradients(&self, data: &Tensor, kept: Option<&Tensor>, rounded: bool) -> Result<Gradients> {
        let layers: Vec<Layer> = self.layers.iter().map(layer).collect::<Result<_>>()?;
        // Outputs of each layer: `smooth` for the slopes, `passed` as the next layer sees them.
        let mut smooth = Vec::with_capacity(layers.len());
        let mut passed = vec![data.clone()];
        let code = layers.len() / 2 - 1;
        let (scale, shift) = self.descent.passes();
        for (number, layer) in layers.iter().enumerate() {
            let sums = layer.sums(&passed[number])?;
            let output = if number + 1 < layers.len() { logistic(sums)? } else { sums };
            let rounds = rounded && number == code;
            let seen = if rounds { output.gt(0.5)?.to_dtype(DType::F32)? } else { output.clone() };
            passed.push(match kept.filter(|_| number == code) {
                Some(kept) => dropped(&seen, kept)?.affine(scale, shift)?,
                None if number + 1 < layers.len() => seen.affine(scale, shift)?,
                None => seen,
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
                let mut slope_of_output = slope.matmul(&layer.weight)?.affine(scale, 0.0)?;
                if let Some(kept) = kept.filter(|_| number - 1 == code) {
                    slope_of_output = (slope_of_output * kept)?;
                }
                slope = through_logistic(slope_of_output, &smooth[number - 1])?;
            }
        }
        Ok(Gradients { loss, layers: gradients })
    }
}

/// The outputs that are kept, and one half for the others.
fn dropped(outputs: &Tensor, kept: &Tensor) -> Result<Tensor> {
    outputs.affine(1.0, -0.5)?.mul(kept)?.affine(1.0, 0.5)
}

/// The layer that does with inputs `2 p - 1` what `plain` does with `p`.
fn centred(plain: &Layer) -> Result<Layer> {
    let weight = plain.weight.affine(0.5, 0.0)?;
    let bias = (&plain.bias + weight.sum_keepdim(1)?.t()?)?;
    Ok(Layer { weight, bias })
}

/// The layer that does with inputs `p` what `centred` does with `2 p - 1`.
fn plain(centred: &Layer) -> Result<Layer> {
    let bias = (&centred.bias - centred.weight.sum_keepdim(1)?.t()?)?;
    Ok(Layer { weight: centred.weight.affine(2.0, 0.0)?, bias })
}

fn layer((weight, bias): &(Parameter, Parameter)) -> Result<Layer> {
    Ok(Layer { weight: weight.value()?, bias: bias.value()? })
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::super::rbm::Visible;
    use super::{Adam, Descent, Machine, Momentum, Parameter, Step, Unrolled};
    use crate::model::network::Network;
    use crate::model::random::Random;

    /// Machines of 6, 5 and 4 units with lively weights.
    fn machines() -> [Machine; 2] {
        let mut random = Random::new(5, 0);
        let mut machine =
            |kind, shape| Machine::new(kind, shape, 0.7, &mut random, &Device::Cpu).unwrap();
        [machine(Visible::Linear, (5, 6)), machine(Visible::Binary, (4, 5))]
    }

    /// The autoencoder of these machines, and 7 rows for it.
    fn example(descent: Descent) -> (Unrolled, Tensor) {
        let data = Random::new(5, 1).normals(7 * 6, 1.0);
        let data = Tensor::from_vec(data, (7, 6), &Device::Cpu).unwrap();
        (Unrolled::new(&machines(), descent).unwrap(), data)
    }

    #[test]
    fn gradients_agree_with_finite_differences() {
        for descent in [Descent::Adam, Descent::Plain] {
            agree_with_finite_differences(descent);
        }
    }

    fn agree_with_finite_differences(descent: Descent) {
        const NUDGE: f32 = 1e-2;
        let (net, data) = example(descent);
        // Whole codes, and codes of which bits are dropped.
        let kept: Vec<f32> = (0..7 * 4).map(|at| if at % 3 == 0 { 0.0 } else { 1.0 }).collect();
        let kept = Tensor::from_vec(kept, (7, 4), &Device::Cpu).unwrap();
        for kept in [None, Some(&kept)] {
            those_with_kept_bits_agree(&net, &data, kept, NUDGE);
        }
    }

    fn those_with_kept_bits_agree(net: &Unrolled, data: &Tensor, kept: Option<&Tensor>, by: f32) {
        let gradients = net.gradients(data, kept, false).unwrap().layers;
        for (number, (by_weight, _)) in gradients.iter().rev().enumerate() {
            let (rows, columns) = by_weight.dims2().unwrap();
            for (row, column) in [(0, 0), (rows - 1, columns - 1), (rows / 2, columns / 3)] {
                let found: f32 =
                    by_weight.get(row).unwrap().get(column).unwrap().to_scalar().unwrap();
                let nudged = |by: f32| {
                    let mut net = net.clone();
                    let weight = net.layers[number].0.value().unwrap();
                    let mut values: Vec<f32> = weight.flatten_all().unwrap().to_vec1().unwrap();
                    values[row * columns + column] += by;
                    let weight = Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap();
                    net.layers[number].0 = Parameter::new(&weight, Adam::SLOTS).unwrap();
                    // The loss is a mean over 6 pixels, the gradient that of half their sum.
                    net.gradients(data, kept, false).unwrap().loss * 3.0
                };
                let expected = (nudged(by) - nudged(-by)) / (2.0 * by);
                assert!((found - expected).abs() < 2e-3, "layer {number}: {found} {expected}");
            }
        }
    }

    #[test]
    fn unrolling_keeps_what_the_machines_compute() {
        for descent in [Descent::Adam, Descent::Plain] {
            let (net, data) = example(descent);
            let machines = machines();
            let expected = machines[0].hidden_given(&data).unwrap();
            let expected = machines[1].up().unwrap().sums(&expected).unwrap();
            let encoder = net.encoder().unwrap();
            let found = Network::new(&encoder).unwrap().sums(&data).unwrap();
            let error = (found - expected).unwrap().abs().unwrap().max_all().unwrap();
            assert!(error.to_scalar::<f32>().unwrap() < 1e-2, "{error}");
        }
    }

    #[test]
    fn fine_tuning_reduces_the_loss_through_rounded_codes() {
        let adam = |step| Step::Adam(Adam::at(step, 0.02));
        let plain = |_| Step::Plain(Momentum { rate: 0.004, momentum: 0.9, decay: 0.0 });
        let falls = |descent, step: &dyn Fn(usize) -> Step| {
            let (mut net, data) = example(descent);
            let losses: Vec<f32> =
                (1..=300).map(|number| net.learn(&data, None, step(number)).unwrap()).collect();
            assert!(losses[299] < losses[0] * 0.5, "{} {}", losses[0], losses[299]);
        };
        falls(Descent::Adam, &adam);
        falls(Descent::Plain, &plain);
    }

    /// Where ends are dropped, the first bits learn to do without the others.
    #[test]
    fn first_bits_of_nested_codes_say_more() {
        let prefix: Vec<f32> = (0..7 * 4).map(|at| if at % 4 < 2 { 1.0 } else { 0.0 }).collect();
        let prefix = Tensor::from_vec(prefix, (7, 4), &Device::Cpu).unwrap();
        let loss_of_prefix = |nested: bool| {
            let (mut net, data) = example(Descent::Adam);
            for number in 1..=400 {
                let kept = (nested && number % 2 == 0).then_some(&prefix);
                net.learn(&data, kept, Step::Adam(Adam::at(number, 0.02))).unwrap();
            }
            net.gradients(&data, Some(&prefix), true).unwrap().loss
        };
        let [plain, nested] = [false, true].map(loss_of_prefix);
        assert!(nested < 0.7 * plain, "{nested} {plain}");
    }
}
