//! Kernels for AVX2: bits are counted by looking up nibbles with `pshufb`.

/// Whether this processor has what the kernels of this file use.
pub(super) fn available() -> bool {
    is_x86_feature_detected!("avx2") && is_x86_feature_detected!("popcnt")
}
pub(super) use super::scalar::{distances, distances_u32, within_u16};
