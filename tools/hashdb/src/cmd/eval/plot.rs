//! The curves of an evaluation as a picture: precision by the places looked at, and by recall.

use std::path::Path;

use anyhow::Result;
use hashdb::eval::CurvePoint;
use plotters::prelude::*;

use super::Row;
use crate::chart::{self, Area, NAMES_WIDTH, colored};

const SIZE: (u32, u32) = (1500, 640);

/// Draws all rows into a PNG file.
pub(super) fn draw(title: &str, rows: &[Row], file: &Path) -> Result<()> {
    chart::write(file, SIZE, title, |root| {
        let (charts, names) = root.split_horizontally(SIZE.0 - NAMES_WIDTH);
        let (left, right) = charts.split_horizontally((SIZE.0 - NAMES_WIDTH) / 2);
        let top = highest(rows);
        by_places(&left, rows, top)?;
        by_recall(&right, rows, top)?;
        chart::draw_names(&names, colored(rows).map(|(row, color)| (name(row), color)))
    })
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

/// What stands beside a row's curve.
fn name(row: &Row) -> String {
    let bits =
        row.statistics.as_ref().map_or(String::new(), |found| format!(", {} bits", found.bits));
    format!("{}{bits}: {:.3}", row.name, row.summary.map_cut.mean)
}
