//! The origin of the figures that src/eval/baselines/tests.rs holds the baselines to: numpy computes them
//! again, where it is at hand.

use std::path::Path;
use std::process::Command;

#[test]
fn numpy_computes_the_figures_that_the_baselines_are_held_to() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/eval/baselines.py");
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let has_numpy = Command::new(&python).args(["-c", "import numpy"]).output();
    if !has_numpy.is_ok_and(|output| output.status.success()) {
        eprintln!("SKIPPED: {} has no numpy (PYTHON names another)", python.display());
        return;
    }
    let ran = Command::new(&python).arg(&script).arg("--check").output();
    let ran = ran.unwrap_or_else(|error| panic!("{}: {error}", python.display()));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
}
