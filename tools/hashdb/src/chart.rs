//! Charts as PNG pictures: what all of them share.

use std::io::Cursor;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use image::{ImageFormat, RgbImage};
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::{FontStyle, register_font};

use crate::files;

/// Width that the names of curves take.
pub(crate) const NAMES_WIDTH: u32 = 300;
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

/// A part of a picture.
pub(crate) type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

/// Writes a PNG file of what `draw` puts below a title.
pub(crate) fn write(
    file: &Path,
    size: (u32, u32),
    title: &str,
    draw: impl FnOnce(&Area<'_>) -> Result<()>,
) -> Result<()> {
    register_font("sans-serif", FontStyle::Normal, dejavu::sans::regular())
        .map_err(|_| anyhow!("the font is none"))?;
    let mut pixels = vec![0; (size.0 * size.1 * 3) as usize];
    {
        let root = BitMapBackend::with_buffer(&mut pixels, size).into_drawing_area();
        root.fill(&WHITE)?;
        let root = root.titled(title, ("sans-serif", 20))?;
        draw(&root)?;
        root.present()?;
    }
    let image =
        RgbImage::from_raw(size.0, size.1, pixels).context("the picture has another size")?;
    let mut png = Cursor::new(Vec::new());
    image.write_to(&mut png, ImageFormat::Png)?;
    files::replace(file, &png.into_inner())
}

/// A colour for each curve; up to 24 curves have different ones: the eight colours, then light and dark ones.
pub(crate) fn colored<T>(curves: &[T]) -> impl Iterator<Item = (&T, RGBColor)> {
    let tones = [Tone::Full, Tone::Light, Tone::Dark];
    let colors = tones.into_iter().flat_map(|tone| COLORS.map(|color| tone.of(color)));
    curves.iter().zip(colors.cycle())
}

/// How light a colour is.
#[derive(Debug, Clone, Copy)]
enum Tone {
    Full,
    Light,
    Dark,
}

impl Tone {
    fn of(self, RGBColor(red, green, blue): RGBColor) -> RGBColor {
        let part = |part: u8| match self {
            Self::Full => part,
            Self::Light => 255 - (255 - part) / 2,
            Self::Dark => part / 5 * 3,
        };
        RGBColor(part(red), part(green), part(blue))
    }
}

/// The names of the curves, beside them: nothing is covered.
pub(crate) fn draw_names(
    area: &Area<'_>,
    names: impl Iterator<Item = (String, RGBColor)>,
) -> Result<()> {
    for (at, (name, color)) in (0..).zip(names) {
        let y = 50 + at * 24;
        area.draw(&PathElement::new([(4, y), (26, y)], color.stroke_width(3)))?;
        area.draw(&Text::new(name, (34, y - 8), ("sans-serif", 14).into_font()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{RGBColor, colored};

    /// The ninth curve had the first one's colour: a plot of more than eight methods could not be read.
    #[test]
    fn twenty_four_curves_have_colours_that_can_be_told_apart() {
        let curves = [(); 24];
        let colors: Vec<RGBColor> = colored(&curves).map(|(_, color)| color).collect();
        assert_eq!(colors.len(), 24);
        for (at, one) in colors.iter().enumerate() {
            for other in &colors[..at] {
                let apart = u32::from(one.0.abs_diff(other.0))
                    + u32::from(one.1.abs_diff(other.1))
                    + u32::from(one.2.abs_diff(other.2));
                assert!(apart >= 30, "{one:?} {other:?}");
            }
        }
    }
}
