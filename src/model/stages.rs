//! How long the stages of an encoder take, each alone.

use std::time::Duration;

/// The time that encoding took, by stages that ran one after the other. In use they overlap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StageTimes {
    /// Pixels into the memory that is copied, or into inputs on the CPU.
    pub prepare: Duration,
    /// Pixels to the device; nothing on the CPU.
    pub copy_in: Duration,
    /// The matrix products and what lies between them.
    pub forward: Duration,
    /// Bits from the device; nothing on the CPU.
    pub copy_out: Duration,
}

impl StageTimes {
    /// All stages together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.prepare + self.copy_in + self.forward + self.copy_out
    }
}
