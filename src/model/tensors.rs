//! Files of named tensors (safetensors) with a description in JSON, read with suspicion: a name, a
//! shape, a type or a number that was not expected is an error that names the tensor.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use half::f16;
use safetensors::{Dtype, SafeTensors, View};

use super::ModelError;

/// The one entry of a file's `__metadata__`: several would be written in random order.
const DESCRIPTION: &str = "hashdb";

/// Longest list of tensors that is read, in bytes; those of the largest networks have about 10,000.
/// Parsed JSON takes many times the memory of its text.
const MAX_HEADER_BYTES: u64 = 64 << 10;

/// A tensor to be written.
pub(super) struct Item {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Item {
    /// Numbers written in full.
    pub(super) fn floats(shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: shape.to_vec(), bytes }
    }

    /// Numbers rounded to f16.
    pub(super) fn halves(shape: &[usize], values: &[f32]) -> Self {
        let bytes = values.iter().flat_map(|&value| f16::from_f32(value).to_le_bytes()).collect();
        Self { dtype: Dtype::F16, shape: shape.to_vec(), bytes }
    }
}

impl View for Item {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

/// The bytes of a file; equal tensors and descriptions give equal bytes.
pub(super) fn write(
    description: String,
    items: Vec<(String, Item)>,
) -> Result<Vec<u8>, ModelError> {
    let metadata = HashMap::from([(DESCRIPTION.to_owned(), description)]);
    safetensors::serialize(items, Some(metadata))
        .map_err(|error| ModelError::NotWeights { cause: error.to_string() })
}

/// A file being read. Each tensor is taken once; what is left at the end does not belong there.
pub(super) struct Reader<'a> {
    tensors: SafeTensors<'a>,
    description: String,
    left: BTreeSet<String>,
}

impl<'a> Reader<'a> {
    /// Reads the list of tensors.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self, ModelError> {
        let refuse = |error: safetensors::SafeTensorError| ModelError::NotWeights {
            cause: error.to_string(),
        };
        let length = bytes.first_chunk().map_or(0, |length| u64::from_le_bytes(*length));
        if length > MAX_HEADER_BYTES {
            let cause =
                format!("its list of tensors has {length} bytes, more than {MAX_HEADER_BYTES}");
            return Err(ModelError::NotWeights { cause });
        }
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(refuse)?;
        let description = header.metadata().as_ref().and_then(|entries| entries.get(DESCRIPTION));
        let description = description.cloned().ok_or_else(|| ModelError::Description {
            cause: format!("the entry {DESCRIPTION} is missing"),
        })?;
        let tensors = SafeTensors::deserialize(bytes).map_err(refuse)?;
        let left = tensors.names().into_iter().map(str::to_owned).collect();
        Ok(Self { tensors, description, left })
    }

    /// The description, as it was given to [`write`].
    pub(super) fn description(&self) -> &str {
        &self.description
    }

    /// Takes an f32 tensor, all its numbers within `range`.
    pub(super) fn floats(
        &mut self,
        name: &str,
        shape: &[usize],
        range: std::ops::RangeInclusive<f32>,
    ) -> Result<Vec<f32>, ModelError> {
        let bytes = self.take(name, shape, Dtype::F32, "F32")?;
        let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
        checked(name, values.collect(), &range)
    }

    /// Takes an f16 tensor, all its numbers finite.
    pub(super) fn halves(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ModelError> {
        let bytes = self.take(name, shape, Dtype::F16, "F16")?;
        let values = bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32());
        checked(name, values.collect(), &(f32::MIN..=f32::MAX))
    }

    /// Ends the reading: no tensor may be left.
    pub(super) fn finish(self) -> Result<(), ModelError> {
        match self.left.into_iter().next() {
            Some(tensor) => Err(ModelError::TensorUnknown { tensor }),
            None => Ok(()),
        }
    }

    fn take(
        &mut self,
        name: &str,
        shape: &[usize],
        dtype: Dtype,
        expected: &'static str,
    ) -> Result<&'a [u8], ModelError> {
        let tensor = name.to_owned();
        let Ok(view) = self.tensors.tensor(name) else {
            return Err(ModelError::TensorMissing { tensor });
        };
        if view.dtype() != dtype {
            let found = format!("{:?}", view.dtype());
            return Err(ModelError::TensorType { tensor, found, expected });
        }
        if view.shape() != shape {
            let (found, expected) = (view.shape().to_vec(), shape.to_vec());
            return Err(ModelError::TensorShape { tensor, found, expected });
        }
        self.left.remove(name);
        Ok(view.data())
    }
}

/// The values, unless one of them is out of range or no number.
fn checked(
    name: &str,
    values: Vec<f32>,
    range: &std::ops::RangeInclusive<f32>,
) -> Result<Vec<f32>, ModelError> {
    match values.iter().position(|value| !range.contains(value)) {
        None => Ok(values),
        Some(index) => Err(ModelError::TensorValue {
            tensor: name.to_owned(),
            index,
            value: values[index].to_string(),
        }),
    }
}
