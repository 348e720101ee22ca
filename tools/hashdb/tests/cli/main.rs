//! The command as its users run it: arguments in; streams, exit code and files out.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod archives;
mod arrays;
mod backups;
mod bad_input;
mod bad_tables;
mod devices;
mod evaluation;
mod failures;
mod images;
mod kmeans;
mod patches;
mod pipes;
mod records;
mod repair;
mod searches;
mod sources;
mod stored;
mod tables;
mod training;
mod vectors;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own for one test, with a database called `db` in it.
struct Place {
    folder: TempDir,
}

/// What a run of the command left.
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Place {
    /// A folder without a database.
    fn empty() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A folder with a database of 64-bit codes and 16-bit addresses that holds three records.
    fn with_records() -> Self {
        let place = Self::empty();
        Self::with_records_in(&place, "db");
        place
    }

    /// Makes the same database of another name.
    fn with_records_in(place: &Self, db: &str) {
        place.ok(&["create", db, "--encoder", "none", "--code-bits", "64", "--address-bits", "16"]);
        place.ok(&["put", db, "a", "--code", "0000000000000000", "--address", "0000"]);
        let value = ["--value", "second"];
        let b = ["put", db, "b", "--code", "00000000000000ff", "--address", "0001"];
        place.ok(&[&b[..], &value].concat());
        place.ok(&["put", db, "c", "--code", "ffffffffffffffff", "--address", "ffff"]);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hashdb"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs the command in the folder.
    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command().args(arguments))
    }

    /// Runs a line of shell in the folder; `$HASHDB` is the command.
    fn shell(&self, line: &str) -> Ran {
        let mut shell = Command::new("sh");
        shell.current_dir(self.folder.path()).env("HASHDB", env!("CARGO_BIN_EXE_hashdb"));
        Ran::of(shell.args(["-c", line]))
    }

    /// Runs the command, which must succeed; returns what it printed.
    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.stderr);
        ran.stdout
    }

    /// Runs the command with `--json`, which must succeed; returns the object of each line.
    fn json(&self, arguments: &[&str]) -> Vec<Value> {
        objects(&self.ok(&[arguments, &["--json"]].concat()))
    }

    /// Runs the command, which must fail with this code and one sentence that holds `words`.
    fn fails(&self, code: i32, words: &str, arguments: &[&str]) {
        let ran = self.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.stderr);
        ran.is_one_sentence_with(words);
    }
}

impl Ran {
    fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    fn is_one_sentence_with(&self, words: &str) {
        let stderr = &self.stderr;
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(stderr.starts_with("hashdb: ") && stderr.contains(words), "{stderr}");
    }
}

/// The JSON object of each line.
fn objects(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The keys of the results of a query, nearest first.
fn keys(answer: &Value) -> Vec<&str> {
    let results = answer["results"].as_array().unwrap();
    results.iter().map(|result| result["key"].as_str().unwrap()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a test may fail without naming the path")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test may fail without naming the path")]
fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
