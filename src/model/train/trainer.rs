//! The course of a training: one net after the other; for each its machines from the pixels up, then the
//! fine-tuning.

use std::path::Path;

use candle_core::Tensor;

use super::calibrate::calibrate;
use super::checkpoint::Checkpoint;
use super::config::NetSummary;
use super::dataset::Dataset;
use super::optimizer::{Adam, Momentum};
use super::progress::{Net, Observer, Pass};
use super::recipe::Descent;
use super::state::{Job, NetState, State};
use super::tune::Step;
use crate::model::error::{Lift, ModelError};
use crate::model::network::{Network, with_numbers};
use crate::model::random::Random;

/// One training.
pub(super) struct Trainer<'a> {
    jobs: &'a [Job<'a>],
    dataset: &'a Dataset<'a>,
    observer: Observer<'a>,
    checkpoint: Option<Checkpoint<'a>>,
    state: State,
}

impl<'a> Trainer<'a> {
    /// A training of `jobs` at its start, or where the file at `path` left it. `settings` are all that decide
    /// the result, but for the data.
    pub(super) fn new(
        jobs: &'a [Job<'a>],
        settings: String,
        dataset: &'a Dataset<'a>,
        observer: Observer<'a>,
        path: Option<&'a Path>,
    ) -> Result<Self, ModelError> {
        let checkpoint =
            path.map(|path| Checkpoint { path, jobs, settings, dataset: dataset.digest() });
        let state = match &checkpoint {
            Some(checkpoint) => checkpoint.load(&dataset.device)?.unwrap_or_default(),
            None => State::default(),
        };
        Ok(Self { jobs, dataset, observer, checkpoint, state })
    }

    /// Trains what is left to train.
    pub(super) fn run(mut self) -> Result<Vec<(Network, NetSummary)>, ModelError> {
        for (number, &job) in self.jobs.iter().enumerate().skip(self.state.done.len()) {
            while self.state.net.phase <= job.config.layers.len() {
                self.run_phase(number, job)?;
            }
            let done = self.finish(job)?;
            self.state.done.push(done);
            let kept = std::mem::take(&mut self.state.kept);
            let losses = std::mem::take(&mut self.state.net.losses);
            self.state.net = NetState::beginning(kept, losses);
        }
        Ok(self.state.done)
    }

    /// Runs the epochs that are left of the current phase, and goes on to the next.
    fn run_phase(&mut self, number: usize, job: Job<'_>) -> Result<(), ModelError> {
        let tuning = self.state.net.phase == job.config.layers.len();
        let continued = self.jobs.get(number + 1).is_some_and(|next| next.continues > 0);
        if tuning && continued && self.state.net.unrolled.is_none() {
            let kept = self.state.net.machines.iter().map(super::rbm::Machine::at_rest);
            self.state.kept = kept.collect::<candle_core::Result<_>>().lift()?;
        }
        let mut random = Random::new(job.recipe.seed, stream(job.net, self.state.net.phase, 0));
        self.state.net.enter_phase(job, &mut random, &self.dataset.device).lift()?;
        let epochs = if tuning { job.config.tune_epochs } else { job.config.rbm_epochs };
        while self.state.net.epoch < epochs {
            self.run_epoch(job, epochs)?;
        }
        self.state.net.phase += 1;
        self.state.net.epoch = 0;
        Ok(())
    }

    /// One pass over the pictures, in an order of its own. A stop in its middle loses the pass.
    fn run_epoch(&mut self, job: Job<'_>, epochs: usize) -> Result<(), ModelError> {
        let phase = job.phase(self.state.net.phase);
        let epoch = self.state.net.epoch;
        let tuning = self.state.net.unrolled.is_some();
        let number = stream(job.net, self.state.net.phase, epoch + 1);
        let mut random = Random::new(job.recipe.seed, number);
        let order = self.dataset.pass(&mut random);
        let total = order.len();
        let steps = total.div_ceil(job.recipe.batch);
        let mut pass = Pass::begin((job.net, phase), (epoch + 1, epochs), total);
        let (mut images, mut sum) = (0, 0.0);
        for (step, items) in order.chunks(job.recipe.batch).enumerate() {
            let data = self.dataset.seen_batch(items).lift()?;
            let time = Time { done: epoch * steps + step, all: epochs * steps };
            let rate = self.rate(job, time);
            let mut loss = self.learn(job, &data, rate, time, &mut random).lift()?;
            if tuning || self.state.net.phase == 0 {
                loss = self.dataset.pixel_loss(loss);
            }
            images += items.len();
            sum += f64::from(loss) * count(items.len());
            let last = images == total;
            // A step can spoil the weights after the loss was taken; a checkpoint must not keep them.
            if !loss.is_finite() || last && !self.is_finite()? {
                let phase = format!("{phase} of the {} net", job.net);
                let (step, steps, epoch) = (step + 1, steps, epoch + 1);
                return Err(ModelError::Diverged { phase, step, steps, epoch, rate });
            }
            let told = pass.tell(self.observer, images, (mean(sum, images), rate));
            if last {
                // A pass is told before it is kept: killed in between, a training runs it again and tells it again.
                self.end_epoch(mean(sum, images))?;
            }
            if told.is_break() {
                return Err(ModelError::Stopped);
            }
        }
        Ok(())
    }

    /// The rate of a step.
    fn rate(&self, job: Job<'_>, time: Time) -> f32 {
        let recipe = job.recipe;
        match (&self.state.net.unrolled, recipe.descent) {
            (Some(_), Descent::Adam) => recipe.tune_rate * time.half_cosine(),
            (Some(_), Descent::Plain) => recipe.tune_rate,
            (None, _) if self.state.net.phase == 0 => recipe.linear_rate,
            (None, _) => recipe.binary_rate,
        }
    }

    /// One step of the current phase.
    fn learn(
        &mut self,
        job: Job<'_>,
        data: &Tensor,
        rate: f32,
        time: Time,
        random: &mut Random,
    ) -> candle_core::Result<f32> {
        let (momentum, decay) = (job.recipe.momentum, job.recipe.weight_decay);
        if let Some(unrolled) = &mut self.state.net.unrolled {
            let step = match job.recipe.descent {
                Descent::Adam => Step::Adam(Adam::at(time.done + 1, rate)),
                Descent::Plain => Step::Plain(Momentum { rate, momentum, decay: 0.0 }),
            };
            let kept = job.config.kept(data.dim(0)?, random, data.device())?;
            return unrolled.learn(data, kept.as_ref(), step);
        }
        let Some((machine, below)) = self.state.net.machines.split_last_mut() else {
            return Ok(0.0);
        };
        let mut data = data.clone();
        for machine in below {
            data = machine.hidden_given(&data)?;
        }
        machine.learn(&data, Momentum { rate, momentum, decay }, random)
    }

    /// Whether all numbers in training are numbers.
    fn is_finite(&self) -> Result<bool, ModelError> {
        for (_, parameter) in self.state.net.parameters() {
            let finite = |numbers: &[f32]| numbers.iter().all(|number| number.is_finite());
            if !with_numbers(parameter.state(), finite)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Counts a pass and keeps it.
    fn end_epoch(&mut self, loss: f32) -> Result<(), ModelError> {
        self.state.net.epoch += 1;
        if let Some(last) = self.state.net.losses.last_mut() {
            *last = loss;
        }
        self.checkpoint.as_ref().map_or(Ok(()), |checkpoint| checkpoint.save(&self.state))
    }

    /// The encoder out of the fine-tuned autoencoder, its bits cut as the recipe says.
    fn finish(&mut self, job: Job<'_>) -> Result<(Network, NetSummary), ModelError> {
        let mut layers = match &self.state.net.unrolled {
            Some(unrolled) => unrolled.encoder().lift()?,
            None => Vec::new(),
        };
        self.dataset.take_in(&mut layers).lift()?;
        let mut network = Network::new(&layers).lift()?;
        check_range(job.net, &network)?;
        let mut losses = self.state.net.losses.clone();
        let loss = losses.last().copied().unwrap_or_default();
        let report = (job.net, loss);
        let thresholds = job.recipe.thresholds;
        let balance = calibrate(&mut network, self.dataset, thresholds, self.observer, report)?;
        losses.truncate(job.config.layers.len());
        let (bit_entropy, dead_bits) = (balance.entropy, balance.dead);
        Ok((network, NetSummary { rbm_losses: losses, loss, bit_entropy, dead_bits }))
    }
}

/// Checks that no weight was too large for f16: the file of such a network could not be read again.
fn check_range(net: Net, network: &Network) -> Result<(), ModelError> {
    for (number, layer) in network.layers().iter().enumerate() {
        for (name, tensor) in [("weight", &layer.weight), ("bias", &layer.bias)] {
            let infinite = |numbers: &[f32]| numbers.iter().position(|number| !number.is_finite());
            if let Some(index) = with_numbers(tensor, infinite)? {
                let (tensor, value) = (format!("{net}.{number}.{name}"), "inf".to_owned());
                return Err(ModelError::TensorValue { tensor, index, value });
            }
        }
    }
    Ok(())
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
        Net::Patch => 2,
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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::{ModelError, Net, Network, check_range};
    use crate::model::network::Layer;

    /// Weights are kept as f16, which ends at 65,504. A training whose weights were larger wrote a file that
    /// no release could read.
    #[test]
    fn weights_beyond_their_file_are_an_error() {
        let network = |weight: f32| {
            let weight = Tensor::from_vec(vec![0.0, weight], (1, 2), &Device::Cpu).unwrap();
            let bias = Tensor::new(&[[0.5_f32]], &Device::Cpu).unwrap();
            Network::new(&[Layer { weight, bias }]).unwrap()
        };
        check_range(Net::Code, &network(65_504.0)).unwrap();
        let error = check_range(Net::Code, &network(-70_000.0)).unwrap_err();
        assert!(matches!(error, ModelError::TensorValue { index: 1, .. }), "{error}");
    }
}
