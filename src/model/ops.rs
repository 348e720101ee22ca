//! Element-wise operations that candle has not, or has not fused: in place on the CPU, composed of
//! candle's own on other devices.

use candle_core::{CpuStorage, Error, InplaceOp1, InplaceOp2, Layout, Result, Tensor};

/// `1 / (1 + exp(-x))` of every element. Takes a tensor that nothing else shares.
pub(super) fn logistic(sums: Tensor) -> Result<Tensor> {
    if !sums.device().is_cpu() {
        return (sums.neg()?.exp()? + 1.0)?.recip();
    }
    sums.inplace_op1(&Logistic)?;
    Ok(sums)
}

struct Logistic;

impl InplaceOp1 for Logistic {
    fn name(&self) -> &'static str {
        "logistic"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        for value in floats_mut(storage, layout)? {
            *value = 1.0 / (1.0 + (-*value).exp());
        }
        Ok(())
    }
}

/// `gradient * p * (1 - p)`: a gradient by logistic units' outputs `p` becomes one by their sums.
/// Takes a gradient that nothing else shares.
pub(super) fn through_logistic(gradient: Tensor, outputs: &Tensor) -> Result<Tensor> {
    if !gradient.device().is_cpu() {
        return gradient * (outputs - outputs.sqr()?)?;
    }
    gradient.inplace_op2(outputs, &ThroughLogistic)?;
    Ok(gradient)
}

struct ThroughLogistic;

impl InplaceOp2 for ThroughLogistic {
    fn name(&self) -> &'static str {
        "through-logistic"
    }

    fn cpu_fwd(
        &self,
        gradient: &mut CpuStorage,
        gradient_layout: &Layout,
        outputs: &CpuStorage,
        outputs_layout: &Layout,
    ) -> Result<()> {
        let outputs = floats(outputs, outputs_layout)?;
        for (slope, p) in floats_mut(gradient, gradient_layout)?.iter_mut().zip(outputs) {
            *slope *= p * (1.0 - p);
        }
        Ok(())
    }
}

/// The elements of a contiguous f32 tensor, to be written.
pub(super) fn floats_mut<'a>(
    storage: &'a mut CpuStorage,
    layout: &Layout,
) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => Err(not_plain()),
    }
}

/// The elements of a contiguous f32 tensor.
pub(super) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => Err(not_plain()),
    }
}

fn not_plain() -> Error {
    Error::Msg("the operation takes contiguous f32 tensors".to_owned())
}
