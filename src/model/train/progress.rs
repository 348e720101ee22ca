//! What an observer of a training sees.

use std::fmt;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Time between two reports within a pass.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Which of the two networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Net {
    /// The one that gives codes.
    Code,
    /// The one that gives addresses.
    Address,
    /// The one that gives the addresses of patches.
    Patch,
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Code => "code",
            Self::Address => "address",
            Self::Patch => "patch",
        })
    }
}

/// A phase of the training of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Pretraining of one restricted Boltzmann machine.
    Rbm {
        /// Which machine, from 1 at the pixels.
        layer: usize,
        /// How many there are.
        layers: usize,
    },
    /// Backpropagation through the unrolled network.
    FineTuning,
    /// The bits are cut, and counted: passes over a sample, in which nothing is learned any more.
    Thresholds,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rbm { layer, layers } => write!(f, "rbm {layer}/{layers}"),
            Self::FineTuning => f.write_str("fine-tuning"),
            Self::Thresholds => f.write_str("thresholds"),
        }
    }
}

/// A report from a training: a few times a second, and at the end of each epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// The network in training.
    pub net: Net,
    /// Its phase.
    pub phase: Phase,
    /// The pass over the pictures, from 1.
    pub epoch: usize,
    /// Passes in this phase.
    pub epochs: usize,
    /// Pictures, or patches, seen in this pass.
    pub images: usize,
    /// Pictures, or patches, in a pass, which has ended once `images` reaches it. Any checkpoint of it is written after
    /// that report.
    pub total: usize,
    /// Mean squared reconstruction error so far in this pass, as in
    /// [`NetSummary`](super::NetSummary); that of the last pass while the bits are cut.
    pub loss: f32,
    /// The rate of the last step, 0 while the bits are cut.
    pub rate: f32,
    /// Seconds in this pass.
    pub seconds: f64,
    /// Pictures, or patches, a second in this pass.
    pub images_per_second: f64,
}

/// Called with each report; [`ControlFlow::Break`] stops the training.
pub(super) type Observer<'a> = &'a mut dyn FnMut(&Progress) -> ControlFlow<()>;

/// The reports of one pass.
pub(super) struct Pass {
    net: Net,
    phase: Phase,
    /// Which pass of the phase, from 1, and how many there are.
    number: (usize, usize),
    total: usize,
    begun: Instant,
    reported: Instant,
}

impl Pass {
    /// One over `total` pictures or patches that begins now.
    pub(super) fn begin((net, phase): (Net, Phase), number: (usize, usize), total: usize) -> Self {
        let now = Instant::now();
        Self { net, phase, number, total, begun: now, reported: now }
    }

    /// Tells `observer`, if it is time or the pass has ended.
    pub(super) fn tell(
        &mut self,
        observer: Observer<'_>,
        images: usize,
        (loss, rate): (f32, f32),
    ) -> ControlFlow<()> {
        if images < self.total && self.reported.elapsed() < REPORT_EVERY {
            return ControlFlow::Continue(());
        }
        self.reported = Instant::now();
        let seconds = self.begun.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts of pictures are exact in f64")]
        let images_per_second = images as f64 / seconds.max(1e-9);
        let Self { net, phase, number: (epoch, epochs), total, .. } = *self;
        observer(&Progress {
            net,
            phase,
            epoch,
            epochs,
            images,
            total,
            loss,
            rate,
            seconds,
            images_per_second,
        })
    }
}
