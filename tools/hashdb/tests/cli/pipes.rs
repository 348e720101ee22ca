//! Tables that come through pipes, at once, slowly or not at all.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, ChildStdin, Stdio};
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

    fn interrupt(&self, child: &Child) {
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
    place.fails(
        2,
        "standard input can be read once, not twice",
        &["load", "db", "-", "-", "--format", "csv"],
    );
}
