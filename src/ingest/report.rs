//! What a run tells: how far it is, what it rejected and why, and what it did in the end.
//!
//! The pipeline fills these types and hands them to the caller's [`Observer`]; the command draws its
//! progress bar and writes its rejects file from them. Nothing here opens a file.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::IngestError;

/// Where on its way something was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Stage {
    /// While finding or reading it.
    Source,
    /// While turning its bytes into pixels.
    Decode,
}

/// Something that gave no record: an image, an entry of a shard, or the rest of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The key that the record would have had, or the path of the shard.
    pub key: Vec<u8>,
    /// Where it failed.
    pub stage: Stage,
    /// A short label for programs: that of a [`DecodeError`](super::DecodeError), or `unreadable`,
    /// `not-regular`, `link-loop`, `damaged-archive`, `key-too-long`, `value-too-large`, `sample-too-large`,
    /// `sibling-unreadable`, and of an entry in a zip archive `encrypted`, `unsupported-method`, `damaged-entry`.
    pub kind: &'static str,
    /// The cause, as one sentence without a full stop.
    pub cause: String,
}

/// How far a run is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Images that were encoded and handed to the sink.
    pub done: u64,
    /// Images, entries and shards that were rejected.
    pub rejected: u64,
    /// Files and entries that do not look like images and were passed over.
    pub skipped: u64,
    /// Files and shards that an earlier run has done.
    pub done_before: u64,
    /// Images and rejects met so far: what is done, rejected or on its way.
    pub found: u64,
    /// Those of `found` that have left the decoders: pictures, rejects and what was as before.
    pub decoded: u64,
    /// Those of `found` that have left the encoder.
    pub encoded: u64,
    /// Those of `found` that are written: all of them at the end of a run that nothing stopped.
    pub written: u64,
    /// Bytes read so far, as they lie on disk.
    pub bytes: u64,
    /// Bytes to read in all, as they lie on disk; `None` until they are counted.
    pub total_bytes: Option<u64>,
    /// Time since the start.
    pub elapsed: Duration,
}

impl Progress {
    /// Images done and rejected per second, on the average since the start.
    #[must_use]
    pub fn rate(&self) -> f64 {
        (self.done + self.rejected) as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// The share of the bytes that was read, 0 to 1; `None` until the total is known.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        let total = self.total_bytes?;
        Some(if total == 0 { 1.0 } else { (self.bytes as f64 / total as f64).min(1.0) })
    }

    /// An estimate of the time left, from the share of the bytes and the time since the start; `None` until there
    /// is one.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        let fraction = self.fraction().filter(|fraction| *fraction > 0.0)?;
        Duration::try_from_secs_f64(self.elapsed.as_secs_f64() * (1.0 / fraction - 1.0)).ok()
    }
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Images that were encoded and accepted by the sink. Two with the same key count twice.
    pub done: u64,
    /// Of those, images whose records took the place of others under the same key: of earlier runs, or of this one
    /// where two have one key.
    pub replaced: u64,
    /// Files and entries that do not look like images and were passed over.
    pub skipped: u64,
    /// Files and shards that an earlier run has done, or whose content is as it was.
    pub done_before: u64,
    /// Of those, files and shards whose records keep what another choice made of them: another
    /// [`Store`](super::Store), other patch addresses, other [`Siblings`](super::Siblings) or siblings that changed
    /// since, another [`ShardFormat`](super::ShardFormat).
    pub stored_otherwise: u64,
    /// Records that were deleted because their files, or their entries in shards, are missing.
    pub deleted: u64,
    /// Rejects by [`Reject::kind`].
    pub rejected: BTreeMap<&'static str, u64>,
    /// Bytes read, as they lie on disk.
    pub bytes: u64,
    /// How long it took.
    pub elapsed: Duration,
    /// Whether it was cancelled before the end of its sources.
    pub cancelled: bool,
}

impl Report {
    /// All rejects together.
    #[must_use]
    pub fn rejected_count(&self) -> u64 {
        self.rejected.values().sum()
    }
}

/// Follows a run. Its methods are called on the thread that started the run.
pub trait Observer {
    /// Learns how far the run is, a few times a second and once at the end.
    fn progress(&mut self, _progress: &Progress) {}

    /// Learns of a reject. They come in the order of the sources, whatever the number of threads.
    ///
    /// # Errors
    ///
    /// An error, such as that of a full disk, ends the run and is its result.
    fn reject(&mut self, _reject: Reject) -> Result<(), IngestError> {
        Ok(())
    }
}

/// Follows nothing.
impl Observer for () {}

#[derive(Serialize)]
struct Line<'a> {
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    stage: Stage,
    kind: &'a str,
    cause: &'a str,
}

/// Writes a reject as one line of JSON:
/// `{"path":..,"stage":"source"|"decode","kind":..,"cause":..}`.
///
/// A path that is not UTF-8 is shown with replacement characters, and `path_hex` has its bytes.
///
/// # Errors
///
/// The error of the writer.
pub fn write_reject(
    out: &mut dyn Write,
    key: &[u8],
    stage: Stage,
    kind: &str,
    cause: &str,
) -> io::Result<()> {
    let path = String::from_utf8_lossy(key);
    let is_text = std::str::from_utf8(key).is_ok();
    let path_hex = (!is_text).then(|| hex(key));
    let line = Line { path: &path, path_hex, stage, kind, cause };
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reject_is_one_line_of_json() {
        let mut out = Vec::new();
        for key in [b"a\n\"b".as_slice(), b"\xffx"] {
            write_reject(&mut out, key, Stage::Decode, "empty", "the file is empty").unwrap();
        }
        let expected = concat!(
            r#"{"path":"a\n\"b","stage":"decode","kind":"empty","cause":"the file is empty"}"#,
            "\n",
            r#"{"path":"@x","path_hex":"ff78","stage":"decode","kind":"empty","cause":"the file is empty"}"#,
            "\n",
        );
        assert_eq!(String::from_utf8(out).unwrap(), expected.replace('@', "\u{fffd}"));
    }

    #[test]
    fn the_time_left_follows_the_bytes() {
        let mut progress = Progress { elapsed: Duration::from_secs(10), ..Progress::default() };
        assert_eq!(progress.time_left(), None);
        progress.total_bytes = Some(100);
        assert_eq!(progress.time_left(), None);
        progress.bytes = 25;
        assert_eq!(progress.time_left(), Some(Duration::from_secs(30)));
    }
}
