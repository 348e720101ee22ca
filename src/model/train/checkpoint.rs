//! The checkpoint file: a training between two epochs, one safetensors file.
//!
//! Tensors: `code.N.weight` and `.bias` (F16) for each layer N of the code net once that is done, and
//! the state of each parameter in training (F32, slots x rows x columns). The metadata entry is JSON and
//! holds the settings and a hash of the pictures: a checkpoint of another training is refused.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use super::config::{NetConfig, NetSummary, TrainConfig};
use super::optimizer::Parameter;
use super::state::{NetState, State};
use crate::model::Pixels;
use crate::model::error::{Lift, ModelError};
use crate::model::network::{Layer, Network, numbers};
use crate::model::tensors::{self, Item, Reader};

/// The version of the format described above.
const VERSION: u32 = 1;

/// The checkpoint of one training, at one path.
pub(super) struct Checkpoint<'a> {
    pub(super) path: &'a Path,
    pub(super) config: &'a TrainConfig,
    /// A hash of the pictures.
    pub(super) dataset: String,
}

/// The JSON in the metadata.
#[derive(Serialize, Deserialize)]
struct Description {
    checkpoint: u32,
    config: TrainConfig,
    dataset: String,
    done: Vec<NetSummary>,
    phase: usize,
    epoch: usize,
    losses: Vec<f32>,
}

impl Checkpoint<'_> {
    /// Replaces the file by one of `state`, so that a crash leaves the old or the new one.
    pub(super) fn save(&self, state: &State) -> Result<(), ModelError> {
        let bytes = self.bytes(state)?;
        let mut name = self.path.as_os_str().to_owned();
        name.push(".partial");
        let partial = PathBuf::from(name);
        let io = |op, path: &Path| {
            let path = path.to_path_buf();
            move |source| ModelError::Io { path, op, source }
        };
        write_synced(&partial, &bytes).map_err(io("write", &partial))?;
        replace(&partial, self.path).map_err(io("replace", self.path))
    }

    /// The state in the file; nothing if there is no file.
    pub(super) fn load(&self, device: &Device) -> Result<Option<State>, ModelError> {
        #[expect(clippy::disallowed_methods, reason = "the error below names the path")]
        let bytes = match std::fs::read(self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => {
                return Err(ModelError::Io { path: self.path.to_path_buf(), op: "read", source });
            }
        };
        self.parse(&bytes, device).map(Some).map_err(|error| ModelError::Checkpoint {
            path: self.path.to_path_buf(),
            cause: error.to_string(),
        })
    }

    fn bytes(&self, state: &State) -> Result<Vec<u8>, ModelError> {
        let description = Description {
            checkpoint: VERSION,
            config: self.config.clone(),
            dataset: self.dataset.clone(),
            done: state.done.iter().map(|(_, summary)| summary.clone()).collect(),
            phase: state.net.phase,
            epoch: state.net.epoch,
            losses: state.net.losses.clone(),
        };
        let json = serde_json::to_string(&description)
            .map_err(|error| ModelError::Description { cause: error.to_string() })?;
        let mut items = Vec::new();
        for (network, _) in &state.done {
            for (number, layer) in network.layers().iter().enumerate() {
                for (name, tensor) in [("weight", &layer.weight), ("bias", &layer.bias)] {
                    let item = Item::halves(tensor.dims(), &numbers(tensor)?);
                    items.push((format!("code.{number}.{name}"), item));
                }
            }
        }
        for (name, parameter) in state.net.parameters() {
            let tensor = parameter.state();
            items.push((name, Item::floats(tensor.dims(), &numbers(tensor)?)));
        }
        tensors::write(json, items)
    }

    fn parse(&self, bytes: &[u8], device: &Device) -> Result<State, ModelError> {
        let mut reader = Reader::new(bytes)?;
        let wrong = |cause: &str| ModelError::Description { cause: cause.to_owned() };
        let description: Description = serde_json::from_str(reader.description())
            .map_err(|error| wrong(&error.to_string()))?;
        self.check(&description).map_err(wrong)?;

        let mut done = Vec::new();
        let mut config = &self.config.code;
        for summary in description.done {
            done.push((read_done(&mut reader, config, device)?, summary));
            config = &self.config.address;
        }
        let mut net = NetState::restore(config, description.phase, |name, shape| {
            let values = reader.floats(&name, &shape, f32::MIN..=f32::MAX)?;
            Tensor::from_vec(values, &shape, device).map(Parameter::from_state).lift()
        })?;
        net.epoch = description.epoch;
        net.losses = description.losses;
        reader.finish()?;
        Ok(State { done, net })
    }

    /// Says what is wrong with a description.
    fn check(&self, found: &Description) -> Result<(), &'static str> {
        if found.checkpoint != VERSION {
            return Err("it was written by another release");
        }
        if found.config != *self.config {
            return Err("it was made with other settings");
        }
        if found.dataset != self.dataset {
            return Err("it was made with other pictures");
        }
        let config = match found.done.len() {
            0 => &self.config.code,
            1 => &self.config.address,
            _ => return Err("it has no network in training"),
        };
        if found.phase > config.layers.len() || found.losses.len() != found.phase + 1 {
            return Err("its phase is out of range");
        }
        Ok(())
    }
}

fn read_done(
    reader: &mut Reader<'_>,
    config: &NetConfig,
    device: &Device,
) -> Result<Network, ModelError> {
    let mut inputs = Pixels::BYTES;
    let mut layers = Vec::new();
    for (number, &units) in config.layers.iter().enumerate() {
        let mut read = |name, rows, columns| {
            let values = reader.halves(&format!("code.{number}.{name}"), &[rows, columns])?;
            Tensor::from_vec(values, (rows, columns), device).lift()
        };
        layers
            .push(Layer { weight: read("weight", units, inputs)?, bias: read("bias", 1, units)? });
        inputs = units;
    }
    Network::new(&layers).lift()
}

#[expect(clippy::disallowed_methods, reason = "the caller names the path in its error")]
fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Renames `from` to `to` and makes the new name durable.
#[expect(clippy::disallowed_methods, reason = "the caller names the path in its error")]
fn replace(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    match to.parent() {
        Some(folder) if folder.as_os_str().is_empty() => File::open(".")?.sync_all(),
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
