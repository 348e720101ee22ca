//! Which instruction set a kernel may use.
//!
//! The engine asks once, when it opens a database, and hands the answer down: there is no global.
//! A [`Level`] is a wish. A kernel asked for a level that the processor lacks answers by the
//! scalar code, so that no value of this type is unsound.

use std::ffi::OsStr;
use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Result};

/// The environment variable that overrides the choice of a level.
const VARIABLE: &str = "HASHDB_SIMD";

/// An instruction set that the distance kernels were written for.
///
/// Answers are the same at every level; only the speed differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// Portable code, on every processor.
    Scalar,
    /// AVX2 and POPCNT: x86-64 since 2013.
    Avx2,
    /// AVX-512 with F, BW, VL, VPOPCNTDQ, BITALG and VBMI2: Ice Lake, Zen 4 and later.
    Avx512,
    /// NEON: every 64-bit ARM.
    Neon,
}

impl Level {
    /// Every level, the faster ones later.
    const ALL: [Self; 4] = [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx512];

    /// The name that [`FromStr`] reads: `scalar`, `avx2`, `avx512` or `neon`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }

    /// Whether this processor has the level.
    #[must_use]
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => super::avx2::available(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => super::avx512::available(),
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Self::Neon => super::neon::available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
            #[cfg(not(all(target_arch = "aarch64", target_endian = "little")))]
            Self::Neon => false,
        }
    }

    /// The levels that this processor has, the fastest last, [`Level::Scalar`] always first.
    #[must_use]
    pub fn available() -> Vec<Self> {
        Self::ALL.into_iter().filter(|level| level.is_available()).collect()
    }

    /// The fastest level that this processor has.
    #[must_use]
    pub fn best() -> Self {
        Self::ALL.into_iter().rfind(|level| level.is_available()).unwrap_or(Self::Scalar)
    }

    /// The level that the environment variable `HASHDB_SIMD` names; [`Level::best`] where it is
    /// unset or `auto`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidArgument`] if the variable names no level, or one that this processor lacks.
    pub fn from_environment() -> Result<Self> {
        std::env::var_os(VARIABLE).map_or_else(|| Ok(Self::best()), |value| Self::chosen(&value))
    }

    /// What a value of the environment variable asks for.
    pub(super) fn chosen(value: &OsStr) -> Result<Self> {
        if value == "auto" {
            return Ok(Self::best());
        }
        let level =
            value.to_str().and_then(|name| Self::ALL.into_iter().find(|l| l.name() == name));
        level.filter(|level| level.is_available()).ok_or_else(|| {
            let names: Vec<_> = Self::available().into_iter().map(Self::name).collect();
            let given = value.to_string_lossy();
            Error::invalid(
                VARIABLE,
                format!(
                    "must be auto or one of {} on this processor, not {given:?}",
                    names.join(", ")
                ),
            )
        })
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Level {
    type Err = Error;

    /// Reads a level's name; whether this processor has it is not asked.
    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name).ok_or_else(|| {
            Error::invalid("level", format!("must be scalar, avx2, avx512 or neon, not {name:?}"))
        })
    }
}
