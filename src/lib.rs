//! hashdb: an embedded, persistent key-value engine keyed by short binary codes.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg_attr(
    not(feature = "__internals"),
    expect(
        unreachable_pub,
        reason = "public for benches and fuzz targets, see `internals`"
    )
)]
mod code;
mod error;
#[cfg_attr(
    not(feature = "__internals"),
    expect(
        unreachable_pub,
        reason = "public for benches and fuzz targets, see `internals`"
    )
)]
mod hamming;
#[cfg_attr(
    not(feature = "__internals"),
    expect(
        unreachable_pub,
        reason = "public for benches and fuzz targets, see `internals`"
    )
)]
mod index;

pub use code::{Address, Code};
pub use error::{Corruption, Error, RecordError, Result};
pub use hamming::Level;

/// The lower floors, for benches and fuzz targets only. No promise of stability.
#[doc(hidden)]
#[cfg(feature = "__internals")]
pub mod internals {
    /// F1.
    pub mod hamming {
        pub use crate::hamming::*;
    }
    /// F2.
    pub mod code {
        pub use crate::code::*;
    }
    /// F3.
    pub mod index {
        pub use crate::index::*;
    }
}
