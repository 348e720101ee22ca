//! `hashdb train --preset kmeans-itq`: an encoder of patch features, without a network.

use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;
use hashdb::model::{
    Encoder as _, KmeansConfig, KmeansItq, KmeansPhase, KmeansProgress, ModelError, train_kmeans,
};
use serde::Serialize;
use serde_json::json;

use crate::exit::{Exit, Usage};
use crate::files;
use crate::output::{Output, note};
use crate::progress::{Meter, Mode, State};
use crate::signals::Interrupt;
use crate::text;

/// The settings of `--preset kmeans-itq`; what is left out has the value of the encoder that ships.
#[derive(Debug, clap::Args)]
pub(super) struct KmeansArgs {
    /// kmeans-itq: bits of a code, 64 to 1024 in steps of 64
    #[arg(long, value_name = "BITS")]
    bits: Option<usize>,
    /// kmeans-itq: bits of an address, 8 to 32
    #[arg(long, value_name = "BITS")]
    address_bits: Option<usize>,
    /// kmeans-itq: centroids of patches, each of which stands for its mirror image too
    #[arg(long, value_name = "N")]
    centroids: Option<usize>,
    /// kmeans-itq: patches that k-means sees
    #[arg(long, value_name = "N")]
    patches: Option<usize>,
    /// kmeans-itq: rounds of k-means
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// kmeans-itq: added to each variance of patches before they are whitened
    #[arg(long, value_name = "VARIANCE")]
    whitening: Option<f32>,
    /// kmeans-itq: what a patch's share of a centroid must exceed to count
    #[arg(long, value_name = "SHARE")]
    threshold: Option<f32>,
    /// kmeans-itq: cells along a side of the picture
    #[arg(long, value_name = "N")]
    grid: Option<usize>,
    /// kmeans-itq: pictures that are distorted, to learn what does not matter
    #[arg(long, value_name = "N")]
    distorted: Option<usize>,
    /// kmeans-itq: added to each variance between distortions, as a share of the mean variance of pictures
    #[arg(long, value_name = "SHARE")]
    shrinkage: Option<f32>,
    /// kmeans-itq: directions of features that bits are made of [default: three times the root of the bits]
    #[arg(long, value_name = "N")]
    directions: Option<usize>,
    /// kmeans-itq: turns of iterative quantization
    #[arg(long, value_name = "N")]
    turns: Option<usize>,
}

impl KmeansArgs {
    /// Whether this is what is to be trained, as the preset says; its settings without it are a mistake.
    pub(super) fn is_asked(&self, preset: bool) -> Result<bool> {
        if preset {
            return Ok(true);
        }
        let counts = [
            self.bits,
            self.address_bits,
            self.centroids,
            self.patches,
            self.rounds,
            self.grid,
            self.distorted,
            self.directions,
            self.turns,
        ];
        let shares = [self.whitening, self.threshold, self.shrinkage];
        if counts.iter().any(Option::is_some) || shares.iter().any(Option::is_some) {
            let sentence =
                "--bits, --centroids and what else is of kmeans-itq need --preset kmeans-itq";
            return Err(Usage(sentence.to_owned()).into());
        }
        Ok(false)
    }

    /// The settings, with defaults for what was left out.
    pub(super) fn config(&self, seed: u64) -> KmeansConfig {
        let default = KmeansConfig::default();
        KmeansConfig {
            seed,
            code_bits: self.bits.unwrap_or(default.code_bits),
            address_bits: self.address_bits.unwrap_or(default.address_bits),
            centroids: self.centroids.unwrap_or(default.centroids),
            patches: self.patches.unwrap_or(default.patches),
            rounds: self.rounds.unwrap_or(default.rounds),
            whitening: self.whitening.unwrap_or(default.whitening),
            threshold: self.threshold.unwrap_or(default.threshold),
            grid: self.grid.unwrap_or(default.grid),
            distorted: self.distorted.unwrap_or(default.distorted),
            shrinkage: self.shrinkage.unwrap_or(default.shrinkage),
            directions: self.directions.or(default.directions),
            turns: self.turns.unwrap_or(default.turns),
        }
    }
}

/// Trains on pictures and writes the weights.
pub(super) fn run(
    pixels: &[u8],
    config: &KmeansConfig,
    out: &Path,
    mode: Option<Mode>,
    json: bool,
    interrupt: &Interrupt,
) -> Result<Exit> {
    let mut meter = Meter::new(mode);
    let mut last = None;
    let mut observer = |progress: &KmeansProgress| {
        last = Some(*progress);
        meter.show(&Shown(progress));
        if interrupt.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let trained = train_kmeans(pixels, config, &mut observer);
    if let Some(progress) = &last {
        meter.finish(&Shown(progress));
    }
    match trained {
        Ok(encoder) => save(&encoder, out, json),
        Err(ModelError::Stopped) => {
            note("interrupted; nothing is kept");
            Ok(Exit::Interrupted)
        }
        Err(error) => Err(error.into()),
    }
}

fn save(encoder: &KmeansItq, out: &Path, json: bool) -> Result<Exit> {
    let weights = encoder.to_bytes()?;
    files::replace(out, &weights)?;
    let mut output = Output::new();
    let (fingerprint, out) = (encoder.fingerprint(), out.display());
    let summary = encoder.training();
    if json {
        output.json(&json!({
            "out": out.to_string(),
            "fingerprint": fingerprint.to_string(),
            "bytes": weights.len(),
            "images": summary.map(|summary| summary.images),
            "seed": summary.map(|summary| summary.config.seed),
            "patch_error": summary.map(|summary| summary.patch_error),
            "ratios": summary.map(|summary| &summary.ratios),
            "code_entropy": summary.map(|summary| summary.code_entropy),
            "address_entropy": summary.map(|summary| summary.address_entropy),
        }))?;
    } else {
        let bytes = text::bytes(weights.len() as u64);
        output.line(format_args!("wrote {out} ({bytes}), fingerprint {fingerprint}"))?;
        if let Some(summary) = summary {
            let (code, address) = (summary.code_entropy, summary.address_entropy);
            let entropy = format!("entropy of a bit: code {code:.4}, address {address:.4}");
            output.line(entropy)?;
        }
    }
    output.finish()?;
    Ok(Exit::Done)
}

/// The progress of a training as it is shown.
struct Shown<'a>(&'a KmeansProgress);

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let KmeansProgress { phase, done, total } = self.0;
        json!({ "phase": phase.to_string(), "done": done, "total": total }).serialize(serializer)
    }
}

impl State for Shown<'_> {
    fn line(&self) -> String {
        let KmeansProgress { phase, done, total } = self.0;
        let [done, total] = [*done, *total].map(|count| text::count(count as u64));
        let what = match phase {
            KmeansPhase::Centroids => "rounds of k-means",
            KmeansPhase::Features => "pictures",
            KmeansPhase::Distortions => "distorted pictures",
            KmeansPhase::Bits => "steps to bits",
        };
        format!("{done} of {total} {what}")
    }

    fn fraction(&self) -> Option<f64> {
        Some(self.0.done as f64 / self.0.total.max(1) as f64)
    }
}
