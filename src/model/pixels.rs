//! The picture as every encoder takes it: 32 x 32 pixels, three bytes each.

use super::ModelError;

/// Names the way from a picture file to [`Pixels`]: RGB bytes, resized to 32 x 32 without keeping
/// the aspect ratio by a Lanczos filter of three lobes. It is part of every fingerprint, so a change
/// of the way needs a new name.
pub const PREPROCESSING: &str = "rgb8-32x32-lanczos3-v1";

/// A picture of exactly 32 x 32 RGB pixels: 3072 bytes, rows from the top, pixels from the left, red,
/// green and blue of a pixel side by side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels(Box<[u8]>);

impl Pixels {
    /// Width and height in pixels.
    pub const SIDE: usize = 32;
    /// Length in bytes.
    pub const BYTES: usize = Self::SIDE * Self::SIDE * 3;

    /// Takes over the bytes of a picture.
    ///
    /// # Errors
    /// [`ModelError::PixelBytes`] unless there are exactly [`Pixels::BYTES`].
    pub fn new(bytes: impl Into<Box<[u8]>>) -> Result<Self, ModelError> {
        let bytes = bytes.into();
        if bytes.len() == Self::BYTES {
            Ok(Self(bytes))
        } else {
            Err(ModelError::PixelBytes { found: bytes.len() })
        }
    }

    /// The bytes, always [`Pixels::BYTES`] of them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
