//! `hashdb train`: an encoder from pictures without labels.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use hashdb::ingest::{IngestError, IngestOptions, Observer, Reject, Report, collect_pixels};
use hashdb::model::{
    Autoencoder, DeviceChoice, Encoder as _, ModelError, NetConfig, Progress, TrainConfig, train,
};
use serde::Serialize;
use serde_json::json;

use super::train_kmeans::{self, KmeansArgs};
use crate::encoder::note_fallback;
use crate::exit::{Exit, Usage};
use crate::files;
use crate::output::{Output, note};
use crate::progress::{Meter, Mode, State};
use crate::signals::Interrupt;
use crate::text;

/// Train an encoder on pictures: folders, files, shards, what a pattern matches
///
/// Two networks are trained, one for codes and one for addresses. The same pictures, settings and
/// seed give the same weights. Ctrl-C keeps the last finished epoch in the checkpoint; the same
/// command with --resume goes on from there.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Folders (searched recursively), picture files, shards (.tar, .tar.gz, .tgz, .tar.zst, .tzst, .zip), and in
    /// quotes patterns of their paths
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The weight file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Fixes every random choice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the state is kept at the end of each epoch [default: the weight file's name with
    /// `.checkpoint`]
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
    /// Go on from the checkpoint of an interrupted training with the same pictures and settings
    #[arg(long)]
    resume: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    kmeans: KmeansArgs,
    /// Where to compute: auto, cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    device: DeviceChoice,
    /// How to show progress [default: bar on a terminal, plain otherwise]
    #[arg(long, value_enum)]
    progress: Option<Mode>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
}

/// The settings of the training; what is left out has the default encoder's value.
#[derive(Debug, clap::Args)]
struct Settings {
    /// Units of each layer of the code network, the last being the bits: 768,256
    #[arg(long, value_name = "UNITS", value_delimiter = ',')]
    code_layers: Option<Vec<usize>>,
    /// Units of each layer of the address network, the last being the bits
    #[arg(long, value_name = "UNITS", value_delimiter = ',')]
    address_layers: Option<Vec<usize>>,
    /// Passes over the pictures for each restricted Boltzmann machine
    #[arg(long, value_name = "N")]
    rbm_epochs: Option<usize>,
    /// Passes over the pictures for the fine-tuning of each network
    #[arg(long, value_name = "N")]
    epochs: Option<usize>,
    /// Pictures in a step
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Rate of the machine at the pixels
    #[arg(long, value_name = "RATE")]
    linear_rate: Option<f32>,
    /// Rate of the machines above it
    #[arg(long, value_name = "RATE")]
    binary_rate: Option<f32>,
    /// Rate at the start of the fine-tuning
    #[arg(long, value_name = "RATE")]
    rate: Option<f32>,
    /// Share of the last step that a machine's next step keeps
    #[arg(long, value_name = "SHARE")]
    momentum: Option<f32>,
    /// Pull of the machines' weights towards zero
    #[arg(long, value_name = "RATE")]
    weight_decay: Option<f32>,
}

/// Trains and writes the weights, or keeps a checkpoint.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    if args.kmeans.is_asked()? {
        return run_kmeans(args);
    }
    let checkpoint = args.checkpoint.clone().unwrap_or_else(|| suffixed(&args.out, ".checkpoint"));
    if !args.resume && checkpoint.exists() {
        let checkpoint = checkpoint.display();
        return Err(Usage(format!(
            "{checkpoint} is the checkpoint of an earlier training; add --resume, or remove it"
        ))
        .into());
    }
    if args.resume && !checkpoint.exists() {
        bail!("there is no checkpoint {} to resume from", checkpoint.display());
    }
    let interrupt = Interrupt::install()?;
    let Some(pixels) = pictures(args, &interrupt)? else {
        note("interrupted before the training began");
        return Ok(Exit::Interrupted);
    };
    let mut meter = Meter::new(args.progress);
    let mut last = None;
    let mut observer = |progress: &Progress| {
        last = Some(*progress);
        meter.show(&Shown(progress));
        if interrupt.is_set() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let config = args.settings.config(args.seed);
    let trained = train(&pixels, &config, args.device, &mut observer, Some(&checkpoint));
    if let Some(progress) = &last {
        meter.finish(&Shown(progress));
    }
    match trained {
        Ok(encoder) => {
            note_fallback(encoder.device());
            save(args, &encoder, &checkpoint)
        }
        Err(ModelError::Stopped) => {
            note(&stopped(&checkpoint));
            Ok(Exit::Interrupted)
        }
        Err(error) => Err(error.into()),
    }
}

/// Trains an encoder of patch features.
fn run_kmeans(args: &Args) -> Result<Exit> {
    let Settings { code_layers, address_layers, rbm_epochs, epochs, batch, .. } = &args.settings;
    let Settings { linear_rate, binary_rate, rate, momentum, weight_decay, .. } = &args.settings;
    let counts = [rbm_epochs, epochs, batch].iter().any(|count| count.is_some());
    let rates = [linear_rate, binary_rate, rate, momentum, weight_decay];
    let layers = code_layers.is_some() || address_layers.is_some();
    if layers || counts || rates.iter().any(|rate| rate.is_some()) {
        return Err(Usage("--preset kmeans-itq has no layers, epochs and rates".to_owned()).into());
    }
    if args.resume || args.checkpoint.is_some() {
        return Err(Usage("--preset kmeans-itq keeps no checkpoint".to_owned()).into());
    }
    if let DeviceChoice::Cuda(_) = args.device {
        return Err(Usage("--preset kmeans-itq computes on the CPU".to_owned()).into());
    }
    let interrupt = Interrupt::install()?;
    let Some(pixels) = pictures(args, &interrupt)? else {
        note("interrupted before the training began");
        return Ok(Exit::Interrupted);
    };
    let config = args.kmeans.config(args.seed);
    train_kmeans::run(&pixels, &config, &args.out, args.progress, args.json, &interrupt)
}

fn stopped(checkpoint: &Path) -> String {
    if checkpoint.exists() {
        let checkpoint = checkpoint.display();
        format!("interrupted; the same command with --resume goes on from {checkpoint}")
    } else {
        "interrupted before the first epoch was done; nothing is kept".to_owned()
    }
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

impl Settings {
    fn config(&self, seed: u64) -> TrainConfig {
        let mut config = TrainConfig { seed, ..TrainConfig::default() };
        let net = |net: &mut NetConfig, layers: &Option<Vec<usize>>| {
            set(&mut net.layers, layers.clone());
            set(&mut net.rbm_epochs, self.rbm_epochs);
            set(&mut net.tune_epochs, self.epochs);
        };
        net(&mut config.code, &self.code_layers);
        net(&mut config.address, &self.address_layers);
        set(&mut config.batch, self.batch);
        set(&mut config.linear_rate, self.linear_rate);
        set(&mut config.binary_rate, self.binary_rate);
        set(&mut config.tune_rate, self.rate);
        set(&mut config.momentum, self.momentum);
        set(&mut config.weight_decay, self.weight_decay);
        config
    }
}

/// Overwrites a default with what the user gave.
fn set<T>(setting: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *setting = given;
    }
}

/// Decodes the training pictures; `None` if interrupted. Those that are broken are left out.
fn pictures(args: &Args, interrupt: &Interrupt) -> Result<Option<Vec<u8>>> {
    let options = IngestOptions::default().cancel(interrupt.flag());
    let (pixels, report) = collect_pixels(&args.paths, &options, &mut Rejects::default())?;
    if report.cancelled {
        return Ok(None);
    }
    let Report { done, .. } = report;
    if done == 0 {
        let first = args.paths.first().map_or(String::new(), |path| path.display().to_string());
        return Err(anyhow!("there is no picture to train on in {first}"));
    }
    if report.rejected_count() > 0 {
        let rejected = text::count(report.rejected_count());
        note(&format!("training on {} pictures; {rejected} were rejected", text::count(done)));
    }
    Ok(Some(pixels))
}

/// Names the first rejects on standard error.
#[derive(Debug, Default)]
struct Rejects(u32);

impl Observer for Rejects {
    fn reject(&mut self, reject: Reject) -> Result<(), IngestError> {
        self.0 += 1;
        if self.0 <= 10 {
            let (key, cause) = (text::key(&reject.key), text::one_line(&reject.cause));
            note(&format!("rejected {key}: {cause}"));
        }
        Ok(())
    }
}

fn save(args: &Args, encoder: &Autoencoder, checkpoint: &Path) -> Result<Exit> {
    let weights = encoder.to_bytes()?;
    files::replace(&args.out, &weights)?;
    files::remove(checkpoint)?;
    let mut output = Output::new();
    let (fingerprint, out) = (encoder.fingerprint(), args.out.display());
    let summary = encoder.training().map(|summary| (&summary.code, &summary.address));
    if args.json {
        let net = |net: &hashdb::model::NetSummary| {
            json!({
                "rbm_losses": net.rbm_losses,
                "loss": net.loss,
                "bit_entropy": net.bit_entropy,
                "dead_bits": net.dead_bits,
            })
        };
        output.json(&json!({
            "out": out.to_string(),
            "fingerprint": fingerprint.to_string(),
            "bytes": weights.len(),
            "images": encoder.training().map(|summary| summary.images),
            "seed": args.seed,
            "code": summary.map(|(code, _)| net(code)),
            "address": summary.map(|(_, address)| net(address)),
        }))?;
    } else {
        let bytes = text::bytes(weights.len() as u64);
        output.line(format_args!("wrote {out} ({bytes}), fingerprint {fingerprint}"))?;
        if let Some((code, address)) = summary {
            let (code, address) = (code.loss, address.loss);
            output.line(format_args!("loss: code {code:.4}, address {address:.4}"))?;
        }
    }
    output.finish()?;
    Ok(Exit::Done)
}

/// The progress of a training as it is shown.
struct Shown<'a>(&'a Progress);

impl Serialize for Shown<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(progress) = self;
        json!({
            "net": progress.net.to_string(),
            "phase": progress.phase.to_string(),
            "epoch": progress.epoch,
            "epochs": progress.epochs,
            "images": progress.images,
            "total": progress.total,
            "loss": progress.loss,
            "images_per_second": progress.images_per_second,
        })
        .serialize(serializer)
    }
}

impl State for Shown<'_> {
    fn line(&self) -> String {
        let Progress { net, phase, epoch, epochs, loss, images_per_second, .. } = self.0;
        format!(
            "{net} {phase}, epoch {epoch}/{epochs}, loss {loss:.4}, {images_per_second:.0} images/s"
        )
    }

    fn fraction(&self) -> Option<f64> {
        let Progress { epoch, epochs, images, total, .. } = *self.0;
        let done = epoch.saturating_sub(1) * total + images;
        Some(done as f64 / (epochs * total).max(1) as f64)
    }
}
