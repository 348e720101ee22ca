//! The numbers that a forward pass computes with.

use std::fmt;
use std::str::FromStr;

use candle_core::{DType, Device, Result as CandleResult, Tensor};

use super::ModelError;

/// The type of the weights, the inputs and the activities in a forward pass: `f32`, `bf16` or `f16`.
///
/// Products are summed in f32 whatever the precision; the narrow types round each layer's sums once,
/// as the matrix products of a GPU do. Biases and logistic functions are computed in f32. A narrow type
/// gives other codes where a unit stands near its threshold, so it is part of an encoder's
/// [`Fingerprint`](super::Fingerprint).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// 24 bits of mantissa, the default.
    #[default]
    F32,
    /// 8 bits of mantissa and the range of f32.
    Bf16,
    /// 11 bits of mantissa, values to 65,504. The weights are stored in it, so they are exact.
    F16,
}

impl Precision {
    /// Every precision, the default first.
    pub const ALL: [Self; 3] = [Self::F32, Self::Bf16, Self::F16];

    /// The type as candle names it.
    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
            Self::F16 => DType::F16,
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

impl FromStr for Precision {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        let named = Self::ALL.into_iter().find(|precision| precision.to_string() == text);
        named.ok_or_else(|| ModelError::PrecisionText { text: text.to_owned() })
    }
}

/// How numbers become those of a precision: on the CPU f32 that are rounded to it, on a GPU its own type.
/// The default, f32, changes nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rounding {
    precision: Precision,
    /// Whether the device multiplies in the precision itself.
    native: bool,
}

impl Rounding {
    /// The rounding to `precision` on `device`.
    pub(super) fn new(precision: Precision, device: &Device) -> Self {
        Self { precision, native: !device.is_cpu() }
    }

    /// What is multiplied: f32 rounded to the precision, and of its type where the device computes in it.
    pub(super) fn operand(self, tensor: Tensor) -> CandleResult<Tensor> {
        match self.precision {
            Precision::F32 => Ok(tensor),
            precision if self.native => tensor.to_dtype(precision.dtype()),
            precision => tensor.to_dtype(precision.dtype())?.to_dtype(DType::F32),
        }
    }

    /// What a product gave, as f32.
    pub(super) fn product(self, product: Tensor) -> CandleResult<Tensor> {
        if self.native { product.to_dtype(DType::F32) } else { self.operand(product) }
    }
}

#[cfg(test)]
mod tests {
    use super::Precision;

    #[test]
    fn precision_text_reads_back() {
        for precision in Precision::ALL {
            assert_eq!(precision.to_string().parse::<Precision>().unwrap(), precision);
        }
        for text in ["", "F32", "fp16", "tf32", "f64"] {
            assert!(text.parse::<Precision>().is_err(), "{text}");
        }
    }
}
