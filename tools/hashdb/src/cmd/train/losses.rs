//! The losses of a training, epoch by epoch: a log in JSON lines and its curves as a picture.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow};
use hashdb::model::{Phase, Progress};
use plotters::prelude::*;
use serde::{Deserialize, Serialize};

use crate::chart::{self, Area, NAMES_WIDTH};
use crate::files;

/// Longest log that is read, in bytes.
const MAX_LOG: u64 = 1 << 28;
const SIZE: (u32, u32) = (1500, 640);

/// One epoch. Losses are mean squared errors of the reconstruction: of a pixel in units of the pictures'
/// variance for the first machine and the fine-tuning, of a unit's probability for the other machines.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Epoch {
    net: String,
    phase: String,
    epoch: usize,
    epochs: usize,
    loss: f32,
    rate: f32,
    seconds: f64,
    items: usize,
}

/// All epochs of a training so far, beside their file.
pub(super) struct Losses {
    file: Option<PathBuf>,
    epochs: Vec<Epoch>,
}

impl Losses {
    /// A log that begins, or goes on if the training does: what was logged of epochs that are run again gives
    /// way to them.
    pub(super) fn open(file: Option<&Path>, resumed: bool) -> Result<Self> {
        let mut epochs = Vec::new();
        if let Some(path) = file.filter(|path| resumed && path.exists()) {
            let text = files::read(path, MAX_LOG)?;
            for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
                let epoch = serde_json::from_str(line)
                    .map_err(|error| anyhow!("{}, line {}: {error}", path.display(), number + 1))?;
                epochs.push(epoch);
            }
        }
        Ok(Self { file: file.map(Path::to_path_buf), epochs })
    }

    /// Logs an epoch if this report ends one.
    pub(super) fn add(&mut self, progress: &Progress) -> Result<()> {
        // Nothing is learned any more while the bits are cut.
        if progress.images != progress.total || progress.phase == Phase::Thresholds {
            return Ok(());
        }
        let epoch = Epoch {
            net: progress.net.to_string(),
            phase: progress.phase.to_string(),
            epoch: progress.epoch,
            epochs: progress.epochs,
            loss: progress.loss,
            rate: progress.rate,
            seconds: progress.seconds,
            items: progress.total,
        };
        let same = |old: &Epoch| {
            (&old.net, &old.phase, old.epoch) == (&epoch.net, &epoch.phase, epoch.epoch)
        };
        if let Some(at) = self.epochs.iter().position(same) {
            self.epochs.truncate(at);
        }
        self.epochs.push(epoch);
        let Some(file) = &self.file else {
            return Ok(());
        };
        let mut lines = String::new();
        for epoch in &self.epochs {
            lines += &serde_json::to_string(epoch).context("a loss is no number")?;
            lines.push('\n');
        }
        files::replace(file, lines.as_bytes())
    }

    /// Draws the curves: the machines, where there are any, on the left, the fine-tuning on the right.
    pub(super) fn plot(&self, title: &str, file: &Path) -> Result<()> {
        let curves = self.curves();
        let (tuning, machines): (Vec<_>, Vec<_>) =
            curves.iter().partition(|curve| curve.name.ends_with("fine-tuning"));
        chart::write(file, SIZE, title, |root| {
            let (charts, names) = root.split_horizontally(SIZE.0 - NAMES_WIDTH);
            let middle = if machines.is_empty() { 0 } else { (SIZE.0 - NAMES_WIDTH) / 2 };
            let (left, right) = charts.split_horizontally(middle);
            if !machines.is_empty() {
                draw(&left, "reconstruction error of each machine", &machines)?;
            }
            draw(&right, "reconstruction error in the fine-tuning", &tuning)?;
            let colored = |curves| chart::colored::<&Curve>(curves);
            let all = colored(&machines).chain(colored(&tuning));
            chart::draw_names(&names, all.map(|(curve, color)| (curve.label(), color)))
        })
    }

    /// The epochs by phase, in the order of the training.
    fn curves(&self) -> Vec<Curve> {
        let mut curves: Vec<Curve> = Vec::new();
        for epoch in &self.epochs {
            let name = format!("{} {}", epoch.net, epoch.phase);
            if curves.last().is_none_or(|curve| curve.name != name) {
                curves.push(Curve { name, points: Vec::new() });
            }
            if let Some(curve) = curves.last_mut() {
                curve.points.push((epoch.epoch as f64, f64::from(epoch.loss)));
            }
        }
        curves
    }
}

/// The losses of a phase by epoch.
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

impl Curve {
    fn label(&self) -> String {
        let last = self.points.last().map_or(0.0, |(_, loss)| *loss);
        format!("{}: {last:.4}", self.name)
    }
}

fn draw(area: &Area<'_>, caption: &str, curves: &[&Curve]) -> Result<()> {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let last = points().map(|(epoch, _)| *epoch).fold(2.0, f64::max);
    let top = points().map(|(_, loss)| *loss).fold(0.0, f64::max).max(1e-6) * 1.05;
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 17))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(1.0..last, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc("pass")
        .x_label_formatter(&|pass| {
            if pass.fract() == 0.0 { format!("{pass:.0}") } else { String::new() }
        })
        .y_label_formatter(&|loss| format!("{loss:.3}"))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (curve, color) in chart::colored(curves) {
        // One pass alone is no line.
        let dots = curve.points.iter().map(|&point| Circle::new(point, 2, color.filled()));
        chart.draw_series(dots)?;
        chart.draw_series(LineSeries::new(curve.points.iter().copied(), color.stroke_width(2)))?;
    }
    Ok(())
}
