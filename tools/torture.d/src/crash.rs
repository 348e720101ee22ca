//! Children and their ends: starts one, follows what it says, kills it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::child::Args;

/// Longer than anything a child does between two lines takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a child said, as numbers of steps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    /// Steps that were begun.
    pub(crate) attempted: u64,
    /// Steps whose write returned.
    pub(crate) acknowledged: u64,
    /// Steps that were promised to survive a power cut.
    pub(crate) durable: u64,
    /// The error that ended it.
    pub(crate) failure: Option<String>,
}

/// A child at work.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    /// Where a child waits for the end of its input.
    input: Option<ChildStdin>,
    said: Option<JoinHandle<Told>>,
    opened: Receiver<()>,
    acknowledged: Arc<AtomicU64>,
}

impl Worker {
    /// Starts a child; `wrapper` is a command to run it under.
    pub(crate) fn start(args: &Args, wrapper: &[&str]) -> Result<Self> {
        Self::start_watched(args, wrapper, |_| ())
    }

    /// The same; `durable` is told of each step that was promised to survive, when it is heard of.
    pub(crate) fn start_watched(
        args: &Args,
        wrapper: &[&str],
        mut durable: impl FnMut(u64) + Send + 'static,
    ) -> Result<Self> {
        let program = std::env::current_exe().context("the path of this program")?;
        let mut command = match wrapper {
            [] => Command::new(program),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program);
                command
            }
        };
        command.arg("child").args(args.words()).stdin(Stdio::null());
        Self::follow(command, args.from, move |word, rest| {
            if word == "d" {
                durable(rest.parse().map_or(0, |number: u64| number + 1));
            }
        })
    }

    /// Starts a child that begins with the step `from`; `hear` is told of each line, its word and the rest.
    pub(crate) fn follow(
        mut command: Command,
        from: u64,
        mut hear: impl FnMut(&str, &str) + Send + 'static,
    ) -> Result<Self> {
        let command = command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("start a child")?;
        let input = child.stdin.take();
        let out = child.stdout.take().context("the child's output")?;
        let (open, opened) = channel();
        let acknowledged = Arc::new(AtomicU64::new(from));
        let heard = Arc::clone(&acknowledged);
        let said = std::thread::spawn(move || {
            let mut told =
                Told { attempted: from, acknowledged: from, durable: from, failure: None };
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
                let count = rest.parse().map_or(0, |number: u64| number + 1);
                match word {
                    "o" => {
                        let _parent_may_have_stopped_waiting = open.send(());
                    }
                    "t" => told.attempted = count,
                    "a" => told.acknowledged = count,
                    "d" => (told.acknowledged, told.durable) = (count, count),
                    "f" => told.failure = Some(rest.to_owned()),
                    _ => {}
                }
                hear(word, rest);
                heard.store(told.acknowledged, Ordering::SeqCst);
            }
            told
        });
        Ok(Self { child, input, said: Some(said), opened, acknowledged })
    }

    /// Steps that were acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.said.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Asks it to end, if it waits for the end of its input, and waits.
    pub(crate) fn finish(mut self) -> Result<(ExitStatus, Told)> {
        self.input = None;
        self.wait()
    }

    /// Waits until the database is open, or the child has ended.
    pub(crate) fn wait_until_open(&self) -> bool {
        self.opened.recv_timeout(PATIENCE).is_ok()
    }

    /// Waits until so many steps were acknowledged, or the child has been silent for too long.
    pub(crate) fn wait_for(&self, steps: u64) {
        let begin = Instant::now();
        while self.acknowledged() < steps && begin.elapsed() < PATIENCE && !self.has_ended() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        kill_process(pid.context("a process id")?, signal).context("signal the child")
    }

    /// Halts every thread of it.
    pub(crate) fn halt(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// Kills it, if it still runs, and returns how it ended and what it had said.
    pub(crate) fn kill(mut self) -> Result<(ExitStatus, Told)> {
        self.child.kill().context("kill the child")?;
        self.end()
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Result<(ExitStatus, Told)> {
        let begin = Instant::now();
        while self.child.try_wait().context("wait for the child")?.is_none() {
            if begin.elapsed() > PATIENCE {
                self.child.kill().context("kill the child")?;
                bail!("the child hangs");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        self.end()
    }

    fn end(&mut self) -> Result<(ExitStatus, Told)> {
        let status = self.child.wait().context("wait for the child")?;
        let said = self.said.take().context("a child ends once")?;
        let told = said.join().map_err(|_| anyhow::anyhow!("the reader of a child panicked"))?;
        Ok((status, told))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.said.is_some() {
            let _it_may_have_ended = self.child.kill();
            let _reaped = self.child.wait();
        }
    }
}
