//! How good codes are: rankings of labelled items, scored as the literature scores them.
//!
//! `ranks` orders a database by Hamming distance, `ranking` says what an order with ties is worth, `scores`
//! gathers queries into means with intervals, `collisions` looks at the codes without any label.
//!
//! Labels come in here and nowhere else: no encoder, index or database ever sees one.

mod collisions;
mod ranking;
mod ranks;
mod scores;

pub use collisions::{CodeStatistics, code_statistics};
pub use ranking::{Harmonic, Tie, precision_at, relevant_within};
pub use ranks::{LabelledCodes, Own};
pub use scores::{CUT, CurvePoint, Estimate, PLACES, QueryScore, Scorer, Summary};
