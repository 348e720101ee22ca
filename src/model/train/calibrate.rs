//! Balancing of the bits: after the training each bit's threshold moves to its median over the
//! training pictures, so that it is on for half of them and says as much as a bit can.
//!
//! The paper rounds at one half. Thresholds at the median leave the order of pictures along each unit
//! as it was learned and only raise the entropy of the codes; Kim et al. (2023) move theirs to the
//! mean for the same reason.

use std::ops::ControlFlow;

use super::dataset::Dataset;
use super::progress::{Net, Observer, Pass, Phase};
use super::recipe::Thresholds;
use crate::model::error::{Lift, ModelError};
use crate::model::network::{Network, numbers};

/// Most pictures that are looked at; they are spread evenly over the data.
const SAMPLE: usize = 65_536;
/// Pictures in one pass.
const ROWS: usize = 256;

/// How the bits of a network are spread over the sample.
pub(super) struct Balance {
    /// Mean entropy of a bit, in bits.
    pub(super) entropy: f32,
    /// Bits that are the same for at least 99 of 100 pictures.
    pub(super) dead: usize,
}

/// Moves the thresholds of `network` to the medians, if asked to, and says how the bits are spread then. `observer` is
/// told of the passes that this takes, with the loss that the net ended at.
pub(super) fn calibrate(
    network: &mut Network,
    dataset: &Dataset<'_>,
    thresholds: Thresholds,
    observer: Observer<'_>,
    (net, loss): (Net, f32),
) -> Result<Balance, ModelError> {
    let stride = dataset.len().div_ceil(SAMPLE);
    let sample: Vec<usize> = (0..dataset.len()).step_by(stride).collect();
    let moves = thresholds == Thresholds::Median;
    let passes = if moves { 2 } else { 1 };
    let mut units = |network: &Network, number: usize| {
        let mut pass = Pass::begin((net, Phase::Thresholds), (number, passes), sample.len());
        units(network, dataset, &sample, |done| pass.tell(observer, done, (loss, 0.0)))
    };
    if moves {
        let medians = units(network, 1)?.iter_mut().map(|sums| median(sums)).collect();
        network.shift_bits(medians).lift()?;
    }
    let shares = units(network, passes)?.into_iter().map(|sums| share_on(&sums));
    let shares: Vec<f64> = shares.collect();
    let entropy = shares.iter().map(|&share| entropy(share)).sum::<f64>();
    #[expect(clippy::cast_possible_truncation, reason = "an entropy is between 0 and 1")]
    #[expect(clippy::cast_precision_loss, reason = "a code has at most 1024 bits")]
    let entropy = (entropy / shares.len().max(1) as f64) as f32;
    let dead = shares.iter().filter(|share| !(0.01..=0.99).contains(*share)).count();
    Ok(Balance { entropy, dead })
}

/// The sums of each bit over the sample; `tell` hears how many pictures are done.
fn units(
    network: &Network,
    dataset: &Dataset<'_>,
    sample: &[usize],
    mut tell: impl FnMut(usize) -> ControlFlow<()>,
) -> Result<Vec<Vec<f32>>, ModelError> {
    let bits = network.units().last().copied().unwrap_or(0);
    let mut units = vec![Vec::with_capacity(sample.len()); bits];
    for (number, chunk) in sample.chunks(ROWS).enumerate() {
        let sums = dataset.batch(chunk).and_then(|inputs| network.sums(&inputs)).lift()?;
        for row in numbers(&sums)?.chunks_exact(bits) {
            units.iter_mut().zip(row).for_each(|(unit, &sum)| unit.push(sum));
        }
        if tell(number * ROWS + chunk.len()).is_break() {
            return Err(ModelError::Stopped);
        }
    }
    Ok(units)
}

/// The middle one of `values`, of which there is at least one.
fn median(values: &mut [f32]) -> f32 {
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f32::total_cmp).1
}

#[expect(clippy::cast_precision_loss, reason = "a sample has at most 65,536 pictures")]
fn share_on(sums: &[f32]) -> f64 {
    sums.iter().filter(|&&sum| sum > 0.0).count() as f64 / sums.len() as f64
}

fn entropy(share: f64) -> f64 {
    let part = |share: f64| {
        if share > 0.0 { -share * share.log2() } else { 0.0 }
    };
    part(share) + part(1.0 - share)
}
