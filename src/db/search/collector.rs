//! What a search over codes collects: the best k, or everything within a radius.

use crate::index::{Collect, Neighbor, TopK, Within};

/// What a search over codes collects.
#[derive(Debug)]
pub(super) enum Collector {
    Top(TopK),
    Within(Within),
}

/// Calls a method of whichever collector it is.
macro_rules! delegate {
    ($collector:expr, $method:ident($($argument:expr),*)) => {
        match $collector {
            Self::Top(top) => Collect::$method(top $(, $argument)*),
            Self::Within(within) => Collect::$method(within $(, $argument)*),
        }
    };
}

impl Collect for Collector {
    #[inline]
    fn limit(&self) -> u32 {
        delegate!(self, limit())
    }

    #[inline]
    fn admits(&self, neighbor: &Neighbor) -> bool {
        delegate!(self, admits(neighbor))
    }

    fn is_void(&self) -> bool {
        delegate!(self, is_void())
    }

    #[inline]
    fn push(&mut self, neighbor: Neighbor) {
        delegate!(self, push(neighbor));
    }
}

impl Collector {
    /// What was collected, by distance, then id.
    pub(super) fn into_sorted(self) -> Vec<Neighbor> {
        match self {
            Self::Top(top) => top.into_sorted(),
            Self::Within(within) => within.into_sorted(),
        }
    }
}
