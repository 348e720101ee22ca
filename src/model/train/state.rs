//! Where a training stands: all that must be kept to go on from the end of an epoch.

use candle_core::Device;

use super::config::{NetConfig, NetSummary};
use super::optimizer::{Adam, Momentum, Parameter};
use super::progress::Phase;
use super::rbm::{Machine, Visible};
use super::tune::Unrolled;
use crate::model::network::Network;
use crate::model::random::Random;
use crate::model::{ModelError, Pixels};

/// A training between two epochs.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The networks that are done: none, the code net, or both.
    pub(super) done: Vec<(Network, NetSummary)>,
    /// The network in training.
    pub(super) net: NetState,
}

/// The network in training.
#[derive(Debug, Clone, Default)]
pub(super) struct NetState {
    /// The phase, from 0: one for each machine, then the fine-tuning.
    pub(super) phase: usize,
    /// Epochs done in this phase.
    pub(super) epoch: usize,
    /// The last loss of each phase that has begun.
    pub(super) losses: Vec<f32>,
    /// The machines begun; empty in the fine-tuning.
    pub(super) machines: Vec<Machine>,
    /// The autoencoder in the fine-tuning.
    pub(super) unrolled: Option<Unrolled>,
}

impl NetState {
    /// The phase by name.
    pub(super) fn phase(&self, config: &NetConfig) -> Phase {
        let layers = config.layers.len();
        if self.phase < layers {
            Phase::Rbm { layer: self.phase + 1, layers }
        } else {
            Phase::FineTuning
        }
    }

    /// Makes what the phase works on, unless it is there.
    pub(super) fn enter_phase(
        &mut self,
        config: &NetConfig,
        random: &mut Random,
        device: &Device,
    ) -> candle_core::Result<()> {
        if self.phase == config.layers.len() {
            if self.unrolled.is_none() {
                self.unrolled = Some(Unrolled::new(&self.machines)?);
                self.machines.clear();
            }
        } else if self.machines.len() == self.phase {
            self.machines.push(new_machine(config, self.phase, random, device)?);
        }
        if self.losses.len() == self.phase {
            self.losses.push(0.0);
        }
        Ok(())
    }

    /// Every parameter of the phase by its name in a checkpoint.
    pub(super) fn parameters(&self) -> Vec<(String, &Parameter)> {
        let machines = self.machines.iter().enumerate().flat_map(|(number, machine)| {
            [
                (format!("machine.{number}.weight"), &machine.weight),
                (format!("machine.{number}.hidden"), &machine.hidden),
                (format!("machine.{number}.visible"), &machine.visible),
            ]
        });
        let layers = self.unrolled.iter().flat_map(|unrolled| unrolled.layers.iter().enumerate());
        let layers = layers.flat_map(|(number, (weight, bias))| {
            [
                (format!("unrolled.{number}.weight"), weight),
                (format!("unrolled.{number}.bias"), bias),
            ]
        });
        machines.chain(layers).collect()
    }

    /// Restores what a checkpoint holds. `read` gives the state of the parameter with a name and a
    /// shape.
    pub(super) fn restore(
        config: &NetConfig,
        phase: usize,
        mut read: impl FnMut(String, [usize; 3]) -> Result<Parameter, ModelError>,
    ) -> Result<Self, ModelError> {
        let mut net = Self { phase, ..Self::default() };
        let shapes = (0..config.layers.len()).map(|number| machine_shape(config, number));
        if phase < config.layers.len() {
            for (number, (hidden, visible)) in shapes.take(phase + 1).enumerate() {
                let mut slot = |name, rows, columns| {
                    read(format!("machine.{number}.{name}"), [Momentum::SLOTS, rows, columns])
                };
                net.machines.push(Machine {
                    kind: machine_kind(number),
                    weight: slot("weight", hidden, visible)?,
                    hidden: slot("hidden", 1, hidden)?,
                    visible: slot("visible", 1, visible)?,
                });
            }
            return Ok(net);
        }
        let down = shapes.clone().rev().map(|(hidden, visible)| (visible, hidden));
        let mut layers = Vec::new();
        for (number, (units, inputs)) in shapes.chain(down).enumerate() {
            let mut slot = |name, rows, columns| {
                read(format!("unrolled.{number}.{name}"), [Adam::SLOTS, rows, columns])
            };
            layers.push((slot("weight", units, inputs)?, slot("bias", 1, units)?));
        }
        net.unrolled = Some(Unrolled { layers });
        Ok(net)
    }
}

/// A new machine for layer `number`.
///
/// The paper's first weights are smaller, and grow in a million steps. Here they are scaled to give
/// sums of about unit variance from the start, as an autoencoder wants them: so the layers above see
/// variety however short the pretraining is. Probabilities vary less than pixels, hence the 2.
fn new_machine(
    config: &NetConfig,
    number: usize,
    random: &mut Random,
    device: &Device,
) -> candle_core::Result<Machine> {
    let (hidden, visible) = machine_shape(config, number);
    #[expect(clippy::cast_precision_loss, reason = "a layer has at most 16384 units")]
    let deviation = if number == 0 { 1.0 } else { 2.0 } / (visible as f32).sqrt();
    Machine::new(machine_kind(number), (hidden, visible), deviation, random, device)
}

/// What the visible units of machine `number` are.
fn machine_kind(number: usize) -> Visible {
    if number == 0 { Visible::Linear } else { Visible::Binary }
}

/// Hidden and visible units of machine `number`.
fn machine_shape(config: &NetConfig, number: usize) -> (usize, usize) {
    let visible = if number == 0 { Pixels::BYTES } else { config.layers[number - 1] };
    (config.layers[number], visible)
}
