//! Pictures of layers: fields of two colours within discs, bands, boxes and triangles, under the grain
//! of a sensor.

use super::fields::Field;
use crate::random::Random;

const PICTURES: u64 = 5;
const GRAIN: u64 = 6;

/// What was drawn.
#[derive(Debug)]
pub(super) struct Picture {
    /// Of the JPEG, 1 to 100.
    pub(super) quality: u8,
    pub(super) caption: String,
}

/// Where a layer shows: places that lie on the inner side of all edges, and within the disc.
struct Outline {
    name: &'static str,
    /// Each as (across, down, offset), inside where across x + down y + offset > 0.
    edges: Vec<(f32, f32, f32)>,
    disc: Option<(f32, f32, f32)>,
}

impl Picture {
    /// Draws a square picture into `pixels`, three bytes each.
    pub(super) fn draw(seed: u64, index: u64, size: u32, pixels: &mut Vec<u8>) -> Self {
        let mut random = Random::new(seed, PICTURES, index);
        let mut colors = vec![[0.0_f32; 3]; size as usize * size as usize];
        let mut caption = format!("picture {index}:");
        for layer in 0..2 + random.below(4) {
            let outline = match layer {
                0 => Outline { name: "all", edges: Vec::new(), disc: None },
                _ => Outline::new(&mut random),
            };
            let field = Field::new(&mut random);
            let separator = if layer == 0 { "" } else { "," };
            caption += &format!("{separator} {} of {}", outline.name, field.name());
            paint(&mut colors, size, &outline, &field, &mut random);
        }
        let (grain, quality) = (random.between(0.0, 24.0), 70 + random.below(26));
        let mut random = Random::new(seed, GRAIN, index);
        pixels.clear();
        pixels.extend(colors.iter().flat_map(|color| {
            let noise = grain * (random.unit() - 0.5);
            color.map(|channel| byte(channel + noise))
        }));
        caption.push('\n');
        Self { quality: u8::try_from(quality).unwrap_or(u8::MAX), caption }
    }
}

/// Paints one layer over those that are there.
fn paint(
    colors: &mut [[f32; 3]],
    size: u32,
    outline: &Outline,
    field: &Field,
    random: &mut Random,
) {
    let mut color = || [(); 3].map(|()| 255.0 * random.unit());
    let (from, to) = (color(), color());
    let step = 1.0 / size as f32;
    for (row, colors) in colors.chunks_exact_mut(size as usize).enumerate() {
        let y = (row as f32 + 0.5) * step;
        for (column, color) in colors.iter_mut().enumerate() {
            let x = (column as f32 + 0.5) * step;
            if outline.holds(x, y) {
                let share = field.at(x, y);
                *color = std::array::from_fn(|channel| {
                    from[channel] + share * (to[channel] - from[channel])
                });
            }
        }
    }
}

impl Outline {
    fn new(random: &mut Random) -> Self {
        let mut edges = Vec::new();
        let (x, y) = (random.unit(), random.unit());
        let mut edge = |random: &mut Random, distance: f32| {
            let (across, down) = (random.between(-1.0, 1.0), random.between(-1.0, 1.0));
            edges.push((across, down, distance - across * x - down * y));
            (across, down)
        };
        let (name, disc) = match random.below(4) {
            0 => ("disc", Some((x, y, random.between(0.05, 0.4)))),
            1 => {
                let (across, down) = edge(random, 0.15);
                edges.push((-across, -down, 0.15 + across * x + down * y));
                ("band", None)
            }
            2 => {
                let (across, down) = edge(random, 0.2);
                let sides = [(-across, -down), (-down, across), (down, -across)];
                edges.extend(sides.map(|(a, b)| (a, b, 0.2 - a * x - b * y)));
                ("box", None)
            }
            _ => {
                (0..3).for_each(|_| {
                    let _slope = edge(random, 0.15);
                });
                ("triangle", None)
            }
        };
        Self { name, edges, disc }
    }

    fn holds(&self, x: f32, y: f32) -> bool {
        let inner =
            |&(across, down, offset): &(f32, f32, f32)| across * x + down * y + offset > 0.0;
        self.edges.iter().all(inner)
            && self.disc.is_none_or(|(of_x, of_y, radius)| {
                let (dx, dy) = (x - of_x, y - of_y);
                dx * dx + dy * dy < radius * radius
            })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 255")]
fn byte(channel: f32) -> u8 {
    channel.clamp(0.0, 255.0) as u8
}
