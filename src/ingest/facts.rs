//! Facts about an image, as a part of its record's value.
//!
//! A value that an ingest makes is a JSON object; the facts are its first member, `image`, beside those of
//! siblings or columns (storage-format.md, section 4.5). The pipeline's workers write them, and programs read
//! them by [`ImageFacts::decode`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

/// The member of a value that holds the facts.
pub(super) const MEMBER: &str = "image";

/// What an ingest stored about an image, see [`Store`](super::Store). What was not asked for is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ImageFacts {
    /// The absolute path of the file or shard when it was read; links are not resolved.
    pub path: Option<Vec<u8>>,
    /// The name of the entry, if the image came from a shard and `path` is there.
    pub entry: Option<Vec<u8>>,
    /// The encoded image in bytes.
    pub size: Option<u64>,
    /// Its width in pixels as it is shown, turned as its EXIF orientation says.
    pub width: Option<u32>,
    /// Its height in pixels as it is shown, turned as its EXIF orientation says.
    pub height: Option<u32>,
    /// The BLAKE3 hash of the encoded image.
    pub hash: Option<[u8; 32]>,
    /// A small picture as a JPEG file, turned upright; [`decode_rgb`](super::decode_rgb) decodes it.
    pub thumbnail: Option<Vec<u8>>,
}

impl ImageFacts {
    /// The facts in a record's value, `None` if it holds none.
    #[must_use]
    pub fn decode(value: &[u8]) -> Option<Self> {
        let Value { image } = object(value)?;
        let Image { path, entry, size, width, height, hash, thumbnail } = image?;
        let hash = hash.map(|hex| Some(*blake3::Hash::from_hex(hex).ok()?.as_bytes()));
        let bytes = |text: Option<Text>| text.map(|text| text.bytes().ok_or(())).transpose().ok();
        Some(Self {
            path: bytes(path)?,
            entry: bytes(entry)?,
            size,
            width,
            height,
            hash: hash.map_or(Some(None), |hash| hash.map(Some))?,
            thumbnail: bytes(thumbnail)?,
        })
    }

    /// The value with the facts in it; or why there is none, the label of the cause and the cause.
    pub(super) fn join(&self, value: &[u8]) -> Result<Vec<u8>, (&'static str, String)> {
        let rest = value.trim_ascii();
        let rest = match object::<Members>(rest) {
            _ if rest.is_empty() => &b"}"[..],
            Some(Members { image: Present(false) }) => &rest[1..],
            Some(Members { image: Present(true) }) => {
                let cause = format!(
                    "its value has a member {MEMBER:?} already, which is where facts are stored; \
                     take other siblings or columns"
                );
                return Err(("value-taken", cause));
            }
            None => {
                let cause = "its value is no JSON object, so no facts can be stored in it";
                return Err(("value-no-object", cause.to_owned()));
            }
        };
        let mut joined = format!("{{\"{MEMBER}\":").into_bytes();
        let written = serde_json::to_writer(&mut joined, &Image::from(self));
        written.map_err(|error| ("value-no-object", error.to_string()))?;
        if rest.trim_ascii_start() != b"}" {
            joined.push(b',');
        }
        joined.extend_from_slice(rest);
        Ok(joined)
    }
}

/// A JSON object, if it is one.
fn object<'v, O: Deserialize<'v>>(value: &'v [u8]) -> Option<O> {
    // An array would be taken for one.
    value.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(value).ok())?
}

#[derive(Deserialize)]
struct Value {
    image: Option<Image>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Image {
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entry: Option<Text>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thumbnail: Option<Text>,
}

impl From<&ImageFacts> for Image {
    fn from(facts: &ImageFacts) -> Self {
        Self {
            path: facts.path.as_deref().map(Text::new),
            entry: facts.entry.as_deref().map(Text::new),
            size: facts.size,
            width: facts.width,
            height: facts.height,
            hash: facts.hash.map(|hash| blake3::Hash::from_bytes(hash).to_hex().to_string()),
            thumbnail: facts.thumbnail.as_deref().map(Text::packed),
        }
    }
}

/// Bytes in JSON: text as it is, others as siblings have them.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Packed { base64: String },
}

impl Text {
    fn new(bytes: &[u8]) -> Self {
        let text = std::str::from_utf8(bytes);
        text.map_or_else(|_| Self::packed(bytes), |text| Self::Plain(text.to_owned()))
    }

    fn packed(bytes: &[u8]) -> Self {
        Self::Packed { base64: STANDARD.encode(bytes) }
    }

    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Plain(text) => Some(text.into_bytes()),
            Self::Packed { base64 } => STANDARD.decode(base64).ok(),
        }
    }
}

/// The members of a value, as far as they matter.
#[derive(Deserialize)]
struct Members {
    #[serde(default)]
    image: Present,
}

/// Whether a member is there, whatever it holds.
#[derive(Default)]
struct Present(bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> ImageFacts {
        ImageFacts {
            path: Some(b"/photos/a \"b\".jpg".to_vec()),
            entry: Some(b"\xff.jpg".to_vec()),
            size: Some(7),
            width: Some(3),
            height: Some(4),
            hash: Some([0xab; 32]),
            thumbnail: Some(b"\xff\xd8\xff".to_vec()),
        }
    }

    #[test]
    fn facts_are_the_first_member_of_a_value() {
        let alone = String::from_utf8(facts().join(b"").unwrap()).unwrap();
        let expected = format!(
            r#"{{"image":{{"path":"/photos/a \"b\".jpg","entry":{{"base64":"/y5qcGc="}},"size":7,"width":3,"height":4,"hash":"{}","thumbnail":{{"base64":"/9j/"}}}}}}"#,
            "ab".repeat(32)
        );
        assert_eq!(alone, expected);
        let few = ImageFacts { width: Some(5), ..ImageFacts::default() };
        for (value, expected) in [
            ("{}", r#"{"image":{"width":5}}"#),
            (" { } ", r#"{"image":{"width":5} }"#),
            (r#"{"cls":"7"}"#, r#"{"image":{"width":5},"cls":"7"}"#),
            (r#"{"a":{"image":1}}"#, r#"{"image":{"width":5},"a":{"image":1}}"#),
        ] {
            let joined = few.join(value.as_bytes()).unwrap();
            assert_eq!(String::from_utf8_lossy(&joined), expected);
            assert_eq!(ImageFacts::decode(&joined), Some(few.clone()));
        }
        assert_eq!(ImageFacts::decode(alone.as_bytes()), Some(facts()));
        assert_eq!(ImageFacts::decode(br#"{"image":{}}"#), Some(ImageFacts::default()));
        // Of a release that stores more.
        assert_eq!(ImageFacts::decode(br#"{"image":{"width":5,"new":[1]},"x":2}"#), Some(few));
    }

    #[test]
    fn values_of_others_are_left_alone() {
        for value in ["[1]", "7", "text", "{", r#"{"a":1} {}"#, r#"["image"]"#] {
            let (kind, _) = facts().join(value.as_bytes()).unwrap_err();
            assert_eq!(kind, "value-no-object", "{value}");
        }
        for value in [r#"{"image":null}"#, r#"{"b":1,"image":"x"}"#, r#"{"\u0069mage":1}"#] {
            let (kind, cause) = facts().join(value.as_bytes()).unwrap_err();
            assert_eq!(kind, "value-taken", "{value}: {cause}");
        }
        for value in [
            "",
            "text",
            "[]",
            "[{}]",
            "{}",
            r#"{"image":"a.jpg"}"#,
            r#"{"image":null}"#,
            r#"{"image":{"width":-1}}"#,
            r#"{"image":{"hash":"ab"}}"#,
            r#"{"image":{"thumbnail":{"base64":"?"}}}"#,
        ] {
            assert_eq!(ImageFacts::decode(value.as_bytes()), None, "{value}");
        }
    }
}
