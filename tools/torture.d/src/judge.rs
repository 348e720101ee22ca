//! The judge: a process of its own that opens damaged databases and says what became of them, so that
//! a crash or a hang is seen and the next database gets a new judge.
//!
//! Asked `read PATH` or `write PATH` on a line, it answers with one line: `clean`, `refused TEXT`,
//! `damaged TEXT`, `short STEPS` or `wrong TEXT`. `prefix PATH` takes an earlier state for `short`;
//! `cuts`, `segment` and `backups` are asked of other files than a database (`exam.rs`).

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::ValueEnum as _;
use hashdb::{Database, Readable as _};

use crate::exam;
use crate::model::Model;
use crate::plan::{Flavour, Plan};

/// Longer than any look at a small database takes on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What became of a damaged database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It opens, everything in it is right, and `verify` finds nothing.
    Clean,
    /// It does not open, with this message.
    Refused(String),
    /// It opens, and somewhere an error or `verify` named damage; all answers were right.
    Damaged(String),
    /// It opens and all is right, but as it was so many steps earlier.
    Short(u64),
    /// An answer was wrong, or something was silently gone.
    Wrong(String),
    /// The judge died or did not answer.
    Crashed(String),
}

/// What the judge is told at its start: the state that all its databases had.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    flavour: Flavour,
    #[arg(long)]
    steps: u64,
}

/// Runs the judge.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut model = Model::new(Plan::new(args.seed, args.flavour));
    model.advance_to(args.steps);
    for line in std::io::stdin().lines() {
        let line = line.context("the question")?;
        let (verb, path) = line.split_once(' ').context("a question is a verb and a path")?;
        let verdict = match verb {
            "cuts" => exam::cuts(Path::new(path))?,
            "segment" => exam::segment(Path::new(path))?,
            "backups" => exam::backups(Path::new(path), &model)?,
            "prefix" => judge_prefix(Path::new(path), &model)?,
            "read" => judge_database(Database::open_read_only(path, model.plan.options()), &model),
            _ => judge_database(Database::open(path, model.plan.options()), &model),
        };
        let (word, text) = match &verdict {
            Verdict::Clean => ("clean", String::new()),
            Verdict::Short(steps) => ("short", steps.to_string()),
            Verdict::Refused(text) => ("refused", text.clone()),
            Verdict::Damaged(text) => ("damaged", text.clone()),
            Verdict::Wrong(text) | Verdict::Crashed(text) => ("wrong", text.clone()),
        };
        let mut out = std::io::stdout().lock();
        let text = text.replace('\n', " ");
        writeln!(out, "{word} {text}").and_then(|()| out.flush()).context("the parent is gone")?;
    }
    Ok(())
}

/// Asks everything. An error may come instead of an answer, a wrong answer never.
fn judge_database(opened: hashdb::Result<Database>, model: &Model) -> Verdict {
    let db = match opened {
        Ok(db) => db,
        Err(error) => return Verdict::Refused(error.to_string()),
    };
    let mut trouble = None;
    if let Err(wrong) = interrogate(&db, model, |error| {
        trouble.get_or_insert_with(|| error.to_string());
    }) {
        return Verdict::Wrong(format!("{wrong:#}"));
    }
    match exam::weights(&db, model.plan.seed) {
        Ok(told) => trouble = trouble.or(told),
        Err(wrong) => return Verdict::Wrong(format!("{wrong:#}")),
    }
    match db.verify() {
        Err(error) => trouble = trouble.or(Some(error.to_string())),
        Ok(report) => {
            let first = report.damages.first();
            let told = first
                .map(|damage| format!("verify: {}: {}", damage.path.display(), damage.description));
            trouble = told.or(trouble);
        }
    }
    trouble.map_or(Verdict::Clean, Verdict::Damaged)
}

fn interrogate(
    db: &Database,
    model: &Model,
    mut trouble: impl FnMut(&hashdb::Error),
) -> Result<()> {
    if db.len() != model.records.len() as u64 {
        bail!("{} records, len says {}", model.records.len(), db.len());
    }
    for (key, held) in &model.records {
        let name = String::from_utf8_lossy(key);
        match db.get(key) {
            Err(error) => trouble(&error),
            Ok(None) => bail!("{name} is silently gone"),
            Ok(Some(record)) => {
                if (record.id, record.address, &record.code) != (held.id, held.address, &held.code)
                {
                    bail!("{name} is another record");
                }
                match db.value(&record) {
                    Err(error) => trouble(&error),
                    Ok(value) if value == held.value => {}
                    Ok(_) => bail!("{name} has another value"),
                }
            }
        }
    }
    let mut listed = 0;
    let mut ended_early = false;
    for record in db.iter() {
        match record {
            Ok(record) => match model.records.get(&record.key) {
                Some(held) if held.id == record.id && held.code == record.code => listed += 1,
                _ => bail!("iteration shows a record that is not there"),
            },
            Err(error) => {
                ended_early = true;
                trouble(&error);
            }
        }
    }
    if !ended_early && listed != model.records.len() {
        bail!("iteration shows {listed} of {} records and no error", model.records.len());
    }
    model.ask(db, 7, |error| {
        trouble(&error);
        Ok(())
    })
}

/// The state of the whole database, or that of an earlier step.
fn judge_prefix(path: &Path, model: &Model) -> Result<Verdict> {
    let opened = match Database::open_read_only(path, model.plan.options()) {
        Ok(db) => db,
        Err(error) => return Ok(Verdict::Refused(error.to_string())),
    };
    let mut earlier = Model::new(model.plan);
    if let Err(error) = earlier.recover(&opened, 0, model.steps) {
        return Ok(Verdict::Wrong(format!("{error:#}")));
    }
    let short = model.steps.saturating_sub(earlier.steps);
    Ok(match judge_database(Ok(opened), &earlier) {
        Verdict::Clean if short > 0 => Verdict::Short(short),
        verdict => verdict,
    })
}

/// A judge at work.
#[derive(Debug)]
struct Seat {
    process: Child,
    questions: ChildStdin,
    answers: Receiver<String>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _it_may_have_ended = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Judges databases that all had the state of `model`, with as many processes as it takes.
#[derive(Debug)]
pub(crate) struct Judge {
    words: Vec<String>,
    seat: Option<Seat>,
}

impl Judge {
    pub(crate) fn of(model: &Model) -> Self {
        let flavour = model.plan.flavour.to_possible_value();
        let flavour = flavour.map_or(String::new(), |value| value.get_name().to_owned());
        let words = vec![
            "judge".to_owned(),
            format!("--seed={}", model.plan.seed),
            format!("--flavour={flavour}"),
            format!("--steps={}", model.steps),
        ];
        Self { words, seat: None }
    }

    fn seat(&self) -> Result<Seat> {
        let program = std::env::current_exe().context("the path of this program")?;
        let mut process = Command::new(program)
            .args(&self.words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start a judge")?;
        let questions = process.stdin.take().context("the judge's input")?;
        let out = process.stdout.take().context("the judge's output")?;
        let (send, answers) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Seat { process, questions, answers })
    }

    /// Asks one question.
    pub(crate) fn ask(&mut self, verb: &str, path: &Path) -> Result<Verdict> {
        let mut seat = match self.seat.take() {
            Some(seat) => seat,
            None => self.seat()?,
        };
        let asked = writeln!(seat.questions, "{verb} {}", path.display());
        let answer = asked.ok().and_then(|()| seat.answers.recv_timeout(PATIENCE).ok());
        let Some(answer) = answer else {
            let ended = seat.process.try_wait().ok().flatten();
            let how = ended.map_or("no answer in a minute".to_owned(), |status| status.to_string());
            return Ok(Verdict::Crashed(how));
        };
        self.seat = Some(seat);
        let (word, text) = answer.split_once(' ').unwrap_or((&answer, ""));
        let text = text.to_owned();
        Ok(match word {
            "clean" => Verdict::Clean,
            "refused" => Verdict::Refused(text),
            "damaged" => Verdict::Damaged(text),
            "short" => Verdict::Short(text.parse().unwrap_or_default()),
            _ => Verdict::Wrong(text),
        })
    }
}
