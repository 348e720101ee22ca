//! How good codes are: rankings of labelled items, scored as the literature scores them, and the classical
//! methods that a learned code is measured against.
//!
//! `ranks` orders a database by Hamming distance, `ranking` says what an order with ties is worth, `scores`
//! gathers queries into means with intervals, `patches` ranks by patch addresses, `collisions` looks at the codes without any label, `labels`
//! finds what a picture shows, [`baselines`] makes codes without a network.
//!
//! Labels come in here and nowhere else: no encoder, baseline, index or database ever sees one.

pub mod baselines;
mod collisions;
mod error;
mod labels;
mod patches;
mod ranking;
mod ranks;
mod scores;

pub use collisions::{CodeStatistics, code_statistics};
pub use error::EvalError;
pub use labels::{Classes, LabelSource, LabelTable};
pub use patches::{LabelledPatches, PatchAsker, PatchRanking, PatchRule};
pub use ranking::{Harmonic, Tie, precision_at, relevant_within};
pub use ranks::{Ball, LabelledCodes, Own};
pub use scores::{CUT, CurvePoint, Estimate, PLACES, QueryScore, Scorer, Summary};

use crate::linear::Draws;

/// Puts the labels of items into a random order: the control in which nothing can be found but by chance.
pub fn shuffle_labels(labels: &mut [u16], seed: u64) {
    Draws::new(seed).shuffle(labels);
}
