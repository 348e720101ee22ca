//! The best k of a stream of neighbours.
//!
//! How many neighbours there are of each distance is counted as they come, so that the limit for
//! later ones is as tight as it can be without sorting. Whatever lies beyond the limit is dropped
//! when the buffer has grown to twice k, which costs a constant time a neighbour for any k.

use super::Neighbor;

/// The buffer holds so many times k.
const FILL: usize = 2;

/// Room beyond that, so that small answers are not cut at every step.
const SLACK: usize = 32;

/// Distances from here on are counted together and bound nothing; codes are no wider.
const FAR: u32 = 1024;

/// Collects the `k` nearest neighbours, ties by id.
#[derive(Debug, Clone)]
pub struct TopK {
    k: usize,
    /// Unordered, grows with what comes: a huge k takes no memory in advance.
    buffer: Vec<Neighbor>,
    /// How many neighbours of each distance up to `limit` the buffer holds.
    counts: Vec<usize>,
    /// Their sum.
    within: usize,
    /// The smallest distance that k neighbours are known not to exceed.
    limit: Option<u32>,
    /// The worst of the best k at the last cut: among equal distances, the bar for ids.
    worst: Option<Neighbor>,
}

impl TopK {
    /// Starts with nothing; `k` may be 0 or as large as it likes.
    #[must_use]
    pub fn new(k: usize) -> Self {
        Self { k, buffer: Vec::new(), counts: Vec::new(), within: 0, limit: None, worst: None }
    }

    /// Whether a neighbour can still be among the best k.
    #[inline]
    #[must_use]
    pub fn admits(&self, neighbor: &Neighbor) -> bool {
        self.k > 0
            && self.limit.is_none_or(|limit| neighbor.distance <= limit)
            && self.worst.is_none_or(|worst| *neighbor < worst)
    }

    /// The largest distance that can still enter, `None` while any can.
    #[inline]
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// How many neighbours are wanted.
    #[must_use]
    pub fn k(&self) -> usize {
        self.k
    }

    /// Is told that `k` neighbours at most `limit` away were or will be offered: nothing farther
    /// enters. Where that is wrong the answer falls short of `k`.
    pub fn narrow(&mut self, limit: u32) {
        self.limit = Some(self.limit.map_or(limit, |known| known.min(limit)));
    }

    /// Whether nothing was asked for, so that a search need not begin.
    #[must_use]
    pub fn is_void(&self) -> bool {
        self.k == 0
    }

    /// Offers a neighbour; no two have one id.
    #[inline]
    pub fn push(&mut self, neighbor: Neighbor) {
        if !self.admits(&neighbor) {
            return;
        }
        self.buffer.push(neighbor);
        self.count(neighbor.distance);
        if self.buffer.len() >= self.k.saturating_mul(FILL).saturating_add(SLACK) {
            self.shrink();
        }
    }

    /// The best k, or as many as there were, in order.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Neighbor> {
        self.drop_far();
        if self.buffer.len() > self.k {
            self.cut();
        }
        Neighbor::sort(&mut self.buffer);
        self.buffer
    }

    /// Counts a neighbour of the buffer and lowers the limit as far as the counts allow.
    #[inline]
    fn count(&mut self, distance: u32) {
        let distance = distance.min(FAR) as usize;
        if distance >= self.counts.len() {
            self.counts.resize(distance + 1, 0);
        }
        self.counts[distance] += 1;
        self.within += 1;
        while let Some(farthest) = self.counts.last()
            && self.within - farthest >= self.k
        {
            self.within -= farthest;
            self.counts.pop();
        }
        let farthest = u32::try_from(self.counts.len() - 1).unwrap_or(FAR);
        if self.within >= self.k && farthest < FAR {
            self.narrow(farthest);
        }
    }

    /// Makes room in the buffer, which holds more than k.
    fn shrink(&mut self) {
        self.drop_far();
        // Many of one distance: only their ids decide.
        if self.buffer.len() > self.k.saturating_add(self.k / 2) {
            self.cut();
        }
    }

    /// Drops what was near enough when it came and no longer is.
    fn drop_far(&mut self) {
        let Some(limit) = self.limit else { return };
        let mut kept = 0;
        // Without a branch, which would be guessed wrong half of the time.
        for index in 0..self.buffer.len() {
            let neighbor = self.buffer[index];
            self.buffer[kept] = neighbor;
            kept += usize::from(neighbor.distance <= limit);
        }
        self.buffer.truncate(kept);
    }

    /// Keeps the best k of the buffer, which holds more than k, and k is not 0.
    fn cut(&mut self) {
        let (_, &mut worst, _) = self.buffer.select_nth_unstable(self.k - 1);
        self.buffer.truncate(self.k);
        self.worst = Some(worst);
        // Only neighbours at the limit can be more than k together.
        if let Some(farthest) = self.counts.last_mut() {
            *farthest -= self.within - self.k;
            self.within = self.k;
        }
    }
}
