//! The tool itself: that it passes where nothing is wrong, and sees what is.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "the test damages a file")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn torture(arguments: &[&str], input: &str) -> Output {
    let mut process = Command::new(env!("CARGO_BIN_EXE_hashdb-torture"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

/// What the judge says of a database that should hold so many steps of seed 1.
fn judged(path: &Path, steps: u64) -> String {
    let steps = format!("--steps={steps}");
    let question = format!("read {}\n", path.display());
    let output = torture(&["judge", "--seed=1", "--flavour=synced", &steps], &question);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_state_that_is_some_steps_short_or_long_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    // A failpoint that is never reached: the child creates the database itself.
    let child = ["child", path.to_str().unwrap(), "--seed=1", "--flavour=synced", "--from=0"];
    let output =
        torture(&[&child[..], &["--to=30", "--point=create.root", "--hit=9"]].concat(), "");
    assert!(output.status.success(), "{output:?}");
    assert!(judged(&path, 30).starts_with("clean"));
    // A step may change nothing, ten do.
    assert!(judged(&path, 20).starts_with("wrong"));
    assert!(judged(&path, 40).starts_with("wrong"));
    // And a damaged segment is damage.
    let segment = std::fs::read_dir(path.join("segments")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let verdict = judged(&path, 30);
    assert!(verdict.starts_with("damaged") || verdict.starts_with("refused"), "{verdict}");
}

#[test]
fn a_few_rounds_pass_and_a_row_that_is_not_there_is_refused() {
    let output = torture(&["--row", "kill", "--row", "flip", "--rounds", "3", "--seed", "5"], "");
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("seed 5") && said.contains("PASSED"), "{said}");
    let output = torture(&["--row", "kil"], "");
    assert!(!output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("there is no row kil"));
}

#[test]
fn a_soak_sees_an_answer_that_is_not_that_of_its_model() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let options = hashdb::Options::new().code_bits(256).address_bits(20);
    drop(hashdb::Database::create(&path, options).unwrap());
    // Nothing was written, and the child is told that forty steps were.
    let child = ["soaked", path.to_str().unwrap(), "--seed=1", "--slots=20000", "--life=1"];
    let output = torture(&[&child[..], &["--from=40"]].concat(), "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(!output.status.success(), "{said}");
    assert!(said.contains("\nf "), "{said}");
}

#[test]
fn a_short_soak_passes_and_draws_its_curves() {
    let folder = tempfile::tempdir().unwrap();
    let plot = folder.path().join("soak.png");
    let row = ["--row", "soak", "--seconds", "6", "--seed", "5", "--plot"];
    let output = torture(&[&row[..], &[plot.to_str().unwrap()]].concat(), "");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && said.contains("PASSED"), "{said}");
    assert!(std::fs::metadata(&plot).unwrap().len() > 10_000);
    let samples = std::fs::read_to_string(plot.with_extension("csv")).unwrap();
    assert!(samples.lines().count() > 3 && samples.starts_with("at,life,age,"), "{samples}");
}
