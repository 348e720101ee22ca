//! How a radius is shared by the two halves of a word.

/// Radii of the halves: `first + second = radius - 1`.
///
/// If two words differ in at most `radius` bits, then their first halves differ in at most `first`
/// bits or their second halves in at most `second`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Radii {
    pub(super) first: u32,
    /// None at radius 0, where the first half finds everything.
    pub(super) second: Option<u32>,
}

impl Radii {
    /// The first half takes the odd bit.
    pub(super) fn new(radius: u32) -> Self {
        Self { first: radius / 2, second: radius.checked_sub(1).map(|rest| rest / 2) }
    }
}
