//! What an observer of a training sees.

use std::fmt;

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
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rbm { layer, layers } => write!(f, "rbm {layer}/{layers}"),
            Self::FineTuning => f.write_str("fine-tuning"),
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
    /// Pictures, or patches, in a pass; the pass has ended, and any checkpoint is written, once `images` reaches it.
    pub total: usize,
    /// Mean squared reconstruction error so far in this pass, as in
    /// [`NetSummary`](super::NetSummary).
    pub loss: f32,
    /// The rate of the last step.
    pub rate: f32,
    /// Seconds in this pass.
    pub seconds: f64,
    /// Pictures, or patches, a second in this pass.
    pub images_per_second: f64,
}
