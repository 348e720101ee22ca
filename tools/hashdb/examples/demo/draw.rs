//! Varied pictures from nothing but a seed: gradients, landscapes of noise, discs, stripes, polygons.

use std::path::Path;

use anyhow::Result;
use image::{Rgb, RgbImage};

use crate::alter::png;
use crate::write;

/// Pictures that are drawn.
const COUNT: u32 = 300;
/// Width and height of a picture.
const SIZE: (u32, u32) = (160, 120);

/// Draws the pictures into a folder; the same on every machine.
pub(crate) fn run(folder: &Path) -> Result<()> {
    for number in 0..COUNT {
        let mut dice = Dice(0x5eed ^ u64::from(number) << 32);
        let mut image = background(&mut dice);
        let (name, draw): (_, fn(&mut RgbImage, &mut Dice)) = match number % 5 {
            0 => ("discs", discs),
            1 => ("stripes", stripes),
            2 => ("clouds", clouds),
            3 => ("polygons", polygons),
            _ => ("hills", hills),
        };
        draw(&mut image, &mut dice);
        write(&folder.join(format!("{name}-{number:03}.png")), &png(&image)?)?;
    }
    Ok(())
}

/// A random generator of a few lines: splitmix64 (Steele, Lea and Flood, OOPSLA 2014).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number from 0 to below 1.
    fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 24) as f32
    }

    fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.unit()
    }

    fn color(&mut self) -> [f32; 3] {
        [self.unit(), self.unit(), self.unit()].map(|channel| 255.0 * channel)
    }

    /// A place in the picture.
    fn place(&mut self) -> (f32, f32) {
        (self.between(0.0, SIZE.0 as f32), self.between(0.0, SIZE.1 as f32))
    }
}

/// The color on the way from one to another.
fn mix(from: [f32; 3], to: [f32; 3], share: f32) -> [f32; 3] {
    let share = share.clamp(0.0, 1.0);
    [0, 1, 2].map(|channel| from[channel] + (to[channel] - from[channel]) * share)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to a byte")]
fn paint(image: &mut RgbImage, x: u32, y: u32, color: [f32; 3]) {
    image.put_pixel(x, y, Rgb(color.map(|channel| channel.clamp(0.0, 255.0) as u8)));
}

/// Paints over every pixel that `color` gives a color for.
fn cover(image: &mut RgbImage, mut color: impl FnMut(f32, f32) -> Option<[f32; 3]>) {
    for y in 0..image.height() {
        for x in 0..image.width() {
            if let Some(color) = color(x as f32, y as f32) {
                paint(image, x, y, color);
            }
        }
    }
}

/// A gradient in a random direction.
fn background(dice: &mut Dice) -> RgbImage {
    let mut image = RgbImage::new(SIZE.0, SIZE.1);
    let (from, to, angle) = (dice.color(), dice.color(), dice.between(0.0, 6.3));
    let (across, down) = (angle.cos() / SIZE.0 as f32, angle.sin() / SIZE.1 as f32);
    cover(&mut image, |x, y| Some(mix(from, to, 0.5 + (x - 80.0) * across + (y - 60.0) * down)));
    image
}

fn discs(image: &mut RgbImage, dice: &mut Dice) {
    for _ in 0..3 + dice.next() % 6 {
        let ((left, top), radius) = (dice.place(), dice.between(8.0, 45.0));
        let (inner, outer) = (dice.color(), dice.color());
        cover(image, |x, y| {
            let share = (x - left).hypot(y - top) / radius;
            (share <= 1.0).then(|| mix(inner, outer, share * share))
        });
    }
}

fn stripes(image: &mut RgbImage, dice: &mut Dice) {
    let (angle, period) = (dice.between(0.0, 3.1), dice.between(12.0, 60.0));
    let (color, bend) = (dice.color(), dice.between(0.0, 12.0));
    cover(image, |x, y| {
        let along = x * angle.cos() + y * angle.sin() + bend * (y / 20.0).sin();
        (along.rem_euclid(period) < period / 2.0).then_some(color)
    });
}

fn clouds(image: &mut RgbImage, dice: &mut Dice) {
    let (color, noise) = (dice.color(), Noise::new(dice));
    let before = image.clone();
    cover(image, |x, y| {
        let Rgb(below) = before.get_pixel(x as u32, y as u32);
        let share = noise.at(x / 40.0, y / 40.0) * 0.7 + noise.at(x / 12.0, y / 12.0) * 0.3;
        Some(mix(below.map(f32::from), color, (share - 0.3) * 2.5))
    });
}

fn polygons(image: &mut RgbImage, dice: &mut Dice) {
    for _ in 0..2 + dice.next() % 4 {
        let corners = [dice.place(), dice.place(), dice.place()];
        let color = dice.color();
        cover(image, |x, y| {
            let side = |from: (f32, f32), to: (f32, f32)| {
                (to.0 - from.0) * (y - from.1) - (to.1 - from.1) * (x - from.0) >= 0.0
            };
            let [a, b, c] = corners;
            let (first, second, third) = (side(a, b), side(b, c), side(c, a));
            (first == second && second == third).then_some(color)
        });
    }
}

/// Ridges one before the other, paler in the distance.
fn hills(image: &mut RgbImage, dice: &mut Dice) {
    let (far, near) = (dice.color(), dice.color());
    for ridge in 0_u8..4 {
        let (noise, depth) = (Noise::new(dice), f32::from(ridge) / 3.0);
        let (top, rough) = (40.0 + 60.0 * depth, dice.between(20.0, 60.0));
        cover(image, |x, y| {
            let height =
                top - rough * (noise.at(x / 50.0, 0.0) - 0.5) - 8.0 * noise.at(x / 9.0, 3.0);
            (y > height).then(|| mix(far, near, depth))
        });
    }
}

/// Smooth noise: random numbers at whole places, interpolated between.
struct Noise(Vec<f32>);

impl Noise {
    const SIDE: usize = 32;

    fn new(dice: &mut Dice) -> Self {
        Self((0..Self::SIDE * Self::SIDE).map(|_| dice.unit()).collect())
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small, wraps")]
    fn at(&self, x: f32, y: f32) -> f32 {
        let smooth = |share: f32| share * share * (3.0 - 2.0 * share);
        let (column, row) = (x.max(0.0) as usize, y.max(0.0) as usize);
        let (across, down) = (smooth(x.fract()), smooth(y.fract()));
        let value =
            |column: usize, row: usize| self.0[row % Self::SIDE * Self::SIDE + column % Self::SIDE];
        let line = |row| value(column, row) * (1.0 - across) + value(column + 1, row) * across;
        line(row) * (1.0 - down) + line(row + 1) * down
    }
}
