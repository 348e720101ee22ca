//! The curves of an evaluation as a picture: precision by the places looked at, and by recall.

use std::io::Cursor;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use hashdb::eval::CurvePoint;
use image::{ImageFormat, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use super::Row;
use crate::files;

const SIZE: (u32, u32) = (1500, 640);
const NAMES_WIDTH: u32 = 300;
const COLORS: [RGBColor; 8] = [
    RGBColor(31, 119, 180),
    RGBColor(255, 127, 14),
    RGBColor(44, 160, 44),
    RGBColor(214, 39, 40),
    RGBColor(148, 103, 189),
    RGBColor(140, 86, 75),
    RGBColor(227, 119, 194),
    RGBColor(90, 90, 90),
];

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Draws all rows into a PNG file.
pub(super) fn draw(title: &str, rows: &[Row], file: &Path) -> Result<()> {
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| anyhow!("the font is none"))?;
    let mut pixels = vec![0; (SIZE.0 * SIZE.1 * 3) as usize];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let root = root.titled(title, ("sans-serif", 20))?;
        let (charts, names) = root.split_horizontally(SIZE.0 - NAMES_WIDTH);
        let (left, right) = charts.split_horizontally((SIZE.0 - NAMES_WIDTH) / 2);
        let top = highest(rows);
        by_places(&left, rows, top)?;
        by_recall(&right, rows, top)?;
        draw_names(&names, rows)?;
        root.present()?;
    }
    let image =
        RgbImage::from_raw(SIZE.0, SIZE.1, pixels).context("the picture has another size")?;
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    files::replace(file, &png.into_inner())
}

/// A round number above every precision.
fn highest(rows: &[Row]) -> f64 {
    let all = rows.iter().flat_map(|row| &row.summary.curve).map(|point| point.precision);
    (all.fold(0.1, f64::max) * 10.5).ceil() / 10.0
}

fn by_places(area: &Area<'_>, rows: &[Row], top: f64) -> Result<()> {
    let last = rows.iter().map(|row| row.summary.items).max().unwrap_or(1).max(2);
    let mut chart = ChartBuilder::on(area)
        .caption("precision by the first N places", ("sans-serif", 17))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d((1.0..last as f64).log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc("places")
        .x_label_formatter(&|places| format!("{places:.0}"))
        .y_label_formatter(&|precision| format!("{precision:.2}"))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (row, color) in colored(rows) {
        let points = row
            .summary
            .curve
            .iter()
            .map(|point: &CurvePoint| (point.places as f64, point.precision));
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
    }
    Ok(())
}

fn by_recall(area: &Area<'_>, rows: &[Row], top: f64) -> Result<()> {
    let mut chart = ChartBuilder::on(area)
        .caption("precision by recall", ("sans-serif", 17))
        .margin(10)
        .x_label_area_size(40)
        .y_label_area_size(50)
        .build_cartesian_2d(0.0..1.0, 0.0..top)?;
    chart
        .configure_mesh()
        .light_line_style(WHITE)
        .bold_line_style(RGBColor(225, 225, 225))
        .x_desc("recall")
        .x_label_formatter(&|recall| format!("{recall:.1}"))
        .y_label_formatter(&|precision| format!("{precision:.2}"))
        .label_style(("sans-serif", 14))
        .draw()?;
    for (row, color) in colored(rows) {
        let points = row.summary.curve.iter().map(|point| (point.recall, point.precision));
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
    }
    Ok(())
}

fn colored(rows: &[Row]) -> impl Iterator<Item = (&Row, RGBColor)> {
    rows.iter().zip(COLORS.into_iter().cycle())
}

/// The names of the curves, beside them: nothing is covered.
fn draw_names(area: &Area<'_>, rows: &[Row]) -> Result<()> {
    for (at, (row, color)) in (0..).zip(colored(rows)) {
        let y = 50 + at * 24;
        let bits =
            row.statistics.as_ref().map_or(String::new(), |found| format!(", {} bits", found.bits));
        let name = format!("{}{bits}: {:.3}", row.name, row.summary.map_cut.mean);
        area.draw(&PathElement::new([(4, y), (26, y)], color.stroke_width(3)))?;
        area.draw(&Text::new(name, (34, y - 8), ("sans-serif", 14).into_font()))?;
    }
    Ok(())
}
