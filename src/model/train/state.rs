//! Where a training stands: all that must be kept to go on from the end of an epoch.

use candle_core::Device;

use super::config::{NetConfig, NetSummary};
use super::optimizer::{Momentum, Parameter};
use super::progress::{Net, Phase};
use super::rbm::{Machine, Visible};
use super::recipe::Recipe;
use super::tune::Unrolled;
use crate::model::ModelError;
use crate::model::network::Network;
use crate::model::random::Random;

/// A network to be trained.
#[derive(Debug, Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) net: Net,
    pub(super) config: &'a NetConfig,
    pub(super) recipe: &'a Recipe,
    /// Numbers of an item of the data.
    pub(super) inputs: usize,
    /// Numbers of an item as the network in training sees it.
    pub(super) seen: usize,
    /// Layers whose machines are those of the network before.
    pub(super) continues: usize,
}

/// A training between two epochs.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// The networks that are done.
    pub(super) done: Vec<(Network, NetSummary)>,
    /// The pretrained machines of a network in fine-tuning, where the next network continues it.
    pub(super) kept: Vec<Machine>,
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

impl Job<'_> {
    /// The phase of a number by name.
    pub(super) fn phase(&self, number: usize) -> Phase {
        let layers = self.config.layers.len();
        if number < layers { Phase::Rbm { layer: number + 1, layers } } else { Phase::FineTuning }
    }

    /// Hidden and visible units of machine `number`.
    fn machine_shape(&self, number: usize) -> (usize, usize) {
        let visible = if number == 0 { self.seen } else { self.config.layers[number - 1] };
        (self.config.layers[number], visible)
    }

    /// A new machine for layer `number`.
    ///
    /// The paper's first weights are small, and grow in a million steps. The default scales them to give
    /// sums of about unit variance from the start, as an autoencoder wants them: so the layers above see
    /// variety however short the pretraining is, or without any. Probabilities vary less than pixels, hence the 2.
    fn new_machine(
        &self,
        number: usize,
        random: &mut Random,
        device: &Device,
    ) -> candle_core::Result<Machine> {
        let (hidden, visible) = self.machine_shape(number);
        #[expect(clippy::cast_precision_loss, reason = "a layer has at most 16384 units")]
        let scaled = if number == 0 { 1.0 } else { 2.0 } / (visible as f32).sqrt();
        let given = self.recipe.first_deviation;
        let deviation = if given > 0.0 { given } else { scaled };
        Machine::new(machine_kind(number), (hidden, visible), deviation, random, device)
    }
}

impl NetState {
    /// The state before the first epoch, with the machines that the network before has left and the losses
    /// that it had.
    pub(super) fn beginning(machines: Vec<Machine>, mut losses: Vec<f32>) -> Self {
        losses.truncate(machines.len());
        Self { phase: machines.len(), machines, losses, ..Self::default() }
    }

    /// Makes what the phase works on, unless it is there.
    pub(super) fn enter_phase(
        &mut self,
        job: Job<'_>,
        random: &mut Random,
        device: &Device,
    ) -> candle_core::Result<()> {
        if self.phase == job.config.layers.len() {
            if self.unrolled.is_none() {
                self.unrolled = Some(Unrolled::new(&self.machines, job.recipe.descent)?);
                self.machines.clear();
            }
        } else if self.machines.len() == self.phase {
            self.machines.push(job.new_machine(self.phase, random, device)?);
        }
        if self.losses.len() == self.phase {
            self.losses.push(0.0);
        }
        Ok(())
    }

    /// Every parameter of the phase by its name in a checkpoint.
    pub(super) fn parameters(&self) -> Vec<(String, &Parameter)> {
        let machines = self.machines.iter().enumerate();
        let machines = machines.flat_map(|(number, machine)| named("machine", number, machine));
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
        job: Job<'_>,
        phase: usize,
        read: &mut Read<'_>,
    ) -> Result<Self, ModelError> {
        let mut net = Self { phase, ..Self::default() };
        let count = job.config.layers.len();
        if phase < count {
            for number in 0..=phase {
                net.machines.push(restore_machine("machine", job, number, read)?);
            }
            return Ok(net);
        }
        let shapes = (0..count).map(|number| job.machine_shape(number));
        let down = shapes.clone().rev().map(|(hidden, visible)| (visible, hidden));
        let descent = job.recipe.descent;
        let mut layers = Vec::new();
        for (number, (units, inputs)) in shapes.chain(down).enumerate() {
            let mut slot = |name, rows, columns| {
                read(format!("unrolled.{number}.{name}"), [descent.slots(), rows, columns])
            };
            layers.push((slot("weight", units, inputs)?, slot("bias", 1, units)?));
        }
        net.unrolled = Some(Unrolled { layers, descent });
        Ok(net)
    }
}

impl State {
    /// Every parameter that a checkpoint keeps.
    pub(super) fn parameters(&self) -> Vec<(String, &Parameter)> {
        let kept = self.kept.iter().enumerate();
        let kept = kept.flat_map(|(number, machine)| named("kept", number, machine));
        kept.chain(self.net.parameters()).collect()
    }
}

/// Reads the state of the parameter with a name and a shape.
pub(super) type Read<'r> = dyn FnMut(String, [usize; 3]) -> Result<Parameter, ModelError> + 'r;

/// The parameters of a machine by their names in a checkpoint.
fn named<'m>(kind: &str, number: usize, machine: &'m Machine) -> [(String, &'m Parameter); 3] {
    [
        (format!("{kind}.{number}.weight"), &machine.weight),
        (format!("{kind}.{number}.hidden"), &machine.hidden),
        (format!("{kind}.{number}.visible"), &machine.visible),
    ]
}

/// Restores machine `number` of a network.
pub(super) fn restore_machine(
    kind: &str,
    job: Job<'_>,
    number: usize,
    read: &mut Read<'_>,
) -> Result<Machine, ModelError> {
    let (hidden, visible) = job.machine_shape(number);
    let mut slot = |name, rows, columns| {
        read(format!("{kind}.{number}.{name}"), [Momentum::SLOTS, rows, columns])
    };
    Ok(Machine {
        kind: machine_kind(number),
        weight: slot("weight", hidden, visible)?,
        hidden: slot("hidden", 1, hidden)?,
        visible: slot("visible", 1, visible)?,
    })
}

/// What the visible units of machine `number` are.
fn machine_kind(number: usize) -> Visible {
    if number == 0 { Visible::Linear } else { Visible::Binary }
}
