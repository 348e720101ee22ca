//! The pictures and the score of `tools/demo`, which calls it as
//!
//! - `demo draw FOLDER`: draws a few hundred varied pictures into a folder;
//! - `demo alter ANSWERS FOLDER`: picks up to 20 of the pictures that `hashdb scan --json` listed in
//!   ANSWERS and writes altered copies of each into a folder;
//! - `demo score FOLDER ANSWERS`: reads what `hashdb query --json` answered for those copies and prints
//!   how many originals came back first, and at what distance.

mod alter;
mod draw;
mod score;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _nobody_to_tell = writeln!(std::io::stderr(), "demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["draw", folder] => draw::run(Path::new(folder)),
        ["alter", scan, folder] => alter::run(Path::new(scan), Path::new(folder)),
        ["score", folder, answers] => score::run(Path::new(folder), Path::new(answers)),
        _ => bail!("usage: demo draw FOLDER | alter SCAN FOLDER | score FOLDER ANSWERS"),
    }
}

/// The alterations, as the copies' names have them.
const ALTERATIONS: [&str; 4] = ["resized", "recompressed", "brightened", "cropped"];

/// The file in the folder of altered copies that names their originals, one a line.
const ORIGINALS: &str = "originals.txt";

#[expect(clippy::disallowed_methods, reason = "the error names the path")]
fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

#[expect(clippy::disallowed_methods, reason = "the error names the path")]
fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)
            .with_context(|| format!("cannot create {}", parent.display()))?;
    }
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// The field `field` of each JSON object in a file of one object a line.
fn field(path: &Path, field: &str) -> Result<Vec<String>> {
    let text = String::from_utf8(read(path)?)?;
    let values = text.lines().map(|line| {
        let object: serde_json::Value = serde_json::from_str(line)?;
        let value = object[field].as_str();
        value.map(str::to_owned).with_context(|| format!("{} lacks {field}", path.display()))
    });
    values.collect()
}
