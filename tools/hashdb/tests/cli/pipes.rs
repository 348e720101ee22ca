//! Tables that come through pipes, at once, slowly or not at all.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::Place;

/// A row of 64-bit codes.
fn row(number: u32) -> String {
    format!("{{\"key\":\"{number}\",\"code\":\"00000000000000ff\",\"address\":\"0x00ff\"}}\n")
}

impl Place {
    /// A load of JSON lines from standard input into a new database, once it has begun to read: more was written to it
    /// than a pipe holds.
    fn loading(&self, more: &[&str]) -> (Child, ChildStdin) {
        let mut command = self.command();
        command.args(["load", "new", "-", "--format", "jsonl"]).args(more);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let rows: String = (0..4000).map(row).collect();
        stdin.write_all(rows.as_bytes()).unwrap();
        (child, stdin)
    }

    /// Interrupts a command as soon as it is prepared for that.
    fn interrupt(&self, child: &Child) {
        let caught = format!("grep SigCgt /proc/{}/status", child.id());
        let is_prepared = || {
            let digits = self.shell(&caught).stdout;
            let digits = digits.split_whitespace().nth(1).unwrap();
            u64::from_str_radix(digits, 16).unwrap() & 1 << (2 - 1) != 0
        };
        while !is_prepared() {
            thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.shell(&format!("kill -INT {}", child.id())).code, Some(0));
    }
}

/// A load that waited for standard input took no notice of Ctrl-C until 20,000 rows had come.
#[test]
fn waiting_for_a_pipe_can_be_given_up() {
    let place = Place::empty();
    let (child, stdin) = place.loading(&["--progress", "none"]);
    place.interrupt(&child);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("nothing was loaded, and the same command begins anew"), "{stderr}");
    assert_eq!(place.existing("new"), None);
    // The other end is open all the while.
    drop(stdin);
}

/// A pipe that nobody had opened for writing could not be given up, nor one that never ran dry.
#[test]
fn pipes_without_a_writer_or_an_end_can_be_given_up() {
    let place = Place::empty();
    assert_eq!(place.shell("mkfifo p").code, Some(0));
    place.fails(1, "cannot read p: it is no file", &["load", "new", "p", "--format", "parquet"]);
    for endless in [false, true] {
        let mut writer = Command::new("sh");
        let lines = "(echo key,code; yes a,00000000000000ff) > p";
        writer.current_dir(place.path("")).args(["-c", lines]);
        let mut writer = endless.then(|| writer.spawn().unwrap());
        let mut command = place.command();
        command.args(["load", "new", "p", "--format", "csv", "--from", "99999999999"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        place.interrupt(&child);
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(130), "endless: {endless}: {stderr}");
        assert!(stderr.contains("interrupted after 0 rows; nothing was loaded"), "{stderr}");
        // It ends once nobody reads.
        if let Some(writer) = &mut writer {
            writer.wait().unwrap();
        }
    }
}

#[test]
fn what_comes_slowly_is_shown_and_can_be_stopped() {
    let place = Place::empty();
    let (mut child, mut stdin) = place.loading(&["--progress", "json"]);
    let is_over = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&is_over);
    let feeder = thread::spawn(move || {
        for number in 4000.. {
            if seen.load(Ordering::SeqCst) || stdin.write_all(row(number).as_bytes()).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    });
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut text = String::new();
    while !text.contains("\"stage\":\"read\"") {
        assert_ne!(stderr.read_line(&mut text).unwrap(), 0, "{text}");
    }
    place.interrupt(&child);
    stderr.read_to_string(&mut text).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130), "{text}");
    is_over.store(true, Ordering::SeqCst);
    feeder.join().unwrap();
    assert_eq!(place.existing("new"), None);
}

#[test]
fn arrow_files_and_streams_come_through_pipes_of_any_kind() {
    let place = Place::with_difficult_records::<16>("db", 28);
    place.ok(&["dump", "db", "t.arrow", "--progress", "none"]);
    let load = "--format arrow --progress none";
    for (name, line) in [
        ("stdin", format!("cat t.arrow | $HASHDB load stdin - {load}")),
        ("fifo", format!("mkfifo p; cat t.arrow > p & $HASHDB load fifo p {load}")),
    ] {
        let ran = place.shell(&line);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.stderr);
        assert_eq!(place.digest(name), place.digest("db"), "{name}");
        let ran = place.shell(&line.replace("cat t.arrow", "head -c 99999 t.arrow | cat"));
        assert_eq!(ran.code, Some(1), "{name}: {}", ran.stderr);
        assert_eq!(place.digest(name), place.digest("db"), "{name}");
    }
    // A stream may simply end, but a file that ends with a batch was cut.
    let whole = crate::read(&place.path("t.arrow"));
    let borders = whole.windows(4).enumerate().filter(|(_, four)| *four == [0xff; 4]);
    let borders = Vec::from_iter(borders.map(|(at, _)| at).filter(|at| at % 8 == 0));
    assert!(borders.len() >= 2, "{borders:?}");
    for cut in borders.iter().flat_map(|border| [*border, border + 3, border + 4]) {
        crate::write(&place.path("cut.arrow"), &whole[..cut]);
        let ran = place.shell(&format!("cat cut.arrow | $HASHDB load cut - {load}"));
        assert_eq!(ran.code, Some(1), "cut at {cut}: {}", ran.stderr);
        assert_eq!(place.existing("cut"), None, "cut at {cut}");
    }
    place.fails(
        2,
        "standard input can be read once, not twice",
        &["load", "db", "-", "-", "--format", "csv"],
    );
}
