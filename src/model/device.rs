//! Where the matrix products run.

use std::fmt;
use std::panic;
use std::str::FromStr;

use candle_core::Device;

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

impl DeviceChoice {
    /// Opens the device.
    pub(super) fn open(self) -> Result<Device, ModelError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(number) => open_cuda(number),
            Self::Auto if cfg!(feature = "cuda") => Ok(open_cuda(0).unwrap_or(Device::Cpu)),
            Self::Auto => Ok(Device::Cpu),
        }
    }
}

/// Opens a CUDA device. The bindings panic where a library of CUDA is missing or too old, which is
/// the user's machine and not our mistake, so the panic becomes an error like the others.
fn open_cuda(number: usize) -> Result<Device, ModelError> {
    if !cfg!(feature = "cuda") {
        let cause = "this build has no CUDA support (feature \"cuda\")".to_owned();
        return Err(ModelError::Device { device: format!("cuda:{number}"), cause });
    }
    let cause = match panic::catch_unwind(|| Device::new_cuda(number)) {
        Ok(Ok(device)) => return Ok(device),
        Ok(Err(error)) => first_line(&error.to_string()),
        Err(_) => "the CUDA libraries are missing or do not match the driver".to_owned(),
    };
    Err(ModelError::Device { device: format!("cuda:{number}"), cause })
}

/// The first line of `text`: candle appends a backtrace where one is enabled.
fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("it gave no reason").to_owned()
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
    use super::DeviceChoice;

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
        assert!(DeviceChoice::Auto.open().unwrap().is_cpu());
    }
}
