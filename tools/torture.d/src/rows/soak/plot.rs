//! The curves of a soak as a picture.

use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use image::RgbImage;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::curves::{MIB, Soak};
use super::sample::Sample;

const SIZE: (u32, u32) = (1400, 1500);
const PANELS: usize = 4;
const NAMES_WIDTH: u32 = 190;

type Value = fn(&Sample) -> f64;

/// A curve with its name.
struct Curve {
    name: &'static str,
    color: RGBColor,
    of: Value,
}

/// One of the pictures below each other.
struct Panel {
    title: &'static str,
    curves: Vec<Curve>,
}

const BLUE: RGBColor = RGBColor(31, 119, 180);
const ORANGE: RGBColor = RGBColor(255, 127, 14);
const GREEN: RGBColor = RGBColor(44, 160, 44);
const VIOLET: RGBColor = RGBColor(148, 103, 189);
const KILL: RGBColor = RGBColor(214, 39, 40);
const CLOSE: RGBColor = RGBColor(120, 120, 120);

fn panels() -> [Panel; PANELS] {
    let curve = |name, color, of| Curve { name, color, of };
    [
        Panel {
            title: "resident memory, MiB",
            curves: vec![
                curve("anonymous", BLUE, |sample| sample.anonymous / MIB),
                curve("allocated", VIOLET, |sample| sample.allocated / MIB),
                curve("pages of files", ORANGE, |sample| sample.file / MIB),
            ],
        },
        Panel {
            title: "open files",
            curves: vec![
                curve("open files", BLUE, |sample| sample.open_files),
                curve("files in the folder", ORANGE, |sample| sample.files),
                curve("threads", GREEN, |sample| sample.threads),
            ],
        },
        Panel {
            title: "disk, MiB",
            curves: vec![
                curve("folder", BLUE, |sample| sample.disk / MIB),
                curve("live data", GREEN, |sample| sample.live / MIB),
                curve("twice the live data", ORANGE, |sample| 2.0 * sample.live / MIB),
                curve("log", VIOLET, |sample| sample.logs / MIB),
            ],
        },
        Panel {
            title: "operations a second",
            curves: vec![
                curve("changes", BLUE, |sample| sample.changes),
                curve("answers compared", ORANGE, |sample| sample.answers),
            ],
        },
    ]
}

/// Draws all curves into a PNG file.
pub(super) fn draw(soak: &Soak, file: &Path) -> Result<()> {
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| anyhow!("the font is none"))?;
    let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let areas = root.split_evenly((PANELS, 1));
        for (area, panel) in areas.iter().zip(panels()) {
            let rate = panel.title.ends_with("a second");
            draw_panel(soak, area, &panel, rate)?;
        }
        root.present()?;
    }
    let image =
        RgbImage::from_raw(SIZE.0, SIZE.1, pixels).context("the picture has another size")?;
    let file = BufWriter::new(File::create(file)?);
    let png = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
    Ok(image.write_with_encoder(png)?)
}

/// The points of a curve, life by life: a line must not lead from one to the next. Times are in units
/// of so many seconds.
fn points(soak: &Soak, of: Value, rate: bool, unit: f64) -> Vec<Vec<(f64, f64)>> {
    let lives = soak.samples.chunk_by(|one, other| one.life == other.life);
    // Over some seconds: a picture of an hour has no room for more.
    let seconds = if soak.long { 10 } else { 1 };
    let of_life = |life: &[Sample]| -> Vec<(f64, f64)> {
        if !rate {
            return life.iter().map(|sample| (sample.at / unit, of(sample))).collect();
        }
        let windows = life.windows(seconds + 1).step_by(seconds);
        let steps = windows.filter_map(|window| Some((window.first()?, window.last()?)));
        let a_second = |one, other, time: f64| (of(other) - of(one)) / time;
        steps
            .map(|(one, other)| (other.at / unit, a_second(one, other, other.at - one.at)))
            .collect()
    };
    lives.map(of_life).collect()
}

fn draw_panel(
    soak: &Soak,
    area: &DrawingArea<BitMapBackend<'_>, Shift>,
    panel: &Panel,
    rate: bool,
) -> Result<()> {
    let (area, beside) = area.split_horizontally(SIZE.0 - NAMES_WIDTH);
    draw_names(&beside, panel)?;
    let (unit, name) = if soak.long { (60.0, "min") } else { (1.0, "s") };
    let end = soak.samples.last().map_or(1.0, |sample| sample.at / unit);
    let drawn: Vec<_> =
        panel.curves.iter().map(|curve| points(soak, curve.of, rate, unit)).collect();
    // The loading is much faster than what follows and would flatten it.
    let after = soak.lives.first().map_or(0.0, |life| life.end / unit);
    let shown = drawn.iter().flatten().flatten().filter(|point| !rate || point.0 > after);
    let top = shown.map(|point| point.1).fold(1.0, f64::max) * 1.15;
    let mut chart = ChartBuilder::on(&area)
        .caption(panel.title, ("sans-serif", 22))
        .margin(8)
        .margin_right(24)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(0.0..end, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_labels(13)
        .y_labels(6)
        .x_label_formatter(&|at| format!("{at:.0} {name}"))
        .y_label_formatter(&|value| format!("{value:.0}"))
        .label_style(("sans-serif", 15))
        .draw()?;
    for life in &soak.lives {
        let at = life.end / unit;
        let color = if life.killed { KILL } else { CLOSE };
        chart.draw_series(LineSeries::new([(at, 0.0), (at, top)], color.mix(0.45)))?;
    }
    for (curve, lives) in panel.curves.iter().zip(drawn) {
        for life in lives {
            let life = life.into_iter().filter(|point| point.1 <= top);
            chart.draw_series(LineSeries::new(life, curve.color.stroke_width(2)))?;
        }
    }
    Ok(())
}

/// The names of the curves, beside them: nothing is covered.
fn draw_names(area: &DrawingArea<BitMapBackend<'_>, Shift>, panel: &Panel) -> Result<()> {
    let curves = panel.curves.iter().map(|curve| (curve.name, curve.color.mix(1.0)));
    let ends = [("killed", KILL.mix(0.45)), ("closed", CLOSE.mix(0.45))];
    for (at, (name, color)) in (0..).zip(curves.chain(ends)) {
        let y = 50 + at * 26;
        area.draw(&PathElement::new([(4, y), (26, y)], color.stroke_width(3)))?;
        area.draw(&Text::new(name, (34, y - 8), ("sans-serif", 15).into_font()))?;
    }
    Ok(())
}
