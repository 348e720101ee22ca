//! Codes from a mixture of clusters whose members lie on a surface of chosen dimension.
//!
//! A member of a cluster is a point x of d independent, nearly normal coordinates. Bit b of its code is
//! the side of hyperplane b: the sign of `sqrt(1 - s) c_b + sqrt(s / d) sum_j w_bj x_j`, where c is the
//! centre of the cluster, the weights w are common to all clusters and s is the spread; then each bit
//! is flipped with the probability of the noise. So two members of a cluster differ in arccos(1 - s)
//! / pi of their bits on average (in fewer where d is below 8), members of two clusters in half of
//! them, and within a cluster the bits follow d coordinates.
//!
//! A coordinate takes one of 16 values that are equally likely, so that a hyperplane's sum is made of
//! numbers from a table: integers, which are the same on every machine and quickly added.

use crate::random::Random;

/// Values that a coordinate takes.
const LEVELS: usize = 16;
/// Bits that choose one.
const LEVEL_BITS: usize = 4;
/// Bits of a code that are summed together: what fits the registers.
const BLOCK: usize = 64;
/// What 1.0 is in a table: sums of a few standard deviations stay within 16 bits.
const UNIT: f64 = 4096.0;
/// Bits of the noise's probability.
const NOISE_BITS: u32 = 10;

/// What the codes shall be like.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) code_bits: usize,
    pub(crate) clusters: usize,
    pub(crate) dimension: usize,
    pub(crate) spread: f64,
    pub(crate) noise: f64,
}

/// Numbers of a block, in whole cache lines.
#[derive(Debug)]
#[repr(align(64))]
struct Row([i16; BLOCK]);

/// The clusters of one seed.
#[derive(Debug)]
pub(crate) struct Mixture {
    shape: Shape,
    /// For each cluster a number a bit.
    centres: Vec<i16>,
    /// For each block, coordinate and value a number a bit of the block.
    weights: Vec<Row>,
    /// The noise's probability in 1024ths.
    noise: u32,
}

impl Mixture {
    pub(crate) fn new(shape: Shape, seed: u64) -> Self {
        let Shape { code_bits, clusters, dimension, spread, .. } = shape;
        let mut random = Random::new(seed, CENTRES, 0);
        let from_centre = (1.0 - spread).sqrt() * UNIT;
        let centres = (0..clusters * code_bits).map(|_| fixed(from_centre * random.normal()));
        let centres = centres.collect();
        let mut random = Random::new(seed, WEIGHTS, 0);
        let from_point = (spread / dimension as f64).sqrt() * UNIT;
        let mut weights = Vec::with_capacity(code_bits / BLOCK * dimension * LEVELS);
        for _ in 0..code_bits / BLOCK * dimension {
            let slopes: [f64; BLOCK] = std::array::from_fn(|_| from_point * random.normal());
            weights.extend(COORDINATES.map(|at| Row(slopes.map(|slope| fixed(slope * at)))));
        }
        let noise = fixed(shape.noise * f64::from(1 << NOISE_BITS)).unsigned_abs().into();
        Self { shape, centres, weights, noise }
    }

    /// Appends a code to `codes` and says from which cluster.
    pub(crate) fn draw(&self, random: &mut Random, codes: &mut Vec<u8>) -> usize {
        let Shape { code_bits, clusters, dimension, .. } = self.shape;
        let cluster = usize::try_from(random.below(clusters as u64)).unwrap_or(0);
        let mut levels = [0_usize; MAX_DIMENSION];
        let mut bits = 0;
        for (index, level) in levels[..dimension].iter_mut().enumerate() {
            if index % (64 / LEVEL_BITS) == 0 {
                bits = random.next();
            }
            *level = usize::try_from(bits).unwrap_or(usize::MAX) % LEVELS;
            bits >>= LEVEL_BITS;
        }
        let centre = &self.centres[cluster * code_bits..][..code_bits];
        let (centre, _) = centre.as_chunks::<BLOCK>();
        for (block, centre) in centre.iter().enumerate() {
            let mut sums = *centre;
            let weights = &self.weights[block * dimension * LEVELS..][..dimension * LEVELS];
            let rows = weights.chunks_exact(LEVELS).zip(levels).map(|(rows, level)| &rows[level].0);
            add(&mut sums, rows);
            let word = signs(&sums) ^ self.flips(random);
            codes.extend(word.to_be_bytes());
        }
        cluster
    }

    /// A word each bit of which is set with the probability of the noise.
    fn flips(&self, random: &mut Random) -> u64 {
        // From the last digit of the probability to the first: a 1 halves the rest, a 0 the distance to 1.
        let first = self.noise.trailing_zeros();
        (first..NOISE_BITS).fold(0, |mask, bit| match self.noise >> bit & 1 {
            1 => mask | random.next(),
            _ => mask & random.next(),
        })
    }
}

/// Coordinates at most.
pub(crate) const MAX_DIMENSION: usize = 256;
const CENTRES: u64 = 1;
const WEIGHTS: u64 = 2;

/// The middles of 16 equally likely parts of the normal distribution, scaled to variance 1.
const COORDINATES: [f64; LEVELS] = [
    -1.9382, -1.3714, -1.0509, -0.8079, -0.6026, -0.4185, -0.2468, -0.0816, 0.0816, 0.2468, 0.4185,
    0.6026, 0.8079, 1.0509, 1.3714, 1.9382,
];

/// Adds rows to the sums, four at a time: the sums are in memory, and each visit there takes longer than
/// an addition.
fn add<'a>(sums: &mut [i16; BLOCK], mut rows: impl Iterator<Item = &'a [i16; BLOCK]>) {
    const NOTHING: &[i16; BLOCK] = &[0; BLOCK];
    while let Some(first) = rows.next() {
        let [second, third, fourth] = [(); 3].map(|()| rows.next().unwrap_or(NOTHING));
        for (index, sum) in sums.iter_mut().enumerate() {
            let pair = first[index].wrapping_add(second[index]);
            let other = third[index].wrapping_add(fourth[index]);
            *sum = sum.wrapping_add(pair).wrapping_add(other);
        }
    }
}

/// The signs of the sums as the bits of a word, in the order that takes the fewest steps: which bit is
/// whose is nothing to random hyperplanes.
fn signs(sums: &[i16; BLOCK]) -> u64 {
    let (eights, _) = sums.as_chunks::<8>();
    let mut lanes = [0_i16; 8];
    for (place, eight) in eights.iter().enumerate() {
        for (lane, sum) in lanes.iter_mut().zip(eight) {
            *lane |= (sum >> 15) & (1 << place);
        }
    }
    u64::from_le_bytes(lanes.map(|lane| lane.to_le_bytes()[0]))
}

#[expect(clippy::cast_possible_truncation, reason = "limited to what 16 bits hold")]
fn fixed(number: f64) -> i16 {
    number.round().clamp(-32_768.0, 32_767.0) as i16
}
