//! What an ingest stores with each record on request: which facts, and how large a thumbnail.
//!
//! A run is told by its options; the journal remembers the choice under its [`Store::label`].

use std::fmt;
use std::str::FromStr;

/// The longest side of a thumbnail unless something else is said, in pixels.
pub const THUMBNAIL_SIDE: u32 = 64;
/// The longest side that a thumbnail may have, in pixels: it is stored with every record, and values wait in memory.
pub const MAX_THUMBNAIL_SIDE: u32 = 512;
/// Bytes of a value for a pixel of a thumbnail, at most: three of JPEG become four of base64.
const PIXEL_VALUE_BYTES: u64 = 4;

/// A fact about an image that can be stored with its record, see [`ImageFacts`](super::ImageFacts).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fact {
    /// The path of its file or shard, and for an entry its name in there.
    Path,
    /// The bytes that it is encoded in.
    Size,
    /// Its width as it is shown.
    Width,
    /// Its height as it is shown.
    Height,
    /// The BLAKE3 hash of its encoded bytes.
    Hash,
    /// A small JPEG of it.
    Thumbnail,
}

impl Fact {
    /// All of them, in the order in which they are stored.
    pub const ALL: [Self; 6] =
        [Self::Path, Self::Size, Self::Width, Self::Height, Self::Hash, Self::Thumbnail];

    fn name(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Size => "size",
            Self::Width => "width",
            Self::Height => "height",
            Self::Hash => "hash",
            Self::Thumbnail => "thumbnail",
        }
    }
}

impl fmt::Display for Fact {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A word that names no fact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no fact {0:?}, only path, size, width, height, hash and thumbnail")]
pub struct UnknownFact(String);

impl FromStr for Fact {
    type Err = UnknownFact;

    fn from_str(word: &str) -> Result<Self, UnknownFact> {
        let fact = Self::ALL.into_iter().find(|fact| fact.name() == word);
        fact.ok_or_else(|| UnknownFact(word.to_owned()))
    }
}

/// Which facts an ingest stores with each record. By default none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Store {
    facts: [bool; Fact::ALL.len()],
    side: u32,
}

impl Default for Store {
    fn default() -> Self {
        Self { facts: [false; Fact::ALL.len()], side: THUMBNAIL_SIDE }
    }
}

impl Store {
    /// These facts, in whatever order.
    #[must_use]
    pub fn only(facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut store = Self::default();
        for fact in facts {
            store.facts[fact as usize] = true;
        }
        store
    }

    /// All facts.
    #[must_use]
    pub fn all() -> Self {
        Self::only(Fact::ALL)
    }

    /// The longest side of thumbnails, 1 to [`MAX_THUMBNAIL_SIDE`] pixels. Default: [`THUMBNAIL_SIDE`]. A smaller image
    /// keeps its size.
    #[must_use]
    pub fn thumbnail_side(mut self, side: u32) -> Self {
        self.side = side.clamp(1, MAX_THUMBNAIL_SIDE);
        self
    }

    /// Whether a fact is stored.
    #[must_use]
    pub fn takes(&self, fact: Fact) -> bool {
        self.facts[fact as usize]
    }

    /// Whether anything is stored.
    pub(super) fn takes_any(&self) -> bool {
        self.facts.contains(&true)
    }

    /// The longest side of the thumbnail, if there shall be one.
    pub(super) fn side(&self) -> Option<u32> {
        self.takes(Fact::Thumbnail).then_some(self.side)
    }

    /// About the most bytes that it adds to a value, beside the path.
    pub(super) fn value_bytes(&self) -> u64 {
        self.side().map_or(0, |side| PIXEL_VALUE_BYTES * u64::from(side) * u64::from(side))
    }

    /// How the journal remembers it, `None` if nothing is stored.
    pub(super) fn label(&self) -> Option<String> {
        let names = Fact::ALL.into_iter().filter(|&fact| self.takes(fact)).map(|fact| match fact {
            Fact::Thumbnail => format!("{fact} {}", self.side),
            _ => fact.to_string(),
        });
        self.takes_any().then(|| Vec::from_iter(names).join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_named_and_labels_tell_choices_apart() {
        for fact in Fact::ALL {
            assert_eq!(fact.to_string().parse(), Ok(fact));
        }
        let wrong = "colour".parse::<Fact>().unwrap_err().to_string();
        assert!(wrong.contains("\"colour\"") && wrong.contains("path, size"), "{wrong}");
        assert_eq!(Store::default().label(), None);
        let sized = Store::only([Fact::Height, Fact::Size]);
        assert_eq!(sized.label().unwrap(), "size,height");
        // A side that nobody sees makes no other choice.
        assert_eq!(sized.thumbnail_side(100).label(), sized.label());
        assert_eq!(Store::all().label().unwrap(), "path,size,width,height,hash,thumbnail 64");
        let largest = Store::all().thumbnail_side(u32::MAX);
        assert_eq!(largest.side(), Some(MAX_THUMBNAIL_SIDE));
        assert_eq!(Store::all().thumbnail_side(0).side(), Some(1));
    }
}
