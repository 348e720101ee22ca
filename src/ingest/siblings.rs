//! Siblings: what stands beside an image under the same name becomes the value of its record.
//!
//! Names follow `WebDataset`: everything up to the first dot after the last slash names a *sample*, the rest is
//! the *ending*. `a/0001.jpg`, `a/0001.json` and `a/0001.cls` are one sample. The value is a JSON object
//! with a field for each sibling, by ending: JSON as it is, other text as a string, and other bytes as
//! `{"base64": ...}`. Images are siblings of nobody. Entries of a shard and files of a folder are treated alike;
//! of two files whose endings differ in case alone the first is the sibling.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::IgnoredAny;

/// The most bytes that a value made of siblings has. Values wait in memory with their images, so it is less
/// than a record could hold.
pub const MAX_SIBLING_BYTES: usize = 16 << 20;
/// The depth of JSON that common readers still take, one less than theirs, as it lies one deeper in a value.
const MAX_JSON_DEPTH: usize = 100;
/// Bytes that are put into base64 at once: a multiple of three.
const BASE64_STEP: usize = 48 << 10;

/// Which siblings of an image become the value of its record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Siblings(Option<BTreeSet<String>>);

impl Siblings {
    /// All of them.
    #[must_use]
    pub fn all() -> Self {
        Self(None)
    }

    /// Those of these endings, in any case; a dot that they begin with is none of theirs.
    #[must_use]
    pub fn only<E: AsRef<str>>(endings: impl IntoIterator<Item = E>) -> Self {
        let endings = endings.into_iter();
        let plain = |ending: E| {
            let ending = ending.as_ref();
            ending.strip_prefix('.').unwrap_or(ending).to_ascii_lowercase()
        };
        Self(Some(endings.map(plain).collect()))
    }

    pub(super) fn takes(&self, ending: &str) -> bool {
        self.0.as_ref().is_none_or(|endings| endings.contains(ending))
    }

    /// How the journal remembers it.
    pub(super) fn label(&self) -> String {
        let endings = self.0.as_ref();
        endings.map_or("*".to_owned(), |endings| Vec::from_iter(endings.iter().cloned()).join(","))
    }
}

/// The sample of a name and its ending, if it has both.
pub(super) fn split(name: &[u8]) -> Option<(&[u8], &[u8])> {
    let start = name.iter().rposition(|&byte| byte == b'/').map_or(0, |at| at + 1);
    let dot = name[start..].iter().position(|&byte| byte == b'.')?;
    (dot > 0).then(|| (&name[..start + dot], &name[start + dot + 1..]))
}

/// The field of a value that a sibling of this ending is; `None` if its name is no text.
pub(super) fn field(ending: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(ending).ok()?.to_ascii_lowercase())
}

/// Siblings of one sample, by field.
#[derive(Debug, Clone, Default)]
pub(super) struct Fields {
    fields: BTreeMap<String, Vec<u8>>,
    /// Bytes of all, also of those that were dropped because they are too many.
    bytes: u64,
    /// Why there is no value.
    failure: Option<String>,
}

impl Fields {
    /// Counts bytes that are to come, and says whether there is room for them.
    pub(super) fn admit(&mut self, bytes: u64) -> bool {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.is_too_large() {
            self.fields.clear();
        }
        !self.is_too_large()
    }

    pub(super) fn is_too_large(&self) -> bool {
        self.bytes > MAX_SIBLING_BYTES as u64
    }

    /// Takes a sibling that was admitted.
    pub(super) fn insert(&mut self, field: String, bytes: Vec<u8>) {
        self.fields.insert(field, bytes);
    }

    /// Learns of a sibling that cannot be read: without it the value would be another.
    pub(super) fn lose(&mut self, field: &str, cause: &str) {
        self.failure.get_or_insert_with(|| format!("its sibling {field} cannot be read: {cause}"));
    }

    /// What was lost, if anything was.
    pub(super) fn failure(&self) -> Option<String> {
        self.failure.clone()
    }

    /// The value, empty if there are no siblings; or why there is none, the label of the cause and the cause.
    pub(super) fn value(&self) -> Result<Vec<u8>, (&'static str, String)> {
        if let Some(failure) = &self.failure {
            return Err(("sibling-unreadable", failure.clone()));
        }
        let mut value = Bounded(Vec::new());
        let written = match self.fields.is_empty() {
            true => Ok(()),
            false => write_fields(&self.fields, &mut value),
        };
        if self.is_too_large() || written.is_err() {
            let cause = format!(
                "its siblings make a value of more than {MAX_SIBLING_BYTES} bytes; take fewer endings"
            );
            return Err(("value-too-large", cause));
        }
        Ok(value.0)
    }
}

fn write_fields(fields: &BTreeMap<String, Vec<u8>>, out: &mut Bounded) -> io::Result<()> {
    for (index, (field, bytes)) in fields.iter().enumerate() {
        out.write_all(if index == 0 { b"{" } else { b"," })?;
        serde_json::to_writer(&mut *out, field)?;
        out.write_all(b":")?;
        match std::str::from_utf8(bytes) {
            Ok(text) if field.rsplit('.').next() == Some("json") && is_json(text) => {
                out.write_all(text.trim().as_bytes())?;
            }
            Ok(text) => serde_json::to_writer(&mut *out, text)?,
            Err(_) => {
                out.write_all(b"{\"base64\":\"")?;
                for part in bytes.chunks(BASE64_STEP) {
                    out.write_all(STANDARD.encode(part).as_bytes())?;
                }
                out.write_all(b"\"}")?;
            }
        }
    }
    out.write_all(b"}")
}

/// Whether a text is JSON that every reader takes.
fn is_json(text: &str) -> bool {
    let (mut depth, mut deepest, mut quoted, mut escaped) = (0_usize, 0, false, false);
    for byte in text.bytes() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' | b'[' if !quoted => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest <= MAX_JSON_DEPTH && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

/// A vector that takes no more than a value may have.
struct Bounded(Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > MAX_SIBLING_BYTES {
            return Err(io::Error::other("the value is too large"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(siblings: &[(&str, &[u8])]) -> String {
        let mut fields = Fields::default();
        for (ending, bytes) in siblings {
            assert!(fields.admit(bytes.len() as u64));
            fields.insert((*ending).to_owned(), bytes.to_vec());
        }
        String::from_utf8(fields.value().unwrap()).unwrap()
    }

    #[test]
    fn names_are_split_as_in_webdataset() {
        let cases: [(&str, Option<(&str, &str)>); 9] = [
            ("a.jpg", Some(("a", "jpg"))),
            ("x/y.z/a.seg.png", Some(("x/y.z/a", "seg.png"))),
            ("../a.tar.gz", Some(("../a", "tar.gz"))),
            ("a.", Some(("a", ""))),
            ("a", None),
            ("", None),
            (".jpg", None),
            ("x.y/.jpg", None),
            ("x.y/a", None),
        ];
        for (name, expected) in cases {
            let expected = expected.map(|(sample, ending)| (sample.as_bytes(), ending.as_bytes()));
            assert_eq!(split(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn a_value_is_a_json_object_by_ending() {
        assert_eq!(Fields::default().value().unwrap(), b"");
        assert_eq!(value(&[("txt", b"a \"cat\"\n")]), r#"{"txt":"a \"cat\"\n"}"#);
        let json = b" {\"n\": 12345678901234567890123, \"b\": [1]}\n";
        assert_eq!(
            value(&[("json", json)]),
            r#"{"json":{"n": 12345678901234567890123, "b": [1]}}"#
        );
        assert_eq!(
            value(&[
                ("txt", b""),
                ("meta.json", b"[]"),
                ("cls", b"7"),
                ("npy", b"\xff\x00\x01\x02")
            ]),
            r#"{"cls":"7","meta.json":[],"npy":{"base64":"/wABAg=="},"txt":""}"#
        );
    }

    #[test]
    fn what_only_claims_to_be_json_is_text() {
        for text in ["", "{", "nul", "{} {}", "{\"a\":\"\u{1}\"}", "[1,]"] {
            let quoted = serde_json::to_string(text).unwrap();
            assert_eq!(value(&[("json", text.as_bytes())]), format!("{{\"json\":{quoted}}}"));
        }
        let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_json(&deep(MAX_JSON_DEPTH)) && !is_json(&deep(MAX_JSON_DEPTH + 1)));
        assert!(is_json("[\"[[\\\"[\"]"));
        // Whatever it was made of, a reader takes the value.
        for text in [deep(100), deep(1000)] {
            let made = value(&[("json", text.as_bytes())]);
            assert!(serde_json::from_str::<serde_json::Value>(&made).is_ok());
        }
    }

    #[test]
    fn bytes_that_are_long_are_one_base64_text() {
        let bytes: Vec<u8> = (0..200_001_u32).map(|n| (n % 251) as u8).collect();
        let made: serde_json::Value = serde_json::from_str(&value(&[("bin", &bytes)])).unwrap();
        let text = made["bin"]["base64"].as_str().unwrap();
        assert_eq!(STANDARD.decode(text).unwrap(), bytes);
    }

    #[test]
    fn too_many_bytes_are_refused_before_and_after_they_are_written() {
        let kind = |fields: &Fields| fields.value().unwrap_err().0;
        let mut fields = Fields::default();
        assert!(fields.admit(10 << 20));
        fields.insert("a".into(), vec![b'a'; 10 << 20]);
        assert!(!fields.admit(10 << 20));
        assert_eq!(kind(&fields), "value-too-large");
        assert!(!fields.admit(1), "what was dropped does not come back");
        // Control characters take six bytes each.
        let mut fields = Fields::default();
        assert!(fields.admit(4 << 20));
        fields.insert("a".into(), vec![1; 4 << 20]);
        assert_eq!(kind(&fields), "value-too-large");
        fields.lose("b", "it is gone");
        assert_eq!(kind(&fields), "sibling-unreadable");
    }

    #[test]
    fn endings_are_chosen_in_any_case() {
        assert!(Siblings::all().takes("npy"));
        let some = Siblings::only(["JSON", "txt"]);
        assert!(some.takes("json") && some.takes("txt") && !some.takes("npy"));
        assert_eq!((some.label(), Siblings::all().label()), ("json,txt".into(), "*".into()));
    }
}
