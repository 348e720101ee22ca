//! The checkpoint file: a training between two epochs, one safetensors file.
//!
//! Tensors: `code.N.weight` and `.bias` (F16) for each layer N of a net that is done, the state of each
//! parameter in training (F32, slots x rows x columns), `machine.N.` or `unrolled.N.`, and `kept.N.` of the
//! machines that the next net continues. The metadata entry is JSON and holds the settings and a hash of the
//! pictures: a checkpoint of another training is refused.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::config::{NetSummary, shown};
use super::optimizer::Parameter;
use super::state::{Job, NetState, State, restore_machine};
use crate::model::error::{Lift, ModelError};
use crate::model::network::{Layer, Network, numbers};
use crate::model::tensors::{self, Item, Reader};

/// The version of the format described above.
const VERSION: u32 = 2;

/// The checkpoint of one training, at one path.
pub(super) struct Checkpoint<'a> {
    pub(super) path: &'a Path,
    pub(super) jobs: &'a [Job<'a>],
    /// All that decides the result, but for the pictures.
    pub(super) settings: String,
    /// A hash of the pictures.
    pub(super) dataset: String,
}

/// The only field that every version of the description has.
#[derive(Deserialize)]
struct Version {
    checkpoint: u32,
}

/// The JSON in the metadata.
#[derive(Serialize, Deserialize)]
struct Description {
    checkpoint: u32,
    /// JSON within a string: numbers that are parsed may not be written again as they were.
    settings: String,
    /// The layers of each network, as people write them.
    nets: Vec<String>,
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
            settings: self.settings.clone(),
            nets: self.nets(),
            dataset: self.dataset.clone(),
            done: state.done.iter().map(|(_, summary)| summary.clone()).collect(),
            phase: state.net.phase,
            epoch: state.net.epoch,
            losses: state.net.losses.clone(),
        };
        let json = serde_json::to_string(&description)
            .map_err(|error| ModelError::Description { cause: error.to_string() })?;
        let mut items = Vec::new();
        for ((network, _), job) in state.done.iter().zip(self.jobs) {
            for (number, layer) in network.layers().iter().enumerate() {
                for (name, tensor) in [("weight", &layer.weight), ("bias", &layer.bias)] {
                    let item = Item::halves(tensor.dims(), &numbers(tensor)?);
                    items.push((format!("{}.{number}.{name}", job.net), item));
                }
            }
        }
        for (name, parameter) in state.parameters() {
            let tensor = parameter.state();
            items.push((name, Item::floats(tensor.dims(), &numbers(tensor)?)));
        }
        tensors::write(json, items)
    }

    fn parse(&self, bytes: &[u8], device: &Device) -> Result<State, ModelError> {
        let mut reader = Reader::new(bytes)?;
        let wrong = |cause: String| ModelError::Description { cause };
        let unreadable = |error: serde_json::Error| wrong(error.to_string());
        let Version { checkpoint } =
            serde_json::from_str(reader.description()).map_err(unreadable)?;
        if checkpoint != VERSION {
            return Err(wrong("it was written by another release".to_owned()));
        }
        let description: Description =
            serde_json::from_str(reader.description()).map_err(unreadable)?;
        self.check(&description).map_err(wrong)?;

        let mut done = Vec::new();
        for (summary, job) in description.done.into_iter().zip(self.jobs) {
            done.push((read_done(&mut reader, *job, device)?, summary));
        }
        let (job, next) = (self.jobs[done.len()], self.jobs.get(done.len() + 1));
        let mut read = |name: String, shape: [usize; 3]| {
            let values = reader.floats(&name, &shape, f32::MIN..=f32::MAX)?;
            Tensor::from_vec(values, &shape, device).map(Parameter::from_state).lift()
        };
        let mut kept = Vec::new();
        if description.phase == job.config.layers.len() {
            for number in 0..next.map_or(0, |next| next.continues) {
                kept.push(restore_machine("kept", job, number, &mut read)?);
            }
        }
        let mut net = NetState::restore(job, description.phase, &mut read)?;
        net.epoch = description.epoch;
        net.losses = description.losses;
        reader.finish()?;
        Ok(State { done, kept, net })
    }

    /// The layers of each network, as people write them.
    fn nets(&self) -> Vec<String> {
        let net = |job: &Job<'_>| format!("{} {}", job.net, shown(job.inputs, &job.config.layers));
        self.jobs.iter().map(net).collect()
    }

    /// Says what is wrong with a description.
    fn check(&self, found: &Description) -> Result<(), String> {
        if found.nets != self.nets() {
            let (found, asked) = (found.nets.join(", "), self.nets().join(", "));
            return Err(format!("it is of the networks {found}; this training is of {asked}"));
        }
        if found.settings != self.settings {
            let difference = difference(&found.settings, &self.settings);
            return Err(format!("it was made with other settings{difference}"));
        }
        if found.dataset != self.dataset {
            return Err("it was made with other pictures".to_owned());
        }
        let Some(job) = self.jobs.get(found.done.len()) else {
            return Err("it has no network in training".to_owned());
        };
        if found.phase > job.config.layers.len() || found.losses.len() != found.phase + 1 {
            return Err("its phase is out of range".to_owned());
        }
        Ok(())
    }
}

/// The first setting that differs, with both values.
fn difference(found: &str, asked: &str) -> String {
    let (Ok(found), Ok(asked)) = (serde_json::from_str(found), serde_json::from_str(asked)) else {
        return String::new();
    };
    let (found, asked): (Map<String, Value>, Map<String, Value>) = (found, asked);
    let differs = |name: &&String| found.get(*name) != asked.get(*name);
    let Some(name) = found.keys().chain(asked.keys()).find(differs) else {
        return String::new();
    };
    let shown = |settings: &Map<String, Value>| {
        settings.get(name).map_or("the default".to_owned(), Value::to_string)
    };
    format!(": {name} was {}, now it is {}", shown(&found), shown(&asked))
}

fn read_done(
    reader: &mut Reader<'_>,
    job: Job<'_>,
    device: &Device,
) -> Result<Network, ModelError> {
    let mut inputs = job.inputs;
    let mut layers = Vec::new();
    for (number, &units) in job.config.layers.iter().enumerate() {
        let mut read = |name, rows, columns| {
            let name = format!("{}.{number}.{name}", job.net);
            let values = reader.halves(&name, &[rows, columns])?;
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
