//! The weight file: one safetensors file with all networks.
//!
//! Tensors: `mean` (F32, 3072) and `deviation` (F32, 1) of the normalisation; `code.N.weight` (F16,
//! units x inputs) and `code.N.bias` (F16, units) for each layer N from 0, and the same for `address`. If the
//! encoder has a network for patches, `patch.N.weight` and `.bias` with `patch.mean` (F32, 336) and
//! `patch.deviation` (F32, 1); a release that knows none refuses them.
//! The metadata entry `hashdb` is JSON: format version, preprocessing, units of the layers, and the
//! summary of the training, if there was one.

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::autoencoder::Parts;
use super::error::{Lift, ModelError};
use super::kind::ModelKind;
use super::network::{
    Layer, Network, check_address_units, check_code_units, check_patch_units, numbers,
};
use super::normal::Normalizer;
use super::patch_net::PatchNet;
use super::patches::PATCH_INPUTS;
use super::tensors::{self, Item, Reader};
use super::train::{PatchSummary, TrainingSummary};
use super::{PREPROCESSING, Pixels};

/// The version of the format described above.
const VERSION: u32 = 1;

/// The only field that every version of the description has.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The JSON in the metadata.
#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    preprocessing: String,
    code: Vec<usize>,
    address: Vec<usize>,
    training: Option<TrainingSummary>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    patch: Option<PatchDescription>,
}

/// The part of it that tells of the network for patches.
#[derive(Serialize, Deserialize)]
struct PatchDescription {
    units: Vec<usize>,
    training: Option<PatchSummary>,
}

/// The bytes of a weight file.
pub(super) fn write(parts: &Parts) -> Result<Vec<u8>, ModelError> {
    let description = Description {
        format: VERSION,
        preprocessing: PREPROCESSING.to_owned(),
        code: parts.code.units(),
        address: parts.address.units(),
        training: parts.training.clone(),
        patch: parts.patch.as_ref().map(|patch| PatchDescription {
            units: patch.network.units(),
            training: patch.training.clone(),
        }),
    };
    let json = serde_json::to_string(&description)
        .map_err(|error| ModelError::Description { cause: error.to_string() })?;
    let mean = Item::floats(&[Pixels::BYTES], parts.normalizer.mean());
    let deviation = Item::floats(&[1], &[parts.normalizer.deviation()]);
    let mut items = vec![("mean".to_owned(), mean), ("deviation".to_owned(), deviation)];
    let mut nets = vec![("code", &parts.code), ("address", &parts.address)];
    if let Some(patch) = &parts.patch {
        let (mean, deviation) = (patch.normalizer.mean(), [patch.normalizer.deviation()]);
        items.push(("patch.mean".to_owned(), Item::floats(&[PATCH_INPUTS], mean)));
        items.push(("patch.deviation".to_owned(), Item::floats(&[1], &deviation)));
        nets.push(("patch", &patch.network));
    }
    for (net, network) in nets {
        for (number, layer) in network.layers().iter().enumerate() {
            let weight = Item::halves(layer.weight.dims(), &numbers(&layer.weight)?);
            let bias = Item::halves(&[layer.bias.elem_count()], &numbers(&layer.bias)?);
            items.push((format!("{net}.{number}.weight"), weight));
            items.push((format!("{net}.{number}.bias"), bias));
        }
    }
    tensors::write(json, items)
}

/// Reads and checks the bytes of a weight file.
pub(super) fn read(bytes: &[u8], device: &Device) -> Result<Parts, ModelError> {
    let mut reader = Reader::new(bytes)?;
    let description = describe(reader.description())?;
    let normalizer = read_normalizer(&mut reader, "", Pixels::BYTES)?;
    let (units, inputs) = (&description.code, Pixels::BYTES);
    let code = read_network(&mut reader, "code", units, inputs, device)?;
    let address = read_network(&mut reader, "address", &description.address, inputs, device)?;
    let patch = match description.patch {
        Some(PatchDescription { units, training }) => Some(PatchNet {
            normalizer: read_normalizer(&mut reader, "patch.", PATCH_INPUTS)?,
            network: read_network(&mut reader, "patch", &units, PATCH_INPUTS, device)?,
            training,
        }),
        None => None,
    };
    reader.finish()?;
    Ok(Parts { normalizer, code, address, patch, training: description.training })
}

/// Reads a mean of `width` numbers and a deviation.
fn read_normalizer(
    reader: &mut Reader<'_>,
    prefix: &str,
    width: usize,
) -> Result<Normalizer, ModelError> {
    let mean = reader.floats(&format!("{prefix}mean"), &[width], 0.0..=255.0)?;
    let range = Normalizer::MIN_DEVIATION..=Normalizer::MAX_DEVIATION;
    let deviation = reader.floats(&format!("{prefix}deviation"), &[1], range)?;
    Ok(Normalizer::new(mean, deviation[0]))
}

/// Reads and checks the description, its version first.
fn describe(json: &str) -> Result<Description, ModelError> {
    let refuse = |error: serde_json::Error| ModelError::Description { cause: error.to_string() };
    ModelKind::Autoencoder.check(json)?;
    let Version { format } = serde_json::from_str(json).map_err(refuse)?;
    if format != VERSION {
        return Err(ModelError::WeightVersion { found: format, expected: VERSION });
    }
    let description: Description = serde_json::from_str(json).map_err(refuse)?;
    if description.preprocessing != PREPROCESSING {
        let found = description.preprocessing;
        return Err(ModelError::Preprocessing { found, expected: PREPROCESSING });
    }
    check_code_units(&description.code)
        .and_then(|()| check_address_units(&description.address))
        .and_then(|()| description.patch.iter().try_for_each(|net| check_patch_units(&net.units)))
        .map_err(|error| ModelError::Description { cause: error.to_string() })?;
    Ok(description)
}

fn read_network(
    reader: &mut Reader<'_>,
    net: &str,
    units: &[usize],
    mut inputs: usize,
    device: &Device,
) -> Result<Network, ModelError> {
    let mut layers = Vec::with_capacity(units.len());
    for (number, &count) in units.iter().enumerate() {
        let weight = reader.halves(&format!("{net}.{number}.weight"), &[count, inputs])?;
        let bias = reader.halves(&format!("{net}.{number}.bias"), &[count])?;
        let weight = Tensor::from_vec(weight, (count, inputs), device).lift()?;
        layers.push(Layer { weight, bias: Tensor::from_vec(bias, (1, count), device).lift()? });
        inputs = count;
    }
    Ok(Network::of_halves(layers))
}
