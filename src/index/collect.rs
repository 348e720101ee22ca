//! Where a search puts what it finds. A collector narrows while it fills, so that one search
//! serves the best k and everything within a radius alike.

use super::{Neighbor, TopK};

/// Takes neighbours in any order, no two of one id.
pub trait Collect {
    /// The largest distance that can still enter, `u32::MAX` while any can. It never rises.
    fn limit(&self) -> u32;

    /// Whether a neighbour would enter.
    fn admits(&self, neighbor: &Neighbor) -> bool;

    /// Whether nothing can enter, so that a search need not begin.
    fn is_void(&self) -> bool;

    /// Offers a neighbour.
    fn push(&mut self, neighbor: Neighbor);
}

impl Collect for TopK {
    #[inline]
    fn limit(&self) -> u32 {
        self.limit().unwrap_or(u32::MAX)
    }

    #[inline]
    fn admits(&self, neighbor: &Neighbor) -> bool {
        self.admits(neighbor)
    }

    #[inline]
    fn is_void(&self) -> bool {
        self.is_void()
    }

    #[inline]
    fn push(&mut self, neighbor: Neighbor) {
        self.push(neighbor);
    }
}

/// Everything within a radius (inclusive).
#[derive(Debug, Clone)]
pub struct Within {
    radius: u32,
    found: Vec<Neighbor>,
}

impl Within {
    /// Starts with nothing.
    #[must_use]
    pub fn new(radius: u32) -> Self {
        Self { radius, found: Vec::new() }
    }

    /// What was found, in order.
    #[must_use]
    pub fn into_sorted(mut self) -> Vec<Neighbor> {
        Neighbor::sort(&mut self.found);
        self.found
    }
}

impl Collect for Within {
    #[inline]
    fn limit(&self) -> u32 {
        self.radius
    }

    #[inline]
    fn admits(&self, neighbor: &Neighbor) -> bool {
        neighbor.distance <= self.radius
    }

    #[inline]
    fn is_void(&self) -> bool {
        false
    }

    #[inline]
    fn push(&mut self, neighbor: Neighbor) {
        if self.admits(&neighbor) {
            self.found.push(neighbor);
        }
    }
}

impl<C: Collect> Collect for &mut C {
    #[inline]
    fn limit(&self) -> u32 {
        (**self).limit()
    }

    #[inline]
    fn admits(&self, neighbor: &Neighbor) -> bool {
        (**self).admits(neighbor)
    }

    #[inline]
    fn is_void(&self) -> bool {
        (**self).is_void()
    }

    #[inline]
    fn push(&mut self, neighbor: Neighbor) {
        (**self).push(neighbor);
    }
}
