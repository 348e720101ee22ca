//! Whole runs over folders and shards that the tests make themselves.

mod beside;
mod jpegs;
mod patched;
mod patterns;
mod replaced;
mod resume;
mod runs;
mod samples;
mod shards;
mod slow;
mod stored;
mod zips;

use std::io::Cursor;
use std::path::PathBuf;

use super::*;

/// What a run did, for comparison: keys with their pixels, and the rejects.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    items: Vec<(String, Vec<u8>)>,
    rejects: Vec<(String, &'static str)>,
}

impl Outcome {
    fn keys(&self) -> Vec<&str> {
        self.items.iter().map(|(key, _)| key.as_str()).collect()
    }
}

#[derive(Default)]
struct Rejects(Vec<Reject>);

impl Observer for Rejects {
    fn reject(&mut self, reject: Reject) -> Result<(), IngestError> {
        self.0.push(reject);
        Ok(())
    }
}

/// Runs over `paths`; keys are shown with their non-ASCII bytes escaped, relative to `base`.
fn outcome(base: &std::path::Path, paths: &[PathBuf], options: &IngestOptions<'_>) -> Outcome {
    let prefix = format!("{}/", base.display());
    let show = |key: &[u8]| {
        let key = key.strip_prefix(prefix.as_bytes()).unwrap_or(key);
        key.escape_ascii().to_string()
    };
    let mut items = Vec::new();
    let mut sink = |batch: Vec<(Label, Vec<u8>)>, _: &Passed| {
        items.extend(batch.into_iter().map(|(label, pixels)| (show(&label.key), pixels)));
        Ok(())
    };
    let mut rejects = Rejects::default();
    let report = pipeline::run(paths, options, &(), &Ok, &mut sink, &mut rejects).unwrap();
    assert_eq!(report.done, items.len() as u64);
    assert_eq!(report.rejected_count(), rejects.0.len() as u64);
    let rejects = rejects.0.iter().map(|reject| (show(&reject.key), reject.kind)).collect();
    Outcome { items, rejects }
}

/// A PNG of one colour, 32 x 32.
fn png(shade: u8) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    let picture = image::RgbImage::from_pixel(32, 32, image::Rgb([shade, 7, 9]));
    picture.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Writes files under a fresh folder.
#[expect(clippy::disallowed_methods, reason = "the test makes its own files")]
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    folder
}
