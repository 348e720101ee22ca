//! `hashdb train`: an encoder from pictures without labels.

mod kmeans;
mod losses;
mod settings;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow, bail};
use hashdb::ingest::{IngestOptions, Report, collect_pixels};
use hashdb::model::{
    Autoencoder, DeviceChoice, Encoder as _, Model, ModelError, NetSummary, PatchConfig, Phase,
    Progress, train, train_patches,
};
use serde::Serialize;
use serde_json::json;

use self::kmeans::KmeansArgs;
use self::losses::Losses;
use self::settings::{Plan, Settings};
use crate::decoding::Decoding;
use crate::encoder::{EncoderChoice, note_fallback};
use crate::exit::{Exit, Usage};
use crate::files;
use crate::output::{Output, note};
use crate::progress::{Meter, Mode, State};
use crate::signals::Interrupt;
use crate::text;

/// Train an encoder on pictures: folders, files, shards, what a pattern matches
///
/// Two networks are trained, one for codes and one for addresses, or one for patches. The same pictures,
/// settings and seed give the same weights. Ctrl-C keeps the last finished epoch in the checkpoint; the
/// same command with --resume goes on from there.
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
    /// The encoder that a network for patches is added to: default, or a weight file [default: default]
    #[arg(long, value_name = "ENCODER")]
    base: Option<EncoderChoice>,
    #[command(flatten)]
    settings: Settings,
    #[command(flatten)]
    kmeans: Box<KmeansArgs>,
    /// Log the loss of each epoch to this file, one JSON object a line; --resume goes on with it
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Draw the losses of all epochs into this PNG file, at the end and where the training stops
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
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

/// Trains and writes the weights, or keeps a checkpoint.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    if args.kmeans.is_asked(args.settings.is_kmeans())? {
        return run_kmeans(args);
    }
    let checkpoint = args.checkpoint.clone().unwrap_or_else(|| suffixed(&args.out, ".checkpoint"));
    check(args, &checkpoint)?;
    let plan = args.settings.plan(args.seed)?;
    let base = match &plan {
        Plan::Patches(_) => Some(base(args)?),
        Plan::Encoder(_) => None,
    };
    // Before all pictures are decoded.
    match (&plan, &base) {
        (Plan::Encoder(config), _) => config.check()?,
        (Plan::Patches(config), base) => {
            config.check()?;
            base.as_ref().map_or(Ok(()), |base| check_bits(config, base))?;
        }
    }
    let mut losses = Losses::open(args.log.as_deref(), args.resume)?;
    let interrupt = Interrupt::install()?;
    let Some(Decoded { pixels, rejected }) = pictures(args, &interrupt)? else {
        note("interrupted before the training began");
        return Ok(Exit::Interrupted);
    };
    let mut meter = Meter::new(args.progress);
    let (mut last, mut unlogged) = (None, Ok(()));
    let mut observer = |progress: &Progress| {
        last = Some(*progress);
        meter.show(&Shown(progress));
        unlogged = losses.add(progress);
        if interrupt.is_set() || unlogged.is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let trained = match (&plan, &base) {
        (Plan::Patches(config), Some(base)) => {
            train_patches(base, &pixels, config, &mut observer, Some(&checkpoint))
        }
        (Plan::Patches(_), None) => Err(ModelError::NoPatches),
        (Plan::Encoder(config), _) => {
            train(&pixels, config, args.device, &mut observer, Some(&checkpoint))
        }
    };
    if let Some(progress) = &last {
        meter.finish(&Shown(progress));
    }
    unlogged?;
    let trained = match trained {
        Ok(encoder) => {
            note_fallback(encoder.device());
            // A picture that cannot be written must not cost what was trained.
            save(args, &encoder, &checkpoint)?;
            return draw(args, &losses).map(|()| Exit::but_for(rejected));
        }
        Err(error) => error,
    };
    draw(args, &losses)?;
    match trained {
        ModelError::Stopped => {
            note(&stopped(&checkpoint));
            Ok(Exit::Interrupted)
        }
        error @ ModelError::Diverged { .. } if checkpoint.exists() => {
            Err(anyhow!("{error}; {} keeps the last good pass", checkpoint.display()))
        }
        error => Err(error.into()),
    }
}

/// Draws the losses, if that is asked for.
fn draw(args: &Args, losses: &Losses) -> Result<()> {
    args.plot
        .as_ref()
        .map_or(Ok(()), |plot| losses.plot(&format!("training of {}", args.out.display()), plot))
}

/// Trains an encoder of patch features.
fn run_kmeans(args: &Args) -> Result<Exit> {
    let refuse = |sentence: &str| Err(Usage(sentence.to_owned()).into());
    if args.settings.change_networks() || args.base.is_some() {
        return refuse("--preset kmeans-itq has no networks: no layers, epochs and rates");
    }
    if args.resume || args.checkpoint.is_some() {
        return refuse("--preset kmeans-itq keeps no checkpoint");
    }
    if args.log.is_some() || args.plot.is_some() {
        return refuse("--preset kmeans-itq has no losses to log and plot");
    }
    if let DeviceChoice::Cuda(_) = args.device {
        return refuse("--preset kmeans-itq computes on the CPU");
    }
    let config = args.kmeans.config(args.seed);
    config.check()?;
    files::check_replaceable([&args.out])?;
    let interrupt = Interrupt::install()?;
    let Some(Decoded { pixels, rejected }) = pictures(args, &interrupt)? else {
        note("interrupted before the training began");
        return Ok(Exit::Interrupted);
    };
    Ok(match kmeans::run(&pixels, &config, &args.out, args.progress, args.json, &interrupt)? {
        Exit::Done => Exit::but_for(rejected),
        other => other,
    })
}

/// Checks what options and files say together.
fn check(args: &Args, checkpoint: &Path) -> Result<()> {
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
    if args.base.is_some() && !args.settings.is_of_patches() {
        return Err(Usage("--base needs --preset kh2011-patch".to_owned()).into());
    }
    if args.plot.is_some() && args.log.is_none() && args.resume {
        return Err(
            Usage("--plot with --resume needs the --log of the epochs before".to_owned()).into()
        );
    }
    files::check_replaceable([&args.out].into_iter().chain(&args.plot))
}

/// The encoder that a network for patches is added to.
fn base(args: &Args) -> Result<Autoencoder> {
    let choice = args.base.clone().unwrap_or(EncoderChoice::Default);
    match choice.load(args.device)? {
        Some(Model::Autoencoder(encoder)) => Ok(encoder),
        Some(other) => {
            let kind = other.kind().name();
            Err(Usage(format!("--base takes an autoencoder, this is {kind}")).into())
        }
        None => Err(Usage("--base none is no encoder".to_owned()).into()),
    }
}

/// Checks that a database of the encoder will take its patches.
fn check_bits(config: &PatchConfig, base: &Autoencoder) -> Result<()> {
    let (found, expected) = (config.net.layers.last(), usize::from(base.address_bits()));
    if found.is_some_and(|found| *found != expected) {
        return Err(Usage(format!(
            "--patch-layers has to end with {expected}, the bits of the encoder's addresses: a database takes patch \
             addresses of that width alone"
        ))
        .into());
    }
    Ok(())
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

/// What there is to train on.
struct Decoded {
    pixels: Vec<u8>,
    /// Inputs that are no pictures and were left out.
    rejected: u64,
}

/// Decodes the training pictures; `None` if interrupted. Those that are broken are left out.
fn pictures(args: &Args, interrupt: &Interrupt) -> Result<Option<Decoded>> {
    let options = IngestOptions::default().cancel(interrupt.flag());
    let mut decoding = Decoding::new(args.progress);
    let (pixels, report) = collect_pixels(&args.paths, &options, &mut decoding)?;
    decoding.finish();
    if report.cancelled {
        return Ok(None);
    }
    let Report { done, .. } = report;
    if done == 0 {
        let first = args.paths.first().map_or(String::new(), |path| path.display().to_string());
        return Err(anyhow!("there is no picture to train on in {first}"));
    }
    let rejected = report.rejected_count();
    if rejected > 0 {
        let [done, rejected] = [done, rejected].map(text::count);
        note(&format!("training on {done} pictures; {rejected} were rejected"));
    }
    Ok(Some(Decoded { pixels, rejected }))
}

fn save(args: &Args, encoder: &Autoencoder, checkpoint: &Path) -> Result<()> {
    let weights = encoder.to_bytes()?;
    files::replace(&args.out, &weights)?;
    files::remove(checkpoint)?;
    let mut output = Output::new();
    let (fingerprint, out) = (encoder.fingerprint(), args.out.display());
    let patches = args.settings.is_of_patches().then(|| encoder.patch_training()).flatten();
    let whole = if patches.is_some() { None } else { encoder.training() };
    let nets = whole.into_iter().flat_map(|all| [("code", &all.code), ("address", &all.address)]);
    let nets: Vec<_> = nets.chain(patches.map(|patches| ("patch", &patches.net))).collect();
    if args.json {
        let images = whole.map(|summary| summary.images);
        let mut shown = json!({
            "out": out.to_string(),
            "fingerprint": fingerprint.to_string(),
            "bytes": weights.len(),
            "images": images.or(patches.map(|summary| summary.images)),
            "seed": args.seed,
        });
        for (name, net) in &nets {
            shown[*name] = of_net(net);
        }
        output.json(&shown)?;
    } else {
        let bytes = text::bytes(weights.len() as u64);
        output.line(format_args!("wrote {out} ({bytes}), fingerprint {fingerprint}"))?;
        let losses = nets.iter().map(|(name, net)| format!("{name} {:.4}", net.loss));
        output.line(format_args!("loss: {}", losses.collect::<Vec<_>>().join(", ")))?;
    }
    output.finish()
}

fn of_net(net: &NetSummary) -> serde_json::Value {
    json!({
        "rbm_losses": net.rbm_losses,
        "loss": net.loss,
        "bit_entropy": net.bit_entropy,
        "dead_bits": net.dead_bits,
    })
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
            "rate": progress.rate,
            "images_per_second": progress.images_per_second,
        })
        .serialize(serializer)
    }
}

impl State for Shown<'_> {
    fn line(&self) -> String {
        let Progress { net, phase, epoch, epochs, loss, images_per_second, .. } = self.0;
        let learned = match phase {
            Phase::Thresholds => String::new(),
            _ => format!(" loss {loss:.4},"),
        };
        format!("{net} {phase}, epoch {epoch}/{epochs},{learned} {images_per_second:.0} images/s")
    }

    fn fraction(&self) -> Option<f64> {
        let Progress { epoch, epochs, images, total, .. } = *self.0;
        let done = epoch.saturating_sub(1) * total + images;
        Some(done as f64 / (epochs * total).max(1) as f64)
    }
}
