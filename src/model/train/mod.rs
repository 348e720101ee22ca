//! Training.

mod config;
mod progress;

pub use config::{NetConfig, NetSummary, TrainConfig, TrainingSummary};
pub use progress::{Net, Phase, Progress};
