//! The course of a training: the code net, then the address net; for each its machines from the
//! pixels up, then the fine-tuning.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::Tensor;

use super::calibrate::calibrate;
use super::checkpoint::Checkpoint;
use super::config::{NetConfig, NetSummary, TrainConfig};
use super::dataset::Dataset;
use super::optimizer::{Adam, Momentum};
use super::progress::{Net, Phase, Progress};
use super::state::{NetState, State};
use crate::model::error::{Lift, ModelError};
use crate::model::network::Network;
use crate::model::random::Random;

/// Time between two reports within an epoch.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Called with each report; [`ControlFlow::Break`] stops the training.
pub(super) type Observer<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// One training.
pub(super) struct Trainer<'a> {
    config: &'a TrainConfig,
    dataset: &'a Dataset<'a>,
    observer: Observer<'a>,
    checkpoint: Option<Checkpoint<'a>>,
    state: State,
}

impl<'a> Trainer<'a> {
    /// A training at its start, or where the file at `checkpoint` left it.
    pub(super) fn new(
        config: &'a TrainConfig,
        dataset: &'a Dataset<'a>,
        observer: Observer<'a>,
        checkpoint: Option<&'a Path>,
    ) -> Result<Self, ModelError> {
        let checkpoint =
            checkpoint.map(|path| Checkpoint { path, config, dataset: dataset.digest() });
        let state = match &checkpoint {
            Some(checkpoint) => checkpoint.load(&dataset.device)?.unwrap_or_default(),
            None => State::default(),
        };
        Ok(Self { config, dataset, observer, checkpoint, state })
    }

    /// Trains what is left to train: the code net and the address net.
    pub(super) fn run(mut self) -> Result<Vec<(Network, NetSummary)>, ModelError> {
        let nets = [(Net::Code, &self.config.code), (Net::Address, &self.config.address)];
        for (net, config) in nets.into_iter().skip(self.state.done.len()) {
            while self.state.net.phase <= config.layers.len() {
                self.run_phase(net, config)?;
            }
            let done = self.finish(config)?;
            self.state.done.push(done);
            self.state.net = NetState::default();
        }
        Ok(self.state.done)
    }

    /// Runs the epochs that are left of the current phase, and goes on to the next.
    fn run_phase(&mut self, net: Net, config: &NetConfig) -> Result<(), ModelError> {
        let mut random = Random::new(self.config.seed, stream(net, self.state.net.phase, 0));
        self.state.net.enter_phase(config, &mut random, &self.dataset.device).lift()?;
        let epochs = match self.state.net.phase(config) {
            Phase::Rbm { .. } => config.rbm_epochs,
            Phase::FineTuning => config.tune_epochs,
        };
        while self.state.net.epoch < epochs {
            self.run_epoch(net, config, epochs)?;
        }
        self.state.net.phase += 1;
        self.state.net.epoch = 0;
        Ok(())
    }

    /// One pass over the pictures, in an order of its own. A stop in its middle loses the pass.
    fn run_epoch(&mut self, net: Net, config: &NetConfig, epochs: usize) -> Result<(), ModelError> {
        let start = Instant::now();
        let total = self.dataset.len();
        let phase = self.state.net.phase(config);
        let epoch = self.state.net.epoch;
        let number = stream(net, self.state.net.phase, epoch + 1);
        let mut random = Random::new(self.config.seed, number);
        let order = random.order(total);
        let steps = order.len().div_ceil(self.config.batch);
        let (mut images, mut sum, mut reported) = (0, 0.0, start);
        for (step, numbers) in order.chunks(self.config.batch).enumerate() {
            let data = self.dataset.batch(numbers).lift()?;
            let time = Time { done: epoch * steps + step, all: epochs * steps };
            let loss = self.learn(&data, time, &mut random).lift()?;
            if !loss.is_finite() {
                return Err(ModelError::Diverged { phase: format!("{phase} of the {net} net") });
            }
            images += numbers.len();
            sum += f64::from(loss) * count(numbers.len());
            let last = images == total;
            if last {
                self.end_epoch(mean(sum, images))?;
            }
            if last || reported.elapsed() >= REPORT_EVERY {
                reported = Instant::now();
                let seconds = start.elapsed().as_secs_f64().max(1e-9);
                let images_per_second = count(images) / seconds;
                let (loss, epoch) = (mean(sum, images), epoch + 1);
                let report =
                    Progress { net, phase, epoch, epochs, images, total, loss, images_per_second };
                if (self.observer)(&report).is_break() {
                    return Err(ModelError::Stopped);
                }
            }
        }
        Ok(())
    }

    /// One step of the current phase.
    fn learn(
        &mut self,
        data: &Tensor,
        time: Time,
        random: &mut Random,
    ) -> candle_core::Result<f32> {
        if let Some(unrolled) = &mut self.state.net.unrolled {
            let rate = self.config.tune_rate * time.half_cosine();
            return unrolled.learn(data, Adam::at(time.done + 1, rate));
        }
        let Some((machine, below)) = self.state.net.machines.split_last_mut() else {
            return Ok(0.0);
        };
        let mut data = data.clone();
        for machine in below {
            data = machine.hidden_given(&data)?;
        }
        let rate = if self.state.net.phase == 0 {
            self.config.linear_rate
        } else {
            self.config.binary_rate
        };
        let (momentum, decay) = (self.config.momentum, self.config.weight_decay);
        machine.learn(&data, Momentum { rate, momentum, decay }, random)
    }

    /// Counts a pass and keeps it.
    fn end_epoch(&mut self, loss: f32) -> Result<(), ModelError> {
        self.state.net.epoch += 1;
        if let Some(last) = self.state.net.losses.last_mut() {
            *last = loss;
        }
        self.checkpoint.as_ref().map_or(Ok(()), |checkpoint| checkpoint.save(&self.state))
    }

    /// The encoder out of the fine-tuned autoencoder, its bits balanced.
    fn finish(&mut self, config: &NetConfig) -> Result<(Network, NetSummary), ModelError> {
        let layers = match &self.state.net.unrolled {
            Some(unrolled) => unrolled.encoder().lift()?,
            None => Vec::new(),
        };
        let mut network = Network::new(&layers).lift()?;
        let balance = calibrate(&mut network, self.dataset)?;
        let mut losses = self.state.net.losses.clone();
        let loss = losses.pop().unwrap_or_default();
        losses.truncate(config.layers.len());
        let (bit_entropy, dead_bits) = (balance.entropy, balance.dead);
        Ok((network, NetSummary { rbm_losses: losses, loss, bit_entropy, dead_bits }))
    }
}

/// How far a phase is, in steps.
#[derive(Debug, Clone, Copy)]
struct Time {
    done: usize,
    all: usize,
}

impl Time {
    /// Falls from 1 at the start to 0 at the end.
    #[expect(clippy::cast_possible_truncation, reason = "the share is between 0 and 1")]
    fn half_cosine(self) -> f32 {
        let share = count(self.done) / count(self.all.max(1));
        ((1.0 + (std::f64::consts::PI * share).cos()) / 2.0) as f32
    }
}

/// The stream of random numbers for an epoch, counted from 1; 0 is for the first weights.
fn stream(net: Net, phase: usize, epoch: usize) -> u64 {
    let net = match net {
        Net::Code => 0,
        Net::Address => 1,
    };
    net << 56 | (phase as u64) << 48 | epoch as u64
}

#[expect(clippy::cast_precision_loss, reason = "counts of pictures are exact in f64")]
fn count(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_possible_truncation, reason = "a loss needs no more digits than an f32")]
fn mean(sum: f64, images: usize) -> f32 {
    (sum / count(images.max(1))) as f32
}
