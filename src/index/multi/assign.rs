//! Chooses which bits of a code form a half.
//!
//! Bits of real codes are biased and correlated, so that some buckets of a half fill up and others
//! stay empty. How full the bucket of a random row is follows from the chance that two rows agree
//! in the half. With bits written as +1 and -1, this chance is the sum over all sets of bits of the
//! squared mean of their product, divided by the number of buckets (Parseval's identity). The terms
//! of one and of two bits are taken, and each bit goes to the half in which it adds the least, the
//! most troublesome bits first.

use super::order::{BitOrder, HALF_BITS, halves};
use super::sample::Sample;

/// An order of the bits in which the sampled rows share buckets as little as can be found; the
/// identity unless another is better by an eighth.
pub(super) fn choose(sample: &Sample<'_>, code_bits: u16) -> BitOrder {
    let identity = BitOrder::identity(code_bits);
    let before = shared(sample, &identity);
    let spread = Spread::new(sample, code_bits).place_all();
    let Ok(order) = BitOrder::new(spread) else { return identity };
    let after = shared(sample, &order);
    let total = |halves: &[u64]| halves.iter().sum::<u64>();
    if total(&after) * 8 >= total(&before) * 7 {
        return identity;
    }
    let bits = order.bits().as_chunks::<HALF_BITS>().0;
    let mut bits: Vec<_> = bits.iter().zip(&after).map(|(bits, shared)| (*shared, *bits)).collect();
    // The first half of a word gets the larger radius: it is the one that is spread better.
    bits.chunks_mut(2).for_each(|word| word.sort_by_key(|(shared, _)| *shared));
    BitOrder::new(bits.into_iter().flat_map(|(_, bits)| bits).collect()).unwrap_or(identity)
}

/// How many pairs of sampled rows share a bucket, half by half.
fn shared(sample: &Sample<'_>, order: &BitOrder) -> Vec<u64> {
    let mut all = Vec::with_capacity(order.words() * 2);
    for word in 0..order.words() {
        let words: Vec<_> =
            sample.codes().iter().map(|code| halves(order.word(code, word))).collect();
        for side in 0..2 {
            let mut values: Vec<_> = words.iter().map(|halves| halves[side]).collect();
            values.sort_unstable();
            let sizes = values.chunk_by(u16::eq).map(|bucket| bucket.len() as u64);
            all.push(sizes.map(|size| size * (size - 1) / 2).sum());
        }
    }
    all
}

/// Bits that are placed one after another.
struct Spread {
    /// The rows of the sample in which each bit is set.
    sets: Vec<Vec<u64>>,
    rows: u64,
    halves: Vec<Half>,
}

/// A half that is filled with bits.
#[derive(Clone, Default)]
struct Half {
    bits: Vec<u16>,
    /// What its bits add to the chance that two rows agree.
    load: u64,
}

impl Spread {
    fn new(sample: &Sample<'_>, code_bits: u16) -> Self {
        let mut sets = sample.bit_sets();
        sets.resize(code_bits.into(), Vec::new());
        let halves = vec![Half::default(); usize::from(code_bits) / HALF_BITS];
        Self { sets, rows: sample.codes().len() as u64, halves }
    }

    /// The bit of each place.
    fn place_all(mut self) -> Vec<u16> {
        let bits = (0_u16..).zip(&self.sets).map(|(bit, _)| bit);
        let mut trouble: Vec<_> = bits.clone().map(|bit| (self.trouble(bit), bit)).collect();
        trouble.sort_by_key(|(trouble, bit)| (std::cmp::Reverse(*trouble), *bit));
        for (_, bit) in trouble {
            self.place(bit);
        }
        self.halves.into_iter().flat_map(|half| half.bits).collect()
    }

    /// Puts a bit where it adds the least.
    fn place(&mut self, bit: u16) {
        let added: Vec<_> = self.halves.iter().map(|half| self.added(bit, half)).collect();
        let open = (0..self.halves.len()).filter(|half| self.halves[*half].bits.len() < HALF_BITS);
        // A bit agrees with the other half of its word too; that costs candidates, not postings.
        let cost = |half: &usize| 2 * (self.halves[*half].load + added[*half]) + added[*half ^ 1];
        if let Some(half) = open.min_by_key(cost) {
            self.halves[half].bits.push(bit);
            self.halves[half].load += added[half];
        }
    }

    /// What a bit adds to a half.
    fn added(&self, bit: u16, half: &Half) -> u64 {
        self.bias(bit) + half.bits.iter().map(|other| self.agreement(bit, *other)).sum::<u64>()
    }

    /// What a bit would add to a half of all bits.
    fn trouble(&self, bit: u16) -> u64 {
        let all = (0_u16..).zip(&self.sets).map(|(other, _)| other);
        self.bias(bit) + all.map(|other| self.agreement(bit, other)).sum::<u64>()
    }

    /// The squared sum of a bit over the sample.
    fn bias(&self, bit: u16) -> u64 {
        self.squared(
            self.sets[usize::from(bit)].iter().map(|set| u64::from(set.count_ones())).sum(),
        )
    }

    /// The squared sum of the product of two bits over the sample.
    fn agreement(&self, a: u16, b: u16) -> u64 {
        let pairs = self.sets[usize::from(a)].iter().zip(&self.sets[usize::from(b)]);
        self.squared(pairs.map(|(a, b)| u64::from((a ^ b).count_ones())).sum())
    }

    /// The squared sum of +1 and -1 over the sample, of which `minus` are -1.
    fn squared(&self, minus: u64) -> u64 {
        self.rows.abs_diff(2 * minus).pow(2)
    }
}
