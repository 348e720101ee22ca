//! Codes of a device, bit by bit beside those of the CPU.

use anyhow::Result;
use hashdb::model::{Encoded, Encoder as _, Model, Pixels, Precision};
use serde::Serialize;

/// Codes in one precision, compared.
#[derive(Debug, Serialize)]
pub(super) struct Compared {
    precision: String,
    fingerprint: String,
    /// Bits of all codes and addresses.
    bits: u64,
    /// Against f32 on the CPU: what changes when this is used instead.
    against_f32: Difference,
    /// Against the CPU in the same precision: what the device changes.
    against_cpu: Difference,
    /// Whether a second pass gave the same codes.
    same_again: bool,
    /// Whether other batches gave the same codes.
    same_in_other_batches: bool,
}

/// How two sets of codes differ.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Difference {
    pub(super) bits: u64,
    pub(super) share: f64,
    pub(super) pictures: u64,
}

/// Encodes the pictures on both and counts.
pub(super) fn compare(device: &Model, cpu: &Model, pictures: &[Pixels]) -> Result<Compared> {
    let precision = device.precision();
    let codes = device.encode(pictures)?;
    let reference = cpu.encode(pictures)?;
    let same_precision = cpu.clone().with_precision(precision)?.encode(pictures)?;
    // Batches that end in the middle of a pass, of one picture, and of the last picture first.
    let (head, tail) = pictures.split_at(pictures.len() / 3);
    let mut batches = device.encode(head)?;
    for picture in tail.iter().take(3) {
        batches.extend(device.encode(std::slice::from_ref(picture))?);
    }
    batches.extend(device.encode(tail.get(3..).unwrap_or_default())?);
    let backwards: Vec<Pixels> = pictures.iter().rev().cloned().collect();
    let mut backwards = device.encode(&backwards)?;
    backwards.reverse();
    let width = u64::from(device.code_bits()) + u64::from(device.address_bits());
    Ok(Compared {
        precision: precision.to_string(),
        fingerprint: device.fingerprint().to_string(),
        bits: width * pictures.len() as u64,
        against_f32: Difference::between(&codes, &reference),
        against_cpu: Difference::between(&codes, &same_precision),
        same_again: device.encode(pictures)? == codes,
        same_in_other_batches: batches == codes && backwards == codes,
    })
}

impl Difference {
    /// Counts the bits that differ between two lists of the same pictures.
    pub(super) fn between(one: &[Encoded], other: &[Encoded]) -> Self {
        let mut difference = Self::default();
        let mut width = 0;
        for (one, other) in one.iter().zip(other) {
            let codes = one.code.as_bytes().iter().zip(other.code.as_bytes());
            let code: u32 = codes.map(|(one, other)| (one ^ other).count_ones()).sum();
            let bits = code + (one.address.value() ^ other.address.value()).count_ones();
            difference.bits += u64::from(bits);
            difference.pictures += u64::from(bits > 0);
            width += u64::from(one.code.bits()) + u64::from(one.address.bits());
        }
        difference.share = difference.bits as f64 / width.max(1) as f64;
        difference
    }
}

impl Compared {
    /// What is wrong, a sentence each.
    pub(super) fn problems(&self, most_f32_share: f64) -> Vec<String> {
        let (precision, mut problems) = (&self.precision, Vec::new());
        let share = self.against_f32.share;
        if *precision == Precision::F32.to_string() && share > most_f32_share {
            problems.push(format!(
                "in f32 a share of {share:.2e} of the bits differs from the CPU's, more than {most_f32_share:.0e}"
            ));
        }
        if !self.same_again {
            problems.push(format!("in {precision} a second pass gave other codes"));
        }
        if !self.same_in_other_batches {
            problems.push(format!("in {precision} codes depend on the batch"));
        }
        problems
    }

    /// A row of the table.
    pub(super) fn row(&self) -> Vec<String> {
        let yes = |yes: bool| if yes { "yes" } else { "NO" }.to_owned();
        let difference = |difference: &Difference| {
            [
                difference.bits.to_string(),
                format!("{:.2e}", difference.share),
                difference.pictures.to_string(),
            ]
        };
        let mut row = vec![self.precision.clone(), self.bits.to_string()];
        row.extend(difference(&self.against_f32));
        row.extend(difference(&self.against_cpu));
        row.extend([yes(self.same_again), yes(self.same_in_other_batches)]);
        row
    }
}
