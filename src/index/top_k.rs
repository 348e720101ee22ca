//! The best k of a stream of neighbours.
//!
//! A buffer of twice k is filled and cut back to the best k by selection, which costs a constant
//! time a neighbour for any k. The worst that remained is the bar that later ones must beat.

use super::Neighbor;

/// Room beyond k, so that small answers are not cut at every step.
const SLACK: usize = 32;

/// Collects the `k` nearest neighbours, ties by id.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    /// Unordered, grows with what comes: a huge k takes no memory in advance.
    buffer: Vec<Neighbor>,
    /// The worst of the best k, once they were told apart; nothing above it can enter.
    worst: Option<Neighbor>,
}

impl TopK {
    /// Starts with nothing; `k` may be 0 or as large as it likes.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self {
            k,
            buffer: Vec::new(),
            worst: None,
        }
    }

    /// Whether a neighbour can still be among the best k.
    #[inline]
    #[must_use]
    pub fn admits(&self, neighbor: &Neighbor) -> bool {
        self.k > 0 && self.worst.is_none_or(|worst| *neighbor < worst)
    }

    /// Offers a neighbour; no two have one id.
    #[inline]
    pub fn push(&mut self, neighbor: Neighbor) {
        if !self.admits(&neighbor) {
            return;
        }
        self.buffer.push(neighbor);
        if self.buffer.len() >= self.k.saturating_add(self.k.max(SLACK)) {
            self.cut();
        }
    }

    /// The largest distance that can still enter, `None` while any can.
    #[inline]
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.worst.map(|worst| worst.distance)
    }

    /// Whether nothing was asked for, so that a search need not begin.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.k == 0
    }

    /// The best k, or as many as there were, in order.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Neighbor> {
        if self.buffer.len() > self.k {
            self.cut();
        }
        self.buffer.sort_unstable();
        self.buffer
    }

    /// Keeps the best k of the buffer, which holds more than k, and k is not 0.
    fn cut(&mut self) {
        let (_, &mut worst, _) = self.buffer.select_nth_unstable(self.k - 1);
        self.buffer.truncate(self.k);
        self.worst = Some(worst);
    }
}
