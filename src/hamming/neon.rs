//! Kernels for NEON.

pub(super) use super::scalar::{distances, distances_u32, within_u16};

/// Whether this processor has what the kernels of this file use.
pub(super) fn available() -> bool {
    std::arch::is_aarch64_feature_detected!("neon")
}
