//! Where the matrix products run.

use std::fmt;
use std::panic;
use std::str::FromStr;

use candle_core::{DType, Device, Tensor};

use super::ModelError;

/// The device that a user asks for: `auto`, `cpu`, `cuda` or `cuda:N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DeviceChoice {
    /// The first CUDA device where this build and this machine have one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// The CUDA device with this number, from 0; an error where there is none.
    Cuda(usize),
}

/// The device that an encoder computes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceInUse {
    /// Its name: `cpu`, or such as `cuda:0 (NVIDIA H200)`.
    pub name: String,
    /// Why [`DeviceChoice::Auto`] took the CPU although this build can use a GPU; nothing otherwise.
    pub fallback: Option<String>,
}

/// An open device.
#[derive(Debug, Clone)]
pub(super) struct Opened {
    pub(super) device: Device,
    pub(super) in_use: DeviceInUse,
}

impl DeviceChoice {
    /// Opens the device.
    pub(super) fn open(self) -> Result<Opened, ModelError> {
        match self {
            Self::Cpu => Ok(Opened::cpu(None)),
            Self::Cuda(number) => open_cuda(number),
            Self::Auto if cfg!(feature = "cuda") => {
                Ok(open_cuda(0).unwrap_or_else(|error| Opened::cpu(Some(error.to_string()))))
            }
            Self::Auto => Ok(Opened::cpu(None)),
        }
    }
}

impl Opened {
    fn cpu(fallback: Option<String>) -> Self {
        let name = DeviceChoice::Cpu.to_string();
        Self { device: Device::Cpu, in_use: DeviceInUse { name, fallback } }
    }
}

/// Opens a CUDA device and has it compute something. The bindings panic where a library of CUDA is too old
/// or damaged, which is the user's machine and not our mistake, so the panic becomes an error like the
/// others.
fn open_cuda(number: usize) -> Result<Opened, ModelError> {
    let asked = DeviceChoice::Cuda(number).to_string();
    if !cfg!(feature = "cuda") {
        let cause = "this build has no CUDA support (feature \"cuda\")".to_owned();
        return Err(ModelError::Device { device: asked, cause });
    }
    let cause = match panic::catch_unwind(|| try_cuda(number)) {
        Ok(Ok(device)) => {
            let name = cuda_name(&device).map_or(asked.clone(), |name| format!("{asked} ({name})"));
            return Ok(Opened { device, in_use: DeviceInUse { name, fallback: None } });
        }
        Ok(Err(error)) => explained(&error.to_string()),
        Err(_) => "the CUDA libraries are missing or do not match the driver".to_owned(),
    };
    Err(ModelError::Device { device: asked, cause })
}

/// A device that works: a driver that is too old and kernels for another GPU show at the first product.
fn try_cuda(number: usize) -> candle_core::Result<Device> {
    // On a stream of its own: candle's default differs from thread to thread, and encoders do not.
    let device = Device::new_cuda_with_stream(number)?;
    let ones = Tensor::ones((16, 16), DType::U8, &device)?.to_dtype(DType::F32)?;
    let sum = ones.matmul(&ones)?.sum_all()?.to_scalar::<f32>()?;
    if sum != 4096.0 {
        return Err(candle_core::Error::Msg(format!("it computes 16 * 16 * 16 as {sum}")));
    }
    Ok(device)
}

#[cfg(feature = "cuda")]
fn cuda_name(device: &Device) -> Option<String> {
    device.as_cuda_device().ok()?.cuda_stream().context().name().ok()
}

#[cfg(not(feature = "cuda"))]
fn cuda_name(_device: &Device) -> Option<String> {
    None
}

/// What the names of CUDA's errors mean for who has to mend them.
const EXPLANATIONS: [(&str, &str); 9] = [
    (
        "CUDA_ERROR_STUB_LIBRARY",
        "the driver's library libcuda.so.1 cannot be loaded; is an NVIDIA driver installed?",
    ),
    ("CUDA_ERROR_NO_DEVICE", "this machine shows no NVIDIA GPU"),
    ("CUDA_ERROR_INVALID_DEVICE", "there is no GPU of this number"),
    (
        "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH",
        "the NVIDIA driver and its library libcuda.so.1 differ in version",
    ),
    ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the NVIDIA driver is too old for this build"),
    ("CUDA_ERROR_NO_BINARY_FOR_GPU", "this build's kernels are for another GPU (CUDA_COMPUTE_CAP)"),
    ("CUDA_ERROR_INVALID_PTX", "this build's kernels are for another GPU (CUDA_COMPUTE_CAP)"),
    (
        "CUBLAS_STATUS_NOT_INITIALIZED",
        "CUDA's library libcublas.so.13 cannot be loaded or used; LD_LIBRARY_PATH can lead to it",
    ),
    (
        "CURAND_STATUS_NOT_INITIALIZED",
        "CUDA's library libcurand.so.10 cannot be loaded or used; LD_LIBRARY_PATH can lead to it",
    ),
];

/// An error of candle as one sentence: its first line, since a backtrace may follow, or what it means.
fn explained(error: &str) -> String {
    let known = EXPLANATIONS.iter().find(|(name, _)| error.contains(name));
    match known {
        Some((name, meaning)) => format!("{meaning} ({name})"),
        None => error.lines().next().unwrap_or("it gave no reason").to_owned(),
    }
}

impl FromStr for DeviceChoice {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            "auto" => return Ok(Self::Auto),
            "cpu" => return Ok(Self::Cpu),
            "cuda" => return Ok(Self::Cuda(0)),
            _ => {}
        }
        let number = text.strip_prefix("cuda:").filter(|n| n.bytes().all(|b| b.is_ascii_digit()));
        number
            .and_then(|number| number.parse().ok())
            .map(Self::Cuda)
            .ok_or_else(|| ModelError::DeviceText { text: text.to_owned() })
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DeviceChoice, explained};

    #[test]
    fn device_text_reads_back() {
        for text in ["auto", "cpu", "cuda:0", "cuda:7"] {
            assert_eq!(text.parse::<DeviceChoice>().unwrap().to_string(), text);
        }
        assert_eq!("cuda".parse::<DeviceChoice>().unwrap(), DeviceChoice::Cuda(0));
        for text in ["", "gpu", "cuda:", "cuda:+1", "cuda:-1", "CUDA", "cuda:99999999999999999999"]
        {
            assert!(text.parse::<DeviceChoice>().is_err(), "{text}");
        }
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn cuda_without_cuda_is_one_clear_error() {
        let message = DeviceChoice::Cuda(1).open().unwrap_err().to_string();
        assert!(message.starts_with("cannot use device cuda:1: "), "{message}");
        let auto = DeviceChoice::Auto.open().unwrap();
        assert!(auto.device.is_cpu());
        // A build that cannot use a GPU has nothing to say about taking the CPU.
        assert_eq!((auto.in_use.name.as_str(), auto.in_use.fallback), ("cpu", None));
    }

    #[test]
    fn errors_of_cuda_say_what_to_mend() {
        let text = "DriverError(CUDA_ERROR_STUB_LIBRARY, \"<Failure>\")\n   0: backtrace";
        let cause = explained(text);
        assert!(cause.contains("libcuda.so.1 cannot be loaded"), "{cause}");
        assert!(
            explained("CublasError(CUBLAS_STATUS_NOT_INITIALIZED)").contains("libcublas.so.13")
        );
        assert_eq!(explained("something else\nbacktrace"), "something else");
        assert_eq!(explained(""), "it gave no reason");
    }
}
