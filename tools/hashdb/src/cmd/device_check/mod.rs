//! `hashdb device-check`: a device's codes against the CPU's, and where its time goes.
//!
//! `tools/gpu-check` runs it on a machine with a GPU; with `--device cpu` the same steps run anywhere.

mod compare;
mod measure;
mod pictures;
mod show;
mod whole;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, anyhow};
use hashdb::model::{DeviceChoice, Encoder as _, Model, Precision};
use serde::Serialize;

use crate::encoder::EncoderChoice;
use crate::exit::{Exit, Usage};
use crate::output::{Output, note};
use crate::threads;
use compare::Compared;
use measure::{Overlap, Rate, Stage};
use whole::Whole;

/// Share of differing bits that the order of sums in f32 explains; more is a mistake.
const MOST_F32_SHARE: f64 = 1e-4;

/// Compare the codes of a device with the CPU's and measure decode, copies, forward pass and writes
///
/// Pictures are made from a seed, or taken from --images. Ends with an error if codes in f32 differ from the
/// CPU's by more than rounding explains, or depend on the batch.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// What to check: cuda, cuda:N or cpu
    #[arg(long, default_value_t = DeviceChoice::Cuda(0))]
    device: DeviceChoice,
    /// The encoder: `default`, `kmeans-itq` or a weight file of `hashdb train`
    #[arg(long, value_name = "ENCODER", default_value_t = EncoderChoice::Default)]
    encoder: EncoderChoice,
    /// Precisions to compare and measure
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = Precision::ALL)]
    precision: Vec<Precision>,
    /// Batches to measure
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_values_t = [64, 256, 1024, 4096, 16_384])]
    batches: Vec<usize>,
    /// Pictures whose codes are compared: folders, picture files, tar shards [default: made ones]
    #[arg(long, value_name = "PATH")]
    images: Vec<PathBuf>,
    /// Made pictures whose codes are compared
    #[arg(long, value_name = "N", default_value_t = 8192)]
    count: usize,
    /// Made JPEGs that are decoded and ingested
    #[arg(long, value_name = "N", default_value_t = 4096)]
    jpegs: usize,
    /// Width and height of these in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 256)]
    side: u32,
    /// Threads that decode [default: as many as the machine runs at once]
    #[arg(long, value_name = "N", value_parser = threads::parse)]
    threads: Option<usize>,
    /// Time for each measurement
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    seconds: f64,
    /// Few and small pictures and short measurements: a smoke test
    #[arg(long)]
    quick: bool,
    /// Folder for the ingested pictures and databases, removed in the end [default: a new one in the
    /// system's folder for such]
    #[arg(long, value_name = "FOLDER")]
    work: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// How large everything is.
struct Sizes {
    count: usize,
    jpegs: usize,
    side: u32,
    threads: usize,
    time: Duration,
    batches: Vec<usize>,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Answer {
    device: String,
    encoder: String,
    threads: usize,
    pictures: usize,
    precisions: Vec<Compared>,
    calibrated_batch: usize,
    rates: Vec<Rate>,
    overlap: Overlap,
    stages: Vec<Stage>,
    ingest: Whole,
    problems: Vec<String>,
}

/// Runs every check and says what came of it.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    if args.device == DeviceChoice::Auto {
        return Err(Usage("--device auto does not say what to check".to_owned()).into());
    }
    let device = load(args, args.device)?;
    let cpu = load(args, DeviceChoice::Cpu)?;
    let sizes = sizes(args)?;
    note(&format!("checking {}", device.device().name));
    let pixels = pictures::pixels(&args.images, sizes.count, sizes.threads)?;
    let calibrated_batch = device.calibrate()?.batch;
    let (mut precisions, mut rates) = (Vec::new(), Vec::new());
    for &precision in &args.precision {
        let device = device.clone().with_precision(precision)?;
        note(&format!("{precision}: codes of {} pictures, then rates", pixels.len()));
        precisions.push(compare::compare(&device, &cpu, &pixels)?);
        for &batch in &sizes.batches {
            rates.push(measure::rate(&device, &pixels, batch, 2, sizes.time)?);
        }
    }
    let overlap = measure::overlap(&device, &pixels, calibrated_batch, sizes.time)?;
    note(&format!("{} JPEGs: stages, then an ingest as a whole", sizes.jpegs));
    let jpegs = pictures::jpegs(sizes.jpegs, sizes.side)?;
    let mut stages = vec![measure::decode(&jpegs, sizes.threads)?];
    stages.extend(measure::encode(&device, &pixels, calibrated_batch)?);
    let work = whole::Work::new(args.work.as_deref())?;
    stages.push(whole::write(&work, &device, &pixels, calibrated_batch)?);
    let ingest = whole::ingest(&work, &device, &cpu, &jpegs, calibrated_batch, sizes.threads)?;
    let mut answer = Answer {
        device: device.device().name.clone(),
        encoder: device.fingerprint().to_string(),
        threads: sizes.threads,
        pictures: pixels.len(),
        precisions,
        calibrated_batch,
        rates,
        overlap,
        stages,
        ingest,
        problems: Vec::new(),
    };
    answer.problems = answer.problems();
    let mut output = Output::new();
    if args.json {
        output.json(&answer)?;
    } else {
        show::show(&mut output, &answer)?;
    }
    output.finish()?;
    answer.problems.iter().for_each(|problem| note(problem));
    Ok(if answer.problems.is_empty() { Exit::Done } else { Exit::Failed })
}

fn load(args: &Args, device: DeviceChoice) -> Result<Model> {
    let encoder = args.encoder.load(device)?;
    encoder.ok_or_else(|| Usage("--encoder none encodes nothing".to_owned()).into())
}

fn sizes(args: &Args) -> Result<Sizes> {
    let machine = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let time = Duration::try_from_secs_f64(args.seconds)
        .map_err(|_| anyhow!("--seconds {} is no time", args.seconds))?;
    let sizes = Sizes {
        count: args.count.clamp(1, 1 << 20),
        jpegs: args.jpegs.clamp(1, 1 << 20),
        side: args.side.clamp(8, 8192),
        threads: args.threads.unwrap_or(machine).max(1),
        time,
        batches: args.batches.iter().map(|batch| (*batch).clamp(1, 1 << 16)).collect(),
    };
    if !args.quick {
        return Ok(sizes);
    }
    let batches = sizes.batches.into_iter().map(|batch| batch.min(256)).take(2).collect();
    let (count, jpegs) = (sizes.count.min(300), sizes.jpegs.min(24));
    let (side, time) = (sizes.side.min(48), Duration::from_millis(20));
    Ok(Sizes { count, jpegs, side, time, batches, ..sizes })
}

impl Answer {
    /// What is wrong, a sentence each.
    fn problems(&self) -> Vec<String> {
        let mut problems: Vec<String> =
            self.precisions.iter().flat_map(|compared| compared.problems(MOST_F32_SHARE)).collect();
        problems.extend(self.ingest.problems(MOST_F32_SHARE));
        problems
    }
}
