//! Rates by batch, stages one by one, and what overlapping them gains.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use hashdb::ingest;
use hashdb::model::{InFlight, Model, Pixels, StageTimes};
use serde::Serialize;

/// How fast a device encodes.
#[derive(Debug, Serialize)]
pub(super) struct Rate {
    pub(super) precision: String,
    pub(super) batch: usize,
    pub(super) images_per_second: f64,
}

/// What batches that are on their way together gain, at the calibrated batch in f32.
#[derive(Debug, Serialize)]
pub(super) struct Overlap {
    pub(super) batch: usize,
    /// Images a second, each batch waited for before the next is handed over.
    pub(super) one: f64,
    /// The same with two on their way.
    pub(super) two: f64,
    /// The same with four.
    pub(super) four: f64,
}

/// One stage of an ingest, alone.
#[derive(Debug, Serialize)]
pub(super) struct Stage {
    pub(super) stage: &'static str,
    pub(super) microseconds_per_image: f64,
    /// Nothing where the stage takes no time.
    pub(super) images_per_second: Option<f64>,
}

impl Stage {
    /// A stage that took `time` for so many pictures.
    pub(super) fn new(stage: &'static str, time: Duration, images: usize) -> Self {
        let seconds = time.as_secs_f64() / images.max(1) as f64;
        let images_per_second = (seconds > 0.0).then(|| seconds.recip());
        Self { stage, microseconds_per_image: seconds * 1e6, images_per_second }
    }
}

/// Encodes batches of the pictures, over and over, with `most` on their way at once.
pub(super) fn rate(
    device: &Model,
    pictures: &[Pixels],
    batch: usize,
    most: usize,
    time: Duration,
) -> Result<Rate> {
    let batch_of: Vec<Pixels> = pictures.iter().cycle().take(batch).cloned().collect();
    // Once for what the first use makes, such as buffers.
    device.submit(&batch_of)?.finish()?;
    let mut on_the_way: VecDeque<InFlight> = VecDeque::new();
    let (started, mut images) = (Instant::now(), 0);
    while started.elapsed() < time || images == 0 {
        on_the_way.push_back(device.submit(&batch_of)?);
        if on_the_way.len() >= most
            && let Some(oldest) = on_the_way.pop_front()
        {
            images += oldest.finish()?.len();
        }
    }
    for rest in on_the_way {
        images += rest.finish()?.len();
    }
    let images_per_second = images as f64 / started.elapsed().as_secs_f64();
    Ok(Rate { precision: device.precision().to_string(), batch, images_per_second })
}

/// The rate with one, two and four batches on their way.
pub(super) fn overlap(
    device: &Model,
    pictures: &[Pixels],
    batch: usize,
    time: Duration,
) -> Result<Overlap> {
    let rate =
        |most| Ok::<_, anyhow::Error>(rate(device, pictures, batch, most, time)?.images_per_second);
    Ok(Overlap { batch, one: rate(1)?, two: rate(2)?, four: rate(4)? })
}

/// Decodes every JPEG once, on some threads.
pub(super) fn decode(jpegs: &[Vec<u8>], threads: usize) -> Result<Stage> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<()> {
        while let Some(jpeg) = jpegs.get(next.fetch_add(1, Ordering::Relaxed)) {
            ingest::pixels(jpeg)?;
        }
        Ok(())
    };
    let started = Instant::now();
    thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(worker)).collect();
        let lost = |_| Err(anyhow!("a thread that decodes ended early"));
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or_else(lost))
    })?;
    Ok(Stage::new("decode", started.elapsed(), jpegs.len()))
}

/// The stages of the encoder over all pictures, with a pause after each.
pub(super) fn encode(device: &Model, pictures: &[Pixels], batch: usize) -> Result<[Stage; 4]> {
    let mut times = StageTimes::default();
    device.stage_times(&pictures[..pictures.len().min(batch)])?;
    for batch in pictures.chunks(batch) {
        let StageTimes { prepare, copy_in, forward, copy_out } = device.stage_times(batch)?;
        times.prepare += prepare;
        times.copy_in += copy_in;
        times.forward += forward;
        times.copy_out += copy_out;
    }
    let stage = |name, time| Stage::new(name, time, pictures.len());
    Ok([
        stage("prepare", times.prepare),
        stage("copy in", times.copy_in),
        stage("forward", times.forward),
        stage("copy out", times.copy_out),
    ])
}
