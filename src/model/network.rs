//! The encoding half of an autoencoder: layers of logistic units, the last of them read as bits.

use std::sync::OnceLock;

use candle_core::{DType, Device, Result, Storage, Tensor};

use super::Precision;
use super::error::{Lift, ModelError};
use super::ops::logistic;
use super::precision::Rounding;
use super::random::Random;

/// Most layers that a network may have.
pub(super) const MAX_LAYERS: usize = 16;
/// Most units that a layer may have; the largest of the paper has 8192.
pub(super) const MAX_UNITS: usize = 16_384;

/// One layer: `logistic(weight * input + bias)`.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    /// f32 of shape (units, inputs).
    pub(super) weight: Tensor,
    /// f32 of shape (1, units).
    pub(super) bias: Tensor,
}

/// Layers from the pixels to the bits. Every number in them is exact in f16, so a file of f16 gives
/// the same codes; but for those of a network in another precision than f32.
#[derive(Debug, Clone)]
pub(super) struct Network {
    layers: Vec<Layer>,
    /// The weights as the matrix product wants them, contiguous of shape (inputs, units); made at the
    /// first batch on the CPU. Otherwise each product turns them anew.
    turned: OnceLock<Vec<Tensor>>,
    rounding: Rounding,
}

impl Layer {
    /// The weighted sums of a batch, shape (rows, units).
    pub(super) fn sums(&self, inputs: &Tensor) -> Result<Tensor> {
        inputs.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }

    /// The layer with every number rounded to the nearest f16.
    fn rounded(&self) -> Result<Self> {
        let round = |tensor: &Tensor| tensor.to_dtype(DType::F16)?.to_dtype(DType::F32);
        Ok(Self { weight: round(&self.weight)?, bias: round(&self.bias)? })
    }
}

impl Network {
    /// The network of `layers`, rounded to f16.
    pub(super) fn new(layers: &[Layer]) -> Result<Self> {
        Ok(Self::of_halves(layers.iter().map(Layer::rounded).collect::<Result<_>>()?))
    }

    /// The network of layers that were read from f16, whose numbers need no rounding and no copy.
    pub(super) fn of_halves(layers: Vec<Layer>) -> Self {
        Self { layers, turned: OnceLock::new(), rounding: Rounding::default() }
    }

    /// The network computing in `precision`: without a copy in f32.
    pub(super) fn in_precision(&self, precision: Precision, device: &Device) -> Result<Self> {
        let rounding = Rounding::new(precision, device);
        if precision == Precision::F32 {
            return Ok(Self { rounding, ..self.clone() });
        }
        let layer = |layer: &Layer| -> Result<Layer> {
            let weight = rounding.operand(layer.weight.clone())?;
            Ok(Layer { weight, bias: layer.bias.clone() })
        };
        let layers = self.layers.iter().map(layer).collect::<Result<_>>()?;
        Ok(Self { layers, turned: OnceLock::new(), rounding })
    }

    /// A network with random weights, scaled so that each sum has about unit variance.
    pub(super) fn random(
        inputs: usize,
        units: &[usize],
        random: &mut Random,
        device: &Device,
    ) -> Result<Self> {
        let mut fan_in = inputs;
        let mut layers = Vec::with_capacity(units.len());
        for &count in units {
            #[expect(clippy::cast_precision_loss, reason = "a layer has at most 16384 units")]
            let deviation = (fan_in as f32).sqrt().recip();
            let weight = random.normals(count * fan_in, deviation);
            let weight = Tensor::from_vec(weight, (count, fan_in), device)?;
            layers.push(Layer { weight, bias: Tensor::zeros((1, count), DType::F32, device)? });
            fan_in = count;
        }
        Self::new(&layers)
    }

    /// The layers, from the pixels on.
    pub(super) fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// Units of each layer, the last being the bits.
    pub(super) fn units(&self) -> Vec<usize> {
        self.layers.iter().map(|layer| layer.bias.elem_count()).collect()
    }

    /// Shifts the last layer's biases down by `thresholds`, one a bit, and rounds them again.
    pub(super) fn shift_bits(&mut self, thresholds: Vec<f32>) -> Result<()> {
        self.turned = OnceLock::new();
        if let Some(last) = self.layers.last_mut() {
            let shift = Tensor::from_vec(thresholds, last.bias.shape(), last.bias.device())?;
            last.bias = (&last.bias - shift)?;
            *last = last.rounded()?;
        }
        Ok(())
    }

    /// The weights of shape (inputs, units): turned for good on the CPU, a view of them on other devices.
    fn turned(&self) -> Result<Vec<Tensor>> {
        if let Some(turned) = self.turned.get() {
            return Ok(turned.clone());
        }
        let turn = |layer: &Layer| {
            let view = layer.weight.t()?;
            if view.device().is_cpu() { view.contiguous() } else { Ok(view) }
        };
        let turned: Vec<_> = self.layers.iter().map(turn).collect::<Result<_>>()?;
        Ok(self.turned.get_or_init(|| turned).clone())
    }

    /// The sums before the last layer's logistic, shape (rows, bits): a bit is on where its sum is
    /// above zero, which is where the rounded logistic is one.
    pub(super) fn sums(&self, inputs: &Tensor) -> Result<Tensor> {
        let mut activity = self.rounding.operand(inputs.clone())?;
        for (number, (layer, turned)) in self.layers.iter().zip(self.turned()?).enumerate() {
            let product = self.rounding.product(activity.matmul(&turned)?)?;
            activity = product.broadcast_add(&layer.bias)?;
            if number + 1 < self.layers.len() {
                activity = self.rounding.operand(logistic(activity)?)?;
            }
        }
        Ok(activity)
    }
}

/// Checks the layers of a network: 1 to [`MAX_LAYERS`] of them with 1 to [`MAX_UNITS`] units each,
/// of which the last is a width that `last` accepts.
pub(super) fn check_units(
    units: &[usize],
    last: fn(usize) -> bool,
    setting: &'static str,
    widths: &str,
) -> std::result::Result<(), ModelError> {
    let refuse = |rule: String| Err(ModelError::Setting { setting, rule });
    if units.is_empty() || units.len() > MAX_LAYERS {
        return refuse(format!("has {} layers, expected 1 to {MAX_LAYERS}", units.len()));
    }
    if let Some(count) = units.iter().find(|count| !(1..=MAX_UNITS).contains(*count)) {
        return refuse(format!("has a layer of {count} units, expected 1 to {MAX_UNITS}"));
    }
    match units.last() {
        Some(&bits) if !last(bits) => refuse(format!("ends in {bits} bits, expected {widths}")),
        _ => Ok(()),
    }
}

/// Checks the layers of a net that gives codes.
pub(super) fn check_code_units(units: &[usize]) -> std::result::Result<(), ModelError> {
    let width = |bits| (64..=1024).contains(&bits) && bits % 64 == 0;
    check_units(units, width, "the code net", "64 to 1024 in steps of 64")
}

/// Checks the layers of a net that gives addresses.
pub(super) fn check_address_units(units: &[usize]) -> std::result::Result<(), ModelError> {
    check_units(units, |bits| (8..=32).contains(&bits), "the address net", "8 to 32")
}

/// Checks the layers of a net that gives the addresses of patches.
pub(super) fn check_patch_units(units: &[usize]) -> std::result::Result<(), ModelError> {
    check_units(units, |bits| (8..=32).contains(&bits), "the patch net", "8 to 32")
}

/// Shows the numbers of a tensor, row by row, without a copy of them where they lie in memory.
pub(super) fn with_numbers<T>(
    tensor: &Tensor,
    show: impl FnOnce(&[f32]) -> T,
) -> std::result::Result<T, ModelError> {
    {
        let (storage, layout) = tensor.storage_and_layout();
        if let Storage::Cpu(memory) = &*storage
            && let Some((start, end)) = layout.contiguous_offsets()
            && let Some(values) = memory.as_slice().ok().and_then(|all: &[f32]| all.get(start..end))
        {
            return Ok(show(values));
        }
    }
    numbers(tensor).map(|values| show(&values))
}

/// The numbers of a tensor, row by row.
pub(super) fn numbers(tensor: &Tensor) -> std::result::Result<Vec<f32>, ModelError> {
    tensor.flatten_all().and_then(|flat| flat.to_vec1::<f32>()).lift()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Codes may not change by how the weights lie in memory, to the last bit of a sum.
    #[test]
    fn turned_weights_give_the_same_sums() {
        let mut random = Random::new(7, 0);
        let mut network = Network::random(3072, &[96, 64], &mut random, &Device::Cpu).unwrap();
        let inputs = Tensor::from_vec(random.normals(64 * 3072, 1.0), (64, 3072), &Device::Cpu);
        let inputs = inputs.unwrap();
        for shift in [0.0, 0.25] {
            network.shift_bits(vec![shift; 64]).unwrap();
            let [first, last] = network.layers() else { unreachable!("two layers were asked for") };
            let plain = last.sums(&logistic(first.sums(&inputs).unwrap()).unwrap()).unwrap();
            let [plain, turned] = [plain, network.sums(&inputs).unwrap()].map(|sums| {
                let sums = numbers(&sums).unwrap();
                sums.into_iter().map(f32::to_bits).collect::<Vec<_>>()
            });
            assert!(plain == turned);
        }
    }
}
