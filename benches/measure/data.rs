//! Seeded sets of 256-bit codes, none of them a test alone: uniform codes flatter a multi-index,
//! tight clusters flatter cluster lists, and real codes lie between the last two.

use super::Random;

/// Bytes of a code.
pub(crate) const WIDTH: usize = 32;

/// What the codes are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Independent bits; each query has ten neighbours planted within 40 bits.
    Planted,
    /// Tight clusters of about 200 codes.
    Mixture,
    /// The signs of random projections of 20 normal dimensions: no clusters.
    Smooth,
}

/// Codes and queries that are not among them.
pub(crate) struct Data {
    pub(crate) codes: Vec<u8>,
    pub(crate) queries: Vec<Vec<u8>>,
}

impl Data {
    pub(crate) fn new(kind: Kind, rows: usize, queries: usize) -> Self {
        let mut random = Random(41);
        match kind {
            Kind::Planted => planted(rows, queries, &mut random),
            Kind::Mixture => {
                let centres: Vec<_> =
                    (0..rows.div_ceil(200)).map(|_| random.bytes(WIDTH)).collect();
                drawn(rows, queries, || {
                    let mut code = centres[below(&mut random, centres.len())].clone();
                    (0..below(&mut random, 48)).for_each(|_| flip(&mut code, &mut random));
                    code
                })
            }
            Kind::Smooth => {
                let plane: Vec<f32> = (0..WIDTH * 8 * 20).map(|_| normal(&mut random)).collect();
                drawn(rows, queries, || projected(&plane, &mut random))
            }
        }
    }
}

fn drawn(rows: usize, queries: usize, mut code: impl FnMut() -> Vec<u8>) -> Data {
    let codes = (0..rows).flat_map(|_| code()).collect();
    Data { codes, queries: (0..queries).map(|_| code()).collect() }
}

fn planted(rows: usize, queries: usize, random: &mut Random) -> Data {
    let mut codes = random.bytes(rows * WIDTH);
    let queries: Vec<_> = (0..queries).map(|_| random.bytes(WIDTH)).collect();
    for query in &queries {
        for _ in 0..10 {
            let mut code = query.clone();
            (0..below(random, 40)).for_each(|_| flip(&mut code, random));
            let at = below(random, rows) * WIDTH;
            codes[at..at + WIDTH].copy_from_slice(&code);
        }
    }
    Data { codes, queries }
}

/// A number below `bound`.
fn below(random: &mut Random, bound: usize) -> usize {
    usize::try_from(random.next() % bound.max(1) as u64).unwrap_or(0)
}

fn flip(code: &mut [u8], random: &mut Random) {
    let bit = below(random, WIDTH * 8);
    code[bit / 8] ^= 1 << (bit % 8);
}

/// About a normal variate: the sum of four uniform ones.
fn normal(random: &mut Random) -> f32 {
    let bits = random.next();
    let sum: u64 = (0..4).map(|part| (bits >> (16 * part)) & 0xffff).sum();
    (sum as f32 - 131_070.0) / 37_837.0
}

fn projected(plane: &[f32], random: &mut Random) -> Vec<u8> {
    let point: Vec<f32> = (0..20).map(|_| normal(random)).collect();
    let mut code = vec![0; WIDTH];
    for (bit, direction) in plane.chunks_exact(20).enumerate() {
        // A little noise, so that codes of near points are not all equal.
        let dot: f32 = direction.iter().zip(&point).map(|(a, b)| a * b).sum();
        code[bit / 8] |= u8::from(dot + 0.5 * normal(random) > 0.0) << (7 - bit % 8);
    }
    code
}
