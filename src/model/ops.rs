//! Element-wise operations that candle has not, or has not fused: in place on the CPU, composed of
//! candle's own on other devices.

use candle_core::{CpuStorage, Error, InplaceOp1, Layout, Result, Tensor};

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
