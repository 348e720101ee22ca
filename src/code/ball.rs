//! The Hamming ball as masks: `centre ^ mask` runs over a ball as `mask` runs over the masks of few
//! set bits. Built once, used by every look-up.
//!
//! Masks of one weight are enumerated by Gosper's hack (HAKMEM, item 175).

/// All masks of a width with at most `radius` set bits, by weight and then by value.
#[derive(Debug, Clone)]
pub struct BallMasks {
    masks: Vec<u32>,
    /// Where each weight ends.
    ends: Vec<usize>,
}

impl BallMasks {
    /// Enumerates the masks of `bits` bits, at most 32, with weights up to `radius`.
    ///
    /// Takes four bytes a mask: see [`ball_size`] before asking for a large ball.
    #[must_use]
    pub fn new(bits: u8, radius: u32) -> Self {
        let (bits, mut masks, mut ends) = (bits.min(32), Vec::new(), Vec::new());
        for weight in 0..=radius.min(u32::from(bits)) {
            masks.extend(MasksOfWeight::new(bits, weight));
            ends.push(masks.len());
        }
        Self { masks, ends }
    }

    /// The masks with at most `radius` set bits; all there are beyond the radius they were made for.
    #[must_use]
    pub fn within(&self, radius: u32) -> &[u32] {
        &self.masks[..self.ends.get(radius as usize).copied().unwrap_or(self.masks.len())]
    }
}

/// How many addresses of `bits` bits lie within `radius` of one.
#[must_use]
pub fn ball_size(bits: u8, radius: u32) -> u64 {
    let bits = u64::from(bits.min(63));
    let mut of_weight = 1;
    let mut size = 1;
    for weight in 1..=bits.min(u64::from(radius)) {
        of_weight = of_weight * u128::from(bits - weight + 1) / u128::from(weight);
        size += of_weight;
    }
    u64::try_from(size).unwrap_or(u64::MAX)
}

/// The masks of one weight, ascending.
struct MasksOfWeight {
    next: u64,
    end: u64,
}

impl MasksOfWeight {
    /// `bits` is at most 32, `weight` at most `bits`.
    fn new(bits: u8, weight: u32) -> Self {
        Self { next: (1 << weight) - 1, end: 1 << bits }
    }
}

impl Iterator for MasksOfWeight {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let mask = u32::try_from(self.next).ok().filter(|_| self.next < self.end)?;
        self.next = match self.next {
            0 => self.end,
            mask => {
                let lowest = mask & mask.wrapping_neg();
                let ripple = mask + lowest;
                ripple | (((mask ^ ripple) / lowest) >> 2)
            }
        };
        Some(mask)
    }
}
