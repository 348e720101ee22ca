//! The weight file of `kmeans-itq`: one safetensors file.
//!
//! Tensors: `filters` (F16, centroids x 108), `thresholds` (F32, centroids); for `code` and for `address`
//! `code.weight` (F16, bits x features) and `code.offset` (F32, bits), features being grid x grid x centroids.
//! The metadata entry `hashdb` is JSON: format version, kind, preprocessing, what decides the shapes, and the
//! summary of the training, if there was one.

use serde::{Deserialize, Serialize};

use super::config::{KmeansSummary, check_shape};
use super::features::Filters;
use super::patches::INPUTS;
use super::{Parts, Projection};
use crate::model::kind::ModelKind;
use crate::model::tensors::{self, Item, Reader};
use crate::model::{ModelError, PREPROCESSING};

/// The version of the format described above.
const VERSION: u32 = 1;

/// Largest threshold and offset, either way. Features and products are far below it.
const MOST: f32 = 1e9;

/// The only field that every version of the description has beside the kind.
#[derive(Deserialize)]
struct Version {
    format: u32,
}

/// The JSON in the metadata.
#[derive(Serialize, Deserialize)]
struct Description {
    format: u32,
    kind: String,
    preprocessing: String,
    centroids: usize,
    grid: usize,
    code_bits: usize,
    address_bits: usize,
    training: Option<KmeansSummary>,
}

/// The bytes of a weight file.
pub(super) fn write(parts: &Parts) -> Result<Vec<u8>, ModelError> {
    let Parts { filters, code, address, training } = parts;
    let description = Description {
        format: VERSION,
        kind: ModelKind::KmeansItq.name().to_owned(),
        preprocessing: PREPROCESSING.to_owned(),
        centroids: filters.count(),
        grid: filters.grid,
        code_bits: code.offsets.len(),
        address_bits: address.offsets.len(),
        training: training.clone(),
    };
    let json = serde_json::to_string(&description)
        .map_err(|error| ModelError::Description { cause: error.to_string() })?;
    let mut items = vec![
        ("filters".to_owned(), Item::halves(&[filters.count(), INPUTS], &filters.weights)),
        ("thresholds".to_owned(), Item::floats(&[filters.count()], &filters.thresholds)),
    ];
    for (name, projection) in [("code", code), ("address", address)] {
        let bits = projection.offsets.len();
        let weight = Item::halves(&[bits, filters.width()], &projection.weights);
        items.push((format!("{name}.weight"), weight));
        items.push((format!("{name}.offset"), Item::floats(&[bits], &projection.offsets)));
    }
    tensors::write(json, items)
}

/// Reads and checks the bytes of a weight file.
pub(super) fn read(bytes: &[u8]) -> Result<Parts, ModelError> {
    let mut reader = Reader::new(bytes)?;
    let found = describe(reader.description())?;
    let Description { centroids, grid, code_bits, address_bits, training, .. } = found;
    let weights = reader.halves("filters", &[centroids, INPUTS])?;
    let thresholds = reader.floats("thresholds", &[centroids], -MOST..=MOST)?;
    let filters = Filters::new(weights, thresholds, grid);
    let mut projection = |name: &str, bits: usize| -> Result<Projection, ModelError> {
        let weights = reader.halves(&format!("{name}.weight"), &[bits, filters.width()])?;
        let offsets = reader.floats(&format!("{name}.offset"), &[bits], -MOST..=MOST)?;
        Ok(Projection { weights, offsets })
    };
    let (code, address) = (projection("code", code_bits)?, projection("address", address_bits)?);
    reader.finish()?;
    Ok(Parts { filters, code, address, training })
}

/// Reads and checks the description, its kind and version first.
fn describe(json: &str) -> Result<Description, ModelError> {
    let refuse = |error: serde_json::Error| ModelError::Description { cause: error.to_string() };
    ModelKind::KmeansItq.check(json)?;
    let Version { format } = serde_json::from_str(json).map_err(refuse)?;
    if format != VERSION {
        return Err(ModelError::WeightVersion { found: format, expected: VERSION });
    }
    let found: Description = serde_json::from_str(json).map_err(refuse)?;
    if found.preprocessing != PREPROCESSING {
        let expected = PREPROCESSING;
        return Err(ModelError::Preprocessing { found: found.preprocessing, expected });
    }
    check_shape(found.code_bits, found.address_bits, found.centroids, found.grid)
        .map_err(|error| ModelError::Description { cause: error.to_string() })?;
    Ok(found)
}
