//! Passes on an NVIDIA GPU: copies in, the forward pass and copies out on a stream each, so that those of
//! one pass run while another computes.
//!
//! Each pass has a slot of its own: page-locked memory for pixels and bits, and a buffer for pixels on the
//! GPU. Slots are made once and used again.
//!
//! Invariant: candle and cudarc follow the use of a buffer by streams only within one stream, so the order
//! between streams is made here. The forward pass waits for the copy in, the copy out for the forward pass;
//! a slot is used again only after its copy out has ended, which is after all that used it.
#![expect(unsafe_code, reason = "page-locked memory is handed out as the driver gives it")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use candle_core::cuda_backend::cudarc::driver::{CudaStream, DriverError, PinnedHostSlice};
use candle_core::{
    CpuStorage, CudaDevice, CudaStorage, DType, Device, Error, InplaceOp1, Layout, Result, Storage,
    Tensor,
};

use super::Pixels;
use super::forward::Forward;
use super::stages::StageTimes;

/// The streams and slots of one encoder on one GPU.
#[derive(Debug)]
pub(super) struct Line {
    device: CudaDevice,
    copies_in: Arc<CudaStream>,
    copies_out: Arc<CudaStream>,
    rows: usize,
    /// Bytes that come back for each row: one a bit.
    bits: usize,
    slots: Mutex<Vec<Slot>>,
    /// One thread hands over work at a time: cuBLAS' handle is not for several.
    turn: Mutex<()>,
}

/// The memory of one pass.
#[derive(Debug)]
struct Slot {
    pixels: PinnedHostSlice<u8>,
    bits: PinnedHostSlice<u8>,
    /// The pixels on the GPU, u8 of shape (rows, 3072).
    input: Tensor,
}

/// A pass on its way.
#[derive(Debug)]
pub(super) struct Pass {
    line: Arc<Line>,
    slot: Option<Slot>,
    /// Read by the copy out.
    _output: Tensor,
}

impl Line {
    /// Opens the streams for passes of `rows` pictures that give `bits` bits each.
    pub(super) fn new(device: &Device, rows: usize, bits: usize) -> Result<Self> {
        let device = device.as_cuda_device()?.clone();
        let context = device.cuda_stream().context().clone();
        Ok(Self {
            copies_in: context.new_stream().map_err(driver)?,
            copies_out: context.new_stream().map_err(driver)?,
            device,
            rows,
            bits,
            slots: Mutex::default(),
            turn: Mutex::default(),
        })
    }

    /// Waits until no other thread hands over work.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands over at most `rows` pictures and returns at once.
    pub(super) fn submit(self: &Arc<Self>, forward: &Forward, images: &[Pixels]) -> Result<Pass> {
        let mut slot = self.slot()?;
        slot.fill(images)?;
        let _turn = self.turn();
        self.copy_in(&slot)?;
        let compute = self.device.cuda_stream();
        compute.join(&self.copies_in).map_err(driver)?;
        let output = forward.bits(&forward.inputs(&slot.input)?)?;
        self.copies_out.join(&compute).map_err(driver)?;
        self.copy_out(&output, &mut slot)?;
        Ok(Pass { line: Arc::clone(self), slot: Some(slot), _output: output })
    }

    /// Makes one pass, each of its stages on its own, and adds up what they take.
    pub(super) fn time(
        self: &Arc<Self>,
        forward: &Forward,
        images: &[Pixels],
        times: &mut StageTimes,
    ) -> Result<()> {
        let mut slot = self.slot()?;
        let _turn = self.turn();
        let compute = self.device.cuda_stream();
        compute.synchronize().map_err(driver)?;
        times.prepare += timed(|| slot.fill(images))?;
        times.copy_in += timed(|| {
            self.copy_in(&slot)?;
            self.copies_in.synchronize().map_err(driver)
        })?;
        let mut output = None;
        times.forward += timed(|| {
            output = Some(forward.bits(&forward.inputs(&slot.input)?)?);
            compute.synchronize().map_err(driver)
        })?;
        times.copy_out += timed(|| {
            let Some(output) = &output else {
                return Ok(());
            };
            self.copy_out(output, &mut slot)?;
            slot.bits.as_slice().map(|_| ()).map_err(driver)
        })?;
        self.give_back(slot);
        Ok(())
    }

    fn copy_in(&self, slot: &Slot) -> Result<()> {
        slot.input.inplace_op1(&CopyIn { stream: &self.copies_in, pixels: &slot.pixels })
    }

    fn copy_out(&self, output: &Tensor, slot: &mut Slot) -> Result<()> {
        let (storage, _layout) = output.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            return Err(Error::Msg("the bits are not on the GPU".to_owned()));
        };
        let bits = storage.as_cuda_slice::<u8>()?;
        if bits.len() != slot.bits.len() {
            let (found, expected) = (bits.len(), slot.bits.len());
            return Err(Error::Msg(format!("a pass gave {found} bits, expected {expected}")));
        }
        self.copies_out.memcpy_dtoh(bits, &mut slot.bits).map_err(driver)
    }

    fn slot(&self) -> Result<Slot> {
        let free = self.slots.lock().unwrap_or_else(PoisonError::into_inner).pop();
        free.map_or_else(|| Slot::new(self), Ok)
    }

    fn give_back(&self, slot: Slot) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).push(slot);
    }
}

impl Slot {
    fn new(line: &Line) -> Result<Self> {
        let context = line.device.cuda_stream().context().clone();
        let pixels = line.rows * Pixels::BYTES;
        let input = Tensor::zeros(
            (line.rows, Pixels::BYTES),
            DType::U8,
            &Device::Cuda(line.device.clone()),
        )?;
        // The zeros are written by candle's stream; from here on the pixels come by another.
        line.device.cuda_stream().synchronize().map_err(driver)?;
        // SAFETY: any byte is a u8, and both are written before they are read: the pixels by `fill`, whole,
        // the bits by the copy out.
        let pixels = unsafe { context.alloc_pinned_with_flags(pixels, 0) }.map_err(driver)?;
        // SAFETY: as above.
        let bits =
            unsafe { context.alloc_pinned_with_flags(line.rows * line.bits, 0) }.map_err(driver)?;
        Ok(Self { pixels, bits, input })
    }

    /// Puts the pictures into page-locked memory, and black ones behind them.
    fn fill(&mut self, images: &[Pixels]) -> Result<()> {
        let pixels = self.pixels.as_mut_slice().map_err(driver)?;
        let (used, unused) = pixels.split_at_mut(images.len() * Pixels::BYTES);
        for (place, image) in used.chunks_exact_mut(Pixels::BYTES).zip(images) {
            place.copy_from_slice(image.as_bytes());
        }
        unused.fill(0);
        Ok(())
    }
}

impl Pass {
    /// Waits for the bits and shows them: one byte each, row by row.
    pub(super) fn finish<T>(mut self, show: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let Some(slot) = self.slot.take() else {
            return Err(Error::Msg("the pass was finished before".to_owned()));
        };
        let shown = slot.bits.as_slice().map(show).map_err(driver);
        if shown.is_ok() {
            self.line.give_back(slot);
        }
        shown
    }
}

/// A pass that nobody waits for gives its slot back when the GPU is done with it.
impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take()
            && slot.bits.as_slice().is_ok()
        {
            self.line.give_back(slot);
        }
    }
}

/// Writes pixels into a tensor on the GPU.
struct CopyIn<'a> {
    stream: &'a Arc<CudaStream>,
    pixels: &'a PinnedHostSlice<u8>,
}

impl InplaceOp1 for CopyIn<'_> {
    fn name(&self) -> &'static str {
        "copy-in"
    }

    fn cpu_fwd(&self, _storage: &mut CpuStorage, _layout: &Layout) -> Result<()> {
        Err(Error::Msg("pixels are copied to a GPU only".to_owned()))
    }

    fn cuda_fwd(&self, storage: &mut CudaStorage, _layout: &Layout) -> Result<()> {
        let input = storage.as_cuda_slice_mut::<u8>()?;
        self.stream.memcpy_htod(self.pixels, input).map_err(driver)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "fits `map_err`")]
fn driver(error: DriverError) -> Error {
    Error::Msg(error.to_string())
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    work()?;
    Ok(started.elapsed())
}
